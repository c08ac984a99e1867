use serde_json::{Map, Value, json};

use crate::{mistake::shown, path::FieldPath};

/// What is told of an answer that was changed.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Items of the tool's answer, if it has a list.
    pub(crate) original: Option<usize>,
    /// Items that the filters let through.
    pub(crate) matched: Option<usize>,
    /// Items of the answer now.
    pub(crate) returned: Option<usize>,
    /// Why and how it was cut, if it was.
    pub(crate) truncation: Option<Truncation>,
    /// The page that was asked for.
    pub(crate) page: Option<Page>,
    pub(crate) projected: Vec<String>,
    pub(crate) unknown: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// What was cut off.
#[derive(Debug)]
pub(crate) enum Truncation {
    /// Of a list.
    Items { original: usize, returned: usize, texts: usize, is_inside_cut: bool },
    /// Of an answer without a list.
    Bytes { original: usize, returned: usize },
}

/// One page of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) returned: usize,
    pub(crate) has_more: bool,
}

impl Notes {
    pub(crate) fn project(&mut self, fields: &[FieldPath], unknown: &[&FieldPath]) {
        self.projected = fields.iter().map(|field| shown(field.as_str())).collect();
        self.add_unknown(unknown.iter().map(|field| field.as_str()));
    }

    pub(crate) fn add_unknown<'a>(&mut self, fields: impl Iterator<Item = &'a str>) {
        for field in fields.map(shown) {
            if !self.unknown.contains(&field) {
                self.unknown.push(field);
            }
        }
    }

    /// Tell everything.
    pub(crate) fn write(&self, told: &mut Map<String, Value>) {
        told.insert("_optimization_applied".to_owned(), true.into());
        for (key, count) in
            [("_original_count", self.original), ("_matched_count", self.matched), ("_returned_count", self.returned)]
        {
            if let Some(count) = count {
                told.insert(key.to_owned(), count.into());
            }
        }
        if let Some(truncation) = &self.truncation {
            told.insert("_truncation_metadata".to_owned(), truncation.told());
        }
        if let Some(page) = self.page {
            told.insert("_progressive".to_owned(), page.told());
        }
        self.write_selection(told);
    }

    /// Tell what was selected and what is to be known of it; all that makes sense beside a summary.
    pub(crate) fn write_selection(&self, told: &mut Map<String, Value>) {
        if !self.projected.is_empty() {
            let note = format!("Projected to {} fields: {}", self.projected.len(), self.projected.join(", "));
            told.insert("_field_projection".to_owned(), note.into());
        }
        if !self.unknown.is_empty() {
            told.insert("_unknown_fields".to_owned(), json!(self.unknown));
        }
        if !self.warnings.is_empty() {
            told.insert("_warnings".to_owned(), json!(self.warnings));
        }
    }
}

impl Truncation {
    fn told(&self) -> Value {
        match *self {
            Self::Items { original, returned, texts, is_inside_cut } => {
                let mut told = json!({
                    "truncated": true,
                    "original_count": original,
                    "returned_count": returned,
                    "truncation_message": items_message(original, returned, texts, is_inside_cut),
                });
                if texts > 0 {
                    told["texts_cut"] = texts.into();
                }
                told
            }
            Self::Bytes { original, returned } => json!({
                "truncated": true,
                "original_bytes": original,
                "returned_bytes": returned,
                "truncation_message": format!(
                    "Response truncated from {original} to {returned} bytes to save tokens. \
                     Ask for less, or for some fields only (fields)."
                ),
            }),
        }
    }
}

fn items_message(original: usize, returned: usize, texts: usize, is_inside_cut: bool) -> String {
    let mut said = Vec::new();
    if returned < original {
        said.push(format!(
            "Response truncated from {original} to {returned} items to save tokens. \
             Use pagination (limit/offset) or filters to get specific data."
        ));
    }
    if texts > 0 {
        said.push(format!("{texts} long texts were cut."));
    }
    if is_inside_cut {
        said.push("What was too large was cut: ask for some fields only (fields).".to_owned());
    }
    said.join(" ")
}

impl Page {
    fn told(self) -> Value {
        let next = self.has_more.then(|| (self.offset + self.returned).to_string());
        json!({
            "has_more": self.has_more,
            "next_cursor": next,
            "current_limit": self.limit,
            "returned_count": self.returned,
        })
    }
}
