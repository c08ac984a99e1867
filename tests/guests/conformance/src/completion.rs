//! What could stand in an argument.

use crate::{
    Conformance,
    exports::fumehood::tool::completion::{Guest, Question, Subject, Suggestions},
    fumehood::tool::types::Error,
    prompts, resources,
};

const WORDS: [&str; 3] = ["paris", "park", "party"];

const IDS: [&str; 3] = ["1", "12", "123"];

impl Guest for Conformance {
    fn complete(question: Question) -> Result<Suggestions, Error> {
        let known: &[&str] = match (&question.subject, question.argument.as_str()) {
            (Subject::Prompt(name), "arg1" | "arg2") if name == prompts::WITH_ARGUMENTS => &WORDS,
            (Subject::Template(template), "id") if template == resources::TEMPLATE => &IDS,
            // Nothing comes to mind for the others.
            _ => &[],
        };
        let fitting = known.iter().filter(|word| word.starts_with(&question.value));
        let values: Vec<_> = fitting.map(|word| (*word).to_owned()).collect();
        Ok(Suggestions { total: Some(values.len() as u32), values, has_more: false })
    }
}
