//! Component values to JSON, straight into text.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fumehood_model::{ByteSize, Outcome};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap, SerializeSeq},
};
use wasmtime::component::Val;

use crate::{
    plan::{Node, NodeId, Plan, Shape},
    types::Type,
};

/// Why an answer could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiftError {
    /// It is larger than one call may return.
    #[error("the answer is larger than {allowed}")]
    TooLarge {
        /// The bound.
        allowed: ByteSize,
    },
    /// A value does not have the type that was read from the component: a fault of ours.
    #[error("the answer does not have the type of the function")]
    Mismatch {
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
}

impl Plan {
    /// Write what a function returned as JSON: the value, or the error of its `result`.
    ///
    /// A function that returns nothing answers `null`.
    ///
    /// # Errors
    ///
    /// When the JSON would be larger than `allowed`.
    pub fn lift(&self, returned: Option<&Val>, allowed: ByteSize) -> Result<Outcome<Vec<u8>>, LiftError> {
        match (returned, self.answer.error) {
            (Some(Val::Result(Ok(value))), Some(_)) => {
                self.write(self.answer.value, value.as_deref(), allowed).map(Outcome::Value)
            }
            (Some(Val::Result(Err(error))), Some(node)) => {
                self.write(node, error.as_deref(), allowed).map(Outcome::ToolError)
            }
            (value, _) => self.write(self.answer.value, value, allowed).map(Outcome::Value),
        }
    }

    fn write(&self, node: Option<NodeId>, value: Option<&Val>, allowed: ByteSize) -> Result<Vec<u8>, LiftError> {
        let (Some(node), Some(value)) = (node, value) else { return Ok(b"null".to_vec()) };
        let mut out = Bounded { bytes: Vec::with_capacity(64), most: allowed.as_usize(), full: false };
        let written = serde_json::to_writer(&mut out, &Lifted { plan: self, node, value });
        match written {
            Ok(()) => Ok(out.bytes),
            Err(_) if out.full => Err(LiftError::TooLarge { allowed }),
            Err(source) => Err(LiftError::Mismatch { source }),
        }
    }
}

/// A buffer that refuses to grow beyond its bound.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            self.full = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Lifted<'a> {
    plan: &'a Plan,
    node: NodeId,
    value: &'a Val,
}

impl<'a> Lifted<'a> {
    fn inner(self, node: NodeId, value: &'a Val) -> Self {
        Self { node, value, ..self }
    }

    fn tagged<S: Serializer>(
        self,
        tag: &str,
        payload: Option<(NodeId, &'a Val)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("tag", tag)?;
        if let Some((node, value)) = payload.filter(|(node, value)| !self.is_absent(*node, value)) {
            map.serialize_entry("val", &self.inner(node, value))?;
        }
        map.end()
    }

    /// Whether `value` is a `none` that a member leaves out.
    fn is_absent(self, node: NodeId, value: &Val) -> bool {
        matches!((self.plan.node(node), value), (Node::Option(_), Val::Option(None)))
    }
}

impl Serialize for Lifted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mismatch = || S::Error::custom("mismatch");
        match (self.plan.node(self.node), self.value) {
            (Node::Primitive(_), value) => primitive(value, serializer),
            (Node::Bytes, Val::List(values)) => {
                let bytes: Option<Vec<u8>> =
                    values.iter().map(|v| if let Val::U8(b) = v { Some(*b) } else { None }).collect();
                serializer.serialize_str(&STANDARD.encode(bytes.ok_or_else(mismatch)?))
            }
            (Node::List(element), Val::List(values)) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(&self.inner(*element, value))?;
                }
                seq.end()
            }
            (Node::Tuple(nodes), Val::Tuple(values)) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for (node, value) in nodes.iter().zip(values) {
                    seq.serialize_element(&self.inner(*node, value))?;
                }
                seq.end()
            }
            (Node::Record(members), Val::Record(fields)) => {
                let mut map = serializer.serialize_map(None)?;
                for (member, (_, value)) in members.0.iter().zip(fields) {
                    if !self.is_absent(member.node, value) {
                        map.serialize_entry(&*member.label.json, &self.inner(member.node, value))?;
                    }
                }
                map.end()
            }
            (Node::Enum(_), Val::Enum(label)) => serializer.serialize_str(label),
            (Node::Flags(_), Val::Flags(labels)) => serializer.collect_seq(labels),
            (Node::Option(_), Val::Option(None)) => serializer.serialize_unit(),
            (Node::Option(node), Val::Option(Some(value))) => self.inner(*node, value).serialize(serializer),
            (Node::Variant { cases, shape }, value) => {
                let (tag, payload) = match (shape, value) {
                    (Shape::Variant, Val::Variant(tag, payload)) => (tag.as_str(), payload.as_deref()),
                    (Shape::Result, Val::Result(Ok(payload))) => ("ok", payload.as_deref()),
                    (Shape::Result, Val::Result(Err(payload))) => ("err", payload.as_deref()),
                    (Shape::Option, Val::Option(Some(payload))) => ("some", Some(&**payload)),
                    (Shape::Option, Val::Option(None)) => ("none", None),
                    _ => return Err(mismatch()),
                };
                let case = cases.iter().find(|case| &*case.label.wit == tag).ok_or_else(mismatch)?;
                self.tagged(tag, case.payload.zip(payload), serializer)
            }
            _ => Err(mismatch()),
        }
    }
}

/// 2^53: up to here every integer is exact in a double.
pub(crate) const EXACT: u64 = 1 << 53;

fn primitive<S: Serializer>(value: &Val, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        Val::Bool(value) => serializer.serialize_bool(value),
        Val::S8(value) => serializer.serialize_i8(value),
        Val::U8(value) => serializer.serialize_u8(value),
        Val::S16(value) => serializer.serialize_i16(value),
        Val::U16(value) => serializer.serialize_u16(value),
        Val::S32(value) => serializer.serialize_i32(value),
        Val::U32(value) => serializer.serialize_u32(value),
        // Beyond 2^53 a reader that keeps numbers as doubles would silently get another number.
        Val::S64(value) if value.unsigned_abs() >= EXACT => serializer.collect_str(&value),
        Val::S64(value) => serializer.serialize_i64(value),
        Val::U64(value) if value >= EXACT => serializer.collect_str(&value),
        Val::U64(value) => serializer.serialize_u64(value),
        Val::Float32(value) if !value.is_finite() => serializer.serialize_str(non_finite(value.into())),
        Val::Float64(value) if !value.is_finite() => serializer.serialize_str(non_finite(value)),
        // The shortest text of a whole number has no `.0`; the sign of zero is kept.
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, by the guard")]
        Val::Float32(value) if is_whole(value.into()) => serializer.serialize_i64(value as i64),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, by the guard")]
        Val::Float64(value) if is_whole(value) => serializer.serialize_i64(value as i64),
        Val::Float32(value) => serializer.serialize_f32(value),
        Val::Float64(value) => serializer.serialize_f64(value),
        Val::Char(value) => serializer.serialize_char(value),
        Val::String(ref value) => serializer.serialize_str(value),
        _ => Err(S::Error::custom("mismatch")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
fn is_whole(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() < EXACT as f64 && !(value == 0.0 && value.is_sign_negative())
}

/// The texts that stand for what JSON numbers cannot say.
pub(crate) const NON_FINITE: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

fn non_finite(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => NON_FINITE[0],
        value if value.is_sign_positive() => NON_FINITE[1],
        _ => NON_FINITE[2],
    }
}

/// Whether `ty` may be written as one of [`NON_FINITE`].
pub(crate) fn may_be_non_finite(ty: Type) -> bool {
    matches!(ty, Type::F32 | Type::F64)
}
