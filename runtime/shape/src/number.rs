use std::cmp::Ordering;

use serde_json::Value;

/// A number as it was meant: integers exactly, also those that travel as decimal text because JSON cannot hold them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        // Rust also reads `inf` and `nan`, which are words in an answer.
        let is_numeric = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        text.parse().ok().filter(|float: &f64| is_numeric && float.is_finite()).map(Self::Float)
    }

    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Self::of_json(number),
            Value::String(text) if text.len() <= 40 => Self::parse(text),
            _ => None,
        }
    }

    pub(crate) fn of_json(number: &serde_json::Number) -> Option<Self> {
        number.as_i128().map(Self::Integer).or_else(|| number.as_f64().map(Self::Float))
    }

    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => Some(one.cmp(&other)),
            (one, other) => one.as_float().partial_cmp(&other.as_float()),
        }
    }

    /// An order of all numbers. Comparing integers with floats as floats would not be one: two integers that are one
    /// float would equal it and not each other.
    pub(crate) fn total(self, other: Self) -> Ordering {
        let floats = self.as_float().total_cmp(&other.as_float());
        floats.then_with(|| self.as_integer().cmp(&other.as_integer()))
    }

    fn as_integer(self) -> Option<i128> {
        match self {
            Self::Integer(integer) => Some(integer),
            Self::Float(_) => None,
        }
    }

    fn as_float(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "only compared with what is a float itself")]
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}
