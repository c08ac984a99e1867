//! Any text as the lists or an answer of a component that describes itself: never a panic, and never a name, a schema or a
//! question that breaks the rules.

#![no_main]

use fumehood_registry::rich::{Aside, Described, messages, read, suggestions, tool_result};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(described) = Described::parse(text) {
        for tool in &described.tools {
            assert!((1..=64).contains(&tool.name.len()));
            assert_eq!(tool.input.document()["type"], "object");
            let _ = tool.input.mistakes(&serde_json::Value::Null);
        }
        for template in &described.templates {
            let _ = template.matches(text);
        }
    }
    if let Ok(Err(Aside::Asks(asks))) = tool_result(text.as_bytes(), None) {
        assert!(asks.requests.len() <= 16);
        assert!(asks.to_json().is_object());
    }
    let _ = (messages(text.as_bytes()), read(text.as_bytes()), suggestions(text.as_bytes()), Aside::of_error(text.as_bytes()));
});
