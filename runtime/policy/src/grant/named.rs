use std::fmt;

use super::syntax::value_name;

/// A name and its value; without a value in a request of `tool.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedValue {
    /// The name.
    pub name: String,
    /// The value that an administrator gave it.
    pub value: Option<String>,
}

impl NamedValue {
    /// What `:NAME=value` says; everything after the first `=` is the value, as it stands.
    pub(super) fn parsed(rest: &str, example: &str) -> Result<Self, String> {
        let Some(rest) = rest.strip_prefix(':') else { return Err(format!("it has no name: write `{example}`")) };
        let (name, value) = rest.split_once('=').map_or((rest, None), |(name, value)| (name, Some(value)));
        Ok(Self { name: value_name(name)?.to_owned(), value: value.map(str::to_owned) })
    }

    pub(super) fn covers(&self, wanted: &Self) -> bool {
        self.name == wanted.name && (wanted.value.is_none() || wanted.value == self.value)
    }
}

impl fmt::Display for NamedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.value {
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}
