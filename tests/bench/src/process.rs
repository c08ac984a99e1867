//! What the kernel knows about a process and about the machine.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

/// The unit of times in `/proc`: `USER_HZ` is 100 on every architecture that we build for.
const TICK_MS: u64 = 10;

/// The CPU time that a process has used so far, in user and kernel mode, without that of its children.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = parse_cpu_ticks(&stat).with_context(|| format!("cannot understand {path}"))?;
    Ok(Duration::from_millis(TICK_MS * ticks))
}

/// The CPU time that a process and those that it started have used so far.
pub(crate) fn cpu_time_of_family(pid: u32) -> Result<Duration> {
    // One that has just ended counts no more.
    let others = family(pid)?.into_iter().filter(|other| *other != pid).filter_map(|other| cpu_time(other).ok());
    Ok(cpu_time(pid)? + others.sum::<Duration>())
}

/// The CPU time that the whole machine has spent on anything, stolen time included.
pub(crate) fn machine_cpu_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let ticks = parse_busy_ticks(&stat).context("cannot understand /proc/stat")?;
    Ok(Duration::from_millis(TICK_MS * ticks))
}

/// The memory of a process.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Memory {
    /// All pages that are resident, in bytes.
    pub(crate) rss_bytes: u64,
    /// The same, where a page shared by n processes counts 1/n.
    pub(crate) pss_bytes: u64,
}

/// The memory that a process has now.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name| parse_kilobytes(&rollup, name).with_context(|| format!("no {name} in {path}"));
    Ok(Memory { rss_bytes: field("Rss:")?, pss_bytes: field("Pss:")? })
}

/// A process and all that it has started, by their ids.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = pids.filter_map(|pid: u32| Some((pid, parent_of(pid)?))).collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(family)
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc_pid_stat(5): after the name in brackets come the state and the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The memory that a process and those that it started have now.
pub(crate) fn memory_of_family(pid: u32) -> Result<Memory> {
    let all = family(pid)?.into_iter().filter_map(|pid| memory(pid).ok());
    Ok(all.fold(Memory { rss_bytes: 0, pss_bytes: 0 }, |sum, one| Memory {
        rss_bytes: sum.rss_bytes + one.rss_bytes,
        pss_bytes: sum.pss_bytes + one.pss_bytes,
    }))
}

/// Whether a process is there, and not only its remains.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X'])))
}

/// The command line of a process, its arguments joined by spaces.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&line).replace('\0', " "))
}

/// The proportional memory of these processes together, in bytes. One that is gone by now has none.
pub(crate) fn pss_of(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| memory(*pid).ok()).map(|memory| memory.pss_bytes).sum()
}

/// The open files of these processes together.
pub(crate) fn files_of(pids: &[u32]) -> usize {
    pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok()).map(Iterator::count).sum()
}

/// Begin to look for the largest memory of a process anew; see [`peak_rss`].
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    // proc_pid_clear_refs(5): 5 sets the peak back to what is resident now.
    fs::write(format!("/proc/{pid}/clear_refs"), "5").with_context(|| format!("cannot reset the peak of {pid}"))
}

/// The most memory that was resident at a time since [`forget_peak`], in bytes.
pub(crate) fn peak_rss(pid: u32) -> Option<u64> {
    parse_kilobytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// Allow this process, and those that it starts, as many open files as the system lets it have.
pub(crate) fn allow_many_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("cannot raise the limit of open files")
}

fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    // proc_pid_stat(5): the second field is the name in brackets, which may contain both spaces and brackets. The
    // first one after it is number 3; utime is number 14 and stime 15, and then the same of children that have ended: a
    // worker that was replaced has worked all the same.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<u64> =
        after_name.split_whitespace().skip(11).take(4).map(str::parse).collect::<Result<_, _>>().ok()?;
    (fields.len() == 4).then(|| fields.iter().sum())
}

fn parse_busy_ticks(stat: &str) -> Option<u64> {
    // proc_stat(5): user nice system idle iowait irq softirq steal, then guest times that user already contains.
    let total = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = total.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = fields[..] else {
        return None;
    };
    Some(user + nice + system + irq + softirq + steal)
}

fn parse_kilobytes(rollup: &str, name: &str) -> Option<u64> {
    let value = rollup.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 9 9 20 0 1 0 1 1 1";

        assert_eq!(parse_cpu_ticks(stat), Some(318));
    }

    #[test]
    fn idle_time_is_not_busy_time() {
        assert_eq!(parse_busy_ticks("cpu  1 2 3 1000 1000 4 5 6 7 8\ncpu0 1"), Some(21));
    }

    #[test]
    fn this_process_has_memory() {
        let memory = memory(std::process::id()).expect("the file is there");

        assert!(memory.rss_bytes >= memory.pss_bytes && memory.pss_bytes > 0);
        let own = std::process::id();
        assert!(is_alive(own) && peak_rss(own).expect("the kernel tells it") > 0);
        assert_eq!(family(own).expect("the files are there")[0], own);
    }
}
