//! Server-sent events, as far as a server of ours sends them.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;
use ureq::BodyReader;

/// Longest line that is read: an event holds at most a result of 64 KiB and what stands around it.
const MAX_LINE: u64 = 4 << 20;

/// One event.
pub(crate) struct Event {
    /// What kind of event.
    pub(crate) kind: String,
    /// Where to go on after it.
    pub(crate) id: Option<String>,
    /// What it says.
    pub(crate) data: Value,
}

/// Events as they come in.
pub(crate) struct Events {
    lines: BufReader<BodyReader<'static>>,
}

impl Events {
    pub(super) fn new(body: BodyReader<'static>) -> Self {
        Self { lines: BufReader::new(body) }
    }

    /// The next event; none when the server has ended the stream, or the connection broke.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let (mut kind, mut id, mut data) = (String::new(), None, String::new());
        loop {
            let mut line = String::new();
            let read = (&mut self.lines).take(MAX_LINE).read_line(&mut line).ok()?;
            if read == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']);
            match line.split_once(':').map(|(name, value)| (name, value.strip_prefix(' ').unwrap_or(value))) {
                None if line.is_empty() && !data.is_empty() => {
                    return Some(Event { kind, id, data: serde_json::from_str(&data).unwrap_or(Value::Null) });
                }
                Some(("event", value)) => value.clone_into(&mut kind),
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data.push_str(value),
                // Comments, which keep the connection alive, and what we do not know.
                _ => {}
            }
        }
    }
}
