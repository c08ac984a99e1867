//! A host that only pretends, for `cargo test` on the author's machine.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{Ctx, Level, Question, Response, ToolError, ask::Answers, http::Parts};

/// What a tool has told while it ran.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// How far it was.
    pub progress: Vec<Progress>,
    /// What it logged.
    pub log: Vec<(Level, String)>,
    /// Which requests it sent, as `GET https://…`.
    pub requests: Vec<String>,
    /// Which tools it called, and with what.
    pub calls: Vec<(String, Value)>,
    /// What it asked its user.
    pub asked: Vec<Question>,
    /// The checkpoint that it kept last.
    pub checkpoint: Option<Value>,
}

/// How far a tool was.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// So much is done,
    pub done: f64,
    /// of so much.
    pub total: f64,
    /// In words.
    pub message: String,
}

/// What the call knows and records. As on a server, nothing is there that was not given.
#[derive(Debug, Default)]
pub(crate) struct Host {
    secrets: HashMap<String, String>,
    answers: HashMap<String, Response>,
    tools: HashMap<String, Value>,
    resumed: Option<Value>,
    cancelled: bool,
    buckets: RefCell<Buckets>,
    told: RefCell<Told>,
}

/// Values by key, by bucket.
type Buckets = HashMap<String, BTreeMap<String, Vec<u8>>>;

/// For tests; only where there is no host.
impl Ctx {
    /// A call that records what it is told, and knows nothing yet.
    #[must_use]
    pub fn fake() -> Self {
        Self { host: Host::default(), answers: Answers::default() }
    }

    /// The secret `name` is granted and set.
    #[must_use]
    pub fn with_secret(mut self, name: &str, value: &str) -> Self {
        self.host.secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Requests for exactly this URL are granted, and answered like this.
    #[must_use]
    pub fn answers(mut self, url: &str, response: Response) -> Self {
        self.host.answers.insert(url.to_owned(), response);
        self
    }

    /// The tool, named `module.function`, may be called, and answers with this.
    #[must_use]
    pub fn with_tool(mut self, tool: &str, answer: Value) -> Self {
        self.host.tools.insert(tool.to_owned(), answer);
        self
    }

    /// An earlier attempt has kept this checkpoint.
    ///
    /// # Panics
    ///
    /// When it cannot be written as JSON.
    #[must_use]
    pub fn resumes(mut self, state: &impl Serialize) -> Self {
        self.host.resumed = Some(serde_json::to_value(state).expect("what a test keeps can be written as JSON"));
        self
    }

    /// Whoever called wants the call to end.
    #[must_use]
    pub fn cancel(mut self) -> Self {
        self.host.cancelled = true;
        self
    }

    /// The user was asked under `key`, and filled this in.
    #[must_use]
    pub fn accepts(self, key: &str, content: &Value) -> Self {
        self.responds(key, json!({ "action": "accept", "content": content }))
    }

    /// The user was asked under `key`, and declined.
    #[must_use]
    pub fn declines(self, key: &str) -> Self {
        self.responds(key, json!({ "action": "decline" }))
    }

    /// What was asked under `key` was answered with this.
    #[must_use]
    pub fn responds(mut self, key: &str, body: Value) -> Self {
        let Err(asked) = self.answers.get(key, || Question::Model(Value::Null)) else { return self };
        let state = asked.asks().map(|asks| asks.state.clone());
        self.answers = Answers::of(state.as_deref(), [(key.to_owned(), body)]);
        self
    }

    /// What the tool has told so far.
    #[must_use]
    pub fn told(&self) -> Told {
        self.host.told.borrow().clone()
    }
}

impl Host {
    pub(crate) fn progress(&self, done: f64, total: f64, message: &str) {
        self.told.borrow_mut().progress.push(Progress { done, total, message: message.to_owned() });
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancelled
    }

    #[expect(clippy::unused_self, reason = "the host on WebAssembly has it too")]
    pub(crate) fn remaining(&self) -> Duration {
        // What a server gives a direct call unless it is told otherwise.
        Duration::from_secs(30)
    }

    pub(crate) fn log(&self, level: Level, message: &str) {
        self.told.borrow_mut().log.push((level, message.to_owned()));
    }

    pub(crate) fn attempt(&self) -> u32 {
        if self.resumed.is_some() { 2 } else { 1 }
    }

    pub(crate) fn checkpoint(&self, state: &[u8]) -> Result<(), ToolError> {
        self.told.borrow_mut().checkpoint = Some(serde_json::from_slice(state)?);
        Ok(())
    }

    pub(crate) fn resumed(&self) -> Option<Vec<u8>> {
        let kept = self.told.borrow().checkpoint.clone().or_else(|| self.resumed.clone());
        kept.map(|state| state.to_string().into_bytes())
    }

    pub(crate) fn asked(&self, question: &Question) {
        self.told.borrow_mut().asked.push(question.clone());
    }

    pub(crate) fn secret(&self, name: &str) -> Result<String, ToolError> {
        let secret = self.secrets.get(name).cloned();
        secret.ok_or_else(|| ToolError::denied(format!("the tool may not read the secret `{name}`")))
    }

    pub(crate) fn send(&self, parts: Parts) -> Result<Response, ToolError> {
        let Parts { method, url, .. } = parts;
        self.told.borrow_mut().requests.push(format!("{} {url}", method.name()));
        let answer = self.answers.get(&url).cloned();
        answer.ok_or_else(|| ToolError::denied(format!("the tool may not send {} {url}", method.name())))
    }

    pub(crate) fn call(&self, tool: &str, arguments: &str) -> Result<String, ToolError> {
        self.told.borrow_mut().calls.push((tool.to_owned(), serde_json::from_str(arguments)?));
        let answer = self.tools.get(tool).map(ToString::to_string);
        answer.ok_or_else(|| ToolError::denied(format!("the tool may not call `{tool}`")))
    }
}

/// A bucket of the host.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    host: &'a Host,
    name: String,
}

impl<'a> Opened<'a> {
    #[expect(clippy::unnecessary_wraps, reason = "the host on WebAssembly may refuse it")]
    pub(crate) fn open(host: &'a Host, name: &str) -> Result<Self, ToolError> {
        Ok(Self { host, name: name.to_owned() })
    }

    fn with<R>(&self, visit: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> R) -> R {
        visit(self.host.buckets.borrow_mut().entry(self.name.clone()).or_default())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the host on WebAssembly may fail")]
    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ToolError> {
        Ok(self.with(|values| values.get(key).cloned()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the host on WebAssembly may fail")]
    pub(crate) fn set(&self, key: &str, value: Vec<u8>) -> Result<(), ToolError> {
        self.with(|values| values.insert(key.to_owned(), value));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the host on WebAssembly may fail")]
    pub(crate) fn delete(&self, key: &str) -> Result<(), ToolError> {
        self.with(|values| values.remove(key));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the host on WebAssembly may fail")]
    pub(crate) fn keys(&self) -> Result<Vec<String>, ToolError> {
        Ok(self.with(|values| values.keys().cloned().collect()))
    }

    pub(crate) fn add(&self, key: &str, delta: i64) -> Result<i64, ToolError> {
        let before = self.get(key)?.map_or(Ok(0), |bytes| serde_json::from_slice(&bytes))?;
        let sum = i64::checked_add(before, delta).ok_or("the sum has more than 64 bits")?;
        self.set(key, sum.to_string().into_bytes())?;
        Ok(sum)
    }
}
