use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use fumehood_model::ByteSize;

use super::{
    Quota,
    syntax::{Options, Size, shown},
};

/// What a writer may hold unless written: a working set, not an archive.
const DEFAULT: Quota = Quota { bytes: ByteSize::mib(100), count: 10_000 };

/// Where scratch is; nothing else may be there.
const SCRATCH: &str = "/scratch";

/// A folder of the server that a guest sees under a name of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilesGrant {
    /// The folder on the server; none in a request of `tool.toml`, which knows only [`FilesGrant::at`].
    pub folder: Option<PathBuf>,
    /// Where the guest sees it: an absolute path.
    pub at: String,
    /// What it may do there.
    pub access: FileAccess,
    /// How much it may hold, counted from what is there already; only for writers.
    pub quota: Quota,
}

/// What may be done in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileAccess {
    /// Read and list.
    Read,
    /// Read, list, create, change and remove.
    ReadWrite,
}

impl FilesGrant {
    /// What a guest that uses the folder at `at` in this way would need.
    #[must_use]
    pub fn used(at: &str, access: FileAccess) -> Self {
        Self { folder: None, at: at.to_owned(), access, quota: DEFAULT }
    }

    pub(super) fn parsed(subject: Option<&str>, options: &mut Options<'_>) -> Result<Self, String> {
        let folder = subject.filter(|folder| !folder.is_empty()).map(folder).transpose()?;
        let at = options.one("at")?.ok_or("it does not tell where the guest sees it: write `at=/data`")?;
        let at = guest_path(at)?;
        let access = match options.one("mode")? {
            None | Some("read") => FileAccess::Read,
            Some("read-write") => FileAccess::ReadWrite,
            Some(other) => return Err(format!("there is no mode `{}`: use read or read-write", shown(other))),
        };
        let quota = options.quota("files", DEFAULT)?;
        if access == FileAccess::Read && quota != DEFAULT {
            return Err("`bytes=` and `files=` are for `mode=read-write`: who only reads adds nothing".to_owned());
        }
        Ok(Self { folder, at, access, quota })
    }

    pub(super) fn covers(&self, wanted: &Self) -> bool {
        let mode = self.access == FileAccess::ReadWrite || wanted.access == FileAccess::Read;
        let same = match &wanted.folder {
            None => true,
            folder => *folder == self.folder && self.quota.holds(&wanted.quota),
        };
        self.at == wanted.at && mode && same
    }
}

impl fmt::Display for FilesGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(folder) = &self.folder {
            write!(f, ":{}", folder.display())?;
        }
        write!(f, ",at={}", self.at)?;
        match self.access {
            FileAccess::Read => f.write_str(",mode=read"),
            FileAccess::ReadWrite => {
                write!(f, ",mode=read-write,bytes={},files={}", Size(self.quota.bytes), self.quota.count)
            }
        }
    }
}

/// A folder of the server. Whether it exists and may be granted is for who grants it.
fn folder(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(format!("the folder `{}` must be an absolute path, such as `/srv/data`", shown(text)));
    }
    if path.components().any(|part| matches!(part, Component::ParentDir)) {
        return Err(format!("the folder `{}` must not hold `..`", shown(text)));
    }
    // Without `.`, doubled and final slashes: one text for one folder.
    Ok(path.components().collect())
}

/// The path under which a guest sees a folder.
fn guest_path(text: &str) -> Result<String, String> {
    let wrong = |what: &str| Err(format!("`at={}` {what}", shown(text)));
    let Some(inner) = text.strip_prefix('/') else { return wrong("must be an absolute path, such as `/data`") };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if text != "/" && inner.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong("must not hold `.`, `..` or empty parts");
    }
    let path = format!("/{inner}");
    if path == SCRATCH || path.starts_with(&format!("{SCRATCH}/")) {
        return wrong("is where scratch is: choose another place");
    }
    Ok(path)
}
