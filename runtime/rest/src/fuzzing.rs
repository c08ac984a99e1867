//! What the fuzz targets in `runtime/rest/fuzz` call: there for them, by `cfg(fuzzing)`, and for tests.

use bytes::Bytes;
use fumehood_dispatch::Arguments;
use fumehood_value::{Definition, Field, Function, Interface, Kind, Plan, Type};
use futures::FutureExt;
use serde_json::Value;

/// What came of reading a form.
#[derive(Debug)]
pub enum Form {
    /// These arguments.
    Arguments(Value),
    /// It was refused.
    Refused {
        /// The stable code.
        code: String,
        /// What a caller gets as details.
        details: Value,
    },
}

/// A function `take(file, files, text, number, names)`: it has a parameter for each way in which a part can be read.
#[must_use]
pub fn plan() -> Plan {
    let field = |name: &str, ty| Field { name: name.into(), ty };
    let types = [Kind::List(Type::U8), Kind::List(Type::Defined(0)), Kind::List(Type::String)];
    let take = Function {
        name: "take".into(),
        interface: None,
        export: "take".into(),
        params: vec![
            field("file", Type::Defined(0)),
            field("files", Type::Defined(1)),
            field("text", Type::String),
            field("number", Type::U32),
            field("names", Type::Defined(2)),
        ],
        result: None,
        docs: None,
    };
    let types = types.map(|kind| Definition { name: None, kind }).into();
    Plan::of(&Interface { functions: vec![take], types, ..Interface::default() }).remove(0)
}

/// Read `body` of this content type as the arguments of a function.
///
/// # Panics
///
/// When reading waits for something although all is there, or a form becomes text that nobody has parsed.
#[must_use]
pub fn form(content_type: &str, body: &[u8], plan: &Plan) -> Form {
    let read = crate::form::arguments(content_type, Bytes::copy_from_slice(body), plan).now_or_never();
    match read.expect("all of the form is there") {
        Ok(Arguments::Parsed(arguments)) => Form::Arguments(arguments),
        Ok(other) => panic!("a form became {other:?}"),
        Err(problem) => {
            Form::Refused { code: problem.code().to_string(), details: problem.details().cloned().unwrap_or_default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn seeds_are_forms_and_what_is_none_is_refused() {
        let plan = plan();
        let read = |kind: &str, body: &[u8]| match form(kind, body, &plan) {
            Form::Arguments(arguments) => arguments,
            Form::Refused { code, details } => json!([code, details]),
        };
        let seed = |name: &str| {
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/form/").to_owned() + name).unwrap()
        };
        let many = seed("many-files");
        let (kind, body) = many.split_at(many.iter().position(|byte| *byte == b'\n').unwrap());

        let one = read("multipart/form-data; boundary=x", &seed("file-and-rest"));
        let many = read(std::str::from_utf8(kind).unwrap(), &body[1..]);
        let unknown = b"--x\r\nContent-Disposition: form-data; name=\"a/b\"\r\n\r\nx\r\n--x--\r\n";

        assert_eq!(one, json!({ "file": "AP8=", "number": 1, "names": ["a"] }));
        assert_eq!(many, json!({ "files": ["YQ==", "Yg=="], "text": "hello" }));
        assert_eq!(read("multipart/form-data", b"x"), json!(["malformed", null]));
        // What is not known is told when the arguments are accepted, with all else that does not fit.
        assert_eq!(read("multipart/form-data; boundary=x", unknown), json!({ "a/b": null }));
    }
}
