use std::{collections::VecDeque, fs::File, io, sync::Arc};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

/// How many names are read ahead.
///
/// A folder of the operator may hold millions: it is never read as a whole.
const AHEAD: usize = 64;

/// The entries of a folder, read a few at a time.
pub(super) struct Listing {
    /// None once all was read, or while more is being read.
    rest: Option<Rest>,
    ahead: VecDeque<Entry>,
    /// Stands for the file descriptor that this holds, wherever it is.
    held: Arc<File>,
}

type Entry = Result<DirectoryEntry, ErrorCode>;

/// What is not read yet.
pub(super) struct Rest {
    folder: Arc<File>,
    entries: Dir,
}

impl Listing {
    /// Begin to list. Blocks.
    pub(super) fn new(folder: &File) -> io::Result<Self> {
        // What a guest holds of a folder may be good for paths alone; and a position of its own disturbs nobody.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(folder, c".", flags, Mode::empty())?;
        let held = Arc::new(File::from(opened.try_clone()?));
        let entries = Dir::new(opened)?;
        Ok(Self { rest: Some(Rest { folder: Arc::clone(&held), entries }), ahead: VecDeque::new(), held })
    }

    /// What is open as long as this lives.
    pub(super) fn held(&self) -> &Arc<File> {
        &self.held
    }

    /// An entry that was read ahead; none when more must be read or nothing is left.
    pub(super) fn next_read(&mut self) -> Option<Entry> {
        self.ahead.pop_front()
    }

    /// What must be read to go on; none at the end.
    pub(super) fn rest(&mut self) -> Option<Rest> {
        self.rest.take()
    }

    /// Go on with what was read.
    pub(super) fn go_on(&mut self, (rest, ahead): (Option<Rest>, VecDeque<Entry>)) {
        (self.rest, self.ahead) = (rest, ahead);
    }
}

impl Rest {
    /// Read some more entries. Blocks.
    pub(super) fn read(mut self) -> (Option<Self>, VecDeque<Entry>) {
        let mut ahead = VecDeque::new();
        while ahead.len() < AHEAD {
            match self.entries.read() {
                None => return (None, ahead),
                Some(Err(error)) => {
                    ahead.push_back(Err(io::Error::from(error).into()));
                    return (None, ahead);
                }
                Some(Ok(entry)) if [&b"."[..], b".."].contains(&entry.file_name().to_bytes()) => {}
                Some(Ok(entry)) => {
                    let kind = match entry.file_type() {
                        FileType::Unknown => statat(&*self.folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                            .map_or(FileType::Unknown, |about| FileType::from_raw_mode(about.st_mode)),
                        kind => kind,
                    };
                    let name = entry.file_name().to_str().map(str::to_owned);
                    let entry = name.map(|name| DirectoryEntry { type_: told(kind), name });
                    ahead.push_back(entry.map_err(|_| ErrorCode::IllegalByteSequence));
                }
            }
        }
        (Some(self), ahead)
    }
}

fn told(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}
