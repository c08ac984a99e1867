//! `fumehood:host/secrets`: secrets by name.
//!
//! A value goes to a guest that is granted it, and nowhere else: no list, log, error or `Debug` form of ours shows it,
//! and [`strike`] takes it out of what the guest prints.

mod striker;

use std::fmt;

use fumehood_policy::Grant;
use fumehood_store::{Secrets, is_secret_name};
use serde::{Deserialize, Serialize};
use wasmtime::component::{HasSelf, Linker};

use crate::{
    Ask, Guest, Reply, Visit,
    bindings::secrets::{self as wit, add_to_linker},
};

pub(crate) use striker::Striker;

/// The imports that this module links.
pub(crate) const IMPORTS: [&str; 1] = ["fumehood:host/secrets@0.1.0"];

/// What stands in the place of a secret that was struck out.
const STRUCK: &[u8] = b"[secret]";

/// Shortest line of a secret of many lines that is struck out by itself: shorter ones are words like `END`.
const MIN_LINE: usize = 16;

/// Shortest beginning of a secret that is struck out where the rest was cut off.
const MIN_BEGINNING: usize = 4;

/// Which secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub name: String,
}

/// A secret. Its `Debug` form does not show it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Response {
    /// The value.
    pub value: String,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response(…)")
    }
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// No grant names it.
    Denied,
    /// It is granted, but nobody has set it.
    NotSet,
    /// The store failed.
    Failed,
}

/// Where secrets are looked up. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Safe {
    secrets: Secrets,
}

impl Safe {
    /// A safe that holds `secrets`.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets }
    }

    /// The secret called `name`, for the server's own use: whoever asks has checked the grant, and shows it to no guest.
    pub(crate) async fn value(&self, name: &str) -> Result<String, Refused> {
        let (secrets, name) = (self.secrets.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || secrets.read(&name)).await;
        match read {
            Ok(Ok(value)) => value.ok_or(Refused::NotSet),
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, blame = "host", "A secret could not be read");
                Err(Refused::Failed)
            }
            Err(_) => Err(Refused::Failed),
        }
    }

    pub(crate) async fn answer(&self, visit: &Visit, request: Request) -> Result<Response, Refused> {
        // Nothing else can have been granted, and only a name is fit to be noted.
        if !is_secret_name(&request.name) {
            return Err(Refused::Denied);
        }
        let grant = Grant::Secret(request.name);
        let allowed = visit.about().grants.contains(&grant);
        visit.note(&grant, allowed);
        let Grant::Secret(name) = grant else { return Err(Refused::Denied) };
        if !allowed {
            return Err(Refused::Denied);
        }
        let value = self.value(&name).await.inspect_err(|refused| {
            if *refused == Refused::NotSet {
                visit.secret_not_set(&name);
            }
        })?;
        visit.remember_secret(&value);
        Ok(Response { value })
    }
}

impl<X: Send> wit::Host for Guest<X> {
    async fn get(&mut self, name: String) -> Result<String, wit::Error> {
        // Whatever is longer was never granted, and need not travel.
        if !is_secret_name(&name) {
            return Err(wit::Error::NotGranted);
        }
        match self.host.ask(Ask::Secret(Request { name })).await {
            Reply::Secret(Ok(Response { value })) => Ok(value),
            Reply::Secret(Err(Refused::Denied)) => Err(wit::Error::NotGranted),
            Reply::Secret(Err(Refused::NotSet)) => Err(wit::Error::NotSet),
            Reply::Secret(Err(Refused::Failed))
            | Reply::Http(_)
            | Reply::KeyValue(_)
            | Reply::Invoke(_)
            | Reply::Progress
            | Reply::Told
            | Reply::Checkpoint(_)
            | Reply::Resumed(_) => Err(wit::Error::Unavailable),
        }
    }
}

pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)
}

/// `bytes` that a guest printed, with `secrets` struck out; `was_cut` tells that there was more, which was dropped.
///
/// Of a secret of many lines each longer line is struck out too, because lines are printed one by one. What a guest has
/// encoded or taken apart is not recognised: a tool that is granted a secret can give it away.
#[must_use]
pub fn strike(bytes: &[u8], was_cut: bool, secrets: &[String]) -> Vec<u8> {
    let needles = needles(secrets);
    let mut struck = bytes.to_vec();
    for needle in &needles {
        struck = without(&struck, needle);
    }
    if was_cut {
        let beginning = needles.iter().filter_map(|needle| beginning_at_end(&struck, needle, MIN_BEGINNING)).max();
        if let Some(beginning) = beginning {
            struck.truncate(struck.len() - beginning);
            struck.extend_from_slice(STRUCK);
        }
    }
    struck
}

/// As [`strike`], for a text of at most `most` bytes that may have been cut there.
pub(crate) fn strike_text(text: String, most: usize, secrets: &[String]) -> String {
    if secrets.is_empty() {
        return text;
    }
    // Whoever cuts at a character leaves up to three bytes.
    let was_cut = text.len() + 3 >= most;
    String::from_utf8_lossy(&strike(text.as_bytes(), was_cut, secrets)).into_owned()
}

/// What is looked for to strike `secrets` out: the longest first, because of two one may be the beginning of the other.
pub(crate) fn needles(secrets: &[String]) -> Vec<&[u8]> {
    let lines = secrets.iter().flat_map(|secret| secret.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE));
    let mut needles: Vec<_> = secrets.iter().map(|secret| secret.trim_end()).chain(lines).map(str::as_bytes).collect();
    needles.retain(|needle| !needle.is_empty());
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    needles.dedup();
    needles
}

fn without(bytes: &[u8], needle: &[u8]) -> Vec<u8> {
    let mut left = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(needle.len()).position(|window| window == needle) {
        left.extend_from_slice(&rest[..at]);
        left.extend_from_slice(STRUCK);
        rest = &rest[at + needle.len()..];
    }
    left.extend_from_slice(rest);
    left
}

/// How many bytes at the end of `bytes` are the beginning of `needle`, if they are at least so many.
fn beginning_at_end(bytes: &[u8], needle: &[u8], least: usize) -> Option<usize> {
    (least..needle.len()).rev().find(|length| bytes.ends_with(&needle[..*length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(text: &str, was_cut: bool, secrets: &[&str]) -> String {
        let secrets: Vec<_> = secrets.iter().map(ToString::to_string).collect();
        String::from_utf8(strike(text.as_bytes(), was_cut, &secrets)).unwrap()
    }

    #[test]
    fn every_occurrence_of_every_secret_is_struck_out() {
        assert_eq!(struck("a hunter2 b hunter2", false, &["hunter2"]), "a [secret] b [secret]");
        assert_eq!(struck("x=abcd y=abcdef", false, &["abcd", "abcdef"]), "x=[secret] y=[secret]");
        assert_eq!(struck("nothing", false, &["", "\n"]), "nothing");
    }

    #[test]
    fn the_beginning_of_a_secret_is_struck_out_where_the_rest_was_dropped() {
        assert_eq!(struck("token: hunt", true, &["hunter2"]), "token: [secret]");
        assert_eq!(struck("token: hunt", false, &["hunter2"]), "token: hunt");
        assert_eq!(struck("the hun", true, &["hunter2"]), "the hun");
    }

    #[test]
    fn a_secret_of_many_lines_is_struck_out_line_by_line() {
        let key = "-----BEGIN KEY-----\nMIIBVgIBADANBgkqhkiG\nend\n-----END KEY-----\n";

        assert_eq!(struck(&format!("key {key}"), false, &[key]), "key [secret]\n");
        assert_eq!(struck("info MIIBVgIBADANBgkqhkiG end", false, &[key]), "info [secret] end");
    }

    #[test]
    fn debugging_shows_no_value() {
        assert_eq!(format!("{:?}", Response { value: "hunter2".into() }), "Response(…)");
    }
}
