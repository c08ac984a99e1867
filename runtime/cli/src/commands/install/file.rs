//! Configuration files of others: read whole, replaced whole, with what was there beside it.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use fumehood_model::Code;
use tempfile::NamedTempFile;

use crate::exit::Failure;

/// Largest file that is read. Claude Code keeps more than its configuration in its own.
const MAX_BYTES: u64 = 64 << 20;

/// Of a file that did not exist: it may hold a key.
const OWNER_ONLY: u32 = 0o600;

/// What is in the file, or nothing if there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, Failure> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(error) => return Err(failed(path, "read", &error)),
        Ok(_) => {}
    }
    let shown = path.display();
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::new(Code::TooLarge, format!("{shown} is too large for a configuration file")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| Failure::new(Code::Malformed, format!("{shown} is not UTF-8 text")))
}

/// Put `text` into the file at once, and what was there `before` into a file beside it, whose path is returned.
pub(super) fn replace(path: &Path, text: &str, before: Option<&str>) -> Result<Option<PathBuf>, Failure> {
    let write =
        |path: &Path, text: &str, mode| write(path, text, mode).map_err(|error| failed(path, "written", &error));
    let Some(before) = before else {
        write(path, text, OWNER_ONLY)?;
        return Ok(None);
    };
    // Behind a link is the file that its owner keeps elsewhere; the link stays.
    let path = fs::canonicalize(path).map_err(|error| failed(path, "read", &error))?;
    let mode = mode(&path).map_err(|error| failed(&path, "read", &error))?;
    let backup = beside(&path);
    write(&backup, before, mode)?;
    write(&path, text, mode)?;
    Ok(Some(backup))
}

/// Whether others on this machine may read the file.
pub(super) fn is_readable_by_others(path: &Path) -> bool {
    mode(path).is_ok_and(|mode| mode & 0o044 != 0)
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

/// `settings.json.fumehood-backup` for `settings.json`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".fumehood-backup");
    path.with_file_name(name)
}

/// Whoever reads it sees all of the old text or all of the new one.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn failed(path: &Path, what: &str, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => Code::Forbidden,
        _ => Code::NotFound,
    };
    Failure::new(code, format!("{} cannot be {what}: {error}", path.display()))
}
