//! JSON Schema 2020-12 for what a function takes and gives back.
//!
//! The dialect is kept to what every MCP client and model API is known to accept: the root is an object, each schema
//! has one `type`, there are no boolean schemas, references are local, and objects are closed.

use serde_json::{Map, Value, json};

use crate::{
    lift::{EXACT, NON_FINITE, may_be_non_finite},
    lower::range,
    plan::{Label, Members, Node, NodeId, Plan, VariantCase},
    types::Type,
};

/// Enums and flags of at most this many labels are written out wherever they are used.
const SMALL: usize = 16;

/// A JSON object, as schemas are passed around.
pub type Object = Map<String, Value>;

/// A schema and the definitions that its references lead to.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The schema itself.
    pub root: Value,
    /// Shared types, by the name that follows the prefix of their references.
    pub definitions: Object,
}

impl Schema {
    /// The schema as one document, with its definitions under `$defs`.
    ///
    /// # Panics
    ///
    /// When the root is not an object schema, which all roots built here are.
    #[must_use]
    pub fn into_document(self) -> Object {
        let Value::Object(mut root) = self.root else { panic!("every schema built here is an object") };
        if !self.definitions.is_empty() {
            root.insert("$defs".to_owned(), Value::Object(self.definitions));
        }
        root
    }
}

/// Where references to shared types point when a schema stands alone.
pub const LOCAL: &str = "#/$defs/";

impl Plan {
    /// The schema of the arguments object. References start with `prefix`.
    #[must_use]
    pub fn input_schema(&self, prefix: &str) -> Schema {
        let mut writer = Writer::new(self, Direction::In, prefix);
        for member in &self.params.0 {
            writer.count(member.node);
        }
        let root = writer.object(&self.params);
        writer.finish(root)
    }

    /// The schema of the bare answer. References start with `prefix`.
    #[must_use]
    pub fn output_schema(&self, prefix: &str) -> Schema {
        let mut writer = Writer::new(self, Direction::Out, prefix);
        let Some(node) = self.answer.value else { return writer.finish(json!({ "type": "null" })) };
        writer.count(node);
        let root = writer.element(node);
        writer.finish(root)
    }

    /// The schema of the error that a tool may answer with, if its function returns a `result`.
    #[must_use]
    pub fn error_schema(&self, prefix: &str) -> Option<Schema> {
        let mut writer = Writer::new(self, Direction::Out, prefix);
        let Some(node) = self.answer.error? else { return Some(writer.finish(json!({ "type": "null" }))) };
        writer.count(node);
        let root = writer.element(node);
        Some(writer.finish(root))
    }

    /// Whether the bare answer is always a JSON object, so that MCP needs no wrapping.
    #[must_use]
    pub fn answers_object(&self) -> bool {
        self.answer.value.is_some_and(|node| matches!(self.node(node), Node::Record(_)))
    }

    /// The schema of the answer as an object: the bare one, or `{"result": …}` around it. References start with `prefix`.
    #[must_use]
    pub fn output_object_schema(&self, prefix: &str) -> Schema {
        let mut writer = Writer::new(self, Direction::Out, prefix);
        let Some(node) = self.answer.value else { return writer.finish(closed(Map::new(), Vec::new())) };
        writer.count(node);
        let root = if let Node::Record(members) = self.node(node) {
            writer.object(members)
        } else {
            // An absent `none` here as in every other member.
            let required = if matches!(self.node(node), Node::Option(_)) { Vec::new() } else { vec!["result".into()] };
            let result = writer.member(node);
            closed(Map::from_iter([("result".to_owned(), result)]), required)
        };
        writer.finish(root)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

struct Writer<'a> {
    plan: &'a Plan,
    direction: Direction,
    prefix: &'a str,
    /// How often each node is used below the root.
    uses: Vec<u32>,
    /// The name of each definition that was begun.
    named: Vec<Option<String>>,
    definitions: Object,
}

impl<'a> Writer<'a> {
    fn new(plan: &'a Plan, direction: Direction, prefix: &'a str) -> Self {
        let count = plan.nodes.len();
        Self { plan, direction, prefix, uses: vec![0; count], named: vec![None; count], definitions: Map::new() }
    }

    fn finish(self, root: Value) -> Schema {
        Schema { root, definitions: self.definitions }
    }

    /// Count the uses of `node` and of all below it; what is used twice is written once.
    ///
    /// A hostile type of 20 levels, each using the one below twice, has 20 nodes here and a million when written out.
    fn count(&mut self, node: NodeId) {
        let plan = self.plan;
        match plan.node(node) {
            // One child only: walking it again for each use cannot multiply.
            Node::List(inner) | Node::Option(inner) => return self.count(*inner),
            Node::Primitive(_) | Node::Bytes => return,
            _ => {}
        }
        self.uses[node as usize] += 1;
        if self.uses[node as usize] > 1 {
            return;
        }
        match plan.node(node) {
            Node::Tuple(members) => members.iter().for_each(|member| self.count(*member)),
            Node::Record(members) => members.0.iter().for_each(|member| self.count(member.node)),
            Node::Variant { cases, .. } => {
                cases.iter().filter_map(|case| case.payload).for_each(|node| self.count(node));
            }
            _ => {}
        }
    }

    fn is_shared(&self, node: NodeId) -> bool {
        self.uses[node as usize] > 1
            && match self.plan.node(node) {
                Node::Record(_) | Node::Tuple(_) | Node::Variant { .. } => true,
                Node::Enum(labels) | Node::Flags(labels) => labels.len() > SMALL,
                _ => false,
            }
    }

    /// A value that stands where `null` would be a value of its own: in a list, in a tuple, or as a whole answer.
    fn element(&mut self, node: NodeId) -> Value {
        match self.plan.node(node) {
            Node::Option(inner) => {
                let inner = self.value(*inner);
                json!({ "anyOf": [inner, { "type": "null" }] })
            }
            _ => self.value(node),
        }
    }

    /// A value that may be left out instead of being `null`: a field, a parameter, a payload.
    fn member(&mut self, node: NodeId) -> Value {
        match self.plan.node(node) {
            Node::Option(inner) => self.value(*inner),
            _ => self.value(node),
        }
    }

    fn value(&mut self, node: NodeId) -> Value {
        if !self.is_shared(node) {
            return self.inline(node);
        }
        if self.named[node as usize].is_none() {
            let name = self.free_name(node);
            self.named[node as usize] = Some(name.clone());
            // Claims the name before the types below claim theirs.
            self.definitions.insert(name.clone(), Value::Null);
            let schema = self.inline(node);
            self.definitions.insert(name, schema);
        }
        let name = self.named[node as usize].as_deref().unwrap_or_default();
        json!({ "$ref": format!("{}{name}", self.prefix) })
    }

    fn free_name(&self, node: NodeId) -> String {
        let base = self.plan.names[node as usize].as_deref().unwrap_or("type");
        let candidates = (1..).map(|n| if n == 1 { base.to_owned() } else { format!("{base}-{n}") });
        candidates.into_iter().find(|name| !self.definitions.contains_key(name)).unwrap_or_default()
    }

    fn inline(&mut self, node: NodeId) -> Value {
        let plan = self.plan;
        match plan.node(node) {
            Node::Primitive(ty) => self.primitive(*ty),
            Node::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Node::List(element) => json!({ "type": "array", "items": self.element(*element) }),
            Node::Tuple(members) => self.tuple(members),
            Node::Record(members) => self.object(members),
            Node::Variant { cases, .. } => {
                let cases: Vec<_> = cases.iter().map(|case| self.case(case)).collect();
                json!({ "anyOf": cases })
            }
            Node::Enum(labels) => json!({ "type": "string", "enum": texts(labels) }),
            Node::Flags(labels) => {
                json!({ "type": "array", "items": { "type": "string", "enum": texts(labels) }, "uniqueItems": true })
            }
            Node::Option(_) => self.element(node),
        }
    }

    fn object(&mut self, members: &Members) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for member in &members.0 {
            properties.insert(member.label.json.to_string(), self.member(member.node));
            if !member.optional {
                required.push(Value::from(&*member.label.json));
            }
        }
        closed(properties, required)
    }

    fn tuple(&mut self, members: &[NodeId]) -> Value {
        let schemas: Vec<_> = members.iter().map(|node| self.element(*node)).collect();
        let count = schemas.len();
        // Clients that do not know `prefixItems` still understand a tuple of one type.
        if schemas.windows(2).all(|pair| pair[0] == pair[1]) {
            return json!({ "type": "array", "items": schemas[0], "minItems": count, "maxItems": count });
        }
        json!({ "type": "array", "prefixItems": schemas, "minItems": count, "maxItems": count })
    }

    fn case(&mut self, case: &VariantCase) -> Value {
        let mut properties =
            Map::from_iter([("tag".to_owned(), json!({ "type": "string", "enum": [case.label.wit] }))]);
        let mut required = vec!["tag".into()];
        if let Some(node) = case.payload {
            properties.insert("val".to_owned(), self.member(node));
            if !matches!(self.plan.node(node), Node::Option(_)) {
                required.push("val".into());
            }
        }
        closed(properties, required)
    }

    fn primitive(&self, ty: Type) -> Value {
        match ty {
            Type::Bool => json!({ "type": "boolean" }),
            Type::String => json!({ "type": "string" }),
            Type::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
            ty if may_be_non_finite(ty) && self.direction == Direction::Out => {
                json!({ "anyOf": [{ "type": "number" }, { "type": "string", "enum": NON_FINITE }] })
            }
            Type::F32 | Type::F64 => json!({ "type": "number" }),
            Type::U64 => json!({ "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": EXACT - 1 },
                { "type": "string", "pattern": "^[0-9]{1,20}$" },
            ] }),
            Type::S64 => json!({ "anyOf": [
                { "type": "integer", "minimum": -(EXACT.cast_signed() - 1), "maximum": EXACT - 1 },
                { "type": "string", "pattern": "^-?[0-9]{1,19}$" },
            ] }),
            ty => {
                let (least, most) = range(ty);
                let bound = |number: i128| i64::try_from(number).expect("64-bit types were matched above");
                json!({ "type": "integer", "minimum": bound(least), "maximum": bound(most) })
            }
        }
    }
}

fn closed(properties: Object, required: Vec<Value>) -> Value {
    let mut object =
        Map::from_iter([("type".to_owned(), "object".into()), ("properties".to_owned(), properties.into())]);
    if !required.is_empty() {
        object.insert("required".to_owned(), required.into());
    }
    object.insert("additionalProperties".to_owned(), false.into());
    object.into()
}

fn texts(labels: &[Label]) -> Vec<&str> {
    labels.iter().map(|label| &*label.wit).collect()
}
