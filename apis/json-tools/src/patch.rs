//! JSON Patch, RFC 6902.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::exports::fumehood::json_tools::json::{PatchFailure, Problem};
use crate::text::{count, write};

/// How deep a patched document may nest. Patches can nest a document deeper than its text, and writing it recurses.
const MAX_DEPTH: usize = 256;

/// How many values a document may hold after a `copy`. Thirty copies of the whole into itself would make a billion.
///
/// The other operations add no more than the patch holds. So many values take about half of the 64 MiB that a call has.
const MAX_VALUES: usize = 200_000;

/// Apply the patch to the document.
pub fn apply(mut document: Value, patch: Value) -> Result<String, Problem> {
    let Patch(operations) =
        serde_json::from_value(patch).map_err(|error| Problem::InvalidPatch(error.to_string()))?;
    for (index, operation) in operations.iter().enumerate() {
        check_growth(&document, operation)?;
        json_patch::patch(&mut document, std::slice::from_ref(operation)).map_err(|error| {
            Problem::PatchFailed(PatchFailure {
                operation: count(index),
                path: operation.path().to_string(),
                message: error.kind.to_string(),
            })
        })?;
    }
    Ok(write(&document))
}

/// Refuse an operation whose result would be too large, before it is applied.
fn check_growth(document: &Value, operation: &PatchOperation) -> Result<(), Problem> {
    let depth = operation.path().tokens().count();
    let added = match operation {
        PatchOperation::Add(add) => Size::of(&add.value),
        PatchOperation::Replace(replace) => Size::of(&replace.value),
        PatchOperation::Copy(copy) => copy
            .from
            .resolve(document)
            .map(Size::of)
            .unwrap_or_default(),
        PatchOperation::Move(moved) => moved
            .from
            .resolve(document)
            .map(Size::of)
            .unwrap_or_default(),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    if depth + added.depth > MAX_DEPTH {
        return Err(Problem::TooLarge(format!(
            "the document would nest deeper than {MAX_DEPTH} levels"
        )));
    }
    let is_copy = matches!(operation, PatchOperation::Copy(_));
    if is_copy && Size::of(document).values + added.values > MAX_VALUES {
        return Err(Problem::TooLarge(format!(
            "the document would hold more than {MAX_VALUES} values"
        )));
    }
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    depth: usize,
}

impl Size {
    fn of(value: &Value) -> Self {
        let children: &mut dyn Iterator<Item = &Value> = match value {
            Value::Array(items) => &mut items.iter(),
            Value::Object(members) => &mut members.values(),
            _ => {
                return Self {
                    values: 1,
                    depth: 1,
                };
            }
        };
        let inside = children
            .map(Self::of)
            .fold(Self::default(), |sum, child| Self {
                values: sum.values + child.values,
                depth: sum.depth.max(child.depth),
            });
        Self {
            values: inside.values + 1,
            depth: inside.depth + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_are_applied_in_order() {
        let patch = json!([
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "move", "from": "/list/0", "path": "/first"},
            {"op": "test", "path": "/first", "value": 1},
            {"op": "remove", "path": "/list/0"},
        ]);

        assert_eq!(
            apply(json!({"list": [1, 2]}), patch).unwrap(),
            r#"{"list":[3],"first":1}"#
        );
    }

    #[test]
    fn a_failure_names_the_operation() {
        let patch = json!([{"op": "add", "path": "/a", "value": 1}, {"op": "test", "path": "/a", "value": 2}]);

        let Err(Problem::PatchFailed(failure)) = apply(json!({}), patch) else {
            panic!("the test must fail")
        };

        assert_eq!((failure.operation, failure.path.as_str()), (1, "/a"));
        assert_eq!(failure.message, "value did not match");
    }

    #[test]
    fn odd_patches_are_problems_and_not_panics() {
        for patch in [
            json!(null),
            json!({}),
            json!([1]),
            json!([{"op": "fly"}]),
            json!([{"op": "add", "path": "a"}]),
        ] {
            assert!(matches!(
                apply(json!({}), patch),
                Err(Problem::InvalidPatch(_))
            ));
        }
        for patch in [
            json!([{"op": "remove", "path": ""}, {"op": "remove", "path": "/a"}]),
            json!([{"op": "move", "from": "", "path": "/a"}]),
            json!([{"op": "add", "path": "/list/99999999999999999999", "value": 1}]),
            json!([{"op": "add", "path": "/list/-1", "value": 1}]),
            json!([{"op": "remove", "path": "/list/-"}]),
            json!([{"op": "copy", "from": "/none", "path": "/a"}]),
            json!([{"op": "replace", "path": "/~0~1", "value": 1}]),
        ] {
            assert!(matches!(
                apply(json!({"list": []}), patch),
                Err(Problem::PatchFailed(_))
            ));
        }
    }

    #[test]
    fn a_document_that_doubles_with_each_copy_is_refused() {
        let copies: Vec<Value> = (0..200)
            .map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")}))
            .collect();

        assert!(matches!(
            apply(json!({"a": {}}), Value::Array(copies)),
            Err(Problem::TooLarge(_))
        ));
    }

    #[test]
    fn a_document_that_nests_deeper_with_each_operation_is_refused() {
        let adds: Vec<Value> = (1..5000)
            .map(|n| json!({"op": "add", "path": "/a".repeat(n), "value": {}}))
            .collect();

        assert!(matches!(
            apply(json!({}), Value::Array(adds)),
            Err(Problem::TooLarge(_))
        ));
    }
}
