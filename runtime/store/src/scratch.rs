use std::{
    ffi::{CStr, CString},
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, chmodat, flock, openat, renameat, statat, unlinkat},
    io::Errno,
};

use fumehood_model::ModuleName;

use crate::{StoreError, directory::private_directory};

/// How often removing a folder starts anew when something appears in it meanwhile.
///
/// A write that was under way when its call was stopped may still make a file; it makes one, and no second.
const ATTEMPTS: usize = 100;

/// Folders that calls have for themselves, each for as long as its call runs. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Scratch {
    path: Arc<Path>,
    remover: mpsc::Sender<Remove>,
}

/// The folder of one call. It is removed, with all that is in it, when this is dropped: soon after, on a thread of its own.
#[derive(Debug)]
pub struct ScratchFolder {
    path: PathBuf,
    /// Locked: who sweeps leaves folders alone whose call runs in another process.
    lock: Option<File>,
    remover: mpsc::Sender<Remove>,
}

#[derive(Debug)]
enum Remove {
    Folder {
        path: PathBuf,
        lock: Option<File>,
    },
    /// Answer when everything before is removed.
    Settle(mpsc::Sender<()>),
}

impl Scratch {
    /// Folders below `path`. Those that a killed process has left behind are removed.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
        private_directory(&path)?;
        let (remover, removals) = mpsc::channel();
        let spawned = thread::Builder::new().name("scratch".to_owned()).spawn(move || remove_all(&removals));
        spawned.map_err(StoreError::io("start a thread for", &path))?;
        let scratch = Self { path: path.into(), remover };
        scratch.sweep();
        Ok(scratch)
    }

    /// A fresh, empty folder for a call of `module`, beside those of its other calls and apart from other modules'.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(&self, module: &ModuleName) -> Result<ScratchFolder, StoreError> {
        let parent = self.path.join(module.as_str());
        let failed = |source| StoreError::io("create a folder in", &parent)(source);
        private_directory(&parent)?;
        let mut fresh = tempfile::Builder::new();
        let path = fresh
            .prefix("call-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(failed)?
            .keep();
        let lock = File::open(&path).map_err(StoreError::io("open", &path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        Ok(ScratchFolder { path, lock: Some(lock), remover: self.remover.clone() })
    }

    /// Wait until everything that was dropped is removed.
    pub fn settle(&self) {
        let (done, settled) = mpsc::channel();
        if self.remover.send(Remove::Settle(done)).is_ok() {
            let _ = settled.recv();
        }
    }

    fn sweep(&self) {
        let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        let (modules, strays): (Vec<_>, Vec<_>) =
            folders(&self.path).partition(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for entry in modules.into_iter().flat_map(|module| folders(&module.path())).chain(strays) {
            let path = entry.path();
            let lock = File::open(&path).ok();
            let taken =
                lock.as_ref().is_some_and(|lock| flock(lock, FlockOperation::NonBlockingLockExclusive).is_err());
            if !taken {
                let _ = self.remover.send(Remove::Folder { path, lock });
            }
        }
    }
}

impl ScratchFolder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        // Without the thread the process is ending; the next start sweeps.
        let _ = self.remover.send(Remove::Folder { path, lock: self.lock.take() });
    }
}

fn remove_all(removals: &mpsc::Receiver<Remove>) {
    for removal in removals {
        match removal {
            Remove::Folder { path, lock } => {
                if let Err(error) = remove(&path) {
                    let path = path.display();
                    tracing::warn!(%error, "The scratch folder {path} could not be removed; the next start tries again");
                }
                drop(lock);
            }
            Remove::Settle(done) => drop(done.send(())),
        }
    }
}

/// Remove whatever is at `path`, following no link.
///
/// A guest may have nested folders deeper than paths are long, or than descriptors and stack suffice for. So nothing here
/// descends: each folder that is found is moved up to the top, until all that is left are empty ones.
fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    let top = open_folder(rustix::fs::CWD, path)?;
    let mut moved = 0;
    for _ in 0..ATTEMPTS {
        while flatten(top.as_fd(), &mut moved)? {}
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            done => return done,
        }
    }
    Err(io::ErrorKind::DirectoryNotEmpty.into())
}

/// Remove the files in `top` and empty its folders into it. Whether there may be more.
fn flatten(top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<bool> {
    let mut more = false;
    for (name, is_folder) in entries(top)? {
        if !is_folder {
            unlink(top, &name, AtFlags::empty())?;
            continue;
        }
        // Whoever owns a folder may open it again, whatever it says now.
        chmodat(top, &name, Mode::RWXU, AtFlags::empty())?;
        let folder = open_folder(top, &name)?;
        for (inner, is_folder) in entries(folder.as_fd())? {
            if is_folder {
                chmodat(&folder, &inner, Mode::RWXU, AtFlags::empty())?;
                raise(folder.as_fd(), &inner, top, moved)?;
                more = true;
            } else {
                unlink(folder.as_fd(), &inner, AtFlags::empty())?;
            }
        }
        match unlink(top, &name, AtFlags::REMOVEDIR) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => more = true,
            done => done?,
        }
    }
    Ok(more)
}

/// Move the folder `name` up to `top`, under a name that is free there.
fn raise(folder: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        let fresh = CString::new(format!(".{moved:x}")).map_err(io::Error::other)?;
        if statat(top, &fresh, AtFlags::SYMLINK_NOFOLLOW).is_err_and(|error| error == Errno::NOENT) {
            return Ok(renameat(folder, name, top, &fresh)?);
        }
    }
}

/// What is in a folder, and whether each is a folder itself.
fn entries(folder: BorrowedFd<'_>) -> io::Result<Vec<(CString, bool)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if [&b"."[..], b".."].contains(&name.to_bytes()) {
            continue;
        }
        let about = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            about => about?,
        };
        found.push((name.to_owned(), FileType::from_raw_mode(about.st_mode) == FileType::Directory));
    }
    Ok(found)
}

fn open_folder(at: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

/// Take away a name; one that is gone already is no failure.
fn unlink(folder: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> io::Result<()> {
    match unlinkat(folder, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    fn module() -> ModuleName {
        "a".parse().unwrap()
    }

    use std::os::unix::fs::symlink;

    use super::*;

    fn left(home: &Path) -> usize {
        let entries = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let modules = entries(&home.join("scratch"));
        modules.iter().map(|path| if path.is_dir() { entries(path).len() } else { 1 }).sum()
    }

    fn scratch(home: &Path) -> Scratch {
        Scratch::open(home.join("scratch")).unwrap()
    }

    #[test]
    fn a_folder_is_fresh_private_and_gone_afterwards() {
        let home = tempfile::tempdir().unwrap();
        let scratch = scratch(home.path());

        let (one, two) = (scratch.create(&module()).unwrap(), scratch.create(&module()).unwrap());
        fs::write(one.path().join("file"), "content").unwrap();

        assert_ne!(one.path(), two.path());
        assert_eq!(fs::read_dir(two.path()).unwrap().count(), 0);
        assert_eq!(fs::metadata(one.path()).unwrap().permissions().mode() & 0o777, 0o700);
        drop((one, two));
        scratch.settle();
        assert_eq!(left(home.path()), 0);
    }

    #[test]
    fn ten_thousand_levels_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let scratch = scratch(home.path());
        let folder = scratch.create(&module()).unwrap();
        let mut at = open_folder(rustix::fs::CWD, folder.path()).unwrap();
        for _ in 0..10_000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open_folder(&at, "d").unwrap();
        }
        drop(at);

        drop(folder);

        scratch.settle();
        assert_eq!(left(home.path()), 0);
    }

    #[test]
    fn folders_that_nobody_may_enter_and_links_that_lead_out_are_removed_and_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let outside = home.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("canary"), "untouched").unwrap();
        let scratch = scratch(home.path());
        let folder = scratch.create(&module()).unwrap();
        fs::create_dir_all(folder.path().join("a/b/.1")).unwrap();
        fs::create_dir_all(folder.path().join(".1/x")).unwrap();
        symlink(&outside, folder.path().join("link")).unwrap();
        symlink(&outside, folder.path().join("a/b/link")).unwrap();
        for path in ["a/b", "a", ".1"] {
            fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(0o000)).unwrap();
        }

        drop(folder);

        scratch.settle();
        assert_eq!(left(home.path()), 0);
        assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "untouched");
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_another_uses_is_not() {
        let home = tempfile::tempdir().unwrap();
        let first = scratch(home.path());
        let used = first.create(&module()).unwrap();
        fs::create_dir_all(home.path().join("scratch/call-left/behind")).unwrap();
        fs::write(home.path().join("scratch/file"), "").unwrap();

        let second = scratch(home.path());
        second.settle();

        assert!(used.path().exists());
        assert_eq!(left(home.path()), 1);
    }
}
