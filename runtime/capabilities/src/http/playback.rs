//! Answers that were written down, in place of the outside: for tests of tools. Nothing here opens a connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde_bytes::ByteBuf;

use super::{Refused, Request, Response, egress::Admitted, headers, target::Target};

/// Most requests without a record that are remembered.
const MAX_MISSED: usize = 16;

/// Whether a body is the one that is meant.
pub type Fits = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// An answer that was written down, and to what.
pub struct Record {
    /// The method of the request.
    pub method: String,
    /// Where it goes. Scheme, host and port count as they are meant, path and query as they are written.
    pub url: String,
    /// Whether this is its body, if that matters.
    pub fits: Option<Fits>,
    /// How many requests it answers.
    pub times: u32,
    /// The answer, or why there is none.
    pub answer: Result<Response, Refused>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// No request can have this method.
    #[error("no request can have this method: write GET, HEAD, POST, PUT, DELETE, OPTIONS or PATCH")]
    Method,
    /// No request can have this URL.
    #[error("this is no URL of a request: write one like https://api.example.com/v1?base=EUR")]
    Url,
    /// No answer has such a status.
    #[error("no answer has this status: write a number from 200 to 599")]
    Status,
    /// No answer has such headers.
    #[error("no answer has such headers")]
    Headers,
}

/// Answers requests from records, in the order in which they stand. Clones share what was used.
#[derive(Clone)]
pub struct Playback(Arc<Played>);

struct Played {
    records: Vec<(Target, Record)>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// How many requests each record has answered.
    used: Vec<u32>,
    /// Requests that no record was for.
    missed: Vec<String>,
}

impl Playback {
    /// Answers from `records`.
    ///
    /// # Errors
    ///
    /// When a record could never be used, with its position.
    pub fn new(records: Vec<Record>) -> Result<Self, (usize, RecordError)> {
        let seen = Mutex::new(Seen { used: vec![0; records.len()], missed: Vec::new() });
        let checked = |(position, record): (usize, Record)| match target(&record) {
            Ok(target) => Ok((target, record)),
            Err(error) => Err((position, error)),
        };
        let records = records.into_iter().enumerate().map(checked).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Played { records, seen })))
    }

    /// How many requests each record has answered.
    #[must_use]
    pub fn used(&self) -> Vec<u32> {
        self.seen().used.clone()
    }

    /// Requests that no record was for, the first of them.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        self.seen().missed.clone()
    }

    /// The answer to a request that may leave, of at most `most` bytes.
    pub(super) fn answer(&self, admitted: &Admitted<'_>, most: usize) -> Result<Response, Refused> {
        let mut seen = self.seen();
        let mut found = self.0.records.iter().zip(&mut seen.used);
        let found = found.find(|((target, record), used)| {
            let fits = |body: &[u8]| record.fits.as_ref().is_none_or(|fits| fits(body));
            **used < record.times && *target == admitted.target && fits(&admitted.body)
        });
        let Some(((_, record), used)) = found else {
            if seen.missed.len() < MAX_MISSED {
                seen.missed.push(format!("{} {}", admitted.target.method, admitted.target.url()));
            }
            return Err(Refused::NotReached);
        };
        *used += 1;
        let Response { status, headers, body } = record.answer.as_ref().map_err(|refused| *refused)?;
        // What a record holds is let in as what comes from outside is.
        let (headers, bytes) = headers::incoming(&headers::map(headers).map_err(|_| Refused::NotHttp)?)?;
        // RFC 9110 §9.3.2: an answer to HEAD has no body, whatever is written.
        let body = if admitted.target.method == "HEAD" { &[][..] } else { body };
        if body.len() > most.saturating_sub(bytes) {
            return Err(Refused::ResponseTooLarge);
        }
        Ok(Response { status: *status, headers, body: body.to_vec() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a record is an answer to.
fn target(record: &Record) -> Result<Target, RecordError> {
    let (scheme, rest) = record.url.split_once("://").ok_or(RecordError::Url)?;
    let https = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(RecordError::Url),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let request = Request {
        method: record.method.clone(),
        https,
        authority: authority.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        connect_ms: None,
        first_byte_ms: None,
        between_bytes_ms: None,
    };
    let target = Target::of(&request).map_err(|refused| match refused {
        Refused::BadMethod => RecordError::Method,
        _ => RecordError::Url,
    })?;
    if let Ok(Response { status, headers, .. }) = &record.answer {
        let is_final = StatusCode::from_u16(*status).is_ok_and(|status| !status.is_informational());
        (is_final && *status < 600).then_some(()).ok_or(RecordError::Status)?;
        let headers = headers::map(headers).map_err(|_| RecordError::Headers)?;
        headers::incoming(&headers).map_err(|_| RecordError::Headers)?;
    }
    Ok(target)
}

/// A header, as answers have them: its name, and its value, which need not be text.
pub type Header = (String, ByteBuf);

/// The header called `name` with this text.
#[must_use]
pub fn header(name: &str, value: &str) -> Header {
    (name.to_owned(), ByteBuf::from(value.as_bytes()))
}
