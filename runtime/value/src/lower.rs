//! JSON to component values: one pass that checks, converts and collects every mistake.

use std::{borrow::Cow, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use wasmtime::component::Val;

use crate::{
    mistake::{InputError, MAX_MISTAKES, Mistake},
    plan::{Label, Members, Node, NodeId, Plan, Shape, VariantCase},
    types::Type,
};

/// Host memory that the values of one input may take, in bytes.
///
/// A component value is larger than its JSON (`1,` becomes 40 bytes), so the size of the request alone does not bound
/// it. 512 MiB lets a request of the default 16 MiB through even when it is one long base64 text.
pub const MAX_VALUE_BYTES: usize = 512 << 20;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The arguments of a call, as its front end has them: nothing about them has been checked.
#[derive(Debug, Clone)]
pub enum Arguments {
    /// JSON text.
    Text(Bytes),
    /// JSON that was parsed already.
    Parsed(Value),
}

impl Arguments {
    /// The arguments as JSON text.
    #[must_use]
    pub fn into_text(self) -> Bytes {
        match self {
            Self::Text(json) => json,
            Self::Parsed(value) => value.to_string().into(),
        }
    }
}

/// The arguments of one call, checked and converted: ready for a guest.
#[derive(Debug, Clone, PartialEq)]
pub struct Input(pub Vec<Val>);

impl Plan {
    /// Check and convert the arguments object in `json`. An empty text is an empty object.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, does not fit, or would take too much memory. All mistakes are reported at once.
    pub fn lower_slice(&self, json: &[u8]) -> Result<Input, InputError> {
        if json.trim_ascii().is_empty() {
            return self.lower(&mut serde_json::Deserializer::from_slice(b"{}"));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let input = self.lower(&mut deserializer)?;
        deserializer.end().map_err(|error| InputError::Malformed { what: error.to_string() })?;
        Ok(input)
    }

    /// Check and convert arguments that were parsed already.
    ///
    /// # Errors
    ///
    /// As [`Plan::lower_slice`].
    pub fn lower_value(&self, arguments: Value) -> Result<Input, InputError> {
        self.lower(arguments)
    }

    /// Check and convert arguments in either form.
    ///
    /// # Errors
    ///
    /// As [`Plan::lower_slice`].
    pub fn accept(&self, arguments: Arguments) -> Result<Input, InputError> {
        match arguments {
            Arguments::Text(json) => self.lower_slice(&json),
            Arguments::Parsed(value) => self.lower_value(value),
        }
    }

    fn lower<'de, D: Deserializer<'de>>(&self, deserializer: D) -> Result<Input, InputError>
    where
        D::Error: fmt::Display,
    {
        let mut cx =
            Context { plan: self, path: Vec::new(), mistakes: Vec::new(), budget: MAX_VALUE_BYTES, ended: None };
        let lowered = deserializer.deserialize_any(Root { cx: &mut cx });
        if let Some(error) = cx.ended {
            return Err(error);
        }
        let values = lowered.map_err(|error| InputError::Malformed { what: error.to_string() })?;
        if !cx.mistakes.is_empty() {
            return Err(InputError::Mistakes { mistakes: cx.mistakes });
        }
        Ok(Input(values))
    }
}

/// Stands where a value should be after a mistake was recorded; never reaches a guest.
const NOTHING: Val = Val::Bool(false);

enum Step<'p> {
    Member(&'p Label),
    Index(usize),
    Payload,
}

struct Context<'p> {
    plan: &'p Plan,
    path: Vec<Step<'p>>,
    mistakes: Vec<Mistake>,
    budget: usize,
    /// Why nothing more is read.
    ended: Option<InputError>,
}

impl<'p> Context<'p> {
    fn mistake(&mut self, message: impl Into<String>) {
        self.mistake_below(None, message);
    }

    fn mistake_below(&mut self, key: Option<&str>, message: impl Into<String>) {
        if self.mistakes.len() < MAX_MISTAKES {
            let pointer = self.pointer(key);
            self.mistakes.push(Mistake { pointer, message: message.into() });
        }
    }

    fn pointer(&self, key: Option<&str>) -> String {
        let mut pointer = String::new();
        let mut push = |segment: &str| {
            pointer.push('/');
            pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        };
        for step in &self.path {
            match step {
                Step::Member(label) => push(&label.json),
                Step::Index(index) => push(&index.to_string()),
                Step::Payload => push("val"),
            }
        }
        if let Some(key) = key {
            push(&shown(key));
        }
        pointer
    }

    fn spend<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => {
                self.ended = Some(InputError::TooLarge { most_bytes: MAX_VALUE_BYTES });
                Err(E::custom("too large"))
            }
        }
    }

    /// Make room in `values` for as many more. A few megabytes of text may be hundreds of megabytes of values, and a process that has
    /// no room for them is not to end.
    fn reserve<E: serde::de::Error>(&mut self, values: &mut Vec<Val>, more: usize) -> Result<(), E> {
        let done = if values.is_empty() { values.try_reserve_exact(more) } else { values.try_reserve(more) };
        done.map_err(|_| {
            self.ended = Some(InputError::NoMemory);
            E::custom("no memory")
        })
    }

    fn node(&self, id: NodeId) -> &'p Node {
        self.plan.node(id)
    }
}

/// Text of a caller, fit for quoting in a message.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        shown.push('…');
    }
    shown
}

/// The arguments of the function as a whole.
struct Root<'a, 'p> {
    cx: &'a mut Context<'p>,
}

impl<'a, 'p> Root<'a, 'p> {
    fn not_an_object<E>(self, found: &str) -> Result<Vec<Val>, E> {
        self.cx.mistake(format!("expected an object of arguments, found {found}"));
        Ok(Vec::new())
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = Vec<Val>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of arguments")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<Val>, A::Error> {
        let params = &*self.cx.plan.params;
        let values = read_members(self.cx, params, map)?;
        Ok(values.into_iter().map(|value| value.unwrap_or(NOTHING)).collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Val>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.not_an_object("an array")
    }

    fn visit_unit<E>(self) -> Result<Vec<Val>, E> {
        self.not_an_object("null")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Vec<Val>, E> {
        self.not_an_object("a boolean")
    }

    fn visit_u64<E>(self, _: u64) -> Result<Vec<Val>, E> {
        self.not_an_object("a number")
    }

    fn visit_i64<E>(self, _: i64) -> Result<Vec<Val>, E> {
        self.not_an_object("a number")
    }

    fn visit_f64<E>(self, _: f64) -> Result<Vec<Val>, E> {
        self.not_an_object("a number")
    }

    fn visit_str<E>(self, _: &str) -> Result<Vec<Val>, E> {
        self.not_an_object("a string")
    }
}

/// Read an object into the places of `members`; a place stays empty where a mistake was recorded.
fn read_members<'de, 'p, A: MapAccess<'de>>(
    cx: &mut Context<'p>,
    members: &'p Members,
    mut map: A,
) -> Result<Vec<Option<Val>>, A::Error> {
    cx.spend(members.0.len() * size_of::<(String, Val)>())?;
    let mut values: Vec<Option<Val>> = Vec::with_capacity(members.0.len());
    values.resize_with(members.0.len(), || None);
    let mut expected = 0;
    while let Some(key) = map.next_key_seed(MemberKey { members, expected })? {
        let position = match key {
            Key::Known(position) => position,
            Key::Unknown(name) => {
                map.next_value::<IgnoredAny>()?;
                let hint = nearest(&name, members).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
                cx.mistake_below(Some(&name), format!("`{}` is not known here{hint}", shown(&name)));
                continue;
            }
        };
        let member = &members.0[position];
        expected = position + 1;
        cx.path.push(Step::Member(&member.label));
        if values[position].is_some() {
            map.next_value::<IgnoredAny>()?;
            cx.mistake("it is given more than once");
        } else {
            values[position] = Some(map.next_value_seed(Seed { cx: &mut *cx, node: member.node })?);
        }
        cx.path.pop();
    }
    for (value, member) in values.iter_mut().zip(&members.0) {
        if value.is_none() && member.optional {
            *value = Some(Val::Option(None));
        } else if value.is_none() {
            cx.mistake_below(Some(&member.label.json), format!("`{}` is required", member.label.json));
        }
    }
    Ok(values)
}

/// The member that a misspelt `key` was probably meant to be.
fn nearest<'p>(key: &str, members: &'p Members) -> Option<&'p str> {
    // Comparing is quadratic in the length; names of members are short.
    if key.len() > 64 {
        return None;
    }
    let distance = |member: &str| edit_distance(&key.to_lowercase(), member);
    let near = members.0.iter().map(|m| &*m.label.json).min_by_key(|name| distance(name))?;
    (distance(near) <= 1 + near.len() / 4).then_some(near)
}

/// Levenshtein's distance, in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

enum Key {
    Known(usize),
    Unknown(String),
}

struct MemberKey<'p> {
    members: &'p Members,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for MemberKey<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberKey<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(self
            .members
            .position(key, self.expected)
            .map_or_else(|| Key::Unknown(key.chars().take(256).collect()), Key::Known))
    }
}

/// Reads one value of the type of `node`.
struct Seed<'a, 'p> {
    cx: &'a mut Context<'p>,
    node: NodeId,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Val;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Val, D::Error> {
        match self.cx.node(self.node) {
            Node::Option(_) => deserializer.deserialize_option(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'p> Seed<'_, 'p> {
    fn expected<E>(self, found: &str) -> Result<Val, E> {
        let what = expectation(self.cx.node(self.node));
        self.cx.mistake(format!("expected {what}, found {found}"));
        Ok(NOTHING)
    }

    fn integer<E>(self, number: i128) -> Result<Val, E> {
        let Node::Primitive(ty) = *self.cx.node(self.node) else { return self.expected("a number") };
        let value = match ty {
            Type::S8 => number.try_into().ok().map(Val::S8),
            Type::U8 => number.try_into().ok().map(Val::U8),
            Type::S16 => number.try_into().ok().map(Val::S16),
            Type::U16 => number.try_into().ok().map(Val::U16),
            Type::S32 => number.try_into().ok().map(Val::S32),
            Type::U32 => number.try_into().ok().map(Val::U32),
            Type::S64 => number.try_into().ok().map(Val::S64),
            Type::U64 => number.try_into().ok().map(Val::U64),
            #[expect(clippy::cast_precision_loss, reason = "a JSON number given for a float is rounded to the nearest")]
            Type::F32 => Some(Val::Float32(number as f32)),
            #[expect(clippy::cast_precision_loss, reason = "a JSON number given for a float is rounded to the nearest")]
            Type::F64 => Some(Val::Float64(number as f64)),
            Type::Bool | Type::Char | Type::String | Type::Defined(_) => return self.expected("a number"),
        };
        value.map_or_else(|| self.out_of_range(ty, &number.to_string()), Ok)
    }

    fn out_of_range<E>(self, ty: Type, number: &str) -> Result<Val, E> {
        let (least, most) = range(ty);
        self.cx.mistake(format!("expected an integer from {least} to {most}, found {number}"));
        Ok(NOTHING)
    }

    fn float<E>(self, number: f64) -> Result<Val, E> {
        match *self.cx.node(self.node) {
            Node::Primitive(Type::F64) => Ok(Val::Float64(number)),
            Node::Primitive(Type::F32) => {
                #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest; overflow is refused below")]
                let short = number as f32;
                if short.is_finite() {
                    return Ok(Val::Float32(short));
                }
                self.cx.mistake(format!("expected a number from {} to {}, found {number:e}", f32::MIN, f32::MAX));
                Ok(NOTHING)
            }
            Node::Primitive(ty) if is_integer(ty) => {
                // `2.0` is an integer to JSON Schema and to people; 2^127 is far beyond every integer type.
                if number.fract() != 0.0 {
                    return self.expected(&format!("{number}"));
                }
                if number.abs() >= 1.7e38 {
                    return self.out_of_range(ty, &format!("{number:e}"));
                }
                #[expect(clippy::cast_possible_truncation, reason = "integral and within range, by the checks above")]
                self.integer(number as i128)
            }
            _ => self.expected("a number"),
        }
    }

    fn text<E: serde::de::Error>(self, text: Cow<'_, str>) -> Result<Val, E> {
        let cx = self.cx;
        match cx.node(self.node) {
            Node::Primitive(Type::String) => {
                cx.spend(size_of::<Val>() + text.len())?;
                Ok(Val::String(text.into_owned()))
            }
            Node::Primitive(Type::Char) => {
                let mut chars = text.chars();
                if let (Some(char), None) = (chars.next(), chars.next()) {
                    return Ok(Val::Char(char));
                }
                Seed { cx, node: self.node }.expected(&format!("{} characters", text.chars().count()))
            }
            Node::Primitive(Type::U64 | Type::S64) => match parse_integer(&text) {
                Some(number) => Seed { cx, node: self.node }.integer(number),
                None => Seed { cx, node: self.node }.expected(&format!("\"{}\"", shown(&text))),
            },
            Node::Enum(labels) => match labels.iter().find(|label| label.is(&text)) {
                Some(label) => Ok(Val::Enum(label.wit.to_string())),
                None => Seed { cx, node: self.node }.expected(&format!("\"{}\"", shown(&text))),
            },
            Node::Bytes => {
                let encoded = payload_of_data_url(&text);
                cx.spend(encoded.len() / 4 * 3 * size_of::<Val>())?;
                match BASE64.decode(encoded) {
                    Ok(bytes) => {
                        let mut values = Vec::new();
                        cx.reserve(&mut values, bytes.len())?;
                        values.extend(bytes.into_iter().map(Val::U8));
                        Ok(Val::List(values))
                    }
                    Err(error) => {
                        cx.mistake(format!("expected bytes in base64: {}", error.to_string().to_lowercase()));
                        Ok(NOTHING)
                    }
                }
            }
            _ => Seed { cx, node: self.node }.expected("a string"),
        }
    }

    fn tuple<'de, A: SeqAccess<'de>>(self, members: &'p [NodeId], mut seq: A) -> Result<Val, A::Error> {
        let cx = self.cx;
        let mut values = Vec::with_capacity(members.len());
        for (index, node) in members.iter().enumerate() {
            cx.spend(size_of::<Val>())?;
            cx.path.push(Step::Index(index));
            let value = seq.next_element_seed(Seed { cx: &mut *cx, node: *node })?;
            cx.path.pop();
            match value {
                Some(value) => values.push(value),
                None => break,
            }
        }
        let mut found = values.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            found += 1;
        }
        if found != members.len() {
            cx.mistake(format!("expected an array of exactly {} values, found {found}", members.len()));
            return Ok(NOTHING);
        }
        Ok(Val::Tuple(values))
    }

    fn list<'de, A: SeqAccess<'de>>(self, element: NodeId, mut seq: A) -> Result<Val, A::Error> {
        let cx = self.cx;
        let mut values = Vec::new();
        loop {
            cx.path.push(Step::Index(values.len()));
            let value = seq.next_element_seed(Seed { cx: &mut *cx, node: element })?;
            cx.path.pop();
            let Some(value) = value else { return Ok(Val::List(values)) };
            cx.spend(size_of::<Val>())?;
            cx.reserve(&mut values, 1)?;
            values.push(value);
        }
    }

    fn flags<'de, A: SeqAccess<'de>>(self, labels: &'p [Label], mut seq: A) -> Result<Val, A::Error> {
        let cx = self.cx;
        let mut set = vec![false; labels.len()];
        let mut index = 0;
        while let Some(label) = seq.next_element::<Value>()? {
            let known = label.as_str().and_then(|text| labels.iter().position(|label| label.is(text)));
            match known {
                Some(position) => set[position] = true,
                None => {
                    let found = label
                        .as_str()
                        .map_or_else(|| kind_of(&label).to_owned(), |text| format!("\"{}\"", shown(text)));
                    cx.path.push(Step::Index(index));
                    cx.mistake(format!("expected {}, found {found}", one_of(labels)));
                    cx.path.pop();
                }
            }
            index += 1;
        }
        cx.spend(labels.iter().map(|label| size_of::<String>() + label.wit.len()).sum())?;
        let set = labels.iter().zip(set).filter(|(_, set)| *set).map(|(label, _)| label.wit.to_string());
        Ok(Val::Flags(set.collect()))
    }

    fn record<'de, A: MapAccess<'de>>(self, members: &'p Members, map: A) -> Result<Val, A::Error> {
        let values = read_members(self.cx, members, map)?;
        let fields = members.0.iter().zip(values).map(|(m, value)| (m.label.wit.to_string(), value.unwrap_or(NOTHING)));
        Ok(Val::Record(fields.collect()))
    }

    fn variant<'de, A: MapAccess<'de>>(
        self,
        cases: &'p [VariantCase],
        shape: Shape,
        mut map: A,
    ) -> Result<Val, A::Error> {
        let cx = self.cx;
        let mut case: Option<&'p VariantCase> = None;
        let mut payload: Option<Val> = None;
        // A `val` that comes before its `tag` is kept until its type is known.
        let mut early: Option<Value> = None;
        let mut tagged = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "tag" if !tagged => {
                    tagged = true;
                    let tag = map.next_value::<Value>()?;
                    case = tag.as_str().and_then(|tag| cases.iter().find(|case| case.label.is(tag)));
                    if case.is_none() {
                        let found = tag
                            .as_str()
                            .map_or_else(|| kind_of(&tag).to_owned(), |text| format!("\"{}\"", shown(text)));
                        let expected = one_of(cases.iter().map(|case| &case.label));
                        cx.mistake_below(Some("tag"), format!("expected {expected}, found {found}"));
                    }
                }
                "val" if payload.is_none() && early.is_none() => match case.and_then(|case| case.payload) {
                    Some(node) => {
                        cx.path.push(Step::Payload);
                        payload = Some(map.next_value_seed(Seed { cx: &mut *cx, node })?);
                        cx.path.pop();
                    }
                    None => early = Some(map.next_value()?),
                },
                "tag" | "val" => {
                    map.next_value::<IgnoredAny>()?;
                    cx.mistake_below(Some(&key), "it is given more than once");
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    cx.mistake_below(
                        Some(&key),
                        format!("`{}` is not known here: only `tag` and `val` are", shown(&key)),
                    );
                }
            }
        }
        let Some(case) = case else {
            if !tagged {
                cx.mistake_below(
                    Some("tag"),
                    format!("`tag` is required: {}", one_of(cases.iter().map(|case| &case.label))),
                );
            }
            return Ok(NOTHING);
        };
        let value = match (case.payload, payload, early) {
            (None, _, None | Some(Value::Null)) => None,
            (None, _, Some(_)) => {
                cx.mistake_below(Some("val"), format!("case `{}` takes no value", case.label.wit));
                return Ok(NOTHING);
            }
            (Some(_), Some(value), _) => Some(value),
            (Some(node), None, Some(early)) => {
                cx.path.push(Step::Payload);
                let value = Seed { cx: &mut *cx, node }.deserialize(early).map_err(A::Error::custom)?;
                cx.path.pop();
                Some(value)
            }
            (Some(node), None, None) if matches!(cx.node(node), Node::Option(_)) => Some(Val::Option(None)),
            (Some(_), None, None) => {
                cx.mistake_below(Some("val"), format!("case `{}` requires a value", case.label.wit));
                return Ok(NOTHING);
            }
        };
        cx.spend(size_of::<Val>() + case.label.wit.len())?;
        let value = value.map(Box::new);
        Ok(match (shape, &*case.label.wit) {
            (Shape::Variant, name) => Val::Variant(name.to_owned(), value),
            (Shape::Result, "ok") => Val::Result(Ok(value)),
            (Shape::Result, _) => Val::Result(Err(value)),
            (Shape::Option, _) => Val::Option(value),
        })
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Val;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&expectation(self.cx.node(self.node)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Val, E> {
        match self.cx.node(self.node) {
            Node::Primitive(Type::Bool) => Ok(Val::Bool(value)),
            _ => self.expected("a boolean"),
        }
    }

    fn visit_u64<E>(self, number: u64) -> Result<Val, E> {
        self.integer(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Val, E> {
        self.integer(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Val, E> {
        self.float(number)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Val, E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Val, E> {
        self.text(Cow::Owned(text))
    }

    fn visit_unit<E>(self) -> Result<Val, E> {
        self.expected("null")
    }

    fn visit_none<E>(self) -> Result<Val, E> {
        Ok(Val::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Val, D::Error> {
        let Node::Option(inner) = *self.cx.node(self.node) else { return deserializer.deserialize_any(self) };
        self.cx.spend(size_of::<Val>())?;
        let value = Seed { cx: self.cx, node: inner }.deserialize(deserializer)?;
        Ok(Val::Option(Some(Box::new(value))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Val, A::Error> {
        match self.cx.node(self.node) {
            Node::List(element) => self.list(*element, seq),
            Node::Tuple(members) => self.tuple(members, seq),
            Node::Flags(labels) => self.flags(labels, seq),
            _ => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                self.expected("an array")
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Val, A::Error> {
        match self.cx.node(self.node) {
            Node::Record(members) => self.record(members, map),
            Node::Variant { cases, shape } => self.variant(cases, *shape, map),
            _ => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.expected("an object")
            }
        }
    }
}

/// The text after `data:…;base64,`, or all of it.
fn payload_of_data_url(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("data:") else { return text };
    rest.split_once(";base64,").map_or(text, |(_, payload)| payload)
}

/// `123` or `-123`, and nothing else: no sign `+`, no spaces, no exponent.
fn parse_integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || digits.len() > 30 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn is_integer(ty: Type) -> bool {
    matches!(ty, Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64)
}

/// The least and the most that an integer type holds.
pub(crate) fn range(ty: Type) -> (i128, i128) {
    match ty {
        Type::S8 => (i8::MIN.into(), i8::MAX.into()),
        Type::U8 => (0, u8::MAX.into()),
        Type::S16 => (i16::MIN.into(), i16::MAX.into()),
        Type::U16 => (0, u16::MAX.into()),
        Type::S32 => (i32::MIN.into(), i32::MAX.into()),
        Type::U32 => (0, u32::MAX.into()),
        Type::S64 => (i64::MIN.into(), i64::MAX.into()),
        _ => (0, u64::MAX.into()),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn one_of<'p>(labels: impl IntoIterator<Item = &'p Label>) -> String {
    let mut labels = labels.into_iter();
    let first: Vec<_> = labels.by_ref().take(12).map(|label| format!("\"{}\"", label.wit)).collect();
    let more = if labels.next().is_some() { ", …" } else { "" };
    format!("one of {}{more}", first.join(", "))
}

fn expectation(node: &Node) -> String {
    match node {
        Node::Primitive(Type::Bool) => "true or false".to_owned(),
        Node::Primitive(Type::Char) => "a string of one character".to_owned(),
        Node::Primitive(Type::String) => "a string".to_owned(),
        Node::Primitive(Type::F32 | Type::F64) => "a number".to_owned(),
        Node::Primitive(ty) => {
            let (least, most) = range(*ty);
            format!("an integer from {least} to {most}")
        }
        Node::Bytes => "a string of bytes in base64".to_owned(),
        Node::List(_) => "an array".to_owned(),
        Node::Tuple(members) => format!("an array of exactly {} values", members.len()),
        Node::Record(_) => "an object".to_owned(),
        Node::Variant { .. } => "an object with `tag` and `val`".to_owned(),
        Node::Enum(labels) => one_of(&**labels),
        Node::Flags(labels) => format!("an array with any of {}", one_of(&**labels).trim_start_matches("one of ")),
        Node::Option(_) => "a value or null".to_owned(),
    }
}
