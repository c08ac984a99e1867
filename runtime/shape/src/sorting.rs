use std::{cmp::Ordering, ops::ControlFlow};

use serde_json::Value;

use crate::{number::Number, path::FieldPath};

/// The order of a list.
#[derive(Debug, Clone)]
pub(crate) struct Sorting {
    by: FieldPath,
    pub(crate) is_descending: bool,
}

/// What an item is sorted by: numbers before texts; what has neither comes last either way.
enum Key {
    Number(Number),
    Text(String),
    Missing,
}

impl Sorting {
    /// Read a field; with a `-` before it, from the last to the first.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('-');
        Ok(Self { by: FieldPath::parse(name.unwrap_or(text))?, is_descending: name.is_some() })
    }

    /// Sort; equal items keep their order.
    pub(crate) fn apply<T: std::borrow::Borrow<Value>>(&self, items: Vec<T>) -> Vec<T> {
        let mut keyed: Vec<_> = items.into_iter().map(|item| (self.key(item.borrow()), item)).collect();
        keyed.sort_by(|(one, _), (other, _)| one.compare(other, self.is_descending));
        keyed.into_iter().map(|(_, item)| item).collect()
    }

    fn key(&self, item: &Value) -> Key {
        let mut key = Key::Missing;
        // The first value is the one to sort by; that it was found needs no telling.
        let _ = self.by.visit(item, &mut |value| {
            key = match value {
                Value::Number(number) => Number::of_json(number).map_or(Key::Missing, Key::Number),
                Value::String(text) => Key::Text(text.clone()),
                Value::Bool(value) => Key::Text(value.to_string()),
                _ => Key::Missing,
            };
            ControlFlow::Break(())
        });
        key
    }
}

impl Key {
    fn compare(&self, other: &Self, is_descending: bool) -> Ordering {
        let turned = |ordering: Ordering| if is_descending { ordering.reverse() } else { ordering };
        match (self, other) {
            (Self::Missing, Self::Missing) => Ordering::Equal,
            (Self::Missing, _) => Ordering::Greater,
            (_, Self::Missing) => Ordering::Less,
            (Self::Number(one), Self::Number(other)) => turned(one.total(*other)),
            (Self::Text(one), Self::Text(other)) => turned(one.cmp(other)),
            (Self::Number(_), Self::Text(_)) => turned(Ordering::Less),
            (Self::Text(_), Self::Number(_)) => turned(Ordering::Greater),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sorted(by: &str, items: Value) -> Value {
        let Value::Array(items) = items else { panic!("expected a list") };
        Value::Array(Sorting::parse(by).unwrap().apply(items))
    }

    #[test]
    fn numbers_are_sorted_as_numbers() {
        let items = json!([{"n": 10}, {"n": 9}, {"n": 9.5}]);

        assert_eq!(sorted("n", items), json!([{"n": 9}, {"n": 9.5}, {"n": 10}]));
    }

    #[test]
    fn what_lacks_the_field_comes_last_in_both_directions() {
        let items = json!([{}, {"n": "a"}, {"n": "b"}]);

        assert_eq!(sorted("n", items.clone()), json!([{"n": "a"}, {"n": "b"}, {}]));
        assert_eq!(sorted("-n", items), json!([{"n": "b"}, {"n": "a"}, {}]));
    }
}
