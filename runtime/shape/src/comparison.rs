use std::cmp::Ordering;

use serde_json::Value;

use crate::{
    bounds::MAX_TEXT_BYTES,
    mistake::{kind_of, shown},
    number::Number,
    pattern::{Pattern, Work},
};

/// How a number stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Order {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Above => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
            Self::Below => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
        }
    }
}

/// What one value of a field is compared with.
#[derive(Debug, Clone)]
pub(crate) enum Comparison {
    /// The same: text that means a number equals it, because many callers can only send text.
    Same(Value),
    Ordered(Order, Number),
    Matches(Pattern),
    /// Lower-case text that is in it.
    Contains(String),
    StartsWith(String),
    EndsWith(String),
}

impl Comparison {
    /// Read what a caller wrote without `__operator`: a value, or text that begins with an operator. The `bool` says
    /// whether it is the opposite that is asked for.
    pub(crate) fn parse(value: &Value) -> Result<(Self, bool), String> {
        let Value::String(text) = value else { return Ok((Self::same(value)?, false)) };
        if let Some(pattern) = text.strip_prefix('~') {
            return Ok((Self::Matches(Pattern::parse(pattern)?), false));
        }
        if let Some(rest) = text.strip_prefix("!=") {
            return Ok((Self::same(&Value::from(rest))?, true));
        }
        // Longer operators first.
        let orders = [(">=", Order::AtLeast), ("<=", Order::AtMost), (">", Order::Above), ("<", Order::Below)];
        for (sign, order) in orders {
            if let Some(rest) = text.strip_prefix(sign) {
                return Ok((Self::ordered(order, &Value::from(rest))?, false));
            }
        }
        let rest = text.strip_prefix('=').unwrap_or(text);
        Ok((Self::same(&Value::from(rest))?, false))
    }

    pub(crate) fn same(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(_) | Value::Object(_) => {
                Err(format!("expected a text, number, boolean or null, found {}", kind_of(value)))
            }
            Value::String(text) => searched(text).map(|text| Self::Same(Value::from(text))),
            value => Ok(Self::Same(value.clone())),
        }
    }

    pub(crate) fn ordered(order: Order, value: &Value) -> Result<Self, String> {
        match Number::of(value) {
            Some(number) => Ok(Self::Ordered(order, number)),
            None => {
                let found =
                    value.as_str().map_or_else(|| kind_of(value).to_owned(), |text| format!("`{}`", shown(text)));
                Err(format!("expected a number to compare with, found {found}"))
            }
        }
    }

    /// Text to look for, in lower case.
    pub(crate) fn lowered(value: &Value) -> Result<String, String> {
        match value {
            Value::String(text) if !text.is_empty() => searched(&text.to_lowercase()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(format!("expected a text to look for, found {}", empty_or_kind(value))),
        }
    }

    pub(crate) fn holds(&self, value: &Value, work: &Work) -> bool {
        match self {
            Self::Same(wanted) => is_same(wanted, value),
            Self::Ordered(order, wanted) => {
                Number::of(value).and_then(|number| number.compare(*wanted)).is_some_and(|found| order.holds(found))
            }
            Self::Matches(pattern) => as_text(value, |text| pattern.is_in(text, work)),
            Self::Contains(wanted) => as_text(value, |text| text.to_lowercase().contains(wanted)),
            Self::StartsWith(wanted) => as_text(value, |text| text.to_lowercase().starts_with(wanted)),
            Self::EndsWith(wanted) => as_text(value, |text| text.to_lowercase().ends_with(wanted)),
        }
    }
}

fn searched(text: &str) -> Result<String, String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("expected at most {MAX_TEXT_BYTES} bytes, found {}", text.len()));
    }
    Ok(text.to_owned())
}

fn empty_or_kind(value: &Value) -> &'static str {
    if value.as_str() == Some("") { "an empty one" } else { kind_of(value) }
}

/// Whether `value` is what was wanted. Text that was wanted also stands for the number or boolean that it spells.
fn is_same(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::String(wanted), Value::String(text)) => wanted == text,
        (Value::String(wanted), Value::Bool(value)) => *wanted == value.to_string(),
        (Value::String(wanted), Value::Number(number)) => {
            Number::parse(wanted).zip(Number::of_json(number)).is_some_and(|(one, other)| are_equal(one, other))
        }
        // Large integers are answered as text.
        (Value::Number(wanted), value) => {
            Number::of_json(wanted).zip(Number::of(value)).is_some_and(|(one, other)| are_equal(one, other))
        }
        (wanted, value) => wanted == value,
    }
}

fn are_equal(one: Number, other: Number) -> bool {
    one.compare(other) == Some(Ordering::Equal)
}

/// Ask `question` of a scalar as text; nothing else has one.
fn as_text(value: &Value, question: impl FnOnce(&str) -> bool) -> bool {
    match value {
        Value::String(text) => question(text),
        Value::Number(number) => question(&number.to_string()),
        Value::Bool(value) => question(if *value { "true" } else { "false" }),
        _ => false,
    }
}
