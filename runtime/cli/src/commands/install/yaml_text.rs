//! YAML, to be shown and pasted.

use serde_json::Value;

/// `value`, an object, as blocks.
///
/// Texts are written as JSON writes them: YAML 1.2.2 §1.3 takes every JSON text as it is.
pub(super) fn rendered(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text
}

fn write(text: &mut String, value: &Value, level: usize) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let indent = "  ".repeat(level);
        match value {
            Value::Object(members) if !members.is_empty() => {
                text.push_str(&format!("{indent}{key}:\n"));
                write(text, value, level + 1);
            }
            value => text.push_str(&format!("{indent}{key}: {value}\n")),
        }
    }
}
