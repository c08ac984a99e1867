//! How each function's JSON becomes component values and back, worked out once when its module is loaded.

use std::sync::Arc;

use crate::types::{Definition, Field, Function, Interface, Kind, Type};

/// Position of a [`Node`] in its [`Plan`].
pub(crate) type NodeId = u32;

/// One step of a conversion: a type with everything that converting a value of it needs.
#[derive(Debug)]
pub(crate) enum Node {
    Primitive(Type),
    /// `list<u8>`: base64 in JSON.
    Bytes,
    List(NodeId),
    Tuple(Box<[NodeId]>),
    Record(Members),
    /// A variant, a `result` that is not a function's own, or an `option` directly inside an `option`.
    Variant {
        cases: Box<[VariantCase]>,
        shape: Shape,
    },
    Enum(Box<[Label]>),
    Flags(Box<[Label]>),
    Option(NodeId),
}

/// Which component value a tagged JSON object stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Variant,
    /// Cases `ok` and `err`, in this order.
    Result,
    /// Cases `some` and `none`, in this order.
    Option,
}

#[derive(Debug)]
pub(crate) struct VariantCase {
    pub(crate) label: Label,
    pub(crate) payload: Option<NodeId>,
}

/// A name as WIT writes it, and the other way to write it that is accepted.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) wit: Box<str>,
    pub(crate) json: Box<str>,
}

impl Label {
    fn new(wit: &str) -> Self {
        Self { wit: wit.into(), json: wit.replace('-', "_").into() }
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        &*self.json == text || &*self.wit == text
    }
}

/// The fields of a record or the parameters of a function.
#[derive(Debug, Default)]
pub(crate) struct Members(pub(crate) Box<[Member]>);

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) label: Label,
    pub(crate) node: NodeId,
    /// Whether leaving it out means `none`.
    pub(crate) optional: bool,
}

impl Members {
    /// The position of the member called `key`, looked for from `expected` on: most JSON comes in declared order.
    pub(crate) fn position(&self, key: &str, expected: usize) -> Option<usize> {
        if self.0.get(expected).is_some_and(|member| member.label.is(key)) {
            return Some(expected);
        }
        self.0.iter().position(|member| member.label.is(key))
    }
}

/// The conversion of one function, both ways. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) nodes: Arc<[Node]>,
    /// The WIT name of each node that has one.
    pub(crate) names: Arc<[Option<Box<str>>]>,
    pub(crate) params: Arc<Members>,
    pub(crate) answer: Answer,
}

/// What a function gives back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    /// The type of a success; none for a function that returns nothing.
    pub(crate) value: Option<NodeId>,
    /// Whether the function returns a `result`, and the type of its error if that carries a value.
    pub(crate) error: Option<Option<NodeId>>,
}

impl Plan {
    /// The plans of all functions of `interface`, in their order. They share their steps.
    #[must_use]
    pub fn of(interface: &Interface) -> Vec<Self> {
        let plain = vec![None; interface.types.len()];
        let mut builder = Builder { interface, nodes: Vec::new(), names: Vec::new(), plain };
        let parts: Vec<_> = interface.functions.iter().map(|function| builder.function(function)).collect();
        let nodes: Arc<[Node]> = builder.nodes.into();
        let names: Arc<[Option<Box<str>>]> = builder.names.into();
        let plan = |(params, answer)| Self {
            nodes: Arc::clone(&nodes),
            names: Arc::clone(&names),
            params: Arc::new(params),
            answer,
        };
        parts.into_iter().map(plan).collect()
    }

    /// How many values the function takes.
    #[must_use]
    pub fn params_len(&self) -> usize {
        self.params.0.len()
    }

    /// Whether the function returns anything.
    #[must_use]
    pub fn has_result(&self) -> bool {
        self.answer.value.is_some() || self.answer.error.is_some()
    }

    /// Whether an answer of the function can hold bytes, which are many small values on their way.
    #[must_use]
    pub fn returns_bytes(&self) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut open: Vec<NodeId> = self.answer.value.into_iter().chain(self.answer.error.flatten()).collect();
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut seen[id as usize], true) {
                continue;
            }
            match self.node(id) {
                Node::Bytes => return true,
                Node::Primitive(_) | Node::Enum(_) | Node::Flags(_) => {}
                Node::List(inner) | Node::Option(inner) => open.push(*inner),
                Node::Tuple(members) => open.extend(members.iter()),
                Node::Record(members) => open.extend(members.0.iter().map(|member| member.node)),
                Node::Variant { cases, .. } => open.extend(cases.iter().filter_map(|case| case.payload)),
            }
        }
        false
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }
}

struct Builder<'a> {
    interface: &'a Interface,
    nodes: Vec<Node>,
    names: Vec<Option<Box<str>>>,
    /// The node of each definition, once made.
    plain: Vec<Option<NodeId>>,
}

impl Builder<'_> {
    fn function(&mut self, function: &Function) -> (Members, Answer) {
        let params = self.members(&function.params);
        let answer = match function.result.and_then(|ty| self.interface.definition(ty)) {
            Some(Definition { kind: Kind::Result { ok, err }, .. }) => {
                Answer { value: ok.map(|ty| self.node(ty)), error: Some(err.map(|ty| self.node(ty))) }
            }
            _ => Answer { value: function.result.map(|ty| self.node(ty)), error: None },
        };
        (params, answer)
    }

    fn members(&mut self, fields: &[Field]) -> Members {
        let member = |field: &Field| {
            let node = self.node(field.ty);
            let optional = matches!(self.nodes[node as usize], Node::Option(_));
            Member { label: Label::new(&field.name), node, optional }
        };
        Members(fields.iter().map(member).collect())
    }

    fn node(&mut self, ty: Type) -> NodeId {
        let Type::Defined(position) = ty else { return self.push(Node::Primitive(ty)) };
        if let Some(known) = self.plain[position as usize] {
            return known;
        }
        let interface = self.interface;
        let node = match &interface.types[position as usize].kind {
            Kind::Record(fields) => Node::Record(self.members(fields)),
            Kind::Variant(cases) => Node::Variant {
                cases: cases.iter().map(|case| self.case(&case.name, case.ty)).collect(),
                shape: Shape::Variant,
            },
            Kind::Enum(labels) => Node::Enum(labels.iter().map(|label| Label::new(label)).collect()),
            Kind::Flags(labels) => Node::Flags(labels.iter().map(|label| Label::new(label)).collect()),
            Kind::Tuple(types) => Node::Tuple(types.iter().map(|ty| self.node(*ty)).collect()),
            Kind::List(Type::U8) => Node::Bytes,
            Kind::List(ty) => Node::List(self.node(*ty)),
            Kind::Option(ty) => Node::Option(self.inside_option(*ty)),
            Kind::Result { ok, err } => {
                Node::Variant { cases: [self.case("ok", *ok), self.case("err", *err)].into(), shape: Shape::Result }
            }
        };
        let id = self.push(node);
        self.names[id as usize] = interface.types[position as usize].name.as_deref().map(Into::into);
        self.plain[position as usize] = Some(id);
        id
    }

    /// `null` already means the outer `none`, so an inner option is written with a tag.
    fn inside_option(&mut self, ty: Type) -> NodeId {
        let Some(Definition { kind: Kind::Option(inner), .. }) = self.interface.definition(ty) else {
            return self.node(ty);
        };
        let payload = self.inside_option(*inner);
        let some = VariantCase { label: Label::new("some"), payload: Some(payload) };
        let none = VariantCase { label: Label::new("none"), payload: None };
        self.push(Node::Variant { cases: [some, none].into(), shape: Shape::Option })
    }

    fn case(&mut self, name: &str, ty: Option<Type>) -> VariantCase {
        VariantCase { label: Label::new(name), payload: ty.map(|ty| self.node(ty)) }
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = u32::try_from(self.nodes.len()).expect("an interface has at most 10,000 types");
        self.nodes.push(node);
        self.names.push(None);
        id
    }
}
