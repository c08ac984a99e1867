//! Documents whose mistakes are told with the member that they are in, and not with a position in a text that a program
//! wrote.

use fumehood_http::Problem;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::malformed;

/// Largest body of which is looked for the member that is wrong: it is read once for each member.
const SEARCHED: usize = 64 << 10;

/// What the body of a request says.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if let Ok(read) = serde_json::from_slice(bytes) {
        return Ok(read);
    }
    // Where a text is no JSON at all, the position is what helps.
    let no_json = |error: serde_json::Error| malformed(&format!("the body is not JSON: {error}"));
    let whole: Value = serde_json::from_slice(bytes).map_err(no_json)?;
    if bytes.len() <= SEARCHED { document(&whole) } else { T::deserialize(&whole).map_err(|error| unfit(&error)) }
}

/// What `document` says.
pub(crate) fn document<T: DeserializeOwned>(document: &Value) -> Result<T, Problem> {
    T::deserialize(document).map_err(|error| {
        let text = error.to_string();
        match culprit::<T>(document, &text).filter(|member| !text.contains(&format!("`{member}`"))) {
            Some(member) => malformed(&format!("`{member}`: {text}")),
            None => unfit(&error),
        }
    })
}

/// The member without which there would be another mistake, or none.
fn culprit<T: DeserializeOwned>(document: &Value, error: &str) -> Option<String> {
    let Value::Object(members) = document else { return None };
    let is_other = |rest: &Value| T::deserialize(rest).map_or_else(|other| other.to_string() != error, |_| true);
    let mut rest = document.clone();
    for name in members.keys() {
        let value = rest.as_object_mut()?.remove(name)?;
        if is_other(&rest) {
            return Some(name.clone());
        }
        rest[name] = value;
    }
    None
}

fn unfit(error: &serde_json::Error) -> Problem {
    malformed(&format!("the body is not what is expected here: {error}"))
}

#[cfg(test)]
mod tests {
    use fumehood_model::{Priority, Timestamp};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read counts")]
    struct Wanted {
        tool: String,
        #[serde(default)]
        priority: Priority,
        at: Option<Timestamp>,
        count: Option<u64>,
    }

    #[test]
    fn a_mistake_is_told_with_its_member_and_without_a_position() {
        let told = |text: &str| body::<Wanted>(text.as_bytes()).unwrap_err().message().to_owned();

        assert!(told(r#"{"tool":"m.f","at":"tomorrow"}"#).starts_with("`at`: `tomorrow` is not a moment"));
        assert!(told(r#"{"at":"soon","count":-1,"tool":"m.f"}"#).starts_with("`at`: `soon` is not a moment"));
        assert!(told(r#"{"tool":5}"#).starts_with("`tool`: invalid type: integer `5`"));
        assert!(told(r#"{"tool":"m.f","priority":10}"#).starts_with("`priority`: "));
        assert!(told(r#"{"tool":"m.f","owner":1}"#).contains(": unknown field `owner`"));
        assert!(told(r"{}").contains(": missing field `tool`"));
        for text in [r#"{"tool":"m.f","at":"x"}"#, "{}", "[1]", r#"{"tool":"m.f","x":1}"#] {
            assert!(!told(text).contains(" column "), "{text}");
        }
        assert!(told(r#"{"tool":"#).contains("line 1 column 8"));
    }
}
