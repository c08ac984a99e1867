use crate::plan::{Node, NodeId, Plan};
use crate::types::Type;

/// What a parameter is to a form that sends each in a part of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Bytes: base64 in JSON.
    Bytes,
    /// A list of bytes: one part for each.
    ManyBytes,
    /// Text that is a JSON string: text, a character, one of several words.
    Text,
    /// Everything else: JSON.
    Json,
}

impl Plan {
    /// The parameter called `name`, as WIT or as JSON writes it: its name in JSON, and what it is.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<(&str, Part)> {
        let member = &self.params.0[self.params.position(name, 0)?];
        Some((&member.label.json, self.part(member.node)))
    }

    /// Whether the bare answer is always bytes: one base64 string in JSON.
    #[must_use]
    pub fn answers_bytes(&self) -> bool {
        self.answer.value.is_some_and(|node| matches!(self.node(node), Node::Bytes))
    }

    fn part(&self, node: NodeId) -> Part {
        match self.node(node) {
            Node::Option(inner) => self.part(*inner),
            Node::Bytes => Part::Bytes,
            Node::List(inner) if matches!(self.node(*inner), Node::Bytes) => Part::ManyBytes,
            Node::Primitive(Type::String | Type::Char) | Node::Enum(_) => Part::Text,
            Node::Primitive(_)
            | Node::List(_)
            | Node::Tuple(_)
            | Node::Record(_)
            | Node::Variant { .. }
            | Node::Flags(_) => Part::Json,
        }
    }
}
