//! Cursors of paged lists: the name after which to go on, so that a page never skips or repeats a tool that was there
//! all the time, whatever else comes and goes between two pages.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Tools on one page.
///
/// Some clients read only the first page: it should hold what a model can use at all.
pub(crate) const PAGE: usize = 250;

/// The cursor for what comes after `name`.
pub(crate) fn after(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// The name in a cursor of ours.
pub(crate) fn name(cursor: &str) -> Option<String> {
    if cursor.len() > 128 {
        return None;
    }
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_foreign_one_is_refused() {
        assert_eq!(name(&after("calculator__add")).as_deref(), Some("calculator__add"));
        assert_eq!(name("not a cursor!"), None);
        assert_eq!(name(&"A".repeat(10_000)), None);
    }
}
