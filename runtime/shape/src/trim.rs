//! Making values smaller without changing what they are: texts and lists get shorter, objects lose members.

use serde_json::Value;

use crate::{
    bounds::{MAX_DEPTH, MAX_PATH_BYTES},
    report::size_of,
};

/// Cut every text in `value` that has more than `most` characters, and say how many were.
pub(crate) fn texts(value: &mut Value, most: usize) -> usize {
    Trim { texts: most, entries: usize::MAX }.apply(value, 0)
}

/// Make `value` take at most `most_bytes` as JSON, and say whether it had to be cut.
///
/// Each round cuts twice as hard as the one before, so that all of them together cost little more than the first.
pub(crate) fn fit(value: &mut Value, most_bytes: usize) -> bool {
    if size_of(value) <= most_bytes {
        return false;
    }
    let mut trim = Trim { texts: most_bytes / 2, entries: (most_bytes / 16).max(1) };
    while trim.texts > 8 || trim.entries > 1 {
        trim.apply(value, 0);
        if size_of(value) <= most_bytes {
            return true;
        }
        trim = Trim { texts: (trim.texts / 2).max(8), entries: (trim.entries / 2).max(1) };
    }
    empty(value);
    true
}

fn empty(value: &mut Value) {
    match value {
        Value::String(text) => text.clear(),
        Value::Array(list) => list.clear(),
        Value::Object(members) => members.clear(),
        _ => {}
    }
}

struct Trim {
    /// Characters of a text.
    texts: usize,
    /// Items of a list and members of an object.
    entries: usize,
}

impl Trim {
    /// Says how many texts were cut.
    fn apply(&self, value: &mut Value, depth: usize) -> usize {
        match value {
            Value::String(text) => usize::from(cut(text, self.texts)),
            Value::Array(list) if depth < MAX_DEPTH => {
                list.truncate(self.entries);
                list.iter_mut().map(|entry| self.apply(entry, depth + 1)).sum()
            }
            Value::Object(members) if depth < MAX_DEPTH => {
                if members.len() > self.entries {
                    let mut left = self.entries;
                    members.retain(|name, _| {
                        let stays = left > 0 && name.len() <= MAX_PATH_BYTES;
                        left -= usize::from(stays);
                        stays
                    });
                }
                members.values_mut().map(|member| self.apply(member, depth + 1)).sum()
            }
            _ => 0,
        }
    }
}

/// Cut a text to `most` characters and say how many more there were.
fn cut(text: &mut String, most: usize) -> bool {
    if text.len() <= most {
        return false;
    }
    let Some((end, _)) = text.char_indices().nth(most) else { return false };
    let more = text[end..].chars().count();
    let told = format!("… [{more} more characters]");
    // A text that is told to be cut is not longer than it was.
    if text.len() > end + told.len() {
        text.truncate(end);
        text.push_str(&told);
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let mut value = json!({"a": "ü".repeat(60), "b": "short"});

        assert_eq!(texts(&mut value, 10), 1);

        assert_eq!(value, json!({"a": "üüüüüüüüüü… [50 more characters]", "b": "short"}));
    }

    #[test]
    fn what_fits_is_left_alone() {
        let mut value = json!({"a": [1, 2, 3]});

        assert!(!fit(&mut value, 100));

        assert_eq!(value, json!({"a": [1, 2, 3]}));
    }

    #[test]
    fn one_huge_text_keeps_as_much_as_may_be() {
        let mut value = json!("x".repeat(1_000_000));

        assert!(fit(&mut value, 10_000));

        assert!(size_of(&value) > 4000);
    }

    #[test]
    fn an_object_of_long_names_fits_too() {
        let members: serde_json::Map<_, _> = (0..9).map(|n| (format!("{n}{}", "k".repeat(9000)), json!(n))).collect();
        let mut value = Value::Object(members);

        assert!(fit(&mut value, 2048));

        assert!(size_of(&value) <= 2048);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), "\\PC{0,300}".prop_map(Value::from)];
        leaf.prop_recursive(5, 200, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
                prop::collection::hash_map("\\PC{0,20}", inner, 0..20)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_it_is_it_fits_and_stays_what_it_is(mut value in any_json(), most in 64_usize..4000) {
            let before = std::mem::discriminant(&value);

            fit(&mut value, most);

            prop_assert!(size_of(&value) <= most);
            prop_assert_eq!(std::mem::discriminant(&value), before);
        }
    }
}
