use std::cell::Cell;

use regex_lite::{Regex, RegexBuilder};

use crate::{
    bounds::{MAX_COMPILED_BYTES, MAX_PATTERN_BYTES, MAX_PATTERN_WORK_BYTES},
    mistake::shown,
};

/// A regular expression that takes linear time: no backtracking, and a bound on its states.
///
/// Found anywhere in a text, ASCII letters in either case.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATTERN_BYTES {
            return Err(format!("expected a pattern of 1 to {MAX_PATTERN_BYTES} bytes after `~`"));
        }
        RegexBuilder::new(text)
            .case_insensitive(true)
            .size_limit(MAX_COMPILED_BYTES)
            .nest_limit(20)
            .build()
            .map(Self)
            .map_err(|error| format!("`{}` is no pattern: {}", shown(text), shown(&error.to_string())))
    }

    /// Whether the pattern is in `text`, as long as there is work left for it.
    pub(crate) fn is_in(&self, text: &str, work: &Work) -> bool {
        work.take(text.len()) && self.0.is_match(text)
    }
}

/// What the patterns of one call may still do.
#[derive(Debug)]
pub(crate) struct Work {
    bytes: Cell<usize>,
    is_spent: Cell<bool>,
}

impl Work {
    pub(crate) fn new() -> Self {
        Self { bytes: Cell::new(MAX_PATTERN_WORK_BYTES), is_spent: Cell::new(false) }
    }

    /// Whether something was not searched.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    fn take(&self, bytes: usize) -> bool {
        match self.bytes.get().checked_sub(bytes.max(1)) {
            Some(left) => self.bytes.set(left),
            None => self.is_spent.set(true),
        }
        !self.is_spent.get()
    }
}
