//! Copies of a data directory, and putting them back.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use rusqlite::Connection;

use crate::{
    DataDirectory, Database, StoreError,
    database::{check, connect},
    directory::{UNFINISHED, copy_private, private_directory, write_private},
};

/// The file of the database within a data directory.
pub(crate) const DATABASE: &str = "fumehood.db";

/// Files that are copied as they are. The first must be there.
const FILES: [&str; 2] = ["secret", "admin.key"];

/// The folder of components.
const COMPONENTS: &str = "components";

impl Database {
    /// Write a copy of everything, as it is at one moment, to a new file `to`. Others read and write meanwhile. Blocks.
    ///
    /// # Errors
    ///
    /// When there is something at `to` already, or the copy cannot be written; then nothing is left of it.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        copy_database(self.path(), to)
    }
}

impl DataDirectory {
    /// Write a copy of all that matters to a new folder `to`: the database, the secret, the administrator's key and the
    /// components. A server may serve meanwhile. Blocks.
    ///
    /// The folder appears only once all of it is on disk. Whoever has it can open the secrets in it.
    ///
    /// # Errors
    ///
    /// When there is something at `to` already, or something cannot be read or written; then nothing is left of it.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        refuse_taken(to)?;
        let from = self.path();
        let folder = beside(to)?;
        copy_files(from, folder.path())?;
        copy_components(from, folder.path())?;
        copy_database(&from.join(DATABASE), &folder.path().join(DATABASE))?;
        // Once more: those of modules that came after the first time and are in the copy of the database.
        copy_components(from, folder.path())?;
        put(folder, to)
    }

    /// Make a data directory `to` of the backup `from`. Nothing may be there but an empty folder. Blocks.
    ///
    /// # Errors
    ///
    /// When `from` is not there, is no backup or is damaged, something is at `to`, or it cannot be written; then nothing is
    /// left of it.
    pub fn restore(from: &Path, to: &Path) -> Result<(), StoreError> {
        let is_empty = fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_none());
        if !is_empty {
            refuse_taken(to)?;
        }
        refuse_no_backup(from)?;
        let folder = beside(to)?;
        copy_files(from, folder.path())?;
        copy_components(from, folder.path())?;
        let copy = folder.path().join(DATABASE);
        copy_file(&from.join(DATABASE), &copy)?;
        connect(&copy).and_then(|db| check(&db, &copy)).map_err(|error| match error {
            // The cause alone: what else this error tells is about the database of a server, and names the copy.
            StoreError::Corrupt { source, .. } => StoreError::DamagedBackup { path: from.to_owned(), source },
            error => error,
        })?;
        forget_confirmations(&copy)?;
        put(folder, to)
    }
}

/// Forget what could still be decided or used: since the copy was made, it may have been.
fn forget_confirmations(database: &Path) -> Result<(), StoreError> {
    let forget = |db: Connection| {
        let known = "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'confirmations'";
        if db.query_row(known, [], |row| row.get(0))? {
            db.execute("DELETE FROM confirmations WHERE state < 2", [])?;
        }
        db.close().map_err(|(_, error)| error)
    };
    forget(connect(database)?).map_err(|source| StoreError::database(database, source))
}

/// Refuse what [`DataDirectory::backup`] cannot have made.
fn refuse_no_backup(from: &Path) -> Result<(), StoreError> {
    if !from.exists() {
        return Err(StoreError::Absent { path: from.to_owned() });
    }
    if let Some(lacks) = [DATABASE, FILES[0]].into_iter().find(|name| !from.join(name).is_file()) {
        return Err(StoreError::NoBackup { path: from.to_owned(), lacks });
    }
    // What is in the log would be lost, or with half of the database in it be worse than lost.
    let log = from.join(format!("{DATABASE}-wal"));
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(StoreError::Unfinished { path: from.to_owned(), log });
    }
    Ok(())
}

fn copy_database(from: &Path, to: &Path) -> Result<(), StoreError> {
    refuse_taken(to)?;
    // An empty file that only its owner can read: SQLite fills it, and takes no other.
    write_private(to, b"")?;
    // A connection of its own: those of the readers refuse to write anything, also elsewhere.
    let copied = connect(from).and_then(|db| {
        let to =
            to.to_str().ok_or_else(|| StoreError::BadFile { path: to.to_owned(), what: "its name is not UTF-8" })?;
        db.execute("VACUUM INTO ?1", [to]).map_err(|error| StoreError::database(from, error))
    });
    let synced = copied.and_then(|_| sync(to));
    if synced.is_err() {
        let _ = fs::remove_file(to);
    }
    synced
}

fn copy_files(from: &Path, to: &Path) -> Result<(), StoreError> {
    for (turn, name) in FILES.into_iter().enumerate() {
        if turn == 0 || from.join(name).exists() {
            copy_file(&from.join(name), &to.join(name))?;
        }
    }
    Ok(())
}

/// Copy components that are not there yet.
fn copy_components(from: &Path, to: &Path) -> Result<(), StoreError> {
    let (from, to) = (from.join(COMPONENTS), to.join(COMPONENTS));
    private_directory(&to)?;
    let entries = match fs::read_dir(&from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(StoreError::io("read", &from))?,
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io("read", &from))?;
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        if name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) || target.exists() {
            continue;
        }
        match copy_file(&entry.path(), &target) {
            // Nobody needs it any more: its module was removed since its name was read.
            Err(StoreError::Absent { .. }) => {}
            copied => copied?,
        }
    }
    sync(&to)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut file = File::open(from).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Absent { path: from.to_owned() },
        _ => StoreError::io("read", from)(error),
    })?;
    copy_private(&mut file, to)
}

/// A folder beside `to` that only its owner can enter, and that is gone again unless it is put there.
pub(crate) fn beside(to: &Path) -> Result<tempfile::TempDir, StoreError> {
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(StoreError::io("create directory", parent))?;
    let mut fresh = tempfile::Builder::new();
    let fresh = fresh.prefix(UNFINISHED).permissions(fs::Permissions::from_mode(0o700)).tempdir_in(parent);
    fresh.map_err(StoreError::io("create a folder in", parent))
}

/// Give a finished folder its name.
fn put(folder: tempfile::TempDir, to: &Path) -> Result<(), StoreError> {
    sync(folder.path())?;
    // Renaming takes the place of an empty folder and of nothing else.
    fs::rename(folder.path(), to).map_err(StoreError::io("write", to))?;
    drop(folder.keep());
    sync(to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

pub(crate) fn refuse_taken(path: &Path) -> Result<(), StoreError> {
    // A link that leads nowhere is something as well.
    if fs::symlink_metadata(path).is_ok() { Err(StoreError::Taken { path: path.to_owned() }) } else { Ok(()) }
}

/// Bring a file or the names in a folder to disk.
pub(crate) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use fumehood_model::{Digest, Role};

    use super::*;
    use crate::Access;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_backed_up_while_it_is_in_use_can_be_restored() {
        let home = tempfile::tempdir().unwrap();
        let (data, copy, back) = (home.path().join("data"), home.path().join("copy"), home.path().join("back"));
        let digest = Digest::of(b"component");
        let directory = DataDirectory::open(&data, Access::Own).unwrap();
        let database = directory.database().unwrap();
        directory.secrets(&database).set("A", "value", "k").unwrap();
        directory.blobs().unwrap().put(&digest, b"component").unwrap();
        let key = directory.keys(&database).unwrap().create("ci", &[Role::Call], Default::default()).unwrap();

        DataDirectory::open(&data, Access::Share).unwrap().backup(&copy).unwrap();
        directory.secrets(&database).set("A", "later", "k").unwrap();
        fs::create_dir(&back).unwrap();
        DataDirectory::restore(&copy, &back).unwrap();

        let restored = DataDirectory::open(&back, Access::Own).unwrap();
        let database = restored.database().unwrap();
        assert_eq!(restored.secrets(&database).read("A").unwrap().as_deref(), Some("value"));
        assert_eq!(restored.blobs().unwrap().read(&digest).unwrap(), b"component");
        assert!(restored.keys(&database).unwrap().verify(&key.text).is_some());
        for folder in [&copy, &back] {
            assert_eq!(
                (mode(folder), mode(&folder.join("secret")), mode(&folder.join(DATABASE))),
                (0o700, 0o600, 0o600)
            );
        }
    }

    #[test]
    fn what_could_still_be_confirmed_is_not_restored_and_what_was_decided_is() {
        let home = tempfile::tempdir().unwrap();
        let (data, copy, back) = (home.path().join("data"), home.path().join("copy"), home.path().join("back"));
        let directory = DataDirectory::open(&data, Access::Own).unwrap();
        let database = directory.database().unwrap();
        let insert = |id: &'static str, state: i64| {
            database.write(move |db| {
                db.execute(
                    "INSERT INTO confirmations (id, key, tool, component, arguments, caller, shown, arguments_bytes, asked_at_ms,
                        until_ms, state) VALUES (?1, 'k', 't', 'c', 'a', 'n', '', 0, 1, 9, ?2)",
                    rusqlite::params![id, state],
                )
            })
        };
        for (id, state) in [("waiting", 0), ("confirmed", 1), ("refused", 2), ("used", 3)] {
            insert(id, state).unwrap();
        }

        directory.backup(&copy).unwrap();
        DataDirectory::restore(&copy, &back).unwrap();

        let restored = DataDirectory::open(&back, Access::Own).unwrap().database().unwrap();
        let ids = restored.with(|db| -> rusqlite::Result<Vec<String>> {
            db.prepare("SELECT id FROM confirmations ORDER BY seq")?.query_map([], |row| row.get(0))?.collect()
        });
        assert_eq!(ids.unwrap(), ["refused", "used"]);
    }

    #[test]
    fn nothing_is_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let (data, copy) = (home.path().join("data"), home.path().join("copy"));
        let directory = DataDirectory::open(&data, Access::Own).unwrap();
        let database = directory.database().unwrap();
        directory.backup(&copy).unwrap();

        assert!(matches!(directory.backup(&copy), Err(StoreError::Taken { .. })));
        assert!(matches!(database.backup(&copy.join(DATABASE)), Err(StoreError::Taken { .. })));
        assert!(matches!(DataDirectory::restore(&copy, &data), Err(StoreError::Taken { .. })));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "nothing unfinished is left");
    }

    #[test]
    fn a_folder_that_is_no_backup_or_is_damaged_is_not_restored() {
        let home = tempfile::tempdir().unwrap();
        let (copy, back) = (home.path().join("copy"), home.path().join("back"));
        assert!(matches!(DataDirectory::restore(home.path(), &back), Err(StoreError::NoBackup { .. })));
        assert!(matches!(DataDirectory::restore(&copy, &back), Err(StoreError::Absent { .. })));
        fs::create_dir(&copy).unwrap();
        fs::write(copy.join("secret"), [0; 32]).unwrap();
        fs::write(copy.join(DATABASE), "not a database at all".repeat(100)).unwrap();

        let damaged = DataDirectory::restore(&copy, &back).unwrap_err();
        assert!(matches!(&damaged, StoreError::DamagedBackup { path, .. } if *path == copy), "{damaged:?}");
        assert!(!damaged.to_string().contains("salvage"), "it is not a server's: {damaged}");
        assert!(!back.exists());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn a_copy_whose_database_has_a_log_with_changes_is_not_restored() {
        let home = tempfile::tempdir().unwrap();
        let (data, copy, back) = (home.path().join("data"), home.path().join("copy"), home.path().join("back"));
        let directory = DataDirectory::open(&data, Access::Own).unwrap();
        let database = directory.database().unwrap();
        directory.secrets(&database).set("A", "value", "k").unwrap();
        fs::create_dir(&copy).unwrap();
        for name in ["secret", DATABASE, "fumehood.db-wal"] {
            fs::copy(data.join(name), copy.join(name)).unwrap();
        }

        let refused = DataDirectory::restore(&copy, &back);

        assert!(matches!(refused, Err(StoreError::Unfinished { .. })), "{refused:?}");
        assert!(!back.exists());
        fs::write(copy.join("fumehood.db-wal"), b"").unwrap();
        DataDirectory::restore(&copy, &back).unwrap();
    }

    #[test]
    fn a_component_that_is_gone_when_its_turn_comes_is_left_out() {
        let home = tempfile::tempdir().unwrap();
        let (data, copy) = (home.path().join("data"), home.path().join("copy"));
        let directory = DataDirectory::open(&data, Access::Own).unwrap();
        let _database = directory.database().unwrap();
        directory.blobs().unwrap().put(&Digest::of(b"component"), b"component").unwrap();
        // A link to nothing has a name and cannot be read, as what was removed in between.
        std::os::unix::fs::symlink(data.join("gone"), data.join(COMPONENTS).join("link")).unwrap();

        directory.backup(&copy).unwrap();

        assert_eq!(fs::read_dir(copy.join(COMPONENTS)).unwrap().count(), 1);
    }

    #[test]
    fn a_copy_is_made_piece_by_piece_and_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        struct Pieces(u64);
        impl io::Read for Pieces {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                assert!(into.len() <= 1 << 20, "{} bytes at once", into.len());
                let size = into.len().min(usize::try_from(self.0).unwrap());
                self.0 -= size as u64;
                into[..size].fill(7);
                Ok(size)
            }
        }

        copy_private(&mut Pieces(5 << 20), &from).unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o644)).unwrap();
        copy_file(&from, &to).unwrap();

        assert_eq!((fs::metadata(&to).unwrap().len(), mode(&to)), (5 << 20, 0o600));
        assert!(fs::read(&to).unwrap() == fs::read(&from).unwrap());
    }
}
