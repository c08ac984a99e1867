use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Longest name of a module.
///
/// Leaves room in the 64 characters of a tool name for the separator and a short function name.
const MODULE_NAME_MAX: usize = 56;

/// Longest name of a tool: what the strictest MCP clients accept.
const TOOL_NAME_MAX: usize = 64;

/// Path segments below `/api/` that belong to the product.
const RESERVED: [&str; 6] = ["v1", "v2", "versions", "latest", "jobs", "openapi.json"];

/// The name of a module: `[a-z0-9][a-z0-9-]*`, nested folders joined with `.`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleName(Arc<str>);

/// The name under which a function of a module is known to MCP clients: `{module}__{function}`.
///
/// At most 64 characters of `[a-z0-9_-]`. It depends on nothing but the two names, so it is the same after every
/// restart and on every machine.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToolName(Arc<str>);

/// The text cannot be the name of a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("a module name cannot be empty")]
    Empty,
    /// It is longer than allowed.
    #[error("a module name has at most {MODULE_NAME_MAX} characters, this one has {length}")]
    TooLong {
        /// Its length in characters.
        length: usize,
    },
    /// A character is not allowed where it stands.
    #[error(
        "module name `{name}` may hold only a-z, 0-9 and `-`, start with a letter or digit, and join folders with `.`"
    )]
    Character {
        /// The refused name, shortened and escaped.
        name: String,
    },
    /// The name belongs to the product.
    #[error("`{name}` is reserved: choose another module name")]
    Reserved {
        /// The reserved word.
        name: String,
    },
}

impl ModuleName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModuleName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        let length = name.chars().count();
        if length > MODULE_NAME_MAX {
            return Err(NameError::TooLong { length });
        }
        if RESERVED.contains(&name) {
            return Err(NameError::Reserved { name: name.to_owned() });
        }
        if !name.split('.').all(is_segment) {
            return Err(NameError::Character { name: name.escape_debug().to_string() });
        }
        Ok(Self(name.into()))
    }
}

fn is_segment(segment: &str) -> bool {
    let lower_or_digit = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    segment.bytes().next().is_some_and(lower_or_digit) && segment.bytes().all(|b| lower_or_digit(b) || b == b'-')
}

impl ToolName {
    /// The name of `function` of `module`.
    ///
    /// Names that are too long, or that would be the same as another after mapping to the allowed characters, end in
    /// eight digits of the hash of the full name.
    #[must_use]
    pub fn of(module: &ModuleName, function: &str) -> Self {
        let full = format!("{module}__{function}");
        let mapped: String = full.chars().map(|c| if is_allowed(c) { c } else { fold(c) }).collect();
        // A plain dot only ever comes from nesting and maps to `_`, which no module name contains.
        let lossless = full.chars().all(|c| is_allowed(c) || c == '.');
        if mapped.len() <= TOOL_NAME_MAX && lossless {
            return Self(mapped.into());
        }
        let hash: String = Sha256::digest(full.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect();
        let kept = mapped.len().min(TOOL_NAME_MAX - hash.len() - 1);
        Self(format!("{}-{hash}", &mapped[..kept]).into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
}

fn fold(c: char) -> char {
    if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { '_' }
}

macro_rules! text_form {
    ($name:ty) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_form!(ModuleName);
text_form!(ToolName);

impl<'de> Deserialize<'de> for ModuleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str) -> ModuleName {
        name.parse().unwrap()
    }

    #[test]
    fn nested_modules_keep_their_dots_and_tools_lose_them() {
        assert_eq!(ToolName::of(&module("geo.maps"), "find-route").as_str(), "geo_maps__find-route");
    }

    #[test]
    fn hostile_module_names_are_refused() {
        for name in ["", "-a", "A", "a..b", "../x", "a/b", "a b", "jobs", "v1", "é", "a\n", &"a".repeat(57)] {
            assert!(name.parse::<ModuleName>().is_err(), "{name:?} must be refused");
        }
    }

    #[test]
    fn long_tool_names_stay_within_64_and_apart() {
        let module = module("a-module-with-a-rather-long-name-indeed");
        let one = ToolName::of(&module, "a-function-whose-name-goes-on-and-on-one");
        let two = ToolName::of(&module, "a-function-whose-name-goes-on-and-on-two");

        assert_eq!(one.as_str().len(), 64);
        assert_ne!(one, two);
    }

    #[test]
    fn upper_case_words_do_not_collide_with_lower_case_ones() {
        let module = module("m");

        assert_ne!(ToolName::of(&module, "get-URL"), ToolName::of(&module, "get-url"));
    }
}
