//! JSONPath, RFC 9535.

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::exports::fumehood::json_tools::json::{Match, Problem};
use crate::text;

/// Longest path, in bytes. Longer ones come from programs, which can split them.
const MAX_PATH_BYTES: usize = 4096;

/// How deep brackets and parentheses of a path may nest.
///
/// The parser recurses, and tries more than one reading of each parenthesis, so that its time doubles with each level.
const MAX_NESTING: usize = 12;

/// Find what the path selects.
pub fn query(document: &Value, path: &str) -> Result<Vec<Match>, Problem> {
    check_size(path)?;
    let path = JsonPath::parse(path).map_err(|error| Problem::InvalidQuery(error.to_string()))?;
    let found = path.query_located(document);
    Ok(found
        .iter()
        .map(|node| Match {
            path: node.location().to_string(),
            value: text::write(node.node()),
        })
        .collect())
}

fn check_size(path: &str) -> Result<(), Problem> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Problem::TooLarge(format!(
            "the path is longer than {MAX_PATH_BYTES} bytes"
        )));
    }
    let mut depth: usize = 0;
    for byte in path.bytes() {
        match byte {
            // A bracket inside a quoted name counts as well: too strict for no path that anyone writes.
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(Problem::TooLarge(format!(
                "the path nests deeper than {MAX_NESTING} levels"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(document: &Value, path: &str) -> Vec<String> {
        query(document, path)
            .unwrap()
            .into_iter()
            .map(|found| found.path)
            .collect()
    }

    #[test]
    fn every_selector_of_the_standard_is_there() {
        let document = json!({"a": [{"b": 1, "c": "x"}, {"b": 2, "c": "yy"}]});

        assert_eq!(paths(&document, "$.a[?@.b > 1]"), ["$['a'][1]"]);
        assert_eq!(
            paths(&document, "$..b"),
            ["$['a'][0]['b']", "$['a'][1]['b']"]
        );
        assert_eq!(paths(&document, "$.a[?length(@.c) == 2]"), ["$['a'][1]"]);
        assert_eq!(paths(&document, "$.a[?match(@.c, 'y+')]"), ["$['a'][1]"]);
        assert_eq!(paths(&document, "$.a[-1:]"), ["$['a'][1]"]);
        assert!(paths(&document, "$.nothing").is_empty());
    }

    #[test]
    fn a_bad_path_is_a_problem_and_not_a_panic() {
        for path in [
            "",
            "a",
            "$[",
            "$.a[?",
            "$.a[?@.b ==]",
            "$.a[?unknown(@)]",
            "$[99999999999999999999]",
            "\0",
            "$.é\u{301}[",
        ] {
            assert!(
                matches!(query(&json!({}), path), Err(Problem::InvalidQuery(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn a_huge_or_deep_path_is_refused_before_it_is_parsed() {
        for path in [
            format!("${}", ".a".repeat(3000)),
            format!("$[?{}@{}]", "(".repeat(100), ")".repeat(100)),
            "$[".repeat(1000),
        ] {
            assert!(matches!(
                query(&json!({}), &path),
                Err(Problem::TooLarge(_))
            ));
        }
    }

    #[test]
    fn the_deepest_path_allowed_is_parsed_in_reasonable_time() {
        let path = format!(
            "$[?{}@.a{}]",
            "(".repeat(MAX_NESTING - 1),
            ")".repeat(MAX_NESTING - 1)
        );

        assert!(query(&json!([{"a": 1}]), &path).is_ok());
    }

    #[test]
    fn a_long_chain_of_negations_does_not_overflow_the_stack() {
        let path = format!("$[?{}@.a]", "!".repeat(4000));

        assert!(matches!(
            query(&json!({}), &path),
            Err(Problem::InvalidQuery(_))
        ));
    }
}
