//! Prompts.

use crate::{
    Conformance,
    content::{embedded, image, text},
    exports::fumehood::tool::prompts::{Argument, Guest, Message, Messages, Outcome, Prompt},
    fumehood::tool::types::{Content, Context, Error, Role},
    questions::{ask, filled_text, text_form},
    tools::icon,
};

pub(crate) const WITH_ARGUMENTS: &str = "test_prompt_with_arguments";

type Arguments = [(String, String)];

impl Guest for Conformance {
    fn list_prompts() -> Vec<Prompt> {
        vec![
            prompt("test_simple_prompt", "A prompt without arguments.", &[]),
            prompt(
                WITH_ARGUMENTS,
                "A prompt with two arguments.",
                &[("arg1", "First test argument"), ("arg2", "Second test argument")],
            ),
            prompt(
                "test_prompt_with_embedded_resource",
                "A prompt with a resource in it.",
                &[("resourceUri", "URI of the resource to embed")],
            ),
            prompt("test_prompt_with_image", "A prompt with an image in it.", &[]),
            prompt("test_input_required_result_prompt", "A prompt that asks the user first.", &[]),
            Prompt {
                title: Some("With a title and a picture".to_owned()),
                icons: vec![icon()],
                ..prompt("shown", "A prompt with all that can be told of it.", &[])
            },
        ]
    }

    fn get_prompt(name: String, arguments: Vec<(String, String)>, context: Context) -> Result<Outcome, Error> {
        match name.as_str() {
            "test_simple_prompt" => done([text("This is a simple prompt for testing.")]),
            WITH_ARGUMENTS => with_arguments(&arguments),
            "test_prompt_with_embedded_resource" => with_embedded_resource(&arguments),
            "test_prompt_with_image" => done([image(), text("Please analyze the image above.")]),
            "test_input_required_result_prompt" => asking(&context),
            "shown" => done([text("Look at it.")]),
            _ => Err(Error::NotFound(name)),
        }
    }
}

/// A prompt that needs all of these arguments, each with its description.
fn prompt(name: &str, description: &str, arguments: &[(&str, &str)]) -> Prompt {
    let arguments = arguments.iter().map(|(name, description)| Argument {
        name: (*name).to_owned(),
        description: Some((*description).to_owned()),
        required: true,
    });
    Prompt {
        name: name.to_owned(),
        title: None,
        description: Some(description.to_owned()),
        arguments: arguments.collect(),
        icons: vec![],
    }
}

fn with_arguments(arguments: &Arguments) -> Result<Outcome, Error> {
    let (first, second) = (argument(arguments, "arg1")?, argument(arguments, "arg2")?);
    done([text(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))])
}

fn with_embedded_resource(arguments: &Arguments) -> Result<Outcome, Error> {
    let uri = argument(arguments, "resourceUri")?;
    done([
        embedded(uri, "text/plain", "Embedded resource content for testing."),
        text("Please process the embedded resource above."),
    ])
}

fn asking(context: &Context) -> Result<Outcome, Error> {
    match filled_text(context, "user_context", "context") {
        Some(given) => done([text(&format!("Use this context: {given}"))]),
        None => ask(context, vec![text_form("user_context", "What context should the prompt use?", "context")])
            .map(Outcome::InputRequired),
    }
}

fn argument<'a>(arguments: &'a Arguments, name: &str) -> Result<&'a str, Error> {
    let given = arguments.iter().find(|(given, _)| given == name);
    given.map(|(_, value)| value.as_str()).ok_or_else(|| Error::Invalid(format!("the argument {name} is missing")))
}

/// Messages of the user, one for each piece of content.
fn done<const N: usize>(contents: [Content; N]) -> Result<Outcome, Error> {
    let messages = contents.map(|content| Message { role: Role::User, content }).into();
    Ok(Outcome::Done(Messages { description: None, messages }))
}
