//! Query, compare, patch, validate and format JSON.
//!
//! The work is done by crates that implement the standards: `serde_json_path` (RFC 9535), `json-patch` (RFC 6902) and
//! `jsonschema`. This crate is their door: it reads the texts, bounds what would otherwise grow without end, and names
//! every failure. An input is never a reason to panic.

mod format;
mod patch;
mod query;
mod text;
mod validate;

wit_bindgen::generate!({ path: "wit", world: "json-tools" });

use exports::fumehood::json_tools::json::{Guest, Layout, Match, Problem, Verdict};

struct JsonTools;

impl Guest for JsonTools {
    fn query(document: String, path: String) -> Result<Vec<Match>, Problem> {
        query::query(&text::parse("document", &document)?, &path)
    }

    fn diff(before: String, after: String) -> Result<String, Problem> {
        let before = text::parse("before", &before)?;
        let after = text::parse("after", &after)?;
        Ok(text::write(&json_patch::diff(&before, &after)))
    }

    fn patch(document: String, patch: String) -> Result<String, Problem> {
        patch::apply(
            text::parse("document", &document)?,
            text::parse("patch", &patch)?,
        )
    }

    fn validate(document: String, schema: String) -> Result<Verdict, Problem> {
        validate::validate(
            &text::parse("document", &document)?,
            &text::parse("schema", &schema)?,
        )
    }

    fn format(
        document: String,
        layout: Option<Layout>,
        sort_keys: Option<bool>,
    ) -> Result<String, Problem> {
        let layout = layout.unwrap_or(format::DEFAULT_LAYOUT);
        format::format(&document, layout, sort_keys.unwrap_or(false))
    }
}

export!(JsonTools);
