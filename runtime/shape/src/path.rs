use std::ops::ControlFlow;

use serde_json::Value;

use crate::{
    bounds::{MAX_PATH_BYTES, MAX_STEPS},
    mistake::shown,
};

/// The way to a field: names with dots between them, which lead through lists to each of their entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldPath {
    text: String,
    steps: Vec<String>,
}

impl FieldPath {
    /// Read `a.b.c`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_PATH_BYTES {
            return Err(format!("`{}` is no field: expected 1 to {MAX_PATH_BYTES} bytes", shown(text)));
        }
        let steps: Vec<_> = text.split('.').map(str::to_owned).collect();
        if steps.len() > MAX_STEPS {
            return Err(format!("`{}` has more than {MAX_STEPS} names", shown(text)));
        }
        if steps.iter().any(String::is_empty) {
            return Err(format!("`{}` has an empty name between its dots", shown(text)));
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// As the caller wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn steps(&self) -> &[String] {
        &self.steps
    }

    /// Show `visit` every value that the path leads to, entries of lists one by one, until it breaks off.
    pub(crate) fn visit<'v>(
        &self,
        item: &'v Value,
        visit: &mut impl FnMut(&'v Value) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // A name may have dots of its own.
        if let Some(value) = item.get(&self.text) {
            return entries(value, visit);
        }
        walk(item, &self.steps, visit)
    }

    /// Whether the path leads anywhere from here.
    pub(crate) fn is_in(&self, item: &Value) -> bool {
        item.get(&self.text).is_some() || leads(item, &self.steps)
    }
}

fn walk<'v>(
    value: &'v Value,
    steps: &[String],
    visit: &mut impl FnMut(&'v Value) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match (value, steps) {
        (value, []) => entries(value, visit),
        (Value::Object(members), [name, rest @ ..]) => match members.get(name) {
            Some(member) => walk(member, rest, visit),
            None => ControlFlow::Continue(()),
        },
        // One level of lists for each name: lists of lists are data, not records.
        (Value::Array(list), steps) => {
            list.iter().filter(|entry| entry.is_object()).try_for_each(|entry| walk(entry, steps, visit))
        }
        _ => ControlFlow::Continue(()),
    }
}

fn entries<'v>(value: &'v Value, visit: &mut impl FnMut(&'v Value) -> ControlFlow<()>) -> ControlFlow<()> {
    match value {
        Value::Array(list) => list.iter().try_for_each(visit),
        value => visit(value),
    }
}

fn leads(value: &Value, steps: &[String]) -> bool {
    match (value, steps) {
        (_, []) => true,
        (Value::Object(members), [name, rest @ ..]) => members.get(name).is_some_and(|member| leads(member, rest)),
        (Value::Array(list), steps) => list.iter().any(|entry| entry.is_object() && leads(entry, steps)),
        _ => false,
    }
}
