use serde::{Deserialize, Serialize};

use crate::{Digest, ModuleName};

/// What a component was made of, where it needs what others export.
///
/// Digests, not versions: it stays what it is, whatever becomes of the modules that it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composition {
    /// The component as its author sent it.
    pub root: Digest,
    /// What was put into it.
    pub parts: Vec<Part>,
}

/// A component that was put into another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The module that it was taken from.
    pub module: ModuleName,
    /// Which component it is.
    pub digest: Digest,
    /// The imports that it meets.
    pub imports: Vec<String>,
    /// Whether somebody who was trusted had signed it when it was put there.
    #[serde(default)]
    pub is_signed: bool,
    /// What it was made of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composition: Option<Composition>,
}

impl Composition {
    /// Whether any part of it, at any depth, was taken from the module `name`.
    #[must_use]
    pub fn holds(&self, name: &ModuleName) -> bool {
        let within = |part: &Part| part.composition.as_ref().is_some_and(|composition| composition.holds(name));
        self.parts.iter().any(|part| part.module == *name || within(part))
    }

    /// A part, at any depth, that nobody who was trusted had signed.
    #[must_use]
    pub fn unsigned(&self) -> Option<&Part> {
        self.parts.iter().find_map(|part| match &part.composition {
            _ if !part.is_signed => Some(part),
            Some(composition) => composition.unsigned(),
            None => None,
        })
    }

    /// How many parts it has, at all depths.
    #[must_use]
    pub fn len(&self) -> usize {
        let within = |part: &Part| part.composition.as_ref().map_or(0, Self::len);
        self.parts.iter().map(|part| 1 + within(part)).sum()
    }

    /// Whether nothing was put into it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}
