//! What a component answers that describes its tools itself.
//!
//! Everything comes as the JSON of its component values, and goes out as the protocol's content blocks.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fumehood_value::{Declared, Object};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Most questions that a guest asks at once.
const MAX_REQUESTS: usize = 16;

/// Largest JSON of the questions that are asked at once.
const MAX_QUESTIONS: usize = 64 << 10;

/// Largest state that a guest wants to remember.
const MAX_STATE: usize = 16 << 10;

/// What an outcome cannot say: how else a call of such a component ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Aside {
    /// It cannot go on without this, and is called again with it.
    Asks(Asks),
    /// It cannot be done for a client that lacks this.
    Lacks(Question),
    /// It failed.
    Failed(String),
    /// It was asked for something that is not there or makes no sense; why.
    Refused(String),
}

/// What a guest needs before it can go on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asks {
    /// What it asks, each under a key of its own.
    pub requests: Vec<Request>,
    /// What it wants to remember.
    pub state: Option<Vec<u8>>,
}

/// A question under its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The guest's name for it.
    pub key: String,
    /// What it asks.
    pub question: Question,
}

/// What a guest asks of a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Show a form to the user.
    Form {
        /// What it is about.
        message: String,
        /// Its fields, as a JSON Schema of a flat object.
        schema: Object,
    },
    /// Send the user to a URL.
    Url {
        /// What it is about.
        message: String,
        /// Where to.
        url: String,
    },
    /// Ask the client's model.
    Sampling(Object),
    /// Tell the client's folders.
    Roots,
}

/// How a call ended, as what it answered or as something aside.
type Ended<T> = Result<T, Aside>;

/// A tool's answer: the object of a result of `tools/call`, and whether it is an error.
///
/// # Errors
///
/// With what is wrong with it, for the operator.
pub fn tool_result(json: &[u8], output: Option<&Declared>) -> Result<Ended<(Value, bool)>, String> {
    #[derive(Deserialize)]
    struct Answer {
        content: Vec<Value>,
        structured: Option<String>,
        is_error: bool,
        meta: Option<String>,
    }
    match outcome(json)? {
        Err(aside) => Ok(Err(aside)),
        Ok(value) => {
            let Answer { content, structured, is_error, meta } = parsed(value)?;
            let content = content.into_iter().map(block).collect::<Result<Vec<_>, _>>()?;
            let structured = structured.map(|text| any("structured answer", &text)).transpose()?;
            let mut result = Map::new();
            if let Some(output) = output.filter(|_| !is_error) {
                let value = structured.as_ref().ok_or("it has an output schema, and answered without `structured`")?;
                if let Some(mistake) = output.mistakes(value).first() {
                    return Err(format!(
                        "its answer does not fit its own schema: {}: {}",
                        mistake.pointer, mistake.message
                    ));
                }
            }
            let content = match &structured {
                // Clients that know no structured answers read the same as text.
                Some(value) if content.is_empty() => vec![json!({ "type": "text", "text": value.to_string() })],
                _ => content,
            };
            result.insert("content".to_owned(), content.into());
            if let Some(structured) = structured {
                result.insert("structuredContent".to_owned(), structured);
            }
            if is_error {
                result.insert("isError".to_owned(), true.into());
            }
            if let Some(meta) = meta {
                result.insert("_meta".to_owned(), object("meta", &meta)?.into());
            }
            Ok(Ok((result.into(), is_error)))
        }
    }
}

/// The messages of a prompt: the object of a result of `prompts/get`.
///
/// # Errors
///
/// With what is wrong with them.
pub fn messages(json: &[u8]) -> Result<Ended<Value>, String> {
    #[derive(Deserialize)]
    struct Messages {
        description: Option<String>,
        messages: Vec<Message>,
    }
    #[derive(Deserialize)]
    struct Message {
        role: String,
        content: Value,
    }
    match outcome(json)? {
        Err(aside) => Ok(Err(aside)),
        Ok(value) => {
            let Messages { description, messages } = parsed(value)?;
            let message = |message: Message| Ok(json!({ "role": message.role, "content": block(message.content)? }));
            let messages = messages.into_iter().map(message).collect::<Result<Vec<_>, String>>()?;
            let mut result = json!({ "messages": messages });
            set(&mut result, "description", description);
            Ok(Ok(result))
        }
    }
}

/// What is in a resource: the object of a result of `resources/read`.
///
/// # Errors
///
/// With what is wrong with it.
pub fn read(json: &[u8]) -> Result<Ended<Value>, String> {
    match outcome(json)? {
        Err(aside) => Ok(Err(aside)),
        Ok(value) => {
            let parts: Vec<Value> = parsed(value)?;
            let parts = parts.into_iter().map(contents).collect::<Result<Vec<_>, _>>()?;
            Ok(Ok(json!({ "contents": parts })))
        }
    }
}

/// What could stand in an argument: the object `completion` of a result of `completion/complete`.
///
/// # Errors
///
/// With what is wrong with it.
pub fn suggestions(json: &[u8]) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Suggestions {
        values: Vec<String>,
        total: Option<u32>,
        has_more: bool,
    }
    let value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let Suggestions { mut values, total, has_more } = parsed(value)?;
    let has_more = has_more || values.len() > 100;
    values.truncate(100);
    let mut completion = json!({ "values": values, "hasMore": has_more });
    set(&mut completion, "total", total);
    Ok(completion)
}

impl Aside {
    /// What a guest told as its error.
    ///
    /// # Errors
    ///
    /// With what is wrong with it.
    pub fn of_error(json: &[u8]) -> Result<Self, String> {
        let Tagged { tag, val } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let text = || val.as_str().map(ToOwned::to_owned).ok_or("its error has no text");
        Ok(match &*tag {
            "not-found" | "invalid" => Self::Refused(text()?),
            "internal" => Self::Failed(text()?),
            "missing-capability" => Self::Lacks(match val.as_str() {
                Some("elicitation-form") => Question::Form { message: String::new(), schema: Object::new() },
                Some("elicitation-url") => Question::Url { message: String::new(), url: String::new() },
                Some("sampling") => Question::Sampling(Object::new()),
                _ => Question::Roots,
            }),
            other => return Err(format!("its error is `{}`", other.escape_debug())),
        })
    }

    /// What a caller reads who can do nothing with it.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Asks(asks) => {
                let said: Vec<_> = asks.requests.iter().filter_map(|request| request.question.message()).collect();
                let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
                format!("the tool needs an answer of its user, who cannot be asked over this way{said}")
            }
            Self::Lacks(question) => format!("the tool needs a client that {}", question.ability()),
            Self::Failed(text) | Self::Refused(text) => text.clone(),
        }
    }
}

impl Asks {
    /// The questions as the protocol writes them: by their keys, each with its method and parameters.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let request = |request: &Request| {
            let (method, params) = request.question.request();
            (request.key.clone(), json!({ "method": method, "params": params }))
        };
        self.requests.iter().map(request).collect::<Map<_, _>>().into()
    }
}

impl Question {
    /// The method and the parameters with which the protocol asks it.
    #[must_use]
    pub fn request(&self) -> (&'static str, Value) {
        match self {
            Self::Form { message, schema } => {
                let params = json!({ "mode": "form", "message": message, "requestedSchema": schema });
                ("elicitation/create", params)
            }
            Self::Url { message, url } => {
                ("elicitation/create", json!({ "mode": "url", "message": message, "url": url }))
            }
            Self::Sampling(params) => ("sampling/createMessage", params.clone().into()),
            Self::Roots => ("roots/list", json!({})),
        }
    }

    fn message(&self) -> Option<&str> {
        match self {
            Self::Form { message, .. } | Self::Url { message, .. } => Some(message),
            Self::Sampling(_) | Self::Roots => None,
        }
    }

    fn ability(&self) -> &'static str {
        match self {
            Self::Form { .. } => "shows forms to its user",
            Self::Url { .. } => "sends its user to a URL",
            Self::Sampling(_) => "asks its model",
            Self::Roots => "tells its folders",
        }
    }
}

#[derive(Deserialize)]
struct Tagged {
    tag: String,
    #[serde(default)]
    val: Value,
}

/// What stands in `done`, or what is asked.
fn outcome(json: &[u8]) -> Result<Ended<Value>, String> {
    let Tagged { tag, val } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    match &*tag {
        "done" => Ok(Ok(val)),
        "input-required" => asks(val).map(|asks| Err(Aside::Asks(asks))),
        other => Err(format!("it ended with `{}`", other.escape_debug())),
    }
}

fn asks(value: Value) -> Result<Asks, String> {
    #[derive(Deserialize)]
    struct Required {
        requests: Vec<Asked>,
        state: Option<String>,
    }
    #[derive(Deserialize)]
    struct Asked {
        key: String,
        question: Tagged,
    }
    let Required { requests, state } = parsed(value)?;
    if requests.len() > MAX_REQUESTS {
        return Err(format!("it asks {} questions at once, and may ask {MAX_REQUESTS}", requests.len()));
    }
    let state = state.map(|text| STANDARD.decode(text)).transpose().map_err(|error| error.to_string())?;
    if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
        return Err(format!("its state has more than {MAX_STATE} bytes"));
    }
    if requests.is_empty() && state.is_none() {
        return Err("it asks for nothing and remembers nothing".to_owned());
    }
    let request = |asked: Asked| Ok(Request { key: asked.key, question: question(asked.question)? });
    let asks = Asks { requests: requests.into_iter().map(request).collect::<Result<_, String>>()?, state };
    if asks.to_json().to_string().len() > MAX_QUESTIONS {
        return Err(format!("its questions have more than {MAX_QUESTIONS} bytes"));
    }
    Ok(asks)
}

fn question(Tagged { tag, val }: Tagged) -> Result<Question, String> {
    #[derive(Deserialize)]
    struct Form {
        message: String,
        schema: String,
    }
    #[derive(Deserialize)]
    struct Link {
        message: String,
        url: String,
    }
    Ok(match &*tag {
        "elicit-form" => {
            let Form { message, schema } = parsed(val)?;
            Question::Form { message, schema: object("schema of a form", &schema)? }
        }
        "elicit-url" => {
            let Link { message, url } = parsed(val)?;
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err("it sends its user to something that is no web address".to_owned());
            }
            Question::Url { message, url }
        }
        "sampling" => Question::Sampling(object("question to a model", val.as_str().unwrap_or_default())?),
        "roots" => Question::Roots,
        other => return Err(format!("it asks for `{}`", other.escape_debug())),
    })
}

/// A block of content of the protocol.
fn block(value: Value) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Text {
        text: String,
        annotations: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Media {
        data: String,
        mime_type: String,
        annotations: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Embedded {
        contents: Value,
        annotations: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Link {
        uri: String,
        name: String,
        title: Option<String>,
        description: Option<String>,
        mime_type: Option<String>,
        size: Option<Value>,
        annotations: Option<Value>,
    }
    let Tagged { tag, val } = parsed(value)?;
    let (mut block, annotations) = match &*tag {
        "text" => {
            let Text { text, annotations } = parsed(val)?;
            (json!({ "type": "text", "text": text }), annotations)
        }
        "image" | "audio" => {
            let Media { data, mime_type, annotations } = parsed(val)?;
            (json!({ "type": tag, "data": data, "mimeType": mime_type }), annotations)
        }
        "resource" => {
            let Embedded { contents: resource, annotations } = parsed(val)?;
            let resource = contents(resource)?;
            check_uri(resource["uri"].as_str().unwrap_or_default())?;
            (json!({ "type": "resource", "resource": resource }), annotations)
        }
        "resource-link" => {
            let Link { uri, name, title, description, mime_type, size, annotations } = parsed(val)?;
            check_uri(&uri)?;
            let mut link = json!({ "type": "resource_link", "uri": uri, "name": name });
            set(&mut link, "title", title);
            set(&mut link, "description", description);
            set(&mut link, "mimeType", mime_type);
            set(&mut link, "size", size.as_ref().and_then(whole));
            (link, annotations)
        }
        other => return Err(format!("its content is `{}`", other.escape_debug())),
    };
    set(&mut block, "annotations", annotations.map(renamed));
    Ok(block)
}

/// Clients may refuse an answer whose URIs are none.
fn check_uri(uri: &str) -> Result<(), String> {
    if uri.contains(':') && super::listing::is_of_uri(uri) {
        return Ok(());
    }
    Err(format!(
        "a resource in it has the URI `{}`, which is none",
        uri.chars().take(100).flat_map(char::escape_debug).collect::<String>()
    ))
}

/// The contents of a resource as the protocol writes them.
fn contents(value: Value) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Contents {
        uri: String,
        mime_type: Option<String>,
        body: Tagged,
        meta: Option<String>,
    }
    let Contents { uri, mime_type, body, meta } = parsed(value)?;
    let mut contents = json!({ "uri": uri });
    set(&mut contents, "mimeType", mime_type);
    let place = if body.tag == "text" { "text" } else { "blob" };
    contents[place] = body.val;
    set(&mut contents, "_meta", meta.map(|text| object("meta", &text)).transpose()?);
    Ok(contents)
}

/// Annotations as the protocol writes them.
#[must_use]
pub fn renamed(mut annotations: Value) -> Value {
    if let Some(members) = annotations.as_object_mut() {
        if let Some(modified) = members.remove("last_modified") {
            members.insert("lastModified".to_owned(), modified);
        }
        if members.get("audience").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            members.remove("audience");
        }
    }
    annotations
}

/// A `u64`, which is text from 2^53 on.
pub(super) fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn set(object: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[key] = value.into();
    }
}

fn any(what: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("its {what} is not JSON: {error}"))
}

fn object(what: &str, text: &str) -> Result<Object, String> {
    match any(what, text)? {
        Value::Object(object) => Ok(object),
        _ => Err(format!("its {what} is not a JSON object")),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("its answer is not as `fumehood:tool` says: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(value: &Value) -> Result<Ended<(Value, bool)>, String> {
        tool_result(value.to_string().as_bytes(), None)
    }

    fn done(content: &Value) -> Value {
        json!({ "tag": "done", "val": { "content": [content], "is_error": false } })
    }

    #[test]
    fn every_kind_of_content_becomes_a_block() {
        let annotations = json!({ "audience": ["user"], "priority": 0.5, "last_modified": "2026-01-01T00:00:00Z" });
        let cases = [
            (
                json!({ "tag": "text", "val": { "text": "t", "annotations": annotations } }),
                json!({ "type": "text", "text": "t", "annotations":
                    { "audience": ["user"], "priority": 0.5, "lastModified": "2026-01-01T00:00:00Z" } }),
            ),
            (
                json!({ "tag": "image", "val": { "data": "AA==", "mime_type": "image/png" } }),
                json!({ "type": "image", "data": "AA==", "mimeType": "image/png" }),
            ),
            (
                json!({ "tag": "resource", "val": { "contents": { "uri": "x://y", "body": { "tag": "text", "val": "z" } } } }),
                json!({ "type": "resource", "resource": { "uri": "x://y", "text": "z" } }),
            ),
            (
                json!({ "tag": "resource-link", "val": { "uri": "x://y", "name": "n", "size": "9007199254740993" } }),
                json!({ "type": "resource_link", "uri": "x://y", "name": "n", "size": 9_007_199_254_740_993_u64 }),
            ),
        ];
        for (content, block) in cases {
            let Ok(Ok((result, false))) = result(&done(&content)) else { panic!("{content}") };
            assert_eq!(result["content"], json!([block]));
        }
    }

    #[test]
    fn an_answer_must_fit_the_schema_that_its_tool_has() {
        let output = Declared::parse(r#"{"type":"object","required":["a"]}"#).unwrap();
        let answer = |structured: Value| {
            let answer =
                json!({ "tag": "done", "val": { "content": [], "structured": structured, "is_error": false } });
            tool_result(answer.to_string().as_bytes(), Some(&output))
        };

        let Ok(Ok((fits, _))) = answer(json!(r#"{"a":1}"#)) else { panic!("it fits") };
        assert_eq!(
            fits,
            json!({ "content": [{ "type": "text", "text": r#"{"a":1}"# }], "structuredContent": { "a": 1 } })
        );
        assert!(answer(json!("{}")).unwrap_err().contains("does not fit its own schema"));
        assert!(answer(Value::Null).unwrap_err().contains("without `structured`"));
        assert!(answer(json!("[")).unwrap_err().contains("is not JSON"));
    }

    #[test]
    fn questions_are_read_and_bounded() {
        let ask = |requests: Value, state: Value| {
            result(&json!({ "tag": "input-required", "val": { "requests": requests, "state": state } }))
        };
        let form =
            json!({ "key": "k", "question": { "tag": "elicit-form", "val": { "message": "m", "schema": "{}" } } });

        let Ok(Err(Aside::Asks(asks))) = ask(json!([form]), json!("AQI=")) else { panic!("it asks") };
        assert_eq!(asks.state, Some(vec![1, 2]));
        assert_eq!(asks.requests[0].question, Question::Form { message: "m".into(), schema: Object::new() });
        assert!(ask(json!([]), Value::Null).unwrap_err().contains("asks for nothing"));
        assert!(ask(vec![form; 17].into(), Value::Null).unwrap_err().contains("17 questions"));
        assert!(ask(json!([]), json!(STANDARD.encode([0; MAX_STATE + 1]))).unwrap_err().contains("16384 bytes"));
        let url = json!({ "key": "k", "question": { "tag": "elicit-url", "val": { "message": "m", "url": "javascript:x" } } });
        assert!(ask(json!([url]), Value::Null).unwrap_err().contains("no web address"));
    }

    #[test]
    fn errors_are_told_apart() {
        let error = |json: Value| Aside::of_error(json.to_string().as_bytes());

        assert_eq!(error(json!({ "tag": "not-found", "val": "x" })), Ok(Aside::Refused("x".to_owned())));
        assert_eq!(error(json!({ "tag": "internal", "val": "x" })), Ok(Aside::Failed("x".to_owned())));
        let lacks = error(json!({ "tag": "missing-capability", "val": "sampling" }));
        assert_eq!(lacks, Ok(Aside::Lacks(Question::Sampling(Object::new()))));
        assert!(error(json!({ "tag": "other" })).is_err());
    }
}
