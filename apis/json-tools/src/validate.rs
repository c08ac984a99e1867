//! JSON Schema.

use serde_json::Value;

use crate::exports::fumehood::json_tools::json::{Problem, Verdict, Violation};

/// How many violations are reported. A long list that is wrong throughout does not need each of its items named.
const MAX_VIOLATIONS: usize = 1000;

/// Validate the document and report every violation.
pub fn validate(document: &Value, schema: &Value) -> Result<Verdict, Problem> {
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| Problem::InvalidSchema(error.to_string()))?;
    let violations: Vec<Violation> = validator
        .iter_errors(document)
        .take(MAX_VIOLATIONS)
        .map(|error| Violation {
            pointer: error.instance_path().to_string(),
            schema_pointer: error.schema_path().to_string(),
            message: error.to_string(),
        })
        .collect();
    Ok(Verdict {
        valid: violations.is_empty(),
        violations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_violation_is_reported_with_its_place() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {"b": {"type": "integer", "minimum": 3}}});

        let verdict = validate(&json!({"b": 1.5}), &schema).unwrap();

        let mut places: Vec<_> = verdict
            .violations
            .iter()
            .map(|it| (it.pointer.as_str(), it.schema_pointer.as_str()))
            .collect();
        places.sort_unstable();
        assert!(!verdict.valid);
        assert_eq!(
            places,
            [
                ("", "/required"),
                ("/b", "/properties/b/minimum"),
                ("/b", "/properties/b/type")
            ]
        );
    }

    #[test]
    fn bad_schemas_are_problems_and_nothing_is_fetched() {
        for schema in [
            json!(1),
            json!({"type": "nothing"}),
            json!({"$ref": "#/nowhere"}),
            json!({"$ref": "https://example.org/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$schema": "https://example.org/draft"}),
            json!({"pattern": "("}),
            json!({"minLength": -1}),
        ] {
            assert!(
                matches!(
                    validate(&json!({}), &schema),
                    Err(Problem::InvalidSchema(_))
                ),
                "{schema}"
            );
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_does_not_overflow_the_stack() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
            json!({"$dynamicRef": "#"}),
            json!({"$id": "https://example.org/a", "anyOf": [{"$ref": "https://example.org/a"}]}),
        ] {
            let _ = validate(&json!({"a": [1]}), &schema);
        }
    }

    #[test]
    fn a_costly_pattern_ends_as_a_violation() {
        let schema = json!({"pattern": "^(?=(a+)+$)(a|b|ab)*c$"});

        assert!(
            !validate(&json!("a".repeat(40) + "!"), &schema)
                .unwrap()
                .valid
        );
    }
}
