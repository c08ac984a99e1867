use std::{borrow::Borrow, collections::BTreeMap};

use serde_json::Value;

use crate::path::FieldPath;

/// The fields to keep, as a tree: each name is looked up once, however many paths go through it.
#[derive(Debug, Default)]
pub(crate) struct Projection<'a> {
    /// Whether a path ends here: everything below is kept.
    ends: bool,
    below: BTreeMap<&'a str, Projection<'a>>,
}

impl<'a> Projection<'a> {
    pub(crate) fn of(fields: &'a [FieldPath]) -> Self {
        let mut root = Self::default();
        for field in fields {
            let mut node = &mut root;
            for step in field.steps() {
                node = node.below.entry(step).or_default();
            }
            node.ends = true;
            // A name may have dots of its own.
            root.below.entry(field.as_str()).or_default().ends = true;
        }
        root
    }

    /// Drop every member that no path leads to, through lists too; what is no object stays.
    pub(crate) fn apply(&self, value: &mut Value) {
        if self.ends {
            return;
        }
        match value {
            Value::Object(members) => members.retain(|name, member| match self.below.get(name.as_str()) {
                Some(below) => {
                    below.apply(member);
                    true
                }
                None => false,
            }),
            Value::Array(list) => list.iter_mut().filter(|entry| entry.is_object()).for_each(|entry| self.apply(entry)),
            _ => {}
        }
    }
}

/// The fields that are in none of the items; none of nothing is unknown.
pub(crate) fn unknown<'a, T: Borrow<Value>>(fields: &'a [FieldPath], items: &[T]) -> Vec<&'a FieldPath> {
    let mut unseen: Vec<_> = if items.is_empty() { Vec::new() } else { fields.iter().collect() };
    for item in items {
        if unseen.is_empty() {
            break;
        }
        unseen.retain(|field| !field.is_in(item.borrow()));
    }
    unseen
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::filter::fields;

    fn projected(names: &Value, mut value: Value) -> Value {
        Projection::of(&fields(names).unwrap()).apply(&mut value);
        value
    }

    #[test]
    fn only_the_fields_asked_for_stay_in_their_own_order() {
        let item = json!({"a": 1, "b": 2, "c": 3});

        assert_eq!(projected(&json!(["c", "a"]), item).to_string(), r#"{"a":1,"c":3}"#);
    }

    #[test]
    fn dotted_paths_lead_through_objects_and_lists() {
        let item = json!({"disks": [{"id": 1, "size": {"used": 5, "free": 6}}, {"id": 2}], "x": 0});

        let expected = json!({"disks": [{"id": 1, "size": {"used": 5}}, {"id": 2}]});
        assert_eq!(projected(&json!(["disks.id", "disks.size.used"]), item), expected);
    }

    #[test]
    fn a_field_that_is_asked_for_as_a_whole_stays_whole() {
        let item = json!({"a": {"b": 1, "c": 2}});

        assert_eq!(projected(&json!(["a.b", "a"]), item.clone()), item);
    }

    #[test]
    fn a_name_with_dots_of_its_own_is_found() {
        let item = json!({"a.b": 1, "c": 2});

        assert_eq!(projected(&json!(["a.b"]), item), json!({"a.b": 1}));
    }

    #[test]
    fn fields_that_no_item_has_are_unknown() {
        let names = fields(&json!(["id", "nmae"])).unwrap();

        let unknown = unknown(&names, &[json!({"id": 1}), json!({"id": 2})]);

        assert_eq!(unknown.into_iter().map(FieldPath::as_str).collect::<Vec<_>>(), ["nmae"]);
    }
}
