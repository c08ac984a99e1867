//! Taking a TOML table apart, and telling every mistake with its line.

use fumehood_model::ByteSize;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::ManifestMistake;
use crate::near::near;

/// Most mistakes that are told at once.
const MAX_MISTAKES: usize = 20;

/// Most characters of a stranger's text that a mistake repeats.
const SHOWN: usize = 120;

/// What a text may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    /// Most characters.
    pub(super) most: usize,
    /// Whether it may have several lines.
    pub(super) lines: bool,
}

/// A manifest that is being read, and what was wrong so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    mistakes: Vec<ManifestMistake>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, mistakes: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<ManifestMistake> {
        self.mistakes
    }

    /// The line, from 1, of a position.
    pub(super) fn line(&self, position: usize) -> usize {
        1 + self.text.bytes().take(position).filter(|byte| *byte == b'\n').count()
    }

    /// Note what is wrong at a position.
    pub(super) fn mistake(&mut self, position: usize, what: String) {
        if self.mistakes.len() < MAX_MISTAKES {
            let line = self.line(position);
            self.mistakes.push(ManifestMistake { line, what });
        }
    }

    /// Note what is wrong with the value of `key`.
    pub(super) fn mistake_at(&mut self, table: &DeTable<'_>, key: &str, what: String) {
        let position = find(table, key).map_or(0, |value| value.span().start);
        self.mistake(position, what);
    }

    /// Refuse keys that are not `known`.
    pub(super) fn known(&mut self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for (key, _) in table {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let near = near(name, known.iter().copied());
            let hint = near.first().map(|near| format!("; did you mean `{near}`?"));
            let hint = hint.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
            self.mistake(key.span().start, format!("unknown key `{place}{}`{hint}", shown(name)));
        }
    }

    /// Refuse more than `most` of something.
    pub(super) fn at_most(&mut self, table: &DeTable<'_>, key: &str, count: usize, most: usize) {
        if count > most {
            self.mistake_at(table, key, format!("there are {count} {key}, and {most} are the most"));
        }
    }

    /// The text called `key`.
    pub(super) fn text(&mut self, table: &DeTable<'_>, key: &str, allowed: Text) -> Option<String> {
        let value = find(table, key)?;
        self.checked(value, key, allowed)
    }

    /// The list of texts called `key`.
    pub(super) fn texts(&mut self, table: &DeTable<'_>, key: &str, allowed: Text, most: usize) -> Vec<String> {
        let Some(value) = find(table, key) else { return Vec::new() };
        let DeValue::Array(values) = value.get_ref() else {
            self.wrong(value, key, "a list of texts");
            return Vec::new();
        };
        self.at_most(table, key, values.len(), most);
        values.iter().take(most).filter_map(|value| self.checked(value, key, allowed)).collect()
    }

    /// What is either so or not, called `key`.
    pub(super) fn boolean(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let value = find(table, key)?;
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(*boolean),
            _ => {
                self.wrong(value, key, "true or false");
                None
            }
        }
    }

    /// The number from 1 called `key`.
    pub(super) fn number(&mut self, table: &DeTable<'_>, key: &str) -> Option<u64> {
        let value = find(table, key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0);
        if number.is_none() {
            self.wrong(value, key, "a whole number from 1");
        }
        number
    }

    /// The size called `key`.
    pub(super) fn size(&mut self, table: &DeTable<'_>, key: &str) -> Option<ByteSize> {
        let value = find(table, key)?;
        match value.get_ref() {
            DeValue::String(text) => match text.parse::<ByteSize>() {
                Ok(size) if size.0 > 0 => return Some(size),
                Ok(_) => self.wrong(value, key, "more than nothing"),
                Err(what) => self.mistake(value.span().start, format!("`{key}`: {what}")),
            },
            DeValue::Integer(_) => return self.number(table, key).map(ByteSize),
            _ => self.wrong(value, key, "a size such as \"64 MiB\""),
        }
        None
    }

    /// The table called `key`.
    pub(super) fn table<'a>(&mut self, table: &'a DeTable<'a>, key: &str) -> Option<&'a DeTable<'a>> {
        let value = find(table, key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.wrong(value, key, "a table");
                None
            }
        }
    }

    /// The tables called `key`, each with where it begins.
    pub(super) fn tables<'a>(
        &mut self,
        table: &'a DeTable<'a>,
        key: &str,
        most: usize,
    ) -> Vec<(&'a DeTable<'a>, usize)> {
        let Some(value) = find(table, key) else { return Vec::new() };
        let DeValue::Array(values) = value.get_ref() else {
            self.wrong(value, key, &format!("a list of tables: write `[[{key}]]`"));
            return Vec::new();
        };
        self.at_most(table, key, values.len(), most);
        let mut tables = Vec::new();
        for value in values.iter().take(most) {
            match value.get_ref() {
                DeValue::Table(table) => tables.push((table, value.span().start)),
                _ => self.wrong(value, key, "a list of tables"),
            }
        }
        tables
    }

    /// A table, which begins at `start`, as what it is to be; or what is wrong with it.
    pub(super) fn typed<T: serde::de::DeserializeOwned>(&self, table: &DeTable<'_>, start: usize) -> Result<T, String> {
        let value = Spanned::new(start..start, DeValue::Table(table.clone()));
        T::deserialize(ValueDeserializer::from(value)).map_err(|error| shown(error.message()))
    }

    fn checked(&mut self, value: &Spanned<DeValue<'_>>, key: &str, allowed: Text) -> Option<String> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong(value, key, "a text");
            return None;
        };
        let count = text.chars().count();
        if count > allowed.most {
            let what = format!("`{}` has {count} characters, and {} are the most", shown(key), allowed.most);
            self.mistake(value.span().start, what);
            return None;
        }
        if text.chars().any(|c| !(is_printable(c) || allowed.lines && c == '\n')) {
            let what = format!("`{}` holds a character that cannot be printed", shown(key));
            self.mistake(value.span().start, what);
            return None;
        }
        Some(text.to_string())
    }

    fn wrong(&mut self, value: &Spanned<DeValue<'_>>, key: &str, expected: &str) {
        self.mistake(value.span().start, format!("`{}` must be {expected}", shown(key)));
    }
}

/// Neither a control character nor one of those that hide or turn around what stands beside them.
fn is_printable(c: char) -> bool {
    let hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !hides
}

fn find<'a>(table: &'a DeTable<'a>, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
    table.iter().find(|(name, _)| *name.get_ref() == key).map(|(_, value)| value)
}

/// A stranger's text, fit for quoting.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}
