//! What real servers answer to tests, written down.

use std::{env, fs, path::Path, string::FromUtf8Error};

use fumehood_capabilities::http::{Config, Egress, Exchanged, Recorder, Refused};
use fumehood_model::Code;
use fumehood_policy::Grant;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value, value};

use super::{Ran, around};
use crate::{exit::Failure, local::Outside, output::Output, project::Project};

/// Where bodies are kept that do not belong into the middle of a test, beside it.
const FOLDER: &str = "recorded";

/// Longest body that is written into a test itself.
const MAX_INLINE: usize = 16 << 10;

/// Headers that are not written down: what they say is a secret, or is not so any more once it is written.
const LEFT_OUT: [&str; 7] = [
    "authorization",
    "content-length",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
];

/// Real servers, for the tests that have no records. Examples of a manifest have no place for any.
pub(super) struct Recording {
    egress: Egress,
    /// Those that belong to what is asked for, by name.
    secrets: Vec<(String, String)>,
}

impl Recording {
    /// For the tests of `project`, with the secrets that it needs from the environment.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] when one of them is not there.
    pub(super) fn of(project: &Project) -> anyhow::Result<Self> {
        let mut secrets = Vec::new();
        for grant in around::grants(project) {
            let Grant::Http(grant) = grant else { continue };
            let Some(credential) = grant.credential else { continue };
            let value = env::var(&credential.secret).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
                let message =
                    format!("recording needs the secret `{}`, which is sent with its requests", credential.secret);
                Failure::new(Code::NotFound, message)
                    .hint(format!("put it into the environment variable {}", credential.secret))
            })?;
            secrets.push((credential.secret, value));
        }
        Ok(Self { egress: Egress::new(&Config::default())?, secrets })
    }

    /// The outside for one call, and what keeps what comes of it.
    pub(super) fn outside(&self, project: &Project) -> (Outside, Recorder) {
        let recorder = Recorder::default();
        let egress = self.egress.clone().recorded(recorder.clone());
        (Outside { grants: around::grants(project), egress, secrets: self.secrets.clone() }, recorder)
    }

    /// Write what was answered into the tests that asked; how many answers.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written.
    pub(super) fn write(&self, ran: &[Ran<'_>], output: &Output) -> anyhow::Result<usize> {
        let mut count = 0;
        for Ran { case, recorded, .. } in ran.iter().filter(|ran| !ran.recorded.is_empty()) {
            let (path, position) = &case.place;
            let mut document: DocumentMut = fs::read_to_string(path)?.parse()?;
            let tests = document.get_mut("test").and_then(Item::as_array_of_tables_mut);
            let Some(test) = tests.and_then(|tests| tests.get_mut(*position)) else {
                output.talk(&format!(
                    "{}: nothing can be written into `{}`: write it as [[test]]",
                    path.display(),
                    case.name
                ));
                continue;
            };
            let mut records = ArrayOfTables::new();
            for (number, exchanged) in recorded.iter().enumerate() {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let file = format!("{FOLDER}/{stem}-{}-{}", position + 1, number + 1);
                match self.record(exchanged, path.parent().unwrap_or(Path::new("")), &file)? {
                    Some(record) => records.push(record),
                    None => output.talk(&format!("{} {} cannot be written down", exchanged.method, exchanged.url)),
                }
            }
            count += records.len();
            if !records.is_empty() {
                test.insert("http", Item::ArrayOfTables(records));
                fs::write(path, document.to_string())?;
            }
        }
        Ok(count)
    }

    /// A request and its answer, as they are written. A body that is long or no text goes into `file`, in `folder`.
    fn record(&self, exchanged: &Exchanged, folder: &Path, file: &str) -> anyhow::Result<Option<Table>> {
        let Exchanged { method, url, body, answer } = exchanged;
        let mut record = Table::new();
        if method != "GET" {
            record["method"] = value(method.as_str());
        }
        record["url"] = value(self.struck_text(url));
        // What a secret is struck out of would not be found again.
        let sent = std::str::from_utf8(body).ok().filter(|body| !body.is_empty() && body.len() <= MAX_INLINE);
        if let Some(sent) = sent.filter(|sent| self.struck_text(sent) == **sent) {
            record["sent"] = value(sent);
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(refused) => {
                let Some(word) = word(*refused) else { return Ok(None) };
                record["fails"] = value(word);
                return Ok(Some(record));
            }
        };
        if answer.status != 200 {
            record["status"] = value(i64::from(answer.status));
        }
        let mut headers = toml_edit::InlineTable::new();
        for (name, bytes) in answer.headers.iter().filter(|(name, _)| !LEFT_OUT.contains(&&**name)) {
            let Ok(text) = String::from_utf8(self.struck(bytes)) else { continue };
            match headers.get_mut(name) {
                None => {
                    headers.insert(name, text.into());
                }
                Some(Value::Array(several)) => several.push(text),
                Some(first) => {
                    let several = [first.clone(), text.into()].into_iter().collect();
                    *first = Value::Array(several);
                }
            }
        }
        if !headers.is_empty() {
            record["headers"] = value(headers);
        }
        match String::from_utf8(self.struck(&answer.body)) {
            Ok(text) if text.is_empty() => {}
            Ok(text) if text.len() <= MAX_INLINE => record["body"] = value(text),
            bytes => {
                let bytes = bytes.map_or_else(FromUtf8Error::into_bytes, String::into_bytes);
                fs::create_dir_all(folder.join(FOLDER))?;
                fs::write(folder.join(file), bytes)?;
                record["file"] = value(file);
            }
        }
        Ok(Some(record))
    }

    /// `text` with the name of each secret in the place of its value.
    pub(super) fn struck_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.struck(text.as_bytes())).into_owned()
    }

    /// `bytes` with the name of each secret in the place of its value.
    fn struck(&self, bytes: &[u8]) -> Vec<u8> {
        self.secrets.iter().fold(bytes.to_vec(), |bytes, (name, secret)| {
            replaced(&bytes, secret.as_bytes(), format!("[{name}]").as_bytes())
        })
    }
}

/// `bytes` with `new` in the place of every `old`, which is not empty.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let (mut done, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some(at) = rest.windows(old.len()).position(|window| window == old) {
        done.extend_from_slice(&rest[..at]);
        done.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    done.extend_from_slice(rest);
    done
}

/// How a failure is written that another server could have caused.
fn word(refused: Refused) -> Option<&'static str> {
    match refused {
        Refused::NotResolved => Some("not-resolved"),
        Refused::NotReached => Some("not-reached"),
        Refused::TimedOut => Some("timed-out"),
        Refused::Broken => Some("broken"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_struck_out_wherever_it_stands() {
        assert_eq!(replaced(b"s3 and s3s3", b"s3", b"[X]"), b"[X] and [X][X]");
        assert_eq!(replaced(b"", b"s3", b"[X]"), b"");
    }
}
