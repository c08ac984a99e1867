//! What a guest is told of whoever calls.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

/// What a guest may know of whoever calls.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// What the client can do for it.
    pub client: Capabilities,
    /// The trace that the call is part of.
    pub trace: Trace,
    /// What came of what it had asked for, if it is called again.
    pub resumption: Option<Resumption>,
}

/// What a client can do for a guest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It shows forms to its user.
    pub elicitation_form: bool,
    /// It sends its user to a URL.
    pub elicitation_url: bool,
    /// It asks its model.
    pub sampling: bool,
    /// It tells its folders.
    pub roots: bool,
}

/// A trace, as in W3C Trace Context and Baggage.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Its header `traceparent`.
    pub traceparent: Option<String>,
    /// Its header `tracestate`.
    pub tracestate: Option<String>,
    /// Its header `baggage`.
    pub baggage: Option<String>,
}

/// What a guest had asked for, and what came back.
#[derive(Debug, Clone, Default)]
pub struct Resumption {
    /// What it wanted to remember.
    pub state: Option<Vec<u8>>,
    /// The answers, by the keys of the questions.
    pub responses: Vec<(String, Value)>,
}

impl Capabilities {
    /// Everything: for a caller who shows what is asked to whoever can answer.
    pub const ALL: Self = Self { elicitation_form: true, elicitation_url: true, sampling: true, roots: true };
}

impl CallContext {
    /// As the record `context` of `fumehood:tool`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Capabilities { elicitation_form, elicitation_url, sampling, roots } = self.client;
        let client: Vec<_> = [
            ("elicitation-form", elicitation_form),
            ("elicitation-url", elicitation_url),
            ("sampling", sampling),
            ("roots", roots),
        ]
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
        .collect();
        let mut context = Map::from_iter([("client".to_owned(), json!(client))]);
        let Trace { traceparent, tracestate, baggage } = &self.trace;
        let trace = [("traceparent", traceparent), ("tracestate", tracestate), ("baggage", baggage)];
        let trace: Map<_, _> =
            trace.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into()))).collect();
        if !trace.is_empty() {
            context.insert("trace".to_owned(), trace.into());
        }
        if let Some(Resumption { state, responses }) = &self.resumption {
            let responses: Vec<_> =
                responses.iter().map(|(key, body)| json!({ "key": key, "body": body.to_string() })).collect();
            let mut resumption = json!({ "responses": responses });
            if let Some(state) = state {
                resumption["state"] = STANDARD.encode(state).into();
            }
            context.insert("resumption".to_owned(), resumption);
        }
        context.into()
    }
}
