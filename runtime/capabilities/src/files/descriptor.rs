//! The functions of descriptors: checked and charged here, done by `wasmtime-wasi`.

use std::sync::Arc;

use wasmtime::component::Resource;
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::{
            clocks::wall_clock::Datetime,
            filesystem::types::{
                Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
                ErrorCode, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags,
                PathFlags,
            },
        },
    },
    runtime::spawn_blocking,
};

use super::{
    Place, View,
    ledger::Ledger,
    listing::Listing,
    path::GuestPath,
    stream::{Reader, Writer, in_turn, write},
};

type Fd = Resource<Descriptor>;

/// The latest time that a file may be given: the end of the year 9999, beyond which programs that print it fail.
const LAST_SECOND: u64 = 253_402_300_799;

impl View<'_> {
    /// What is at `path`; a path that ends in a slash must be a folder.
    async fn about(&mut self, fd: &Fd, flags: PathFlags, path: &GuestPath) -> FsResult<DescriptorStat> {
        let stat = HostDescriptor::stat_at(&mut self.wasi(), same(fd), flags, path.text.clone()).await?;
        if path.is_folder && stat.type_ != DescriptorType::Directory {
            return Err(ErrorCode::NotDirectory.into());
        }
        Ok(stat)
    }

    /// What is at `path` itself, if there is anything.
    async fn found(&mut self, fd: &Fd, flags: PathFlags, path: &GuestPath) -> FsResult<Option<DescriptorStat>> {
        match self.about(fd, flags, path).await {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if matches!(error.downcast_ref(), Some(ErrorCode::NoEntry)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Give back what a name stood for that is gone now; `nameless` files had lost their last name before.
    fn forget(&self, ledger: &mut Ledger, place: Place, gone: &DescriptorStat, nameless: usize) {
        let account = ledger.account(place.folder);
        account.remove_file();
        // What is still open, or has another name, still takes its space.
        let still_open = self.files.nameless() > nameless;
        if gone.type_ == DescriptorType::RegularFile && gone.link_count == 1 && !still_open {
            account.shrink(gone.size);
        }
    }

    async fn open(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: GuestPath,
        mut how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let (creates, truncates) = (how.contains(OpenFlags::CREATE), how.contains(OpenFlags::TRUNCATE));
        let changes = creates || truncates || flags.contains(DescriptorFlags::WRITE);
        let place = if changes { self.writable(fd.rep())? } else { self.place(fd.rep())? };
        if !self.files.has_room() {
            return Err(ErrorCode::Quota.into());
        }
        if path.is_folder {
            if creates {
                return Err(ErrorCode::IsDirectory.into());
            }
            how |= OpenFlags::DIRECTORY;
        }
        let mut ledger = if creates || truncates { Some(self.files.turn(place).await) } else { None };
        let found = self.found(&fd, path_flags, &path).await?;
        match found.as_ref().map(|found| found.type_) {
            // A link that is not followed is refused by whoever opens it.
            None | Some(DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink) => {}
            Some(_) => return Err(ErrorCode::NotPermitted.into()),
        }
        let makes = creates && found.is_none();
        if let (true, Some(ledger)) = (makes, &mut ledger) {
            path.may_be_made(place.depth)?;
            ledger.account(place.folder).add_file()?;
        }
        let place = Place { depth: path.depth_from(place.depth), ..place };
        let opened = HostDescriptor::open_at(&mut self.wasi(), fd, path_flags, path.text, how, flags).await;
        if let Some(ledger) = &mut ledger {
            let account = ledger.account(place.folder);
            match (&opened, &found) {
                (Err(_), _) if makes => account.remove_file(),
                (Ok(_), Some(found)) if truncates => account.shrink(found.size),
                _ => {}
            }
        }
        let opened = opened?;
        self.opened(&opened, place)?;
        Ok(opened)
    }

    async fn rename(&mut self, old: (Fd, GuestPath), new: (Fd, GuestPath)) -> FsResult<()> {
        let ((old_fd, old), (new_fd, new)) = (old, new);
        let (place, target) = (self.writable(old_fd.rep())?, self.writable(new_fd.rep())?);
        if place.folder != target.folder {
            return Err(ErrorCode::CrossDevice.into());
        }
        new.may_be_made(target.depth)?;
        let mut ledger = self.files.turn(place).await;
        let moved = self.about(&old_fd, PathFlags::empty(), &old).await?;
        match moved.type_ {
            DescriptorType::RegularFile if new.is_folder => return Err(ErrorCode::NotDirectory.into()),
            DescriptorType::RegularFile => {}
            // A folder that moves takes everything below it along, and depths would be worth nothing. Programs that
            // are told of another device copy instead.
            DescriptorType::Directory => {
                let here = old_fd.rep() == new_fd.rep() && old.parent().is_some() && old.parent() == new.parent();
                if !here {
                    return Err(ErrorCode::CrossDevice.into());
                }
            }
            _ => return Err(ErrorCode::NotPermitted.into()),
        }
        let replaced = self.found(&new_fd, PathFlags::empty(), &new).await?;
        let nameless = self.files.nameless();
        let (from, to) = (old.text.clone(), new.text);
        HostDescriptor::rename_at(&mut self.wasi(), same(&old_fd), from, new_fd, to).await?;
        // Two names of one file both stay.
        if let Some(replaced) = replaced
            && self.found(&old_fd, PathFlags::empty(), &old).await?.is_none()
        {
            self.forget(&mut ledger, place, &replaced, nameless);
        }
        Ok(())
    }
}

impl HostDescriptor for View<'_> {
    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynInputStream>> {
        let file = match self.table.get(&fd)? {
            Descriptor::File(file) => Arc::clone(&file.file),
            Descriptor::Dir(_) => return Err(ErrorCode::IsDirectory.into()),
        };
        let stream: DynInputStream = Box::new(Reader::new(file, offset, Arc::clone(&self.files.lane)));
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        let (file, place) = self.writable_file(&fd)?;
        let stream = Writer::new(file, Some(offset), place.folder, Arc::clone(&self.files.lane));
        Ok(self.table.push(Box::new(stream) as DynOutputStream)?)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let (file, place) = self.writable_file(&fd)?;
        let stream = Writer::new(file, None, place.folder, Arc::clone(&self.files.lane));
        Ok(self.table.push(Box::new(stream) as DynOutputStream)?)
    }

    async fn advise(&mut self, fd: Fd, offset: u64, length: u64, advice: Advice) -> FsResult<()> {
        HostDescriptor::advise(&mut self.wasi(), fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        HostDescriptor::sync_data(&mut self.wasi(), fd).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        HostDescriptor::get_flags(&mut self.wasi(), fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        HostDescriptor::get_type(&mut self.wasi(), fd).await
    }

    async fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        let (file, place) = self.writable_file(&fd)?;
        let resized = in_turn(Arc::clone(&self.files.lane), move |ledger| {
            let length = file.metadata()?.len();
            let growth = size.saturating_sub(length);
            let account = ledger.account(place.folder);
            account.grow(growth)?;
            let resized = file.set_len(size);
            account.shrink(if resized.is_ok() { length.saturating_sub(size) } else { growth });
            resized
        });
        Ok(told(resized.await)?)
    }

    async fn set_times(&mut self, fd: Fd, accessed: NewTimestamp, modified: NewTimestamp) -> FsResult<()> {
        self.writable(fd.rep())?;
        check_time(accessed)?;
        check_time(modified)?;
        HostDescriptor::set_times(&mut self.wasi(), fd, accessed, modified).await
    }

    async fn read(&mut self, fd: Fd, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        HostDescriptor::read(&mut self.wasi(), fd, length, offset).await
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let (file, place) = self.writable_file(&fd)?;
        self.handed.count(bytes.len()).map_err(FsError::trap)?;
        let count = bytes.len() as u64;
        let lane = Arc::clone(&self.files.lane);
        told(in_turn(lane, move |ledger| write(ledger, place.folder, &file, Some(offset), &bytes)).await)?;
        Ok(count)
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        let folder = match self.table.get(&fd)? {
            Descriptor::Dir(folder) => Arc::clone(&folder.dir),
            Descriptor::File(_) => return Err(ErrorCode::NotDirectory.into()),
        };
        if !self.files.has_room() {
            return Err(ErrorCode::Quota.into());
        }
        let listing = spawn_blocking(move || Listing::new(&folder)).await?;
        self.files.open.push(Arc::downgrade(listing.held()));
        let listing = self.table.push(listing)?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        HostDescriptor::sync(&mut self.wasi(), fd).await
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let path = GuestPath::new(path)?;
        let place = self.writable(fd.rep())?;
        path.may_be_made(place.depth)?;
        let mut ledger = self.files.turn(place).await;
        ledger.account(place.folder).add_file()?;
        let made = HostDescriptor::create_directory_at(&mut self.wasi(), fd, path.text).await;
        if made.is_err() {
            ledger.account(place.folder).remove_file();
        }
        made
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        HostDescriptor::stat(&mut self.wasi(), fd).await
    }

    async fn stat_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        let path = GuestPath::new(path)?;
        self.about(&fd, flags, &path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let path = GuestPath::new(path)?;
        self.writable(fd.rep())?;
        check_time(accessed)?;
        check_time(modified)?;
        self.about(&fd, flags, &path).await?;
        HostDescriptor::set_times_at(&mut self.wasi(), fd, flags, path.text, accessed, modified).await
    }

    /// Always refused; see the module for the reason.
    async fn link_at(&mut self, _: Fd, _: PathFlags, _: String, _: Fd, _: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let path = GuestPath::new(path)?;
        self.open(fd, path_flags, path, how, flags).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        let path = GuestPath::new(path)?;
        HostDescriptor::readlink_at(&mut self.wasi(), fd, path.text).await
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let path = GuestPath::new(path)?;
        let place = self.writable(fd.rep())?;
        let mut ledger = self.files.turn(place).await;
        HostDescriptor::remove_directory_at(&mut self.wasi(), fd, path.text).await?;
        ledger.account(place.folder).remove_file();
        Ok(())
    }

    async fn rename_at(&mut self, old_fd: Fd, old: String, new_fd: Fd, new: String) -> FsResult<()> {
        let (old, new) = (GuestPath::new(old)?, GuestPath::new(new)?);
        self.rename((old_fd, old), (new_fd, new)).await
    }

    /// Always refused; see the module for the reason.
    async fn symlink_at(&mut self, _: Fd, _: String, _: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let path = GuestPath::new(path)?;
        let place = self.writable(fd.rep())?;
        let mut ledger = self.files.turn(place).await;
        let gone = self.about(&fd, PathFlags::empty(), &path).await?;
        let nameless = self.files.nameless();
        HostDescriptor::unlink_file_at(&mut self.wasi(), fd, path.text).await?;
        self.forget(&mut ledger, place, &gone, nameless);
        Ok(())
    }

    async fn is_same_object(&mut self, fd: Fd, other: Fd) -> wasmtime::Result<bool> {
        HostDescriptor::is_same_object(&mut self.wasi(), fd, other).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        HostDescriptor::metadata_hash(&mut self.wasi(), fd).await
    }

    async fn metadata_hash_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<MetadataHashValue> {
        let path = GuestPath::new(path)?;
        HostDescriptor::metadata_hash_at(&mut self.wasi(), fd, flags, path.text).await
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.files.places.remove(&fd.rep());
        HostDescriptor::drop(&mut self.wasi(), fd)
    }
}

impl HostDirectoryEntryStream for View<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let stream = Resource::<Listing>::new_borrow(stream.rep());
        let listing = self.table.get_mut(&stream)?;
        if let Some(entry) = listing.next_read() {
            return Ok(Some(entry?));
        }
        let Some(rest) = listing.rest() else { return Ok(None) };
        let read = spawn_blocking(move || rest.read()).await;
        let listing = self.table.get_mut(&stream)?;
        listing.go_on(read);
        Ok(listing.next_read().transpose()?)
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

fn same(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

/// What an operation of our own says, in the words of WASI.
fn told<T>(done: std::io::Result<T>) -> Result<T, ErrorCode> {
    done.map_err(|error| if super::Spent::is(&error) { ErrorCode::Quota } else { error.into() })
}

fn check_time(time: NewTimestamp) -> Result<(), ErrorCode> {
    match time {
        NewTimestamp::NoChange | NewTimestamp::Now => Ok(()),
        NewTimestamp::Timestamp(Datetime { nanoseconds: 1_000_000_000.., .. }) => Err(ErrorCode::Invalid),
        NewTimestamp::Timestamp(Datetime { seconds, .. }) if seconds > LAST_SECOND => Err(ErrorCode::Overflow),
        NewTimestamp::Timestamp(_) => Ok(()),
    }
}
