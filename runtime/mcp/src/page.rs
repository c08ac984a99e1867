//! Cursors of paged lists: the name after which to go on, so that a page never skips or repeats a tool that was there
//! all the time, whatever else comes and goes between two pages.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rmcp::{ErrorData, model::PaginatedRequestParams};

/// Longest cursor: one for the longest URI.
const MAX_CURSOR: usize = 4_096;

/// Tools on one page.
///
/// Some clients read only the first page: it should hold what a model can use at all.
pub(crate) const PAGE: usize = 250;

/// The cursor for what comes after `name`.
pub(crate) fn after(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

/// The name after which a page starts; nothing for the first one.
pub(crate) fn start(request: Option<PaginatedRequestParams>) -> Result<String, ErrorData> {
    match request.and_then(|request| request.cursor) {
        None => Ok(String::new()),
        Some(cursor) => name(&cursor).ok_or_else(|| ErrorData::invalid_params("this cursor is not one of ours", None)),
    }
}

/// The name in a cursor of ours.
pub(crate) fn name(cursor: &str) -> Option<String> {
    if cursor.len() > MAX_CURSOR {
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
