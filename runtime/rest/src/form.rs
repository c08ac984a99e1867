//! Arguments that come as a form, each in a part of its own: files without base64.

use std::convert::Infallible;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use fumehood_dispatch::{Arguments, DispatchError};
use fumehood_http::Problem;
use fumehood_model::Code;
use fumehood_value::{InputError, Mistake, Object, Part, Plan};
use serde_json::{Value, map::Entry};

/// Most parts of a form: as many as a function can have parameters that are of use to anybody.
const MAX_PARTS: usize = 64;

/// Longest name of a part.
const MAX_NAME: usize = 128;

/// The part that holds an object of arguments that have no part of their own.
const REST: &str = "arguments";

/// The arguments in a body of type `multipart/form-data`.
///
/// # Errors
///
/// When it is not a form, or a part does not fit the parameter of its name.
pub(crate) async fn arguments(content_type: &str, body: Bytes, plan: &Plan) -> Result<Arguments, Problem> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| Problem::new(Code::Malformed, "multipart/form-data needs a boundary in its content type"))?;
    let whole = futures::stream::once(std::future::ready(Ok::<_, Infallible>(body)));
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut form = Form { plan, arguments: Object::new(), mistakes: Vec::new() };
    let mut count = 0;
    while let Some(field) = parts.next_field().await.map_err(|error| broken(&error))? {
        count += 1;
        if count > MAX_PARTS {
            return Err(Problem::new(Code::Malformed, format!("the form has more than {MAX_PARTS} parts")));
        }
        let name = field.name().unwrap_or_default().to_owned();
        if name.is_empty() || name.len() > MAX_NAME {
            let message = format!("each part of the form needs a name of at most {MAX_NAME} bytes");
            return Err(Problem::new(Code::Malformed, message));
        }
        let has_file = field.file_name().is_some();
        let essence = field.content_type().map(AsRef::<str>::as_ref);
        let essence = essence.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let kind = Kind::of(essence, has_file);
        let bytes = field.bytes().await.map_err(|error| broken(&error))?;
        form.take(&name, kind, &bytes);
    }
    form.finish()
}

/// How the bytes of a part are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It says that it is JSON.
    Json,
    /// A field of a form: text, whatever that stands for.
    Field,
    /// A file.
    File,
}

impl Kind {
    fn of(content_type: Option<&str>, has_file: bool) -> Self {
        match content_type {
            Some("application/json") => Self::Json,
            None | Some("text/plain") if !has_file => Self::Field,
            _ => Self::File,
        }
    }
}

/// The arguments so far, and what is wrong with them.
struct Form<'a> {
    plan: &'a Plan,
    arguments: Object,
    mistakes: Vec<Mistake>,
}

impl Form<'_> {
    fn take(&mut self, name: &str, kind: Kind, bytes: &Bytes) {
        let plan = self.plan;
        let Some((known, part)) = plan.parameter(name) else {
            if name == REST {
                return self.take_rest(bytes);
            }
            // Told below, with the nearest name, together with everything else that does not fit.
            return self.insert(name, Value::Null);
        };
        match value(kind, part, bytes) {
            Err(message) => self.mistake(known, message),
            // A list of files comes as several parts of one name.
            Ok(value) if part == Part::ManyBytes && kind == Kind::File => {
                let list = self.arguments.entry(known).or_insert_with(|| Value::Array(Vec::new()));
                match list {
                    Value::Array(list) => list.push(value),
                    _ => self.mistake(known, TWICE),
                }
            }
            Ok(value) => self.insert(known, value),
        }
    }

    fn take_rest(&mut self, bytes: &Bytes) {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(rest)) => {
                for (name, value) in rest {
                    let known = self.plan.parameter(&name).map_or(name.clone(), |(known, _)| known.to_owned());
                    self.insert(&known, value);
                }
            }
            Ok(_) => self.mistake(REST, "it must hold an object of arguments"),
            Err(error) => self.mistake(REST, format!("it is not valid JSON: {error}")),
        }
    }

    fn insert(&mut self, name: &str, value: Value) {
        match self.arguments.entry(name) {
            Entry::Vacant(free) => drop(free.insert(value)),
            Entry::Occupied(_) => self.mistake(name, TWICE),
        }
    }

    fn mistake(&mut self, name: &str, message: impl Into<String>) {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        self.mistakes.push(Mistake { pointer, message: message.into() });
    }

    fn finish(self) -> Result<Arguments, Problem> {
        let Self { plan, arguments, mut mistakes } = self;
        let arguments = Value::Object(arguments);
        if mistakes.is_empty() {
            return Ok(Arguments::Parsed(arguments));
        }
        // What the parts stand for may be wrong, or missing, too: everything is told at once.
        if let Err(InputError::Mistakes { mistakes: more }) = plan.lower_value(arguments) {
            let is_new = |mistake: &Mistake| !mistakes.iter().any(|known| known.pointer == mistake.pointer);
            let more: Vec<_> = more.into_iter().filter(is_new).collect();
            mistakes.extend(more);
        }
        Err(DispatchError::Input(InputError::Mistakes { mistakes }).into())
    }
}

const TWICE: &str = "it is there twice";

/// What a part stands for in JSON.
fn value(kind: Kind, part: Part, bytes: &Bytes) -> Result<Value, String> {
    match (kind, part) {
        (Kind::File, Part::Bytes | Part::ManyBytes) => Ok(Value::String(STANDARD.encode(bytes))),
        (Kind::File, Part::Json) => Err("it takes no file: send it as a plain field or as application/json".to_owned()),
        (Kind::File | Kind::Field, Part::Text) | (Kind::Field, Part::Bytes) => text(bytes),
        (Kind::Field, Part::Json | Part::ManyBytes) => match serde_json::from_slice(bytes) {
            // A word in the place of a number is told as what it is, and not in the words of a parser of JSON.
            Err(_) if !bytes.trim_ascii().starts_with(b"{") && !bytes.trim_ascii().starts_with(b"[") => text(bytes),
            read => read.map_err(|error| format!("it is not valid JSON: {error}")),
        },
        (Kind::Json, _) => serde_json::from_slice(bytes).map_err(|error| format!("it is not valid JSON: {error}")),
    }
}

fn text(bytes: &Bytes) -> Result<Value, String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Value::String(text.to_owned())),
        Err(_) => Err("it is not text in UTF-8".to_owned()),
    }
}

fn broken(error: &multer::Error) -> Problem {
    Problem::new(Code::Malformed, format!("the form cannot be read: {}", error.to_string().escape_debug()))
}
