use std::{fs, io, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use wasmtime_wasi::p2::{FsError, bindings::filesystem::types::ErrorCode};

use crate::granted::Folder;

/// What a call has in its folders. Whoever holds it is the only one at work there.
pub(super) type Lane = Arc<Mutex<Ledger>>;

/// One account for each folder.
pub(super) struct Ledger {
    accounts: Vec<Account>,
}

/// What is in a folder, and how much may be.
pub(super) struct Account {
    path: PathBuf,
    max_bytes: u64,
    max_files: u64,
    /// Nothing, until somebody needs to know.
    used: Option<Used>,
    /// Which part of the quota was used up, if one was.
    spent: Option<Part>,
}

/// A part of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    /// The bytes.
    Bytes,
    /// The files and folders.
    Files,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Used {
    bytes: u64,
    files: u64,
}

/// A folder may not hold more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the quota of the folder is used up")]
pub(super) struct Spent;

impl Spent {
    /// Whether this is what `error` says.
    pub(super) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

impl From<Spent> for io::Error {
    fn from(spent: Spent) -> Self {
        Self::new(io::ErrorKind::StorageFull, spent)
    }
}

impl From<Spent> for FsError {
    fn from(_: Spent) -> Self {
        ErrorCode::Quota.into()
    }
}

impl Ledger {
    pub(super) fn new(folders: &[Folder]) -> Self {
        let account = |folder: &Folder| Account {
            path: folder.path.clone(),
            max_bytes: folder.max_bytes,
            max_files: folder.max_files,
            used: None,
            spent: None,
        };
        Self { accounts: folders.iter().map(account).collect() }
    }

    pub(super) fn into_lane(self) -> Lane {
        Arc::new(Mutex::new(self))
    }

    /// The folders whose quotas were used up, by their places, and which part of them.
    pub(super) fn spent(&mut self) -> Vec<(usize, Part)> {
        let accounts = self.accounts.iter_mut().enumerate();
        accounts.filter_map(|(folder, account)| Some((folder, account.take_spent()?))).collect()
    }

    pub(super) fn account(&mut self, folder: usize) -> &mut Account {
        &mut self.accounts[folder]
    }
}

impl Account {
    pub(super) fn is_counted(&self) -> bool {
        self.used.is_some()
    }

    /// Count what is in the folder, unless that was done before. Blocks.
    ///
    /// Ends as soon as there is more than may be: a folder of millions costs no more than its quota.
    pub(super) fn count(&mut self) {
        if self.used.is_some() {
            return;
        }
        let mut used = Used::default();
        let mut open = vec![self.path.clone()];
        'counting: while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if used.files > self.max_files || used.bytes > self.max_bytes {
                    break 'counting;
                }
                used.files += 1;
                // Of the entry itself: a link is not followed.
                let Ok(about) = entry.metadata() else { continue };
                if about.is_dir() {
                    open.push(entry.path());
                } else {
                    used.bytes = used.bytes.saturating_add(about.len());
                }
            }
        }
        self.used = Some(used);
    }

    fn used(&mut self) -> &mut Used {
        self.count();
        self.used.get_or_insert_default()
    }

    /// Take so many more bytes.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), Spent> {
        let most = self.max_bytes;
        let used = self.used();
        match used.bytes.checked_add(bytes) {
            Some(sum) if sum <= most || bytes == 0 => {
                used.bytes = sum;
                Ok(())
            }
            _ => {
                self.spent = Some(Part::Bytes);
                Err(Spent)
            }
        }
    }

    /// Which part of the quota was used up since this was asked last.
    fn take_spent(&mut self) -> Option<Part> {
        self.spent.take()
    }

    /// Give back so many bytes.
    pub(super) fn shrink(&mut self, bytes: u64) {
        let used = self.used();
        used.bytes = used.bytes.saturating_sub(bytes);
    }

    /// Take one more file or folder.
    pub(super) fn add_file(&mut self) -> Result<(), Spent> {
        let most = self.max_files;
        let used = self.used();
        if used.files >= most {
            self.spent = Some(Part::Files);
            return Err(Spent);
        }
        used.files += 1;
        Ok(())
    }

    /// Give back a file or folder.
    pub(super) fn remove_file(&mut self) {
        let used = self.used();
        used.files = used.files.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(folder: &std::path::Path, max_bytes: u64, max_files: u64) -> Account {
        Account { path: folder.to_owned(), max_bytes, max_files, used: None, spent: None }
    }

    #[test]
    fn what_is_in_the_folder_already_counts_and_what_links_lead_to_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("large"), vec![0; 10_000]).unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/a"), b"12345").unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("sub/out")).unwrap();
        let link = fs::symlink_metadata(folder.path().join("sub/out")).unwrap().len();
        let mut account = account(folder.path(), 1_000, 10);

        account.count();

        assert_eq!(account.used, Some(Used { bytes: 5 + link, files: 3 }));
    }

    #[test]
    fn a_full_folder_takes_nothing_more_and_can_be_emptied() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"123456").unwrap();
        let mut account = account(folder.path(), 5, 1);

        assert_eq!((account.grow(1), account.add_file()), (Err(Spent), Err(Spent)));
        assert_eq!(account.grow(0), Ok(()));
        account.shrink(6);
        account.remove_file();
        assert_eq!((account.grow(5), account.add_file()), (Ok(()), Ok(())));
        assert_eq!((account.grow(u64::MAX), account.grow(1)), (Err(Spent), Err(Spent)));
    }

    #[test]
    fn counting_ends_when_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        for name in 0..50 {
            fs::write(folder.path().join(name.to_string()), b"").unwrap();
        }
        let mut account = account(folder.path(), 5, 10);

        account.count();

        assert_eq!(account.used, Some(Used { bytes: 0, files: 11 }));
    }
}
