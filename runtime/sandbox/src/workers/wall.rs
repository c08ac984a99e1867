//! The second wall: what the kernel lets a worker process do.
//!
//! A guest that breaks out of WebAssembly finds itself in a process that can open nothing, reach no network, start no
//! program and see no other process; it can only talk to the server over the one socket it was born with. Landlock
//! empties the file system, seccomp takes away the calls of the kernel that a worker has no use for, and resource
//! limits bound the rest.

use std::{collections::BTreeMap, os::unix::fs::MetadataExt, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    thread::{CapabilitySet, CapabilitySets, set_capabilities},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};
use serde::{Deserialize, Serialize};

/// Rights that this program knows and has been tested with; a kernel that knows fewer enforces those.
const KNOWN: ABI = ABI::V7;

/// Open files of a worker without folders: its socket, what the runtime waits on, and one for each component's memory.
const OPEN_FILES: u64 = 1_024;

/// `PAGEMAP_SCAN` of `linux/fs.h`: which pages of this process were written since they were last reset.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// `CLONE_VM | CLONE_THREAD` of `linux/sched.h`: a thread of this process and never another process.
const THREAD: u64 = 0x0000_0100 | 0x0001_0000;

/// `MAP_SHARED` of `mmap(2)`, and of `MAP_SHARED_VALIDATE`.
const SHARED: u64 = 1;

/// A folder that stays reachable, for the components of one module that were granted it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Which folder that is: what the kernel lets through is the folder, and not whatever is at the path later.
    device: u64,
    inode: u64,
    /// Whether it may be changed.
    pub(crate) writable: bool,
}

impl Opening {
    /// What is at `path` now. Blocking.
    pub(crate) fn of(path: PathBuf, writable: bool) -> Self {
        let (device, inode) = path.metadata().map_or((0, 0), |about| (about.dev(), about.ino()));
        Self { path, device, inode, writable }
    }
}

/// What is in force in a worker process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Isolated {
    /// Landlock: no files, no TCP, no signals to others.
    pub landlock: Strength,
    /// Seccomp: only the calls of the kernel that a worker needs.
    pub seccomp: Strength,
    /// Resource limits, no capabilities, no new privileges, no core dumps.
    pub limits: Strength,
}

/// How far a part of the wall holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Strength {
    /// As it should be.
    Full,
    /// Partly, because the kernel is older; what it lacks.
    Partial(String),
    /// Not at all, and why.
    #[default]
    Unknown,
    /// The kernel refuses it.
    Missing(String),
}

impl Isolated {
    /// What is missing of the wall, one thing a line; nothing if it stands.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let parts = [("Landlock", &self.landlock), ("seccomp", &self.seccomp), ("resource limits", &self.limits)];
        let gap = |(name, strength): (&str, &Strength)| match strength {
            Strength::Full => None,
            Strength::Partial(what) => Some(format!("{name} holds in part: {what}")),
            Strength::Missing(why) => Some(format!("{name} is not in force: {why}")),
            Strength::Unknown => Some(format!("{name} is not in force")),
        };
        parts.into_iter().filter_map(gap).collect()
    }

    /// Whether a component that breaks out of WebAssembly is still held.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        // An older Landlock still empties the file system; the network is closed by seccomp in any case.
        matches!(self.landlock, Strength::Full | Strength::Partial(_)) && self.seccomp == Strength::Full
    }
}

/// Take away what only the beginning of a process needs. Before any thread is started: threads inherit it.
///
/// `most_file` is the size of the largest file that a process without folders may make. Files of a worker are in memory
/// only, and no limit on memory counts them: the first contents of a guest's memory, so that each call can share them.
pub(crate) fn raise_early(openings: &[Opening], most_bytes: u64, most_file: u64) -> Isolated {
    // When memory runs out, the kernel is to end this process and not the server. Where it may not be asked, it chooses.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let limits = match limit(most_bytes, openings.is_empty().then_some(most_file)) {
        missing if missing.is_empty() => Strength::Full,
        missing => Strength::Missing(missing.join(", ")),
    };
    let landlock = match empty_file_system(openings) {
        Ok(RulesetStatus::FullyEnforced) => Strength::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Strength::Partial("the kernel knows an older version".to_owned()),
        Ok(RulesetStatus::NotEnforced) => Strength::Missing("this kernel does not offer it".to_owned()),
        Err(error) => Strength::Missing(error.to_string()),
    };
    Isolated { landlock, seccomp: Strength::Unknown, limits }
}

/// Close the wall, for all threads there are and will be.
pub(crate) fn raise(isolated: &mut Isolated, openings: &[Opening]) {
    isolated.seccomp = match restrict_calls(!openings.is_empty()) {
        Ok(()) => Strength::Full,
        Err(error) => Strength::Missing(error.to_string()),
    };
}

/// Give up what needs no kernel feature; what could not be given up.
fn limit(most_bytes: u64, most_file: Option<u64>) -> Vec<String> {
    // Never more than there is already.
    let set = |resource, most: u64| {
        let most = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
    };
    let none = CapabilitySet::empty();
    let steps = [
        (
            "capabilities",
            set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }),
        ),
        ("core dumps", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        ("core files", set(Resource::Core, 0)),
        // Memory that can be written to: a runtime that swells fails to allocate, and its process ends.
        ("memory", set(Resource::Data, most_bytes)),
        ("open files", set(Resource::Nofile, OPEN_FILES)),
        ("locked memory", set(Resource::Memlock, 0)),
        ("size of files", most_file.map_or(Ok(()), |most| set(Resource::Fsize, most))),
    ];
    let failed = steps.into_iter().filter_map(|(what, result)| Some(format!("{what}: {}", result.err()?)));
    failed.collect()
}

fn empty_file_system(openings: &[Opening]) -> Result<RulesetStatus, landlock::RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let made: BitFlags<AccessFs> =
        AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::MakeFifo | AccessFs::Execute;
    let write = AccessFs::from_all(KNOWN) & !made & !BitFlags::from(AccessFs::IoctlDev);
    let paths = |writable| {
        openings.iter().filter(move |opening| opening.writable == writable).map(|opening| opening.path.clone())
    };
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(paths(false), read))?
        .add_rules(path_beneath_rules(paths(true), write))?
        .restrict_self()?;
    Ok(status.ruleset)
}

fn restrict_calls(with_files: bool) -> Result<(), Box<dyn std::error::Error>> {
    // The C library asks for `clone3` first, whose flags no filter can see, and takes `clone` when it is told that
    // there is none. Of two filters the stricter answer counts, so this one speaks before the list below.
    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    apply(no_clone3, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()))?;
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    allowed.extend(ALWAYS.iter().map(|call| (*call, Vec::new())));
    if with_files {
        allowed.extend(WITH_FILES.iter().map(|call| (*call, Vec::new())));
    }
    let own = u64::from(std::process::id());
    for (call, rules) in conditional(own)? {
        allowed.insert(call, rules);
    }
    apply(allowed, SeccompAction::Errno(libc::EPERM.cast_unsigned()), SeccompAction::Allow)
}

fn apply(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<(), Box<dyn std::error::Error>> {
    let filter = SeccompFilter::new(rules, otherwise, listed, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(apply_filter_all_threads(&program)?)
}

/// Calls that are allowed with these arguments only.
fn conditional(own: u64) -> Result<Vec<(i64, Vec<SeccompRule>)>, seccompiler::BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq};
    let is = |argument, size, value| SeccompCondition::new(argument, size, Eq, value);
    let rule = |conditions| SeccompRule::new(conditions);
    Ok(vec![
        // Threads, never processes.
        (libc::SYS_clone, vec![rule(vec![SeccompCondition::new(0, Qword, MaskedEq(THREAD), THREAD)?])?]),
        // Only this process: aborting is a signal to oneself.
        (libc::SYS_tgkill, vec![rule(vec![is(0, Dword, own)?])?]),
        // Memory of its own, which counts against its limit; memory that is shared does not.
        (libc::SYS_mmap, vec![rule(vec![SeccompCondition::new(3, Dword, MaskedEq(SHARED), 0)?])?]),
        // Never `F_SETOWN` and `F_SETSIG`, by which the kernel would signal another process.
        (
            libc::SYS_fcntl,
            [libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_ADD_SEALS]
                .into_iter()
                .map(|command| rule(vec![is(1, Dword, u64::from(command.cast_unsigned()))?]))
                .collect::<Result<_, _>>()?,
        ),
        (libc::SYS_ioctl, vec![rule(vec![is(1, Dword, PAGEMAP_SCAN)?])?]),
        // The names of threads and of mappings.
        (
            libc::SYS_prctl,
            vec![
                rule(vec![is(0, Dword, u64::from(libc::PR_SET_NAME.cast_unsigned()))?])?,
                rule(vec![is(0, Dword, 0x5356_4d41)?])?,
            ],
        ),
        // The priority of the calling thread.
        (libc::SYS_setpriority, vec![rule(vec![is(0, Dword, 0)?, is(1, Dword, 0)?])?]),
    ])
}

/// What every worker needs: its memory, its threads, its socket, time and randomness.
const ALWAYS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_eventfd2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_memfd_create,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// What workers with folders need beside it; which folders, Landlock says.
const WITH_FILES: &[i64] = &[
    libc::SYS_fadvise64,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
];
