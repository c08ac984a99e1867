//! Lengths in other units: what a plain tool looks like with the SDK.

use fumehood::prelude::*;

tools![convert, compare];

/// Convert a length from one unit to another.
#[tool(title = "Convert a length", read_only, idempotent, example(amount = 26.2, from = "mile", to = "kilometre"))]
fn convert(
    /// How long it is, in `from`.
    #[schemars(range(min = 0.0, max = 1e12))]
    amount: f64,
    /// The unit of `amount`.
    from: Unit,
    /// The unit of the answer.
    to: Unit,
    /// How many digits come after the point; all that there are unless given.
    #[schemars(range(max = 12))]
    digits: Option<u8>,
) -> Converted {
    let metres = amount * from.metres();
    Converted { amount: rounded(metres / to.metres(), digits), unit: to, metres }
}

/// Say which of two lengths is the longer one.
#[tool(read_only, idempotent)]
fn compare(
    /// One length.
    one: Length,
    /// The other one.
    other: Length,
) -> Result<String, ToolError> {
    for (pointer, length) in [("/one/amount", &one), ("/other/amount", &other)] {
        if length.amount < 0.0 {
            return Err(ToolError::invalid(pointer, "a length is not below zero"));
        }
    }
    let (left, right) = (one.amount * one.unit.metres(), other.amount * other.unit.metres());
    Ok(match left.total_cmp(&right) {
        std::cmp::Ordering::Less => "the other one is longer".to_owned(),
        std::cmp::Ordering::Equal => "they are equally long".to_owned(),
        std::cmp::Ordering::Greater => "the first one is longer".to_owned(),
    })
}

/// A unit of length.
#[data]
#[derive(Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Unit {
    Metre,
    Kilometre,
    Inch,
    Foot,
    Mile,
}

/// A length.
#[data]
struct Length {
    /// How many of the unit.
    amount: f64,
    /// Which unit.
    unit: Unit,
}

/// A length in another unit.
#[data]
#[derive(PartialEq)]
struct Converted {
    /// How many of the unit.
    amount: f64,
    /// Which unit.
    unit: Unit,
    /// The same in metres.
    metres: f64,
}

impl Unit {
    fn metres(self) -> f64 {
        match self {
            Self::Metre => 1.0,
            Self::Kilometre => 1000.0,
            Self::Inch => 0.0254,
            Self::Foot => 0.3048,
            Self::Mile => 1609.344,
        }
    }
}

fn rounded(amount: f64, digits: Option<u8>) -> f64 {
    let Some(digits) = digits else { return amount };
    let scale = 10_f64.powi(digits.into());
    (amount * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mile_has_so_many_metres() {
        let converted = convert(1.0, Unit::Mile, Unit::Metre, None);

        assert_eq!(converted, Converted { amount: 1609.344, unit: Unit::Metre, metres: 1609.344 });
    }

    #[test]
    fn digits_are_as_many_as_wanted() {
        assert_eq!(convert(26.2, Unit::Mile, Unit::Kilometre, Some(1)).amount, 42.2);
    }

    #[test]
    fn nothing_is_shorter_than_nothing() {
        let below = Length { amount: -1.0, unit: Unit::Inch };

        let error = compare(below.clone(), below).unwrap_err();

        assert_eq!(error, ToolError::invalid("/one/amount", "a length is not below zero"));
    }
}
