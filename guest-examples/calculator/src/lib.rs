//! A calculator: the smallest example that is still useful.
//!
//! The functions stand in the world itself, not in an interface, so nothing but their names shows outside.

mod expression;

wit_bindgen::generate!({ path: "wit", world: "calculator" });

struct Calculator;

impl Guest for Calculator {
    fn add(a: f64, b: f64) -> f64 {
        a + b
    }

    fn subtract(a: f64, b: f64) -> f64 {
        a - b
    }

    fn multiply(a: f64, b: f64) -> f64 {
        a * b
    }

    fn divide(a: f64, b: f64) -> Result<f64, String> {
        if b == 0.0 {
            return Err("division by zero".to_owned());
        }
        Ok(a / b)
    }

    fn evaluate(expression: String) -> Result<f64, EvaluationError> {
        expression::evaluate(&expression)
    }
}

export!(Calculator);
