use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

/// Longest path, as on Linux.
const MAX_PATH: usize = 4_096;

/// Longest name of a file, as on every file system that matters.
const MAX_NAME: usize = 255;

/// Deepest folder that a guest makes.
///
/// Programs that walk a tree (backups, `rm -r`) take a level of stack for each; thousands of levels have crashed them.
const MAX_DEPTH: usize = 64;

/// A path of a guest, fit to be handed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GuestPath {
    /// Without slashes at its end: "link/" means another thing than "link" to the kernel, and escapes have come of it.
    pub(super) text: String,
    /// Whether it had them, and so must be a folder.
    pub(super) is_folder: bool,
}

impl GuestPath {
    pub(super) fn new(mut text: String) -> Result<Self, ErrorCode> {
        if text.len() > MAX_PATH || text.split('/').any(|name| name.len() > MAX_NAME) {
            return Err(ErrorCode::NameTooLong);
        }
        if text.contains('\0') {
            return Err(ErrorCode::Invalid);
        }
        let kept = text.trim_end_matches('/').len();
        let is_folder = kept < text.len();
        // Of "///" the first is kept: an absolute path, which is refused as such.
        text.truncate(kept.max(usize::from(is_folder)));
        Ok(Self { text, is_folder })
    }

    /// How deep it is, if it starts at `depth`.
    pub(super) fn depth_from(&self, depth: usize) -> usize {
        self.text.split('/').fold(depth, |depth, name| match name {
            "" | "." => depth,
            ".." => depth.saturating_sub(1),
            _ => depth + 1,
        })
    }

    /// Whether something may be made here.
    ///
    /// Names that hold control characters are meant for the terminal or the script of whoever lists the folder.
    pub(super) fn may_be_made(&self, depth: usize) -> Result<(), ErrorCode> {
        if self.depth_from(depth) > MAX_DEPTH {
            return Err(ErrorCode::NameTooLong);
        }
        if self.text.chars().any(char::is_control) {
            return Err(ErrorCode::Invalid);
        }
        Ok(())
    }

    /// Everything before its last name, if no part of it leads upward.
    pub(super) fn parent(&self) -> Option<&str> {
        if self.text.split('/').any(|name| name == "..") {
            return None;
        }
        Some(self.text.rsplit_once('/').map_or("", |(parent, _)| parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> GuestPath {
        GuestPath::new(text.to_owned()).unwrap()
    }

    #[test]
    fn slashes_at_the_end_are_taken_off_and_remembered() {
        assert_eq!(path("a/b//"), GuestPath { text: "a/b".to_owned(), is_folder: true });
        assert_eq!(path("a"), GuestPath { text: "a".to_owned(), is_folder: false });
        assert_eq!(path("//"), GuestPath { text: "/".to_owned(), is_folder: true });
        assert_eq!(path(""), GuestPath { text: String::new(), is_folder: false });
    }

    #[test]
    fn names_and_paths_are_bounded() {
        let name = "x".repeat(256);
        assert_eq!(GuestPath::new(name.clone()), Err(ErrorCode::NameTooLong));
        assert_eq!(GuestPath::new(format!("a/{name}/b")), Err(ErrorCode::NameTooLong));
        assert_eq!(GuestPath::new("a/".repeat(2_049)), Err(ErrorCode::NameTooLong));
        assert_eq!(GuestPath::new("a\0b".to_owned()), Err(ErrorCode::Invalid));
        assert!(GuestPath::new("x".repeat(255)).is_ok());
    }

    #[test]
    fn nothing_is_made_too_deep_or_under_a_name_for_terminals() {
        assert_eq!(path(&"a/".repeat(64)).may_be_made(0), Ok(()));
        assert_eq!(path(&"a/".repeat(65)).may_be_made(0), Err(ErrorCode::NameTooLong));
        assert_eq!(path("b").may_be_made(64), Err(ErrorCode::NameTooLong));
        assert_eq!(path("./../b").may_be_made(64), Ok(()));
        assert_eq!(path("a\u{1b}[2J").may_be_made(0), Err(ErrorCode::Invalid));
        assert_eq!(path("Übung 1.txt").may_be_made(0), Ok(()));
    }

    #[test]
    fn parents_are_told_apart_by_their_text() {
        assert_eq!(path("a/b").parent(), Some("a"));
        assert_eq!(path("a").parent(), Some(""));
        assert_eq!(path("a/../b").parent(), None);
    }
}
