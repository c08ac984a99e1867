//! Everything that the official MCP conformance suite looks for in a server: tools, prompts, resources and completion
//! with the names, texts and schemas that it asks for. Beside them stands what the suite does not look for, so that all of
//! `fumehood:tool` is used by a guest.
//!
//! A module for each interface of `fumehood:tool`; beside them what they have in common: pieces of content, and questions
//! to the client.

mod completion;
mod content;
mod prompts;
mod questions;
mod resources;
mod tools;

wit_bindgen::generate!({
    path: ["../../../wit/fumehood-tool", "../../../wit/fumehood-host", "../../../wit/deps/logging", "wit"],
    world: "test:conformance/conformance",
    generate_all,
});

/// What all interfaces are implemented for.
struct Conformance;

export!(Conformance);
