//! `wasi:filesystem`: folders that were granted, with a bound on what may be in them.
//!
//! Paths are resolved by `wasmtime-wasi`, below the granted folder and never out of it. This module stands before it and
//! adds what it does not have:
//!
//! - a quota of bytes and of files for each folder, charged before anything grows. Sizes are counted as files tell them,
//!   so a hole costs as much as what it hides;
//! - no links: a symbolic link that a guest plants in a folder of the operator may lead other programs out of it, and a
//!   hard link makes one file count once and live twice. Nor are symbolic links moved, for the same reason;
//! - no special files: opening a named pipe would hold a thread for as long as nobody writes to it;
//! - a bound on depth, on open files, and on threads: one operation in the background at a time, whatever number of
//!   streams a guest starts.
//!
//! The quota counts what is in a folder when a call first changes something there, and then what the call itself does:
//! calls that run side by side may together exceed it by what each of them was allowed.

mod descriptor;
mod ledger;
mod listing;
mod path;
mod stream;

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::MetadataExt,
    sync::{Arc, Weak},
};

use fumehood_policy::Grant;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    FsPerms, WasiCtxBuilder,
    filesystem::{Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView},
    p2::{
        FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{self, ErrorCode},
        },
    },
    runtime::spawn_blocking,
};

use self::ledger::{Lane, Ledger, Part, Spent};
use crate::{
    Guest,
    granted::{Folder, SCRATCH},
    handed::Handed,
};

/// Most files and folders that one call has open at a time.
///
/// Each is a file descriptor of the process, of which there are 1,024 on many machines.
const MAX_OPEN: usize = 64;

/// The folders of one call.
pub(crate) struct Files {
    /// Those that could be opened, in the order in which the guest is shown them.
    folders: Vec<Folder>,
    lane: Lane,
    /// What each descriptor of the guest stands for.
    places: HashMap<u32, Place>,
    /// What descriptors and streams of the guest hold open.
    open: Vec<Weak<File>>,
    /// Which of the folders that were granted could not be opened, and why: for the operator.
    pub(crate) missing: Vec<String>,
}

/// Where a descriptor is.
#[derive(Debug, Clone, Copy)]
struct Place {
    folder: usize,
    depth: usize,
}

impl Files {
    /// Open `folders` for a guest. One that cannot be opened is missing, and the operator is told.
    pub(crate) fn open(wasi: &mut WasiCtxBuilder, folders: Vec<Folder>) -> Self {
        let mut missing = Vec::new();
        let opened = |folder: &Folder| {
            let perms = if folder.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            match wasi.preopened_dir(&folder.path, &folder.at, perms) {
                Ok(_) => true,
                Err(error) => {
                    missing.push(format!("the granted folder {} cannot be opened: {error}", folder.path.display()));
                    false
                }
            }
        };
        let mut folders = folders;
        folders.retain(opened);
        let lane = Ledger::new(&folders).into_lane();
        Self { folders, lane, places: HashMap::new(), open: Vec::new(), missing }
    }

    /// The quotas that were used up since this was asked last. Nothing while somebody still works in the folders.
    pub(crate) fn exhausted(&self) -> Vec<Exhausted> {
        let Ok(mut ledger) = self.lane.try_lock() else { return Vec::new() };
        let spent = ledger.spent().into_iter();
        spent.map(|(folder, part)| Exhausted { at: self.folders[folder].at.clone(), part }).collect()
    }

    /// Wait for what runs in the background, and hold back what would come next.
    async fn turn(&self, place: Place) -> OwnedMutexGuard<Ledger> {
        let mut ledger = Arc::clone(&self.lane).lock_owned().await;
        if ledger.account(place.folder).is_counted() {
            return ledger;
        }
        spawn_blocking(move || {
            ledger.account(place.folder).count();
            ledger
        })
        .await
    }

    /// How many of the files that are open have lost their last name.
    fn nameless(&self) -> usize {
        let open = self.open.iter().filter_map(Weak::upgrade);
        open.filter(|file| file.metadata().is_ok_and(|about| about.nlink() == 0)).count()
    }

    fn has_room(&mut self) -> bool {
        self.open.retain(|file| file.strong_count() > 0);
        self.open.len() < MAX_OPEN
    }
}

/// A quota that was used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhausted {
    /// Where the guest sees the folder.
    at: String,
    part: Part,
}

impl Exhausted {
    /// Where the guest sees the folder.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    /// The kind of the grant that sets the quota, and the quota in its words; nothing if none of `grants` does.
    pub(crate) fn quota(&self, grants: &[Grant]) -> Option<(&'static str, String)> {
        let (kind, quota) = grants.iter().find_map(|grant| match grant {
            Grant::Files(files) if files.at == self.at => Some((grant.kind(), files.quota)),
            Grant::Scratch(scratch) if self.at == SCRATCH => Some((grant.kind(), scratch.quota)),
            _ => None,
        })?;
        // As grants are written, without spaces.
        let part = match self.part {
            Part::Bytes => format!("bytes={}", quota.bytes).replace(' ', ""),
            Part::Files => format!("files={}", quota.count),
        };
        Some((kind, part))
    }
}

/// What the imports of `wasi:filesystem` work on.
pub(crate) struct View<'a> {
    pub(crate) ctx: &'a mut WasiFilesystemCtx,
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) files: &'a mut Files,
    pub(crate) handed: &'a mut Handed,
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = View<'a>;
}

/// Put files with quotas in the place of WASI's own.
pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    preopens::add_to_linker::<_, HasFiles>(linker, Guest::files)?;
    types::add_to_linker::<_, HasFiles>(linker, Guest::files)
}

impl View<'_> {
    fn wasi(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView { ctx: self.ctx, table: self.table }
    }

    fn place(&self, descriptor: u32) -> FsResult<Place> {
        self.files
            .places
            .get(&descriptor)
            .copied()
            .ok_or_else(|| FsError::trap(wasmtime::format_err!("no such descriptor")))
    }

    fn folder(&self, place: Place) -> &Folder {
        &self.files.folders[place.folder]
    }

    /// The place of a descriptor in whose folder the guest may change something.
    fn writable(&self, descriptor: u32) -> FsResult<Place> {
        let place = self.place(descriptor)?;
        if self.folder(place).writable { Ok(place) } else { Err(ErrorCode::NotPermitted.into()) }
    }

    /// The file behind a descriptor, if the guest may change it.
    fn writable_file(&self, descriptor: &Resource<Descriptor>) -> FsResult<(Arc<File>, Place)> {
        let place = self.place(descriptor.rep())?;
        match self.table.get(descriptor)? {
            Descriptor::File(file) if file.perms.write_not_permitted() => Err(ErrorCode::NotPermitted.into()),
            Descriptor::File(file) => Ok((Arc::clone(&file.file), place)),
            Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    /// Remember where a new descriptor is.
    fn opened(&mut self, descriptor: &Resource<Descriptor>, place: Place) -> FsResult<()> {
        let file = match self.table.get(descriptor)? {
            Descriptor::File(file) => &file.file,
            Descriptor::Dir(folder) => &folder.dir,
        };
        self.files.open.push(Arc::downgrade(file));
        self.files.places.insert(descriptor.rep(), place);
        Ok(())
    }
}

impl preopens::Host for View<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let directories = preopens::Host::get_directories(&mut self.wasi())?;
        for (folder, (descriptor, _)) in directories.iter().enumerate() {
            self.files.places.insert(descriptor.rep(), Place { folder, depth: 0 });
        }
        Ok(directories)
    }
}

impl types::Host for View<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        let told = self.table.get(&error)?;
        if told.downcast_ref::<std::io::Error>().is_some_and(Spent::is) {
            return Ok(Some(ErrorCode::Quota));
        }
        types::Host::filesystem_error_code(&mut self.wasi(), error)
    }
}

#[cfg(test)]
mod tests;
