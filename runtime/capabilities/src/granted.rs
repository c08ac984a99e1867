//! What a call is granted, as far as its guest side must know.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use fumehood_policy::{FileAccess, Grant};
use serde::{Deserialize, Serialize};

/// What the guest side sets up before the guest starts. Everything else is asked of the [`crate::Host`] when needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Values of `wasi:config`.
    pub config: Vec<(String, String)>,
    /// Folders.
    pub folders: Vec<Folder>,
    /// What is fixed, which by default nothing is.
    pub fixed: Fixed,
}

/// What of a call's surroundings is fixed, so that it answers the same whenever it is made: for tests of tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixed {
    /// The time, which moves only by what the guest sleeps. Sleeps are over at once.
    pub time: Option<Time>,
    /// What random bytes are made of. They are anything but random then.
    pub seed: Option<u64>,
}

/// A time that stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// What it is when the call begins, since 1970.
    pub now: Duration,
    /// What the guest is told is left to it then. Its deadline is by the clock of the machine all the same.
    pub left: Duration,
}

/// A folder that the guest sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The same folder or one above it, for all calls of its module: what the process that runs them must reach.
    pub within: PathBuf,
    /// Where the guest sees it.
    pub at: String,
    /// Whether the guest may change what is there.
    pub writable: bool,
    /// Most bytes that may be in it.
    pub max_bytes: u64,
    /// Most files and folders that may be in it.
    pub max_files: u64,
}

/// Where a guest sees the folder that is its own for a call.
pub(crate) const SCRATCH: &str = "/scratch";

impl Granted {
    /// What of `grants` the guest side must know. `scratch` is the folder that was made for this call, if it is to have one.
    ///
    /// What names no value or no folder, as requests of modules do, grants nothing.
    #[must_use]
    pub fn of(grants: &[Grant], scratch: Option<&Path>) -> Self {
        let mut granted = Self::default();
        for grant in grants {
            match grant {
                Grant::Environment(named) => {
                    granted.environment.extend(named.value.clone().map(|value| (named.name.clone(), value)));
                }
                Grant::Config(named) => {
                    granted.config.extend(named.value.clone().map(|value| (named.name.clone(), value)));
                }
                Grant::Files(files) => granted.folders.extend(files.folder.clone().map(|path| Folder {
                    within: path.clone(),
                    path,
                    at: files.at.clone(),
                    writable: match files.access {
                        FileAccess::Read => false,
                        FileAccess::ReadWrite => true,
                    },
                    max_bytes: files.quota.bytes.0,
                    max_files: files.quota.count,
                })),
                Grant::Scratch(own) => granted.folders.extend(scratch.map(|path| Folder {
                    within: path.parent().unwrap_or(path).to_owned(),
                    path: path.to_owned(),
                    at: SCRATCH.to_owned(),
                    writable: true,
                    max_bytes: own.quota.bytes.0,
                    max_files: own.quota.count,
                })),
                // Asked of the host side when they are needed.
                Grant::Http(_) | Grant::KeyValue(_) | Grant::Secret(_) | Grant::Invoke(_) => {}
            }
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use fumehood_model::ByteSize;
    use fumehood_policy::{FilesGrant, NamedValue, Quota, ScratchGrant};

    use super::*;

    #[test]
    fn grants_become_what_a_guest_starts_with() {
        let quota = Quota { bytes: ByteSize::kib(1), count: 7 };
        let named = |name: &str, value: Option<&str>| NamedValue { name: name.into(), value: value.map(Into::into) };
        let files = FilesGrant { folder: Some("/srv".into()), at: "/data".into(), access: FileAccess::Read, quota };
        let asked = FilesGrant { folder: None, ..files.clone() };
        let grants = [
            Grant::Environment(named("LEVEL", Some("debug"))),
            Grant::Environment(named("ASKED", None)),
            Grant::Config(named("region", Some("eu"))),
            Grant::Files(files),
            Grant::Files(asked),
            Grant::Scratch(ScratchGrant { quota }),
            Grant::Secret("TOKEN".into()),
        ];
        let folder = |path: &str, within: &str, at: &str, writable| Folder {
            path: path.into(),
            within: within.into(),
            at: at.into(),
            writable,
            max_bytes: 1_024,
            max_files: 7,
        };

        let with = Granted::of(&grants, Some(Path::new("/tmp/x")));
        let without = Granted::of(&grants, None);

        assert_eq!(with.environment, [("LEVEL".to_owned(), "debug".to_owned())]);
        assert_eq!(with.config, [("region".to_owned(), "eu".to_owned())]);
        assert_eq!(with.folders, [folder("/srv", "/srv", "/data", false), folder("/tmp/x", "/tmp", "/scratch", true)]);
        assert_eq!(without.folders, [folder("/srv", "/srv", "/data", false)]);
    }
}
