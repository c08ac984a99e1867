//! The types of a component's functions, as plain data.
//!
//! They are read once from the component and kept as JSON beside it, so that a restart neither parses nor compiles
//! anything to know what a module offers.

use serde::{Deserialize, Serialize};

/// What a component offers and needs, as far as its binary tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Functions that can be called from JSON, in the order in which the component exports them.
    pub functions: Vec<Function>,
    /// Exports that are not tools, and why.
    pub rejected: Vec<Rejected>,
    /// Names of the interfaces and functions that the component needs from its host.
    pub imports: Vec<String>,
    /// Names of the interfaces that it exports: what it can give to other components.
    #[serde(default)]
    pub exports: Vec<String>,
    /// The types that functions refer to by position.
    pub types: Vec<Definition>,
    /// The `tool.toml` that the component carries, not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// What a component says of itself that describes its own tools: the JSON of its lists, not looked at. Nothing in it
    /// before it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<String>,
}

/// One exported function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// The name by which callers know it: the WIT name, qualified by its interface where two interfaces share it.
    pub name: String,
    /// The exported interface that it belongs to; none for a function of the world itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Its name inside the interface or world.
    pub export: String,
    /// Its parameters, in order.
    pub params: Vec<Field>,
    /// What it returns, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Type>,
    /// The `///` documentation, if the component carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
}

/// An export that does not become a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// The export, as `interface.function` or the plain name.
    pub export: String,
    /// Why, in words for the author of the component.
    pub reason: String,
}

/// A value type: a primitive, or the position of a [`Definition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// `bool`
    Bool,
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`
    S32,
    /// `u32`
    U32,
    /// `s64`
    S64,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// A type of [`Interface::types`].
    #[serde(rename = "type")]
    Defined(u32),
}

/// A type that is made of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name in WIT, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it is made.
    pub kind: Kind,
}

/// How a type is made of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `record { … }`
    Record(Vec<Field>),
    /// `variant { … }`
    Variant(Vec<Case>),
    /// `enum { … }`
    Enum(Vec<String>),
    /// `flags { … }`
    Flags(Vec<String>),
    /// `tuple<…>`
    Tuple(Vec<Type>),
    /// `list<T>`
    List(Type),
    /// `option<T>`
    Option(Type),
    /// `result<T, E>`
    Result {
        /// The type of the success, if it carries a value.
        ok: Option<Type>,
        /// The type of the error, if it carries a value.
        err: Option<Type>,
    },
}

/// A named value: a field of a record or a parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name in WIT.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
}

/// One case of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name in WIT.
    pub name: String,
    /// The type of its payload, if it has one.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub ty: Option<Type>,
}

/// The package with which a component describes its own tools, up to the name of an interface.
const SELF_DESCRIBED: &str = "fumehood:tool/";

/// The version of it that is spoken here; what comes behind may be anything.
const SPOKEN: &str = "@0.1.";

impl Function {
    /// Whether it is a part of how a component describes its own tools, and not a tool.
    #[must_use]
    pub fn is_self_description(&self) -> bool {
        self.interface.as_deref().is_some_and(|name| name.starts_with(SELF_DESCRIBED))
    }
}

impl Interface {
    /// The position of the function `export` of `interface` in the package `fumehood:tool`, if there is one in a version that
    /// is spoken here.
    #[must_use]
    pub fn self_description(&self, interface: &str, export: &str) -> Option<usize> {
        let is_meant = |name: &str| {
            let rest = name.strip_prefix(SELF_DESCRIBED).and_then(|rest| rest.strip_prefix(interface));
            rest.is_some_and(|version| version.starts_with(SPOKEN))
        };
        self.functions
            .iter()
            .position(|function| function.export == export && function.interface.as_deref().is_some_and(is_meant))
    }

    /// The definition that `ty` refers to; none for a primitive.
    #[must_use]
    pub fn definition(&self, ty: Type) -> Option<&Definition> {
        match ty {
            Type::Defined(position) => self.types.get(position as usize),
            _ => None,
        }
    }

    /// The signature of `function` in the notation of WIT, for people.
    #[must_use]
    pub fn signature(&self, function: &Function) -> String {
        let params: Vec<_> =
            function.params.iter().map(|p| format!("{}: {}", p.name, self.notation(p.ty, SIGNATURE_DEPTH))).collect();
        let result = function.result.map(|ty| format!(" -> {}", self.notation(ty, SIGNATURE_DEPTH)));
        format!("{}: func({}){}", function.name, params.join(", "), result.unwrap_or_default())
    }

    fn notation(&self, ty: Type, depth: u32) -> String {
        let Some(definition) = self.definition(ty) else { return primitive_name(ty).to_owned() };
        if depth == 0 {
            return "…".to_owned();
        }
        let inner = |ty: Type| self.notation(ty, depth - 1);
        match (&definition.name, &definition.kind) {
            (Some(name), _) => name.clone(),
            (None, Kind::List(ty)) => format!("list<{}>", inner(*ty)),
            (None, Kind::Option(ty)) => format!("option<{}>", inner(*ty)),
            (None, Kind::Tuple(types)) => {
                format!("tuple<{}>", types.iter().map(|ty| inner(*ty)).collect::<Vec<_>>().join(", "))
            }
            (None, Kind::Result { ok: None, err: None }) => "result".to_owned(),
            (None, Kind::Result { ok: Some(ok), err: None }) => format!("result<{}>", inner(*ok)),
            (None, Kind::Result { ok, err: Some(err) }) => {
                format!("result<{}, {}>", ok.map_or("_".to_owned(), inner), inner(*err))
            }
            (None, Kind::Record(_)) => "record".to_owned(),
            (None, Kind::Variant(_)) => "variant".to_owned(),
            (None, Kind::Enum(_)) => "enum".to_owned(),
            (None, Kind::Flags(_)) => "flags".to_owned(),
        }
    }
}

/// Deepest nesting that a signature spells out: enough for people, and a bound on what a hostile type can make us write.
const SIGNATURE_DEPTH: u32 = 4;

/// The WIT keyword of a primitive type.
fn primitive_name(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::Defined(_) => "type",
    }
}
