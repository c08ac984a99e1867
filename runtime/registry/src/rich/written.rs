//! Prompts and resources that somebody wrote down: in a `tool.toml`, or in a folder of prompts.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::listing::{self, Argument, Prompt, Resource};

/// Longest text of a prompt with all its messages, and of a resource, in bytes.
const MAX_TEXT: usize = 64 << 10;

/// Most messages of a prompt.
const MAX_MESSAGES: usize = 100;

/// Most choices for one argument.
const MAX_VALUES: usize = 100;

/// Longest that a prompt becomes when it is filled, in bytes: an argument may be used many times.
const MAX_FILLED: usize = 1 << 20;

/// A message of a prompt, with `{{argument}}` where arguments go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Who says it.
    pub role: Role,
    /// What.
    pub text: String,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// A prompt as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenPrompt {
    name: String,
    title: Option<String>,
    description: Option<String>,
    #[serde(default)]
    arguments: Vec<WrittenArgument>,
    /// One message of the person; in place of `messages`.
    text: Option<String>,
    #[serde(default)]
    messages: Vec<Line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenArgument {
    name: String,
    description: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    values: Vec<String>,
}

/// A resource as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenResource {
    uri: String,
    name: String,
    title: Option<String>,
    description: Option<String>,
    mime_type: Option<String>,
    text: String,
}

impl WrittenPrompt {
    /// The prompt.
    ///
    /// # Errors
    ///
    /// With a sentence for whoever wrote it.
    pub(crate) fn checked(self) -> Result<Prompt, String> {
        let Self { name, title, description, arguments, text, messages } = self;
        let said = match (text, messages) {
            (Some(text), messages) if messages.is_empty() => vec![Line { role: Role::User, text }],
            (None, messages) if !messages.is_empty() => messages,
            (Some(_), _) => {
                return Err(format!(
                    "the prompt `{}` has both `text` and `messages`: leave out one",
                    listing::shown(&name)
                ));
            }
            (None, _) => {
                return Err(format!("the prompt `{}` needs either `text` or `messages`", listing::shown(&name)));
            }
        };
        let argument =
            |WrittenArgument { name, description, required, values }| Argument { name, description, required, values };
        let arguments = arguments.into_iter().map(argument).collect();
        let prompt = Prompt { name, title, description, arguments, icons: Vec::new(), said: Some(said.into()) };
        listing::prompt(&prompt)?;
        let wrong = |what: String| format!("the prompt `{}`: {what}", prompt.name);
        let said = prompt.said.iter().flat_map(|said| said.iter());
        if said.clone().count() > MAX_MESSAGES {
            return Err(wrong(format!("it has more than {MAX_MESSAGES} messages")));
        }
        if said.clone().map(|line| line.text.len()).sum::<usize>() > MAX_TEXT {
            return Err(wrong(format!("its messages have more than {MAX_TEXT} bytes")));
        }
        if prompt.arguments.iter().any(|argument| argument.values.len() > MAX_VALUES) {
            return Err(wrong(format!("an argument has more than {MAX_VALUES} values")));
        }
        let is_known = |name: &&str| prompt.arguments.iter().any(|argument| argument.name == *name);
        for line in said {
            listing::text("text", Some(&line.text), MAX_TEXT).map_err(wrong)?;
            if let Some(unknown) = pieces(&line.text).filter_map(Result::err).find(|name| !is_known(name)) {
                return Err(wrong(format!("`{{{{{}}}}}` is none of its arguments", listing::shown(unknown))));
            }
        }
        Ok(prompt)
    }
}

impl WrittenResource {
    /// The resource.
    ///
    /// # Errors
    ///
    /// With a sentence for whoever wrote it.
    pub(crate) fn checked(self) -> Result<Resource, String> {
        let Self { uri, name, title, description, mime_type, text } = self;
        if text.len() > MAX_TEXT {
            return Err(format!("the resource `{}` has more than {MAX_TEXT} bytes", listing::shown(&uri)));
        }
        let size = u64::try_from(text.len()).ok();
        let text = Some(Arc::from(text));
        let resource =
            Resource { uri, name, title, description, mime_type, size, icons: Vec::new(), annotations: None, text };
        listing::resource(&resource)?;
        Ok(resource)
    }
}

impl Prompt {
    /// Its messages with `arguments` filled in, if they are written down: the object of a result of `prompts/get`.
    ///
    /// # Errors
    ///
    /// With a sentence for the caller, when they would be too long.
    #[must_use]
    pub fn written(&self, arguments: &[(String, String)]) -> Option<Result<Value, String>> {
        let said = self.said.as_ref()?;
        let mut room = MAX_FILLED;
        let mut messages = Vec::with_capacity(said.len());
        for line in said.iter() {
            let mut text = String::new();
            for piece in pieces(&line.text) {
                let piece = match piece {
                    Ok(literal) => literal,
                    Err(name) => arguments.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value),
                };
                let Some(left) = room.checked_sub(piece.len()) else {
                    return Some(Err(format!("the prompt would have more than {MAX_FILLED} bytes: give it less")));
                };
                room = left;
                text.push_str(piece);
            }
            let role = if line.role == Role::User { "user" } else { "assistant" };
            messages.push(json!({ "role": role, "content": { "type": "text", "text": text } }));
        }
        let mut result = json!({ "messages": messages });
        if let Some(description) = &self.description {
            result["description"] = description.as_str().into();
        }
        Some(Ok(result))
    }

    /// All that is written of it, for whoever reviews it.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut shown: Vec<&str> = [&self.title, &self.description].into_iter().flatten().map(String::as_str).collect();
        for argument in &self.arguments {
            shown.extend([argument.name.as_str()].into_iter().chain(argument.description.as_deref()));
        }
        shown.extend(self.said.iter().flat_map(|said| said.iter()).map(|line| line.text.as_str()));
        shown.join("\n")
    }

    /// What could stand in `argument`, of what it may be: the object `completion` of a result of `completion/complete`.
    #[must_use]
    pub fn completed(&self, argument: &str, begun: &str) -> Value {
        let argument = self.arguments.iter().find(|known| known.name == argument);
        let values = argument.iter().flat_map(|argument| &argument.values);
        let fitting: Vec<_> = values.filter(|value| value.starts_with(begun)).collect();
        json!({ "values": fitting, "total": fitting.len(), "hasMore": false })
    }
}

impl Resource {
    /// What is in it, if that is written down: the object of a result of `resources/read`.
    #[must_use]
    pub fn written(&self) -> Option<Value> {
        let text = self.text.as_ref()?;
        let kind = self.mime_type.as_deref().unwrap_or("text/plain");
        Some(json!({ "contents": [{ "uri": self.uri, "mimeType": kind, "text": text.as_ref() }] }))
    }
}

/// A text in pieces: what stands there, and as an error each name in double braces.
fn pieces(text: &str) -> impl Iterator<Item = Result<&str, &str>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix("{{") {
            let Some((name, after)) = inner.split_once("}}") else {
                // Braces that are never closed are text, and so is all after them.
                return Some(Ok(std::mem::take(&mut rest)));
            };
            rest = after;
            return Some(Err(name.trim()));
        }
        let from = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
        let end = rest[from..].find("{{").map_or(rest.len(), |at| from + at);
        let (literal, after) = rest.split_at(end);
        rest = after;
        Some(Ok(literal))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(written: Value) -> Result<Prompt, String> {
        serde_json::from_value::<WrittenPrompt>(written).map_err(|error| error.to_string())?.checked()
    }

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn arguments_are_filled_in_once_and_what_they_say_is_not_read() {
        let explain =
            prompt(json!({ "name": "explain", "description": "d", "arguments": [{ "name": "word" }, { "name": "to" }],
            "messages": [{ "role": "user", "text": "{Explain} {{ word }} {{to}}. {{word}}! {{ ü" },
                         { "role": "assistant", "text": "{{word}}" }] }));

        let result = explain.unwrap().written(&given(&[("word", "{{to}} ä")])).unwrap().unwrap();

        let said = |role: &str, text: &str| json!({ "role": role, "content": { "type": "text", "text": text } });
        let messages = [said("user", "{Explain} {{to}} ä . {{to}} ä! {{ ü"), said("assistant", "{{to}} ä")];
        assert_eq!(result, json!({ "description": "d", "messages": messages }));
    }

    #[test]
    fn a_filled_prompt_is_bounded() {
        let text = "{{a}}".repeat(1_000);
        let many = prompt(json!({ "name": "many", "text": text, "arguments": [{ "name": "a" }] })).unwrap();

        assert!(many.written(&given(&[("a", &"x".repeat(1_000))])).unwrap().is_ok());
        assert!(many.written(&given(&[("a", &"x".repeat(2_000))])).unwrap().is_err());
    }

    #[test]
    fn mistakes_are_told() {
        let arguments = json!([{ "name": "a" }]);
        for (written, what) in [
            (json!({ "name": "p" }), "needs either `text` or `messages`"),
            (json!({ "name": "p", "text": "x", "messages": [{ "role": "user", "text": "x" }] }), "has both"),
            (json!({ "name": "p", "text": "{{b}}", "arguments": arguments }), "`{{b}}` is none of its arguments"),
            (json!({ "name": "p q", "text": "x" }), "a name has"),
            (json!({ "name": "p", "text": "x".repeat(MAX_TEXT + 1) }), "more than 65536 bytes"),
            (json!({ "name": "p", "messages": [{ "role": "system", "text": "x" }] }), "unknown variant `system`"),
            (json!({ "name": "p", "text": "x", "txt": 1 }), "unknown field `txt`"),
        ] {
            let told = prompt(written).unwrap_err();
            assert!(told.contains(what), "{told}");
        }
        let resource = |uri: &str| {
            let written = json!({ "uri": uri, "name": "n", "text": "x" });
            serde_json::from_value::<WrittenResource>(written).unwrap().checked()
        };
        assert!(resource("job://1").unwrap_err().contains("those of the server"));
        assert_eq!(resource("notes://1").unwrap().written().unwrap()["contents"][0]["text"], "x");
    }
}
