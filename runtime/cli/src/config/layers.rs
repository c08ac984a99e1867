//! Laying one source of configuration over another, remembering where each value came from.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::{Config, Environment, invalid};
use crate::{
    exit::Failure,
    suggest::{did_you_mean, nearest},
};

/// What the names of variables start with that stand for keys.
const PREFIX: &str = "FUMEHOOD_";

/// The short name of `FUMEHOOD_LOG__FILTER`, which beats it.
const LOG_VARIABLE: &str = "FUMEHOOD_LOG";

/// A flag of the command line that stands for a configuration key.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// The flag, as it is written.
    pub(crate) flag: &'static str,
    /// `section.key`.
    pub(crate) key: &'static str,
    /// The value that it gives the key.
    pub(crate) value: Value,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The values that were set so far. Later ones win.
pub(super) struct Layers {
    /// Every section and key there is, with its default.
    known: Value,
    values: Value,
    origins: BTreeMap<String, Origin>,
    mistakes: Vec<String>,
}

impl Layers {
    pub(super) fn new() -> Self {
        let known = serde_json::to_value(Config::default()).expect("the defaults are text, numbers and lists");
        Self { known, values: json!({}), origins: BTreeMap::new(), mistakes: Vec::new() }
    }

    /// Lay the keys of a file over what is there.
    pub(super) fn file(&mut self, path: &Path, text: &str) {
        let at = |start: usize| {
            let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
            Origin::File { path: path.to_owned(), line }
        };
        let refused =
            |error: &toml::de::Error| format!("{}: {}", at(error.span().map_or(0, |span| span.start)), error.message());
        let (table, values) = match (DeTable::parse(text), toml::from_str::<Value>(text)) {
            (Ok(table), Ok(values)) => (table, values),
            (Err(error), _) | (_, Err(error)) => return self.mistakes.push(refused(&error)),
        };
        for (section, keys) in table.get_ref() {
            let (name, origin) = (section.get_ref(), at(section.span().start));
            let DeValue::Table(keys) = keys.get_ref() else {
                self.outside(name, &origin);
                continue;
            };
            if !self.is_section(name, &origin) {
                continue;
            }
            for key in keys.keys() {
                let value = values[&**name][&**key.get_ref()].clone();
                self.set(name, key.get_ref(), value, at(key.span().start));
            }
        }
    }

    /// Lay the variables `FUMEHOOD_SECTION__KEY` over what is there.
    pub(super) fn environment(&mut self, environment: &Environment) {
        for (variable, text) in environment {
            let Some((section, key)) = variable.strip_prefix(PREFIX).and_then(|name| name.split_once("__")) else {
                continue;
            };
            self.variable(variable, &section.to_lowercase(), &key.to_lowercase(), text);
        }
        if let Some(filter) = environment.get(LOG_VARIABLE) {
            self.variable(LOG_VARIABLE, "log", "filter", filter);
        }
    }

    /// Lay a flag over what is there.
    pub(super) fn flag(&mut self, flag: Flag) {
        if let Some((section, key)) = flag.key.split_once('.') {
            self.set(section, key, flag.value, Origin::Flag(flag.flag));
        }
    }

    /// The configuration, and where its values came from.
    ///
    /// # Errors
    ///
    /// With everything that is wrong, each with where it stands.
    pub(super) fn finish(mut self) -> Result<(Config, BTreeMap<String, Origin>), Failure> {
        if self.mistakes.is_empty() {
            match serde_json::from_value(self.values) {
                Ok(config) => return Ok((config, self.origins)),
                Err(error) => self.mistakes.push(error.to_string()),
            }
        }
        Err(invalid(self.mistakes))
    }

    fn variable(&mut self, variable: &str, section: &str, key: &str, text: &str) {
        let origin = Origin::Environment(variable.to_owned());
        if self.is_section(section, &origin) {
            let value = read_as(&self.known[section][key], text);
            self.set(section, key, value, origin);
        }
    }

    fn set(&mut self, section: &str, key: &str, value: Value, origin: Origin) {
        if self.known[section].get(key).is_none() {
            return self.unknown_key(section, key, &origin);
        }
        // One key at a time, so that a mistake is told with the place of this key.
        let alone = json!({ section: { key: value } });
        if let Err(error) = serde_json::from_value::<Config>(alone) {
            return self.mistakes.push(format!("{origin}: {section}.{key} = {value}: {error}"));
        }
        self.values[section][key] = value;
        self.origins.insert(format!("{section}.{key}"), origin);
    }

    fn is_section(&mut self, name: &str, origin: &Origin) -> bool {
        let is_known = self.known.get(name).is_some();
        if !is_known {
            let hint = did_you_mean(name, keys(&self.known));
            self.mistakes.push(format!("{origin}: unknown section `{name}`{hint}"));
        }
        is_known
    }

    fn unknown_key(&mut self, section: &str, key: &str, origin: &Origin) {
        let hint = match nearest(key, keys(&self.known[section])) {
            Some(name) => format!("; did you mean `{name}`?"),
            None => self.elsewhere(key),
        };
        self.mistakes.push(format!("{origin}: unknown key `{section}.{key}`{hint}"));
    }

    fn outside(&mut self, key: &str, origin: &Origin) {
        let hint = self.elsewhere(key);
        self.mistakes.push(format!("{origin}: `{key}` stands outside a section{hint}"));
    }

    /// A hint at the section that does have `key`.
    fn elsewhere(&self, key: &str) -> String {
        let section = keys(&self.known).find(|section| self.known[section].get(key).is_some());
        section.map(|section| format!("; did you mean `{section}.{key}`?")).unwrap_or_default()
    }
}

/// The text of a variable as a value of the same kind as `like`; what does not fit stays text and is refused later.
fn read_as(like: &Value, text: &str) -> Value {
    let text_value = || Value::from(text);
    match like {
        Value::Bool(_) => text.parse::<bool>().map_or_else(|_| text_value(), Value::from),
        Value::Number(_) => text.parse::<u64>().map_or_else(|_| text_value(), Value::from),
        Value::Array(_) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).unwrap_or_else(|_| text_value())
        }
        Value::Array(_) => text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
        _ => text_value(),
    }
}

fn keys(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
}
