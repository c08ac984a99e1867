use fumehood_model::{Digest, Lowered, Priority, Timestamp};
use fumehood_registry::Tool;

use crate::DispatchError;

/// Most tags of a job, and characters of one.
const MAX_TAGS: usize = 16;
const MAX_TAG: usize = 64;

/// Longest idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// Most attempts of a job: with pauses of up to five minutes, a working day.
const MAX_ATTEMPTS: u32 = 100;

/// How far ahead a job may be submitted: a year and a bit.
const MAX_AHEAD_MS: u64 = 400 * 24 * 3600 * 1000;

/// What whoever submits a job wants of it, beside its tool and arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Bounds of each attempt; they only lower.
    pub lowered: Lowered,
    /// Which of the key's jobs goes first.
    pub priority: Priority,
    /// When it may run at the earliest; now if nothing is said.
    pub run_at: Option<Timestamp>,
    /// When it must have begun.
    pub expires_at: Option<Timestamp>,
    /// How often it may be tried.
    pub max_attempts: Option<u32>,
    /// Whether it may run again although an attempt may have had effects, whatever its tool says.
    pub is_repeatable: bool,
    /// Words by which it can be found.
    pub tags: Vec<String>,
    /// What makes a second submission of the same job the first one.
    pub idempotency_key: Option<String>,
    /// That a person has confirmed it: what the refusal brought.
    pub confirmation: Option<String>,
}

impl Order {
    /// Whether it makes sense at `now`.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), DispatchError> {
        let bad = |what: String| Err(DispatchError::BadOrder { what });
        let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if self.tags.len() > MAX_TAGS {
            return bad(format!("a job has at most {MAX_TAGS} tags, not {}", self.tags.len()));
        }
        if self.tags.iter().any(|tag| !is_plain(tag) || tag.chars().count() > MAX_TAG) {
            return bad(format!("a tag is a text of 1 to {MAX_TAG} printable characters"));
        }
        if let Some(key) = &self.idempotency_key
            && (key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY || key.bytes().any(|byte| !(32..127).contains(&byte)))
        {
            return bad(format!("an idempotency key has 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters"));
        }
        if self.max_attempts.is_some_and(|attempts| !(1..=MAX_ATTEMPTS).contains(&attempts)) {
            return bad(format!("a job has from 1 to {MAX_ATTEMPTS} attempts"));
        }
        let latest = Timestamp { unix_ms: now.unix_ms.saturating_add(MAX_AHEAD_MS) };
        if self.run_at.is_some_and(|at| at > latest) {
            return bad(format!("a job can wait for its time until {latest} at the latest"));
        }
        if let Some(end) = self.expires_at
            && end <= self.run_at.unwrap_or(now)
        {
            return bad(format!("the job would expire at {end}, before it may run"));
        }
        Ok(())
    }

    /// This order, if it is for one run as soon as there is a place for it: a person confirms no more than that.
    pub(crate) fn for_once(self) -> Result<Self, DispatchError> {
        let more = [
            (self.max_attempts.is_some_and(|attempts| attempts > 1), "`max_attempts` above 1"),
            (self.is_repeatable, "`repeatable`"),
            (self.run_at.is_some(), "a later time"),
        ];
        if let Some((_, what)) = more.into_iter().find(|(is, _)| *is) {
            let what = format!("a call that a person must confirm runs once, when it is confirmed: leave out {what}");
            return Err(DispatchError::BadOrder { what });
        }
        Ok(Self { max_attempts: Some(1), ..self })
    }

    /// What tells this submission from another one of the same name.
    pub(crate) fn fingerprint(&self, tool: &Tool, input: &[u8]) -> [u8; 32] {
        let mut whole = format!("{}\0{}\0", tool.module, tool.function).into_bytes();
        whole.extend_from_slice(input.trim_ascii());
        *Digest::of(&whole).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp { unix_ms: 1_000_000 };

    #[test]
    fn what_makes_no_sense_is_told() {
        let later = Timestamp { unix_ms: 2_000_000 };
        let wrong = [
            Order { tags: vec!["x".into(); 17], ..Order::default() },
            Order { tags: vec![String::new()], ..Order::default() },
            Order { tags: vec!["a\nb".into()], ..Order::default() },
            Order { idempotency_key: Some("ä".into()), ..Order::default() },
            Order { idempotency_key: Some("x".repeat(256)), ..Order::default() },
            Order { max_attempts: Some(0), ..Order::default() },
            Order { run_at: Some(Timestamp { unix_ms: u64::MAX }), ..Order::default() },
            Order { expires_at: Some(NOW), ..Order::default() },
            Order { run_at: Some(later), expires_at: Some(later), ..Order::default() },
        ];

        for order in wrong {
            assert!(matches!(order.check(NOW), Err(DispatchError::BadOrder { .. })), "{order:?}");
        }
        assert!(Order { run_at: Some(later), tags: vec!["a b".into()], ..Order::default() }.check(NOW).is_ok());
    }
}
