//! Tools that use the rest of what `fumehood:tool` has: what is told of a tool, and what is told to it.

use serde_json::{Value, json};

use super::{Call, Ended, Outcome, say};
use crate::{
    content::text,
    exports::fumehood::tool::tools::{Answer, Hints, Tool},
    fumehood::tool::types::{Annotations, Content, Icon, ResourceLink, Role, TextContent},
};

/// A text to measure.
pub(super) const MEASURED: &str =
    r#"{"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}"#;

const MEASURES: &str = r#"{
    "type": "object",
    "properties": {"bytes": {"type": "integer"}, "characters": {"type": "integer"}},
    "required": ["bytes", "characters"]
}"#;

/// A picture of a ruler.
pub(crate) fn icon() -> Icon {
    Icon {
        src: "data:image/svg+xml;base64,PHN2ZyB4bWxucz0naHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmcnLz4=".to_owned(),
        mime_type: Some("image/svg+xml".to_owned()),
        sizes: vec!["any".to_owned()],
    }
}

/// Everything that can be told of a tool.
pub(super) fn everything(tool: Tool) -> Tool {
    Tool {
        title: Some("Measure a text".to_owned()),
        output_schema: Some(MEASURES.to_owned()),
        hints: Hints {
            read_only: Some(true),
            destructive: Some(false),
            idempotent: Some(true),
            open_world: Some(false),
        },
        icons: vec![icon()],
        meta: Some(json!({"com.example/shelf": {"row": 3}}).to_string()),
        ..tool
    }
}

pub(super) fn measure(call: &Call) -> Ended {
    let measured = call.text("text")?;
    let structured = json!({"bytes": measured.len(), "characters": measured.chars().count()});
    let annotations = Annotations {
        audience: vec![Role::Assistant],
        priority: Some(0.25),
        last_modified: Some("2026-01-02T03:04:05Z".to_owned()),
    };
    let content = vec![
        Content::Text(TextContent { text: structured.to_string(), annotations: Some(annotations.clone()) }),
        Content::ResourceLink(ResourceLink {
            uri: "test://static-text".to_owned(),
            name: "static-text".to_owned(),
            title: Some("How texts are measured".to_owned()),
            description: Some("A text that never changes.".to_owned()),
            mime_type: Some("text/plain".to_owned()),
            size: Some(48),
            annotations: Some(annotations),
        }),
    ];
    let meta = Some(json!({"com.example/scale": "exact"}).to_string());
    Ok(Outcome::Done(Answer { content, structured: Some(structured.to_string()), is_error: false, meta }))
}

/// Says that it has measured, without the measures that its schema promises.
pub(super) fn measure_wrongly(_: &Call) -> Ended {
    let structured = Some(json!({"bytes": "many"}).to_string());
    Ok(Outcome::Done(Answer { content: vec![text("many")], structured, is_error: false, meta: None }))
}

/// A promise of measures.
pub(super) fn promise(tool: Tool) -> Tool {
    Tool { output_schema: Some(MEASURES.to_owned()), ..tool }
}

/// The trace that the call is part of.
pub(super) fn trace(call: &Call) -> Ended {
    let told = call.context.trace.as_ref().map_or(
        Value::Null,
        |trace| json!({"traceparent": trace.traceparent, "tracestate": trace.tracestate, "baggage": trace.baggage}),
    );
    say(&told.to_string())
}
