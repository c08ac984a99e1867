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

/// Longest `tracestate` or `baggage` that a guest is told, in bytes: W3C asks for 512 and 8192 at least.
const LONGEST: usize = 8192;

impl Trace {
    /// The trace that `header` tells of. What is no trace is left out, as W3C has it: a `tracestate` means nothing without a
    /// `traceparent`.
    pub fn of<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let short = |name: &str| header(name).filter(|text| text.len() <= LONGEST).map(ToOwned::to_owned);
        let traceparent = header("traceparent").filter(|text| is_traceparent(text)).map(ToOwned::to_owned);
        let tracestate = traceparent.as_ref().and_then(|_| short("tracestate"));
        Self { traceparent, tracestate, baggage: short("baggage") }
    }
}

/// Whether `text` is as W3C Trace Context writes it: `version-trace-parent-flags`, in lowercase hexadecimal, and not all zero.
/// A later version may add to it.
fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut next = |length: usize, may_be_zero: bool| {
        parts.next().is_some_and(|part| {
            let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            part.len() == length && is_hex && (may_be_zero || part.bytes().any(|byte| byte != b'0'))
        })
    };
    let is_whole = next(2, true) && next(32, false) && next(16, false) && next(2, true);
    let is_over = parts.next().is_none();
    is_whole && !text.starts_with("ff") && (is_over || !text.starts_with("00")) && text.len() <= LONGEST
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

#[cfg(test)]
mod tests {
    use super::{LONGEST, Trace};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn told(traceparent: &str, tracestate: &str, baggage: &str) -> [Option<String>; 3] {
        let trace = Trace::of(|name| match name {
            "traceparent" => Some(traceparent),
            "tracestate" => Some(tracestate),
            _ => Some(baggage),
        });
        [trace.traceparent, trace.tracestate, trace.baggage]
    }

    #[test]
    fn a_trace_is_told_as_it_came() {
        let all = [PARENT, "a=1", "b=2"].map(|text| Some(text.to_owned()));
        assert_eq!(told(PARENT, "a=1", "b=2"), all);
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert_eq!(told(later, "a=1", "b=2")[0].as_deref(), Some(later));
    }

    #[test]
    fn what_is_no_trace_is_left_out() {
        for broken in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(told(broken, "a=1", "b=2"), [None, None, Some("b=2".to_owned())], "{broken}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(told(PARENT, &long, &long), [Some(PARENT.to_owned()), None, None]);
    }
}
