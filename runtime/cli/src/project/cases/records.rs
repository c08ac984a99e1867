//! Answers to requests of tools, written down beside the tests.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use fumehood_capabilities::http::{Fits, Header, Playback, Record, Refused, Response, header};
use serde::Deserialize;
use serde_json::Value;

/// Most answers that are written down for one test, or for the tests of one file together.
const MAX_RECORDS: usize = 200;

/// Largest file that an answer comes from: more than a tool is let in with, so that this can be tested too.
const MAX_BODY: u64 = 16 << 20;

/// An answer, and to what.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    method: String,
    url: String,
    sent: Option<Sent>,
    /// How many requests it answers.
    pub(crate) times: u32,
    answer: Result<Response, Refused>,
}

/// What the body of a request must be.
#[derive(Debug, Clone)]
enum Sent {
    Text(String),
    Json(Value),
}

/// An answer, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    method: Option<String>,
    url: String,
    sent: Option<String>,
    sent_json: Option<Value>,
    times: Option<u32>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    body: Option<String>,
    json: Option<Value>,
    file: Option<PathBuf>,
    fails: Option<Fails>,
}

/// Why there is no answer.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Fails {
    NotResolved,
    NotReached,
    TimedOut,
    Broken,
}

impl Recorded {
    /// The request that it answers, as it is told of.
    pub(crate) fn request(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    /// The same, for those who answer.
    pub(crate) fn record(&self) -> Record {
        let Self { method, url, sent, times, answer } = self.clone();
        let fits = sent.map(|sent| -> Fits {
            match sent {
                Sent::Text(text) => Box::new(move |body| body == text.as_bytes()),
                Sent::Json(json) => {
                    Box::new(move |body| serde_json::from_slice(body).is_ok_and(|body: Value| body == json))
                }
            }
        });
        Record { method, url, fits, times, answer }
    }
}

/// What `entries` stand for, whose files are in `folder`.
pub(super) fn of(entries: Vec<Entry>, folder: &Path) -> Result<Vec<Recorded>, String> {
    if entries.len() > MAX_RECORDS {
        return Err(format!("there are {} records, and {MAX_RECORDS} are the most", entries.len()));
    }
    let recorded: Vec<_> = entries
        .into_iter()
        .enumerate()
        .map(|(position, entry)| recorded(entry, folder).map_err(|what| format!("record {}: {what}", position + 1)))
        .collect::<Result<_, _>>()?;
    let records = recorded.iter().map(Recorded::record).collect();
    match Playback::new(records) {
        Ok(_) => Ok(recorded),
        Err((position, error)) => {
            Err(format!("record {}, `{}`: {error}", position + 1, recorded[position].request().escape_debug()))
        }
    }
}

fn recorded(entry: Entry, folder: &Path) -> Result<Recorded, String> {
    let Entry { method, url, sent, sent_json, times, status, headers, body, json, file, fails } = entry;
    let sent = match (sent, sent_json) {
        (Some(_), Some(_)) => return Err("it has both `sent` and `sent_json`".to_owned()),
        (Some(text), None) => Some(Sent::Text(text)),
        (None, Some(json)) => Some(Sent::Json(super::json("sent_json", json)?)),
        (None, None) => None,
    };
    let is_answer = status.is_some() || !headers.is_empty() || body.is_some() || json.is_some() || file.is_some();
    let answer = match fails {
        Some(_) if is_answer => return Err("what `fails` has no `status`, no `headers` and no body".to_owned()),
        Some(Fails::NotResolved) => Err(Refused::NotResolved),
        Some(Fails::NotReached) => Err(Refused::NotReached),
        Some(Fails::TimedOut) => Err(Refused::TimedOut),
        Some(Fails::Broken) => Err(Refused::Broken),
        None => {
            let mut headers = self::headers(headers)?;
            let names_type = |(name, _): &(String, _)| name.eq_ignore_ascii_case("content-type");
            if json.is_some() && !headers.iter().any(names_type) {
                headers.push(header("content-type", "application/json"));
            }
            Ok(Response { status: status.unwrap_or(200), headers, body: bytes(body, json, file.as_deref(), folder)? })
        }
    };
    let times = times.unwrap_or(1);
    if times == 0 {
        return Err("`times` is 0, and what answers no request is no record".to_owned());
    }
    Ok(Recorded { method: method.unwrap_or_else(|| "GET".to_owned()), url, sent, times, answer })
}

/// Headers, each with a text or with several.
fn headers(written: BTreeMap<String, Value>) -> Result<Vec<Header>, String> {
    let mut headers = Vec::new();
    for (name, value) in written {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let text = value.as_str().ok_or_else(|| format!("the header `{}` is no text", name.escape_debug()))?;
            headers.push(header(&name, text));
        }
    }
    Ok(headers)
}

/// The body of an answer: one of three ways to write it.
fn bytes(body: Option<String>, json: Option<Value>, file: Option<&Path>, folder: &Path) -> Result<Vec<u8>, String> {
    match (body, json, file) {
        (None, None, None) => Ok(Vec::new()),
        (Some(text), None, None) => Ok(text.into_bytes()),
        (None, Some(json), None) => Ok(super::json("json", json)?.to_string().into_bytes()),
        (None, None, Some(file)) => {
            let path = folder.join(file);
            let cannot = |error| format!("{} cannot be read: {error}", path.display());
            if fs::metadata(&path).map_err(cannot)?.len() > MAX_BODY {
                return Err(format!("{} has more than {} MiB", path.display(), MAX_BODY >> 20));
            }
            fs::read(&path).map_err(cannot)
        }
        _ => Err("it has more than one of `body`, `json` and `file`".to_owned()),
    }
}
