//! Any bytes as a form of arguments, with any content type in their first line: reading never panics, what is accepted is
//! an object of arguments, and every mistake points at one.

#![no_main]

use std::sync::LazyLock;

use fumehood_rest::fuzzing::{Form, form, plan};
use fumehood_value::Plan;
use libfuzzer_sys::fuzz_target;

static PLAN: LazyLock<Plan> = LazyLock::new(plan);

fuzz_target!(|bytes: &[u8]| {
    let (kind, body) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (b"multipart/form-data; boundary=x".as_slice(), bytes),
    };
    match form(&String::from_utf8_lossy(kind), body, &PLAN) {
        Form::Arguments(arguments) => {
            assert!(arguments.is_object());
            // Whatever they are, lowering takes them or tells what is wrong with them.
            let _ = PLAN.lower_slice(arguments.to_string().as_bytes());
        }
        Form::Refused { code, details } => {
            assert!(["malformed", "invalid_input"].contains(&code.as_str()), "{code}");
            let mistakes = details.as_array().map(Vec::as_slice).unwrap_or_default();
            assert!(mistakes.iter().all(|mistake| mistake["pointer"].as_str().is_some_and(|at| at.starts_with('/'))));
        }
    }
});
