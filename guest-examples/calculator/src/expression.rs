//! A recursive-descent evaluator.
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = signed  { ("*" | "/") signed }
//! signed  = "-" signed | power
//! power   = primary [ "^" signed ]
//! primary = number | "(" sum ")"
//! ```
//!
//! A power binds tighter than the sign before it and groups to the right: `-2^2` is -4, `2^3^2` is 512.

use crate::EvaluationError;

/// How deep parentheses, signs and powers may nest.
///
/// Each level takes a few hundred bytes of a stack of 1 MiB. A hundred is more than anyone writes by hand.
const MAX_DEPTH: u32 = 100;

/// Evaluate the whole text as one expression.
pub fn evaluate(text: &str) -> Result<f64, EvaluationError> {
    let mut evaluator = Evaluator {
        characters: text.chars().collect(),
        position: 0,
        depth: 0,
    };
    let value = evaluator.sum()?;
    if let Some(character) = evaluator.peek() {
        return Err(evaluator.error(format!("unexpected '{character}'")));
    }
    // Infinity is not a number that JSON can carry, and not the answer to what was asked.
    if !value.is_finite() {
        return Err(EvaluationError {
            message: "the result is not a finite number".to_owned(),
            position: 0,
        });
    }
    Ok(value)
}

struct Evaluator {
    characters: Vec<char>,
    position: usize,
    depth: u32,
}

impl Evaluator {
    fn sum(&mut self) -> Result<f64, EvaluationError> {
        let mut value = self.product()?;
        loop {
            if self.take('+') {
                value += self.product()?;
            } else if self.take('-') {
                value -= self.product()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, EvaluationError> {
        let mut value = self.signed()?;
        loop {
            if self.take('*') {
                value *= self.signed()?;
            } else if self.take('/') {
                self.skip_spaces();
                let start = self.position;
                let divisor = self.signed()?;
                if divisor == 0.0 {
                    return Err(error_at(start, "division by zero"));
                }
                value /= divisor;
            } else {
                return Ok(value);
            }
        }
    }

    /// Every way to nest passes through here, so this is where depth is counted.
    fn signed(&mut self) -> Result<f64, EvaluationError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let value = if self.take('-') {
            -self.signed()?
        } else {
            self.power()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn power(&mut self) -> Result<f64, EvaluationError> {
        let base = self.primary()?;
        if self.take('^') {
            return Ok(base.powf(self.signed()?));
        }
        Ok(base)
    }

    fn primary(&mut self) -> Result<f64, EvaluationError> {
        if self.take('(') {
            let value = self.sum()?;
            if !self.take(')') {
                return Err(self.error("expected ')'"));
            }
            return Ok(value);
        }
        self.number()
    }

    fn number(&mut self) -> Result<f64, EvaluationError> {
        self.skip_spaces();
        let start = self.position;
        self.skip_digits();
        if self.next_is('.') {
            self.position += 1;
            self.skip_digits();
        }
        self.skip_exponent();
        if self.position == start {
            return Err(match self.peek() {
                Some(character) => self.error(format!("expected a number, found '{character}'")),
                None => self.error("expected a number, found the end"),
            });
        }
        let digits: String = self.characters[start..self.position].iter().collect();
        digits
            .parse()
            .map_err(|_| error_at(start, format!("'{digits}' is not a number")))
    }

    /// An `e` counts only after digits and when digits follow it: `1e` stays "unexpected 'e'".
    fn skip_exponent(&mut self) {
        let starts_number =
            self.position > 0 && self.characters[self.position - 1].is_ascii_digit();
        if !starts_number || !(self.next_is('e') || self.next_is('E')) {
            return;
        }
        let before = self.position;
        self.position += 1;
        if self.next_is('+') || self.next_is('-') {
            self.position += 1;
        }
        let digits = self.position;
        self.skip_digits();
        if self.position == digits {
            self.position = before;
        }
    }

    fn skip_digits(&mut self) {
        while self
            .characters
            .get(self.position)
            .is_some_and(char::is_ascii_digit)
        {
            self.position += 1;
        }
    }

    fn skip_spaces(&mut self) {
        while self
            .characters
            .get(self.position)
            .is_some_and(|character| character.is_whitespace())
        {
            self.position += 1;
        }
    }

    fn next_is(&self, wanted: char) -> bool {
        self.characters.get(self.position) == Some(&wanted)
    }

    /// Step over the wanted character, if it is the next one that is not a space.
    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.position += 1;
        }
        found
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_spaces();
        self.characters.get(self.position).copied()
    }

    fn error(&self, message: impl Into<String>) -> EvaluationError {
        error_at(self.position, message)
    }
}

fn error_at(position: usize, message: impl Into<String>) -> EvaluationError {
    EvaluationError {
        message: message.into(),
        position: u32::try_from(position).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> (String, u32) {
        let error = evaluate(text).unwrap_err();
        (error.message, error.position)
    }

    #[test]
    fn operators_bind_as_in_mathematics() {
        for (text, value) in [
            ("2 + 3 * 4", 14.0),
            ("(2 + 3) * 4", 20.0),
            ("2 ^ 3 ^ 2", 512.0),
            ("-2 ^ 2", -4.0),
            ("2 ^ -1", 0.5),
            ("8 - 4 - 2", 2.0),
            ("16 / 4 / 2", 2.0),
            ("--3", 3.0),
            ("1.5e2 + .5", 150.5),
            ("\t7\n", 7.0),
        ] {
            assert_eq!(evaluate(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn an_error_names_its_position_in_characters() {
        assert_eq!(
            failure("2 +"),
            ("expected a number, found the end".to_owned(), 3)
        );
        assert_eq!(failure("(1"), ("expected ')'".to_owned(), 2));
        assert_eq!(failure("2 $ 3"), ("unexpected '$'".to_owned(), 2));
        assert_eq!(failure("1 / (3 - 3)"), ("division by zero".to_owned(), 4));
        assert_eq!(failure("ä"), ("expected a number, found 'ä'".to_owned(), 0));
        assert_eq!(failure("."), ("'.' is not a number".to_owned(), 0));
        assert_eq!(failure("1e"), ("unexpected 'e'".to_owned(), 1));
        assert_eq!(
            failure("9^9^9"),
            ("the result is not a finite number".to_owned(), 0)
        );
    }

    #[test]
    fn deep_nesting_is_refused_rather_than_overflowing_the_stack() {
        for text in [
            "(".repeat(100_000),
            "-".repeat(100_000),
            "2^".repeat(100_000),
        ] {
            assert!(failure(&text).0.starts_with("nested deeper"));
        }
    }
}
