//! What the component exports, made of the list of its tools.

use serde_json::Value;

use crate::{
    Answer, Asks, Content, Ctx, Description, Entry, Question, Tasks,
    ask::Answers,
    bindings::{
        exports::fumehood::tool::tools as wire,
        fumehood::tool::types::{
            self, Capability, ClientCapabilities, Context, Error, Form, InputRequest, InputRequired, MediaContent,
            ResourceLink, TextContent,
        },
    },
    host::Host,
};

/// What the host is told of the tools.
#[must_use]
pub fn list(entries: &[Entry]) -> Vec<wire::Tool> {
    entries.iter().map(|entry| described((entry.describe)())).collect()
}

/// Call the tool called `name`.
///
/// # Errors
///
/// When there is none, or the client cannot be asked what the tool asks.
pub fn call(entries: &[Entry], name: &str, arguments: &str, context: Context) -> Result<wire::Outcome, Error> {
    let entry = entries.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| Error::NotFound(format!("there is no tool `{name}`")))?;
    let Context { client, resumption, .. } = context;
    let answers = resumption.map_or_else(Answers::default, |resumed| {
        let responses = resumed.responses.into_iter();
        let responses = responses.map(|response| (response.key, parsed(&response.body)));
        Answers::of(resumed.state.as_deref(), responses)
    });
    let ctx = Ctx { host: Host, answers };
    match (entry.call)(&ctx, arguments).or_else(|error| error.into_answer()) {
        Ok(answer) => Ok(wire::Outcome::Done(done(answer))),
        Err(asks) => asked(asks, client).map(wire::Outcome::InputRequired),
    }
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_default()
}

/// As JSON. Not `to_string`, which would bring a second writer of JSON into the component.
fn text(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn described(description: Description) -> wire::Tool {
    let Description { name, title, description, input, output, hints, tasks } = description;
    wire::Tool {
        name: name.to_owned(),
        title: title.map(ToOwned::to_owned),
        description: description.to_owned(),
        input_schema: text(&input),
        output_schema: output.as_ref().map(text),
        hints: wire::Hints {
            read_only: hints.read_only,
            destructive: hints.destructive,
            idempotent: hints.idempotent,
            open_world: hints.open_world,
        },
        icons: Vec::new(),
        meta: None,
        tasks: match tasks {
            Tasks::Forbidden => wire::TaskSupport::Forbidden,
            Tasks::Optional => wire::TaskSupport::Optional,
            Tasks::Required => wire::TaskSupport::Required,
        },
    }
}

fn done(Answer { content, structured, meta, is_error }: Answer) -> wire::Answer {
    wire::Answer {
        content: content.into_iter().map(block).collect(),
        structured: structured.as_ref().map(text),
        is_error,
        meta: meta.as_ref().map(text),
    }
}

fn block(content: Content) -> types::Content {
    match content {
        Content::Text(text) => types::Content::Text(TextContent { text, annotations: None }),
        Content::Image(image) => types::Content::Image(media(image.bytes, image.mime_type)),
        Content::Audio(bytes, mime_type) => types::Content::Audio(media(bytes, mime_type)),
        Content::Link(link) => types::Content::ResourceLink(ResourceLink {
            uri: link.uri,
            name: link.name,
            title: None,
            description: None,
            mime_type: None,
            size: None,
            annotations: None,
        }),
    }
}

fn media(data: Vec<u8>, mime_type: String) -> MediaContent {
    MediaContent { data, mime_type, annotations: None }
}

/// What is asked, if the client can be asked it.
fn asked(Asks { requests, state }: Asks, client: ClientCapabilities) -> Result<InputRequired, Error> {
    let request = |request: crate::Asked| {
        let (needs, question, capability) = match request.question {
            Question::Form { message, schema } => (
                ClientCapabilities::ELICITATION_FORM,
                types::Question::ElicitForm(Form { message, schema: text(&schema) }),
                Capability::ElicitationForm,
            ),
            Question::Url { message, url } => (
                ClientCapabilities::ELICITATION_URL,
                types::Question::ElicitUrl(types::Link { message, url }),
                Capability::ElicitationUrl,
            ),
            Question::Model(params) => {
                (ClientCapabilities::SAMPLING, types::Question::Sampling(text(&params)), Capability::Sampling)
            }
        };
        if !client.contains(needs) {
            return Err(Error::MissingCapability(capability));
        }
        Ok(InputRequest { key: request.key, question })
    };
    let requests = requests.into_iter().map(request).collect::<Result<_, _>>()?;
    Ok(InputRequired { requests, state: Some(state) })
}
