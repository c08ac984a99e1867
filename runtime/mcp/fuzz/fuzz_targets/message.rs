//! Any bytes as a message of JSON-RPC: what the short way takes, rmcp takes too, and as the same; cursors read back.

#![no_main]

use fumehood_mcp::fuzzing::{cursor, cursor_of, envelope, long, short};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let envelope = envelope(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let made = cursor_of(text);
        assert_eq!(cursor(&made).as_deref(), (made.len() <= 4_096).then_some(text));
        if let Some(name) = cursor(text) {
            assert_eq!(cursor(&cursor_of(&name)), Some(name));
        }
    }
    // Numbers, escapes and depths that no tree holds are told in the words of lowering there, in those of rmcp here.
    if serde_json::from_slice::<Value>(bytes).is_err() {
        let _ = long(bytes);
        return;
    }
    let Some(taken) = short(bytes) else { return };
    // What is no object is left to rmcp when the tool is looked up.
    if taken.arguments.as_ref().is_some_and(|arguments| !arguments.is_object()) {
        return;
    }
    let (method, id) = envelope.unwrap_or_else(|| panic!("the short way takes what has no envelope"));
    assert_eq!((method.as_deref(), id.as_ref()), (Some(&*taken.method), Some(&taken.id)));
    assert_eq!(long(bytes), Some(taken));
});
