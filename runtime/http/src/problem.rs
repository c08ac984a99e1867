use std::time::Duration;

use axum::response::{IntoResponse, Response};
use fumehood_dispatch::{Answer, DispatchError};
use fumehood_model::{Code, Reached, StopReason, Timestamp, Usage};
use fumehood_value::InputError;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use crate::RequestId;

/// A failure as every HTTP answer tells it: RFC 9457, and the fields that older clients of this kind of API expect.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    message: String,
    details: Option<Value>,
    retry_after: Option<Duration>,
    /// Where it is not that of the code.
    status: Option<StatusCode>,
}

/// Say what kinds of things were denied, and whom to ask.
fn ask(details: &mut serde_json::Value, denied: &[&str]) {
    details["denied"] = denied.into();
    details["ask"] = "an administrator of this server can review what this tool may reach".into();
}

/// A bound that refused a tool something, and who has set it.
fn told(reached: &Reached, set_by: Option<&str>) -> Value {
    match reached {
        Reached::Bound { bound, allowed } => {
            let mut told = serde_json::json!({ "limit": bound.key(), "allowed": allowed, "used": allowed });
            if let Some(who) = set_by {
                told["set_by"] = who.into();
            }
            told
        }
        Reached::Quota { of, allowed } => serde_json::json!({ "limit": of, "allowed": allowed }),
    }
}

/// The HTTP status of each code.
///
/// The statuses of stopped calls are told apart so that a client can react without reading the body: 504 try again or
/// ask for less, 507 and 508 ask for less, 502 tell the author.
#[must_use]
pub fn status_of(code: Code) -> StatusCode {
    let status = match code {
        Code::Malformed => 400,
        Code::Unauthenticated => 401,
        Code::Forbidden | Code::Denied => 403,
        Code::NotFound => 404,
        Code::MethodNotAllowed => 405,
        Code::Conflict => 409,
        Code::Gone => 410,
        Code::TooLarge => 413,
        Code::UnsupportedMediaType => 415,
        Code::InvalidInput | Code::InvalidComponent | Code::Signature | Code::ToolError => 422,
        Code::Unconfirmed => 428,
        Code::Busy => 429,
        Code::Cancelled => 499,
        Code::Internal | Code::Interrupted => 500,
        Code::Trap => 502,
        Code::Unavailable => 503,
        Code::Deadline => 504,
        Code::Memory | Code::ResultTooLarge | Code::QuotaExceeded | Code::StorageFull => 507,
        Code::Fuel => 508,
    };
    StatusCode::from_u16(status).expect("every status above is a valid one")
}

/// What a person calls each code.
fn title_of(code: Code) -> &'static str {
    match code {
        Code::Malformed => "The request cannot be read",
        Code::Unauthenticated => "A key is needed",
        Code::Forbidden => "This key may not do that",
        Code::NotFound => "There is no such thing",
        Code::Conflict => "The name or state is in the way",
        Code::MethodNotAllowed => "This path does not take that method",
        Code::TooLarge => "Too large",
        Code::UnsupportedMediaType => "This content type is not taken here",
        Code::InvalidInput => "The arguments do not fit the tool",
        Code::InvalidComponent => "The component cannot be served",
        Code::Signature => "Nobody who is trusted has signed the component",
        Code::ToolError => "The tool answered with an error",
        Code::Busy => "Too many calls of this key",
        Code::Unavailable => "No place for the call",
        Code::Deadline => "The call ran out of time",
        Code::Memory => "The call ran out of memory",
        Code::Fuel => "The call ran out of fuel",
        Code::Trap => "The tool crashed",
        Code::Denied => "The tool was denied something",
        Code::Cancelled => "The call was cancelled",
        Code::ResultTooLarge => "The answer of the tool is too large",
        Code::QuotaExceeded => "The call used up a bound",
        Code::Gone => "The tool was removed",
        Code::Interrupted => "The server ended while the tool ran",
        Code::Unconfirmed => "A person must confirm the call",
        Code::StorageFull => "The server has no room to keep anything",
        Code::Internal => "The server failed",
    }
}

impl Problem {
    /// A failure of this kind, told in this sentence.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retry_after: None, status: None }
    }

    /// A request that did not arrive in time, told in this sentence.
    ///
    /// RFC 9110 §15.5.9: 408, which clients know as theirs to send again. To who reads codes it is a request that broke off.
    #[must_use]
    pub(crate) fn too_slow(message: String) -> Self {
        Self { status: Some(StatusCode::REQUEST_TIMEOUT), ..Self::new(Code::Malformed, message) }
    }

    /// The same with `details` that a program can read.
    #[must_use]
    pub fn with_details(self, details: Value) -> Self {
        Self { details: Some(details), ..self }
    }

    /// The tool's own error.
    #[must_use]
    pub fn tool_error(error: &Value) -> Self {
        let message = match error {
            Value::String(text) => text.chars().take(1_000).collect(),
            _ => "the tool answered with an error, see details".to_owned(),
        };
        Self::new(Code::ToolError, message).with_details(serde_json::json!({ "error": error }))
    }

    /// The same with what may be why: what the tool was denied, and whom to ask; and the bounds that it had reached.
    #[must_use]
    pub fn on_the_way(mut self, answer: &Answer) -> Self {
        let details = self.details.get_or_insert_with(|| serde_json::json!({}));
        if !answer.denied.is_empty() {
            ask(details, &answer.denied);
        }
        if !answer.reached.is_empty() {
            details["reached"] = answer.reached.iter().map(|(reached, set_by)| told(reached, *set_by)).collect();
        }
        self
    }

    /// A call that the sandbox ended: which bound it hit, what it allows, what was used and who has set it, or what kinds
    /// of things it was denied.
    #[must_use]
    pub fn stopped(reason: &StopReason, usage: &Usage, denied: &[&str]) -> Self {
        let problem = Self::new(reason.code(), reason.to_string());
        if let StopReason::Denied { .. } = reason {
            let mut details = serde_json::json!({});
            ask(&mut details, denied);
            return problem.with_details(details);
        }
        if let StopReason::Refused { reached: reached @ Reached::Quota { .. } } = reason {
            return problem.with_details(told(reached, None));
        }
        let Some((limit, allowed)) = reason.limit() else { return problem };
        let mut details = serde_json::json!({ "limit": limit.key(), "allowed": allowed });
        if let Some(used) = reason.used(usage) {
            details["used"] = used.into();
        }
        problem.with_details(details)
    }

    /// The same with who has set the bound that was hit, if that is known.
    #[must_use]
    pub fn set_by(mut self, who: Option<&str>) -> Self {
        if let (Some(Value::Object(details)), Some(who)) = (&mut self.details, who) {
            details.insert("set_by".to_owned(), who.into());
        }
        self
    }

    /// The same with more to say.
    #[must_use]
    pub fn adding(self, text: &str) -> Self {
        Self { message: self.message + text, ..self }
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What happened, in a sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What a program can read of it.
    #[must_use]
    pub fn details(&self) -> Option<&Value> {
        self.details.as_ref()
    }

    fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| status_of(self.code))
    }

    /// The answer, with the id of its request.
    pub(crate) fn render(&self, request: &RequestId) -> Response {
        let status = self.status();
        let body = Document {
            kind: format!("https://fumehood.dev/errors/{}", self.code),
            title: title_of(self.code),
            status: status.as_u16(),
            detail: &self.message,
            error: self.code.as_str(),
            message: &self.message,
            details: self.details.as_ref(),
            timestamp: Timestamp::now(),
            request_id: request.as_str(),
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let temporary = matches!(self.code, Code::Busy | Code::Unavailable);
        if let Some(after) = self.retry_after.or_else(|| temporary.then_some(Duration::from_secs(1))) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if status == StatusCode::REQUEST_TIMEOUT {
            // RFC 9110 §15.5.9: nobody waits for the rest of it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fumehood\""));
        }
        response
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Value>,
    timestamp: Timestamp,
    request_id: &'a str,
}

impl From<DispatchError> for Problem {
    fn from(error: DispatchError) -> Self {
        let code = error.code();
        if code == Code::Internal {
            tracing::error!(error = &error as &dyn std::error::Error, "A request failed: {error}");
            return Self::new(code, "the server failed; the operator's log has the reason under this request id");
        }
        let retry_after = error.retry_after();
        let details = match &error {
            DispatchError::Input(InputError::Mistakes { mistakes }) => serde_json::to_value(mistakes).ok(),
            DispatchError::Unconfirmed { id, token, within, .. } => {
                let mut details = serde_json::json!({ "id": id, "expires_in_s": within.as_secs() });
                if let Some(token) = token {
                    details["header"] = "Fumehood-Confirm".into();
                    details["confirmation"] = token.as_str().into();
                }
                Some(details)
            }
            DispatchError::NotFound { near, .. } if !near.is_empty() => Some(serde_json::json!({ "near": near })),
            error => {
                let lines = error.lines();
                let messages = lines.iter().map(|line| serde_json::json!({ "message": line }));
                (!lines.is_empty()).then(|| messages.collect())
            }
        };
        Self { details, retry_after, ..Self::new(code, error.to_string()) }
    }
}

impl IntoResponse for Problem {
    /// An empty answer that carries the problem: the edge renders it, because only the edge knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
