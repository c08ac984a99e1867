//! `k=v` on the command line, read as the tool's input schema says.

mod coerce;

use std::{fs, io::Read, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use fumehood_model::Code;
use serde_json::{Map, Value};

use crate::{exit::Failure, suggest::did_you_mean};
use coerce::{coerce, is_base64, kinds_of, resolve};

/// One argument, as it was written.
#[derive(Debug, PartialEq)]
struct Argument<'a> {
    name: &'a str,
    source: Source<'a>,
}

/// Where the value of an argument is.
#[derive(Debug, PartialEq)]
enum Source<'a> {
    /// `k=v`
    Text(&'a str),
    /// `k=@file`
    File(&'a Path),
    /// `k:=json`
    Json(&'a str),
    /// `k:=@file`
    JsonFile(&'a Path),
}

/// The arguments object that `words` make, laid over the object in `json`, for a tool with the input schema `schema`.
///
/// # Errors
///
/// When a word is no argument, a file cannot be read, or values do not fit; all of the last at once.
pub(crate) fn build(schema: &Value, words: &[String], json: Option<&str>) -> Result<Value, Failure> {
    let mut object = json.map(object).transpose()?.unwrap_or_default();
    let arguments = words.iter().map(|word| parse(word)).collect::<Result<Vec<_>, _>>()?;
    let mut mistakes = Vec::new();
    let mut seen = Vec::new();
    for argument in &arguments {
        if seen.contains(&argument.name) {
            return Err(Failure::usage(format!("argument `{}` is given twice", argument.name)));
        }
        seen.push(argument.name);
        match read(schema, argument)? {
            Ok((name, value)) => drop(object.insert(name, value)),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() {
        return Ok(Value::Object(object));
    }
    // The server would tell it, but only once the rest is right.
    mistakes.extend(missing(schema, &object, &seen));
    Err(Failure::new(Code::InvalidInput, "the arguments do not fit the tool").lines(mistakes))
}

/// The bytes in `value`, if the answers that `schema` describes are bytes.
pub(crate) fn bytes_of(schema: &Value, value: &Value) -> Option<Vec<u8>> {
    let wanted = &resolve(schema, schema)["properties"]["result"];
    let text = value.as_str().filter(|_| is_base64(schema, wanted))?;
    BASE64_STANDARD.decode(text).ok()
}

/// A word that is none of the ways to write an argument.
pub(crate) fn no_argument(word: &str) -> Failure {
    Failure::usage(format!("`{word}` is not an argument: write k=v, k:=json or k=@file"))
}

/// What the tool must have and nobody has given.
fn missing(schema: &Value, object: &Map<String, Value>, given: &[&str]) -> Vec<String> {
    let required = resolve(schema, schema)["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let is_given =
        |name: &&str| object.contains_key(*name) || given.iter().any(|given| given.replace('-', "_") == **name);
    required.filter(|name| !is_given(name)).map(|name| format!("{name}: it is required")).collect()
}

fn parse(word: &str) -> Result<Argument<'_>, Failure> {
    let refused = || no_argument(word);
    let (name, text) = word.split_once('=').ok_or_else(refused)?;
    let file = text.strip_prefix('@').map(Path::new);
    let (name, source) = match (name.strip_suffix(':'), file) {
        (Some(name), Some(file)) => (name, Source::JsonFile(file)),
        (Some(name), None) => (name, Source::Json(text)),
        (None, Some(file)) => (name, Source::File(file)),
        (None, None) => (name, Source::Text(text)),
    };
    if name.is_empty() { Err(refused()) } else { Ok(Argument { name, source }) }
}

/// The name and value of one argument, or what is wrong with it.
fn read(schema: &Value, argument: &Argument<'_>) -> Result<Result<(String, Value), String>, Failure> {
    let (name, wanted) = match property(schema, argument.name) {
        Ok(found) => found,
        Err(mistake) => return Ok(Err(mistake)),
    };
    let value = match argument.source {
        Source::Text(text) => coerce(schema, wanted, text),
        Source::Json(text) => parse_json(text).map_err(|error| explained(schema, wanted, text, error)),
        Source::JsonFile(file) => text(bytes(file)?).and_then(|text| parse_json(&text)),
        Source::File(file) if is_base64(schema, wanted) => Ok(BASE64_STANDARD.encode(bytes(file)?).into()),
        Source::File(file) => text(bytes(file)?).and_then(|text| coerce(schema, wanted, &text)),
    };
    Ok(value.map(|value| (name, value)).map_err(|mistake| format!("{}: {mistake}", argument.name)))
}

/// What is wrong with `text`, which is no JSON, where a word was written in the place of a number, a boolean or the like.
fn explained(schema: &Value, wanted: &Value, text: &str, error: String) -> String {
    if text.starts_with(['{', '[', '"']) {
        return error;
    }
    match kinds_of(schema, wanted) {
        Some(kinds) => format!("expected {kinds}, found `{text}`"),
        None => format!("`{text}` is not JSON; text is written with = in place of :="),
    }
}

/// The name and schema of the property that `name` means; `_` and `-` are the same.
fn property<'a>(schema: &'a Value, name: &str) -> Result<(String, &'a Value), String> {
    let schema = resolve(schema, schema);
    let properties = schema["properties"].as_object();
    let of =
        |name: &str| properties.and_then(|properties| properties.get(name).map(|schema| (name.to_owned(), schema)));
    if let Some(found) = of(name).or_else(|| of(&name.replace('-', "_"))) {
        return Ok(found);
    }
    if schema["additionalProperties"] != Value::Bool(false) {
        return Ok((name.to_owned(), &Value::Null));
    }
    let names: Vec<_> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let known = if names.is_empty() {
        "; the tool takes none".to_owned()
    } else {
        format!("; the tool takes {}", names.join(", "))
    };
    let hint = did_you_mean(name, names.iter().copied());
    Err(format!("{name}: no such argument{}", if hint.is_empty() { known } else { hint }))
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// The object in what was passed as `--json`.
fn object(json: &str) -> Result<Map<String, Value>, Failure> {
    let invalid = |what: String| Failure::new(Code::InvalidInput, format!("--json is not a JSON object: {what}"));
    let from_elsewhere = match json.strip_prefix('@') {
        Some(file) => Some(bytes(Path::new(file))?),
        None if json == "-" => Some(standard_input()?),
        None => None,
    };
    let json = match from_elsewhere {
        Some(bytes) => text(bytes).map_err(invalid)?,
        None => json.to_owned(),
    };
    match serde_json::from_str(&json) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(invalid("it is another kind of value".to_owned())),
        Err(error) => Err(invalid(error.to_string())),
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| Failure::new(Code::NotFound, format!("{} cannot be read: {error}", file.display())))
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(Code::NotFound, format!("standard input cannot be read: {error}")))?;
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exit::Exit;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "text": { "type": "string" },
                "max_count": { "type": "integer" },
                "bytes": { "type": "string", "contentEncoding": "base64" },
                "options": { "type": "object" },
            },
            "additionalProperties": false,
            "required": ["text", "options"],
        })
    }

    fn built(words: &[&str], json: Option<&str>) -> Result<Value, Failure> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        build(&schema(), &words, json)
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn words_are_read_by_the_schema_and_lie_over_the_json() {
        let json = r#"{"text": "old", "options": {"a": 1}}"#;

        let object = built(&["text=a=b", "max-count=3"], Some(json)).unwrap();

        assert_eq!(object, json!({ "text": "a=b", "options": { "a": 1 }, "max_count": 3 }));
    }

    #[test]
    fn a_file_is_base64_for_bytes_text_for_text_and_json_for_objects() {
        let (binary, json) = (file(&[0, 255]), file(b"{\"a\": [1]}"));
        let words = [
            format!("bytes=@{}", binary.path().display()),
            format!("text=@{}", json.path().display()),
            format!("options=@{}", json.path().display()),
        ];

        let object = build(&schema(), &words, None).unwrap();

        assert_eq!(object, json!({ "bytes": "AP8=", "text": "{\"a\": [1]}", "options": { "a": [1] } }));
    }

    #[test]
    fn all_that_does_not_fit_is_told_at_once() {
        let failure = built(&["max_count=many", "txt=x", "options=3"], None).unwrap_err();

        assert_eq!(failure.exit(), Exit::Invalid);
        let text = failure.to_string();
        assert!(text.contains("max_count: `many` is not an integer"), "{text}");
        assert!(text.contains("txt: no such argument; did you mean `text`?"), "{text}");
        assert!(text.contains("options: `3` is not a JSON object"), "{text}");
    }

    #[test]
    fn what_is_missing_is_told_with_what_is_wrong_and_no_parser_speaks() {
        let failure = built(&["max-count:=many", "txt=x"], Some(r#"{"options": {}}"#)).unwrap_err();

        assert_eq!(
            failure.to_string(),
            "the arguments do not fit the tool\n  max-count: expected an integer, found `many`\n  \
             txt: no such argument; did you mean `text`?\n  text: it is required"
        );
    }

    #[test]
    fn words_without_a_name_and_names_given_twice_are_mistakes_of_usage() {
        for words in [&["text"][..], &["=x"], &[":=1"], &["text=a", "text=b"]] {
            assert_eq!(built(words, None).unwrap_err().exit(), Exit::Usage, "{words:?}");
        }
    }

    #[test]
    fn json_that_is_no_object_is_invalid_and_a_missing_file_is_not_found() {
        assert_eq!(built(&[], Some("[1]")).unwrap_err().exit(), Exit::Invalid);
        assert_eq!(built(&["options:={"], None).unwrap_err().exit(), Exit::Invalid);
        assert_eq!(built(&["text=@/nonexistent/x"], None).unwrap_err().exit(), Exit::NotFound);
    }

    #[test]
    fn a_tool_that_takes_anything_gets_numbers_as_numbers() {
        let words = ["a=1".to_owned(), "b=x".to_owned()];

        assert_eq!(build(&json!({ "type": "object" }), &words, None).unwrap(), json!({ "a": 1, "b": "x" }));
    }
}
