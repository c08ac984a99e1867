//! What a guest can try with files, for the tests of what a sandbox lets through.

wit_bindgen::generate!({ path: "wit", world: "files" });

use wasip2::clocks::{monotonic_clock, wall_clock::Datetime};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::streams::{OutputStream, StreamError};
use wasip2::random;

struct Files;

/// A granted folder, and a path in it.
struct Place {
    folder: Descriptor,
    path: String,
}

impl Place {
    /// The part of `path` below a granted folder. Taken as text: `..` and slashes at the end are left as they are.
    fn find(path: &str) -> Result<Self, String> {
        for (folder, at) in get_directories() {
            if let Some(below) = path.strip_prefix(&at) {
                let below = below.strip_prefix('/').unwrap_or(below);
                let path = if below.is_empty() { "." } else { below };
                return Ok(Self { folder, path: path.to_owned() });
            }
        }
        Err("no-folder".to_owned())
    }

    fn open(&self, how: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, String> {
        self.folder.open_at(PathFlags::SYMLINK_FOLLOW, &self.path, how, flags).map_err(word)
    }
}

impl exports::test::files::tricks::Guest for Files {
    fn folders() -> Vec<String> {
        get_directories().into_iter().map(|(_, at)| at).collect()
    }

    fn read(path: String) -> Result<Vec<u8>, String> {
        let file = Place::find(&path)?.open(OpenFlags::empty(), DescriptorFlags::READ)?;
        let stream = file.read_via_stream(0).map_err(word)?;
        let mut bytes = Vec::new();
        loop {
            match stream.blocking_read(65_536) {
                Ok(piece) => bytes.extend(piece),
                Err(StreamError::Closed) => return Ok(bytes),
                Err(error) => return Err(stream_word(error)),
            }
        }
    }

    fn write(path: String, bytes: Vec<u8>) -> Result<(), String> {
        let file = Place::find(&path)?.open(OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE)?;
        put(&file.write_via_stream(0).map_err(word)?, &bytes)
    }

    fn append(path: String, bytes: Vec<u8>) -> Result<(), String> {
        let file = Place::find(&path)?.open(OpenFlags::CREATE, DescriptorFlags::WRITE)?;
        put(&file.append_via_stream().map_err(word)?, &bytes)
    }

    fn write_at(path: String, bytes: Vec<u8>, offset: u64) -> Result<u64, String> {
        let file = Place::find(&path)?.open(OpenFlags::CREATE, DescriptorFlags::WRITE)?;
        file.write(&bytes, offset).map_err(word)
    }

    fn names(path: String) -> Result<Vec<String>, String> {
        let folder = Place::find(&path)?.open(OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
        let entries = folder.read_directory().map_err(word)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read_directory_entry().map_err(word)? {
            names.push(entry.name);
        }
        names.sort();
        Ok(names)
    }

    fn remove(path: String) -> Result<(), String> {
        let place = Place::find(&path)?;
        place.folder.unlink_file_at(&place.path).map_err(word)
    }

    fn make_folder(path: String) -> Result<(), String> {
        let place = Place::find(&path)?;
        place.folder.create_directory_at(&place.path).map_err(word)
    }

    fn make_symlink(target: String, path: String) -> Result<(), String> {
        let place = Place::find(&path)?;
        place.folder.symlink_at(&target, &place.path).map_err(word)
    }

    fn make_link(target: String, path: String) -> Result<(), String> {
        let (target, place) = (Place::find(&target)?, Place::find(&path)?);
        target.folder.link_at(PathFlags::empty(), &target.path, &place.folder, &place.path).map_err(word)
    }

    fn rename(old: String, new: String) -> Result<(), String> {
        let (old, new) = (Place::find(&old)?, Place::find(&new)?);
        old.folder.rename_at(&old.path, &new.folder, &new.path).map_err(word)
    }

    fn truncate(path: String) -> Result<(), String> {
        Place::find(&path)?.open(OpenFlags::TRUNCATE, DescriptorFlags::READ).map(drop)
    }

    fn resize(path: String, size: u64) -> Result<(), String> {
        let file = Place::find(&path)?.open(OpenFlags::CREATE, DescriptorFlags::WRITE)?;
        file.set_size(size).map_err(word)
    }

    fn set_time(path: String, seconds: u64, nanoseconds: u32) -> Result<(), String> {
        let time = NewTimestamp::Timestamp(Datetime { seconds, nanoseconds });
        let place = Place::find(&path)?;
        place.folder.set_times_at(PathFlags::empty(), &place.path, time, time).map_err(word)
    }

    fn many_files(path: String, count: u32) -> (u32, Option<String>) {
        until_refused(count, |turn| {
            let place = Place::find(&format!("{path}/{turn}"))?;
            place.open(OpenFlags::CREATE, DescriptorFlags::WRITE)
        })
    }

    fn nest(path: String, depth: u32) -> (u32, Option<String>) {
        let mut at = match Place::find(&path).and_then(|place| place.open(OpenFlags::DIRECTORY, DescriptorFlags::READ)) {
            Ok(folder) => folder,
            Err(error) => return (0, Some(error)),
        };
        until_refused(depth, |_| {
            at.create_directory_at("d").map_err(word)?;
            let below = at.open_at(PathFlags::empty(), "d", OpenFlags::DIRECTORY, DescriptorFlags::READ);
            at = below.map_err(word)?;
            Ok(())
        })
    }

    fn open_many(path: String, count: u32) -> (u32, Option<String>) {
        let mut open = Vec::new();
        until_refused(count, |_| {
            open.push(Place::find(&path)?.open(OpenFlags::empty(), DescriptorFlags::READ)?);
            Ok(())
        })
    }

    fn hold_handles(count: u32) -> u32 {
        let held: Vec<_> = (0..count).map(|_| monotonic_clock::subscribe_duration(1 << 40)).collect();
        held.len() as u32
    }

    fn write_and_spin(path: String) -> Result<(), String> {
        Self::write(path, vec![1; 1_000])?;
        loop {
            std::hint::black_box(());
        }
    }

    fn random(bytes: u64, times: u32) -> u64 {
        (0..times).map(|_| random::random::get_random_bytes(bytes).len() as u64).sum()
    }

    fn insecure_random(bytes: u64, times: u32) -> u64 {
        (0..times).map(|_| random::insecure::get_insecure_random_bytes(bytes).len() as u64).sum()
    }

    fn readings(times: u32) -> Vec<u64> {
        let mut readings: Vec<_> = (0..times).map(|_| monotonic_clock::now()).collect();
        readings.dedup();
        readings
    }

    fn size(bytes: Vec<u8>) -> u32 {
        bytes.len() as u32
    }

    fn echo(bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn form(name: String, count: Option<u32>, bytes: Option<Vec<u8>>, files: Option<Vec<Vec<u8>>>) -> String {
        let files = files.map(|files| files.iter().map(Vec::len).collect::<Vec<_>>());
        format!("{name} {count:?} {:?} {files:?}", bytes.map(|bytes| bytes.len()))
    }

    fn zeroes(count: u32) -> Vec<u8> {
        vec![0; count as usize]
    }
}

/// Write all of `bytes`, in pieces as large as a stream takes at once.
fn put(stream: &OutputStream, bytes: &[u8]) -> Result<(), String> {
    for piece in bytes.chunks(4_096) {
        stream.blocking_write_and_flush(piece).map_err(stream_word)?;
    }
    Ok(())
}

fn until_refused<T>(count: u32, mut work: impl FnMut(u32) -> Result<T, String>) -> (u32, Option<String>) {
    for turn in 0..count {
        if let Err(error) = work(turn) {
            return (turn, Some(error));
        }
    }
    (count, None)
}

fn word(error: ErrorCode) -> String {
    error.name().to_owned()
}

fn stream_word(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => filesystem_error_code(&error).map_or("unknown".to_owned(), word),
    }
}

export!(Files);
