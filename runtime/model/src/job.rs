use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{Code, Digest, KeyId, ModuleName, Outcome, Timestamp, Usage};

/// Names a job everywhere: in REST, MCP, logs and the store.
///
/// A UUID, so that ids of other systems can be kept. Ours are of version 7: they sort by the moment of their making,
/// and nobody guesses one. Knowing one is no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Uuid);

/// A text is not the id of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the id of a job: ids look like 0199a3c4-5b6d-7e8f-9012-3456789abcde")]
pub struct JobIdError {
    text: String,
}

impl JobId {
    /// An id made at `at` of bytes that nobody can guess.
    #[must_use]
    pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(at.unix_ms, &random).into_uuid())
    }

    /// The id in 16 bytes, which sort as the id does.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| JobIdError { text: text.chars().take(80).flat_map(char::escape_debug).collect() })
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its turn.
    Available,
    /// It waits for its time.
    Scheduled,
    /// It runs.
    Running,
    /// It waits for an answer of whoever submitted it.
    InputRequired,
    /// An attempt failed in a way that another can mend, and it waits for that.
    Retryable,
    /// The tool has answered.
    Completed,
    /// The tool said no, or was stopped in a way that no other attempt would mend.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
    /// The server ended while it ran, and running it twice might do harm.
    Interrupted,
    /// Every attempt failed.
    Discarded,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 10] = [
        Self::Available,
        Self::Scheduled,
        Self::Running,
        Self::InputRequired,
        Self::Retryable,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
        Self::Discarded,
    ];

    /// The state as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::InputRequired => "input_required",
            Self::Retryable => "retryable",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Discarded => "discarded",
        }
    }

    /// Whether nothing more will happen to the job by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Interrupted | Self::Discarded)
    }

    /// Whether the job ended without what it was for, and an operator may try it again or drop it.
    #[must_use]
    pub fn is_dead_letter(self) -> bool {
        matches!(self, Self::Failed | Self::Interrupted | Self::Discarded)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("`{}` is not a state of jobs: {}", text.escape_debug(), names()))
    }
}

/// Which of its owner's jobs goes first: from -9, last, to 9; 0 unless said.
///
/// One step is worth [`Priority::STEP_MS`] of waiting, so that no job waits without end behind more important ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Priority(i8);

impl Priority {
    /// How much longer a job must have waited to go before one of a step more.
    ///
    /// Eighteen steps lie between last and first: the last job of all waits behind a stream of first ones for less than
    /// a minute.
    pub const STEP_MS: i64 = 3_000;

    /// The number.
    #[must_use]
    pub fn get(self) -> i8 {
        self.0
    }
}

impl TryFrom<i64> for Priority {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let fits = i8::try_from(number).ok().filter(|small| (-9..=9).contains(small));
        fits.map(Self).ok_or_else(|| format!("a priority is a whole number from -9 (last) to 9 (first), not {number}"))
    }
}

impl From<Priority> for i64 {
    fn from(priority: Priority) -> Self {
        priority.0.into()
    }
}

/// How far a piece of work is, in the words of its guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How much is done, in the guest's own units; finite.
    pub done: f64,
    /// Of how much, if it is known; finite.
    pub total: Option<f64>,
    /// What it is doing, at most 1 KiB.
    pub message: Option<String>,
}

impl Progress {
    /// Parts of a hundred, if the total is known and makes sense.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0.0)?;
        Some((self.done / total * 100.0).clamp(0.0, 100.0))
    }
}

/// The function that a job runs, on the very component that it was submitted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTool {
    /// The module.
    pub module: ModuleName,
    /// Its function.
    pub function: String,
    /// The component that the module had when the job was submitted.
    pub digest: Digest,
}

/// What came of a job, or of its last attempt so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobOutcome {
    /// The tool ran. Values and errors of the tool are JSON text.
    Ended(Outcome<String>),
    /// It did not, or the server lost it.
    Failed(Failure),
}

/// Why a job came to nothing although its tool had no say in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// What happened, for whoever submitted the job.
    pub message: String,
}

impl JobOutcome {
    /// The code under which the failure is known; none for a value.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Ended(Outcome::Value(_)) => None,
            Self::Ended(Outcome::ToolError(_)) => Some(Code::ToolError),
            Self::Ended(Outcome::Stopped(stopped)) => Some(stopped.reason.code()),
            Self::Failed(failure) => Some(failure.code),
        }
    }
}

/// What a job asked of whoever submitted it, and what has come back so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The questions by their keys, each an object with its `method` and `params`.
    pub requests: Map<String, Value>,
    /// The answers by the same keys.
    #[serde(default)]
    pub responses: Map<String, Value>,
    /// What its guest wants to remember until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Vec<u8>>,
    /// How often it has asked, this time included.
    pub round: u32,
}

impl Asked {
    /// The questions that nobody has answered yet.
    pub fn open(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.requests.iter().filter(|(key, _)| !self.responses.contains_key(*key))
    }

    /// Take answers to open questions; others are passed over.
    pub fn answer(&mut self, responses: Map<String, Value>) {
        for (key, response) in responses {
            if self.requests.contains_key(&key) {
                self.responses.entry(key).or_insert(response);
            }
        }
    }
}

/// A durable request to run a tool, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// The key that submitted it, which alone (beside administrators) may see it.
    pub owner: KeyId,
    /// What it runs.
    pub tool: JobTool,
    /// Where it stands.
    pub state: JobState,
    /// Which of its owner's jobs goes first.
    pub priority: Priority,
    /// Attempts that have begun.
    pub attempt: u32,
    /// Attempts that may begin.
    pub max_attempts: u32,
    /// Whether it may run again although an attempt may have had effects.
    pub is_repeatable: bool,
    /// Whether somebody wants it to end.
    pub is_cancelled: bool,
    /// Words by which it can be found.
    pub tags: Vec<String>,
    /// Size of its arguments as JSON.
    pub input_bytes: u64,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it may run at the earliest.
    pub run_at: Timestamp,
    /// When it must have begun.
    pub expires_at: Option<Timestamp>,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
    /// Grows with every change, log line and report of progress.
    pub version: u64,
    /// How far it is, as its guest last said.
    pub progress: Option<Progress>,
    /// What its last attempt used.
    pub usage: Option<Usage>,
    /// What came of it. A value that is kept apart for its size is empty here; see [`Job::result_bytes`].
    pub outcome: Option<JobOutcome>,
    /// Size of its result as JSON, if it has one.
    pub result_bytes: Option<u64>,
    /// The schedule that submitted it, if one did.
    pub schedule: Option<String>,
    /// What it asked last, if it asked anything.
    pub asked: Option<Asked>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_the_moment_of_their_making_and_survive_text() {
        let (early, late) = (Timestamp { unix_ms: 1_000 }, Timestamp { unix_ms: 1_001 });
        let (one, two) = (JobId::new(early, [255; 10]), JobId::new(late, [0; 10]));

        assert!(one < two);
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!("7".parse::<JobId>().is_err());
    }

    #[test]
    fn a_priority_is_within_its_bounds() {
        assert_eq!(Priority::try_from(-9).map(Priority::get), Ok(-9));
        assert!(Priority::try_from(10).is_err());
        assert!(Priority::try_from(-999).is_err());
    }

    #[test]
    fn every_state_survives_text() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    #[test]
    fn percent_needs_a_total_that_makes_sense() {
        let at = |done, total| Progress { done, total, message: None }.percent();

        assert_eq!(at(1.0, Some(4.0)), Some(25.0));
        assert_eq!(at(9.0, Some(4.0)), Some(100.0));
        assert_eq!((at(1.0, None), at(1.0, Some(0.0))), (None, None));
    }
}
