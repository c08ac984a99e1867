//! Tools that answer at once.

use super::{Call, Ended, done, refuse, say};
use crate::content::{audio, embedded, image, text};

/// A region, which the client tells in the header `Mcp-Param-Region` as well, as SEP-2243 has it.
pub(super) const REGION: &str = r#"{
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    "required": ["region"]
}"#;

pub(super) fn simple_text(_: &Call) -> Ended {
    say("This is a simple text response for testing.")
}

pub(super) fn image_content(_: &Call) -> Ended {
    done([image()])
}

pub(super) fn audio_content(_: &Call) -> Ended {
    done([audio()])
}

pub(super) fn embedded_resource(_: &Call) -> Ended {
    done([embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")])
}

pub(super) fn multiple(_: &Call) -> Ended {
    done([
        text("Multiple content types test:"),
        image(),
        embedded("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
    ])
}

pub(super) fn error(_: &Call) -> Ended {
    refuse("This tool intentionally returns an error for testing")
}

pub(super) fn echo(call: &Call) -> Ended {
    say(&call.arguments.to_string())
}

pub(super) fn custom_header(call: &Call) -> Ended {
    say(&format!("The region is {}.", call.text("region")?))
}

pub(super) fn greet(call: &Call) -> Ended {
    say(&format!("Hello, {}!", call.text("name")?))
}
