use serde_json::{Map, Value, json};

/// Name of the tool with which callers drill down.
pub const SEARCH: &str = "search_last_result";

/// Where the whole of an answer is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What callers name to [`SEARCH`].
    pub id: String,
    /// Where it can be read, if it can be read as a whole.
    pub uri: Option<String>,
}

impl Kept {
    pub(crate) fn write(&self, told: &mut Map<String, Value>, hint: String) {
        // Early in the answer: what reads it from the beginning may stop early.
        let after = told.keys().position(|key| key == "_summary").map_or(told.len(), |at| at + 1);
        told.shift_remove("_response_id");
        told.shift_insert(after.min(told.len()), "_response_id".to_owned(), self.id.as_str().into());
        if let Some(uri) = &self.uri {
            told.insert("_response_uri".to_owned(), uri.as_str().into());
        }
        told.insert("_hint".to_owned(), hint.into());
    }
}

pub(crate) fn hint(what: &str, kept: &Kept) -> String {
    format!(
        "{what}. Use {SEARCH}(response_id='{}') to filter/search the full data. Available filters: field=value, \
         field__contains=text, field__gt=number",
        kept.id
    )
}

/// What a caller is told whose id names nothing, or nothing any more.
#[must_use]
pub fn nothing_kept() -> Value {
    json!({
        "error": "No stored response found",
        "hint": "Only the last responses of this session are kept, and not for long. Call the tool again, then use the \
                 _response_id of its answer.",
    })
}
