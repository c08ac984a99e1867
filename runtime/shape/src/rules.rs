use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    bounds::{MAX_FIELDS, MAX_LIMIT, MAX_STEPS},
    kind::Kind,
};

/// How the answers of one tool, or of all tools of a profile, are shaped when the caller says nothing else.
///
/// The defaults are those of croit's server, where they save 80 to 95 % of the tokens of lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Lists of up to this many items are left as they are, unless they are larger than `max_bytes`. Five: a summary of
    /// so few says hardly less.
    pub as_is_items: usize,
    /// Items that a longer list is cut to, and that a page has whose caller names no `limit`. 1 to [`MAX_LIMIT`].
    pub max_items: usize,
    /// Whether long lists are summed up. Off, they are cut to `max_items`: for callers that cannot ask for the rest.
    pub summaries: bool,
    /// Lists of more items are summed up rather than cut.
    pub summary_above: usize,
    /// The same for lists of which only some fields were asked for.
    pub projected_summary_above: usize,
    /// Longest text in an item of a list that is longer than `as_is_items`, in characters. 40 to 1,000,000.
    pub max_text_chars: usize,
    /// Largest answer, in bytes of JSON, without what is told of the cut: up to 4 KiB more. 2,048 to 16 MiB. 50,000 are
    /// about 12,500 tokens.
    pub max_bytes: usize,
    /// Where the list is, as a JSON pointer into the answer. Unset: the answer itself, its `data` or `result`, or its
    /// only member that is a list.
    pub list: Option<String>,
    /// Named sets of fields, which `fields` asks for as `@name`.
    pub field_sets: BTreeMap<String, Vec<String>>,
    /// Whether `no_optimize` is heard.
    pub may_opt_out: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            as_is_items: 5,
            max_items: 25,
            summaries: true,
            summary_above: 50,
            projected_summary_above: 100,
            max_text_chars: 2000,
            max_bytes: 50_000,
            list: None,
            field_sets: BTreeMap::new(),
            may_opt_out: true,
        }
    }
}

/// Why rules are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// A number is outside its range.
    #[error("`{key}` is {given}, expected {least} to {most}")]
    OutOfRange {
        /// Which.
        key: &'static str,
        /// What it is.
        given: usize,
        /// The least that it may be.
        least: usize,
        /// The most that it may be.
        most: usize,
    },
    /// `list` is not a JSON pointer of at most [`MAX_STEPS`](crate::MAX_STEPS) steps.
    #[error("`list` is `{given}`, expected a JSON pointer such as `/data/items`")]
    NoPointer {
        /// What it is.
        given: String,
    },
    /// A set of fields is empty or too large.
    #[error("the set of fields `{name}` has {given} fields, expected 1 to {MAX_FIELDS}")]
    FieldSet {
        /// Its name.
        name: String,
        /// How many it has.
        given: usize,
    },
}

impl Rules {
    /// The rules for answers of a kind, with its fields as the set `@essential`.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        let mut rules = Self { max_items: kind.max_items(), ..Self::default() };
        rules.summary_above = rules.summary_above.max(rules.max_items);
        let essential: Vec<_> = kind.essential_fields().iter().map(|&name| name.to_owned()).collect();
        if !essential.is_empty() {
            rules.field_sets.insert("essential".to_owned(), essential);
        }
        rules
    }

    /// Whether these rules keep their bounds; called once, when configuration is read.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), RulesError> {
        in_range("max_items", self.max_items, 1, MAX_LIMIT)?;
        in_range("as_is_items", self.as_is_items, 0, MAX_LIMIT)?;
        in_range("max_text_chars", self.max_text_chars, 40, 1_000_000)?;
        in_range("max_bytes", self.max_bytes, 2048, 16 << 20)?;
        let is_pointer = |given: &&String| given.starts_with('/') && given.matches('/').count() <= MAX_STEPS;
        if let Some(given) = self.list.as_ref().filter(|given| !is_pointer(given)) {
            return Err(RulesError::NoPointer { given: given.clone() });
        }
        let wrong = self.field_sets.iter().find(|(_, fields)| fields.is_empty() || fields.len() > MAX_FIELDS);
        match wrong {
            Some((name, fields)) => Err(RulesError::FieldSet { name: name.clone(), given: fields.len() }),
            None => Ok(()),
        }
    }
}

fn in_range(key: &'static str, given: usize, least: usize, most: usize) -> Result<(), RulesError> {
    if (least..=most).contains(&given) { Ok(()) } else { Err(RulesError::OutOfRange { key, given, least, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_every_kind_keep_their_bounds() {
        for kind in Kind::ALL {
            assert_eq!(Rules::of(kind).check(), Ok(()), "{kind:?}");
        }
    }

    #[test]
    fn services_are_cut_to_25_logs_to_100_and_stats_to_75() {
        assert_eq!(Rules::of(Kind::Services).max_items, 25);
        assert_eq!(Rules::of(Kind::Logs).max_items, 100);
        assert_eq!(Rules::of(Kind::Stats).max_items, 75);
    }

    #[test]
    fn rules_out_of_range_are_refused_with_the_range() {
        let rules = Rules { max_bytes: 10, ..Rules::default() };

        let expected = RulesError::OutOfRange { key: "max_bytes", given: 10, least: 2048, most: 16 << 20 };
        assert_eq!(rules.check(), Err(expected));
    }

    #[test]
    fn an_unknown_key_in_the_configuration_is_refused() {
        assert!(serde_json::from_str::<Rules>(r#"{"max_item": 3}"#).is_err());
        assert_eq!(serde_json::from_str::<Rules>(r#"{"max_items": 3}"#).unwrap().max_items, 3);
    }
}
