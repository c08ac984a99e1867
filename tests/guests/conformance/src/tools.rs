//! Tools: what there is, and what they have in common.

mod asking;
mod plain;
mod telling;
mod working;

use serde_json::Value;

pub(crate) use self::telling::icon;
use crate::{
    Conformance,
    content::text,
    exports::fumehood::tool::tools::{Answer, Guest, Hints, Outcome, TaskSupport, Tool},
    fumehood::tool::types::{Content, Context, Error},
};

/// No arguments.
const NOTHING: &str = r#"{"type": "object", "properties": {}}"#;

/// A name.
const NAME: &str = r#"{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}"#;

/// What a tool is called with.
struct Call {
    arguments: Value,
    context: Context,
}

/// How a call ends.
type Ended = Result<Outcome, Error>;

/// A tool, and what it does.
struct Fixture {
    name: &'static str,
    description: &'static str,
    schema: &'static str,
    tasks: TaskSupport,
    run: fn(&Call) -> Ended,
    /// What more is told of it.
    told: fn(Tool) -> Tool,
}

impl Guest for Conformance {
    fn list_tools() -> Vec<Tool> {
        fixtures().into_iter().map(Tool::from).collect()
    }

    fn call_tool(name: String, arguments: String, context: Context) -> Ended {
        let arguments = serde_json::from_str(&arguments).map_err(|error| Error::Invalid(error.to_string()))?;
        let fixture = fixtures().into_iter().find(|fixture| fixture.name == name);
        (fixture.ok_or(Error::NotFound(name))?.run)(&Call { arguments, context })
    }
}

impl Call {
    /// A text among the arguments, which its schema says must be there.
    fn text(&self, name: &str) -> Result<&str, Error> {
        self.arguments[name].as_str().ok_or_else(|| Error::Invalid(format!("{name} is not a text")))
    }
}

impl Fixture {
    /// A tool without arguments, whose caller waits for it.
    const fn new(name: &'static str, description: &'static str, run: fn(&Call) -> Ended) -> Self {
        Self { name, description, schema: NOTHING, tasks: TaskSupport::Forbidden, run, told: |tool| tool }
    }

    const fn taking(self, schema: &'static str) -> Self {
        Self { schema, ..self }
    }

    const fn as_job(self, tasks: TaskSupport) -> Self {
        Self { tasks, ..self }
    }

    const fn told(self, told: fn(Tool) -> Tool) -> Self {
        Self { told, ..self }
    }
}

impl From<Fixture> for Tool {
    fn from(fixture: Fixture) -> Self {
        (fixture.told)(Self {
            name: fixture.name.to_owned(),
            title: None,
            description: fixture.description.to_owned(),
            input_schema: fixture.schema.to_owned(),
            output_schema: None,
            // None of them changes anything, whatever it is called.
            hints: Hints { read_only: Some(true), destructive: None, idempotent: None, open_world: Some(false) },
            icons: vec![],
            meta: None,
            tasks: fixture.tasks,
        })
    }
}

/// All tools.
///
/// The suite calls the first one without arguments and wants an answer.
fn fixtures() -> Vec<Fixture> {
    use TaskSupport::{Optional, Required};
    vec![
        Fixture::new("test_simple_text", "Returns a text.", plain::simple_text),
        Fixture::new("test_image_content", "Returns an image.", plain::image_content),
        Fixture::new("test_audio_content", "Returns a sound.", plain::audio_content),
        Fixture::new("test_embedded_resource", "Returns a resource.", plain::embedded_resource),
        Fixture::new("test_multiple_content_types", "Returns a text, an image and a resource.", plain::multiple),
        Fixture::new("test_error_handling", "Returns an error.", plain::error),
        Fixture::new("json_schema_2020_12_tool", "Tool with JSON Schema 2020-12 features", plain::echo)
            .taking(include_str!("schemas/json_schema_2020_12.json")),
        Fixture::new("test_custom_header", "Returns a region, which is told in a header too.", plain::custom_header)
            .taking(plain::REGION),
        Fixture::new("greet", "Greets somebody.", plain::greet).taking(NAME),
        Fixture::new("test_tool_with_logging", "Logs while it works.", working::logging_slowly),
        Fixture::new("test_logging_tool", "Logs a line of each level.", working::logging_each_level),
        Fixture::new("test_tool_with_progress", "Tells how far it is.", working::progress),
        Fixture::new("test_reconnection", "Works for a moment, on a stream.", working::pausing),
        Fixture::new("slow_compute", "Works for so many seconds.", working::slow_compute)
            .taking(working::DURATION)
            .as_job(Optional),
        Fixture::new("failing_job", "Works for a second and returns an error.", working::failing_job).as_job(Required),
        Fixture::new("protocol_error_job", "Works for a while and fails.", working::failing_call).as_job(Required),
        Fixture::new("confirm_delete", "Asks whether to delete a file, and deletes none.", asking::confirm_delete)
            .taking(asking::FILE)
            .as_job(Optional),
        Fixture::new("multi_input", "Asks two questions at once.", asking::two_at_once).as_job(Optional),
        Fixture::new("test_tool_with_task", "Asks a name, then works for it.", asking::then_working).as_job(Required),
        Fixture::new("test_sampling", "Asks the client's model.", asking::sampling_of_prompt).taking(asking::PROMPT),
        Fixture::new("test_elicitation", "Asks the user.", asking::user).taking(asking::MESSAGE),
        Fixture::new("test_elicitation_sep1034_defaults", "Shows a form with defaults.", asking::defaults),
        Fixture::new("test_elicitation_sep1330_enums", "Shows a form with choices of each kind.", asking::enums),
        Fixture::new("test_missing_capability", "Cannot do without sampling.", asking::missing_capability),
        Fixture::new("test_streaming_elicitation", "Asks the user's name, on a stream.", asking::name),
        Fixture::new("test_input_required_result_elicitation", "Asks the user's name.", asking::name),
        Fixture::new("test_input_required_result_sampling", "Asks the client's model for a capital.", asking::capital),
        Fixture::new("test_input_required_result_list_roots", "Asks for the client's folders.", asking::folders),
        Fixture::new("test_input_required_result_request_state", "Asks and remembers it.", asking::remembering),
        Fixture::new("test_input_required_result_tampered_state", "Asks and remembers it.", asking::remembering),
        Fixture::new("test_input_required_result_multiple_inputs", "Asks three things at once.", asking::three_at_once),
        Fixture::new("test_input_required_result_multi_round", "Asks twice.", asking::two_rounds),
        Fixture::new("test_input_required_result_capabilities", "Asks what the client can answer.", asking::possible),
        Fixture::new("measure", "Measures a text.", telling::measure)
            .taking(telling::MEASURED)
            .told(telling::everything),
        Fixture::new("measure_wrongly", "Promises measures and tells none.", telling::measure_wrongly)
            .told(telling::promise),
        Fixture::new("trace", "Tells the trace that the call is part of.", telling::trace),
    ]
}

fn done(content: impl Into<Vec<Content>>) -> Ended {
    Ok(Outcome::Done(Answer { content: content.into(), structured: None, is_error: false, meta: None }))
}

fn say(what: &str) -> Ended {
    done([text(what)])
}

/// An error for a model to read.
fn refuse(why: &str) -> Ended {
    Ok(Outcome::Done(Answer { content: vec![text(why)], structured: None, is_error: true, meta: None }))
}
