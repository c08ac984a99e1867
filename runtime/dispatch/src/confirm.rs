//! Calls that do nothing until a person has confirmed them.
//!
//! A tool that its author marks as such is refused at the door, whichever way its call comes, unless a confirmation comes with
//! it. The refusal brings one, for whoever shows the call to a person: a front end gives it on, and hands it back when
//! that person agrees. It is for this call of this key alone, good once and for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use fumehood_model::{Digest, Principal, Timestamp};
use fumehood_registry::Tool;
use fumehood_value::Arguments;
use serde_json::Value;

use crate::{DispatchError, Dispatcher, jobs::QUICK};

/// How long a person may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Most confirmations that are remembered as used. Of more, none is taken until some are too old anyway.
const MOST_USED: usize = 100_000;

/// Which confirmations were used, and which process has given them out: after a restart, those of before are worth nothing.
pub(crate) struct Confirmations {
    epoch: String,
    used: Mutex<HashMap<Digest, Timestamp>>,
}

impl Default for Confirmations {
    fn default() -> Self {
        let epoch = format!("{} {}", std::process::id(), Timestamp::now().unix_ms);
        Self { epoch, used: Mutex::default() }
    }
}

impl Confirmations {
    /// Use a confirmation; whether that was the first time.
    fn spend(&self, token: &str, now: Timestamp) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until| *until > now);
        let first = used.len() < MOST_USED && !used.contains_key(&Digest::of(token.as_bytes()));
        if first {
            used.insert(Digest::of(token.as_bytes()), after(now));
        }
        first
    }
}

impl Dispatcher {
    /// Whether this call may take place, as far as a person must confirm it.
    pub(crate) fn check_confirmed(
        &self,
        principal: &Principal,
        tool: &Tool,
        arguments: &Arguments,
        token: Option<&str>,
    ) -> Result<(), DispatchError> {
        if !tool.requires_confirmation {
            return Ok(());
        }
        let (confirmations, now) = (&self.inner.confirmations, Timestamp::now());
        let input = arguments.clone().into_text();
        let canonical = serde_json::from_slice(&input).map(|value: Value| Digest::of(value.to_string().as_bytes()));
        let canonical = canonical.unwrap_or_else(|_| Digest::of(&input));
        let purpose =
            format!("confirm {} {} {} {} {canonical}", confirmations.epoch, principal.key, tool.name, tool.digest_text);
        let purpose = purpose.as_bytes();
        if let Some(token) = token
            && self.inner.seals.open(purpose, token, now).is_some()
            && confirmations.spend(token, now)
        {
            tracing::info!(
                tool.name = %tool.name, component.digest = %tool.digest, key.id = %principal.key, arguments.digest = %canonical,
                "A call of {} by {} was confirmed", tool.name, principal.name
            );
            return Ok(());
        }
        if input.len() <= QUICK {
            // Nobody is to confirm what cannot be done anyway.
            tool.check(Arguments::Text(input))?;
        }
        tracing::info!(
            tool.name = %tool.name, component.digest = %tool.digest, key.id = %principal.key, arguments.digest = %canonical,
            "A call of {} by {} waits to be confirmed", tool.name, principal.name
        );
        let token = self.inner.seals.seal(purpose, b"", after(now))?;
        Err(DispatchError::Unconfirmed { tool: tool.name.clone(), token, within: PATIENCE })
    }
}

fn after(now: Timestamp) -> Timestamp {
    Timestamp { unix_ms: now.unix_ms.saturating_add(u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_is_spent_once_and_forgotten_when_it_is_too_old() {
        let confirmations = Confirmations::default();
        let (now, later) = (Timestamp { unix_ms: 1 }, Timestamp { unix_ms: 600_002 });

        assert!(confirmations.spend("a", now));
        assert!(!confirmations.spend("a", now));
        assert!(confirmations.spend("b", now));
        assert!(confirmations.spend("c", later));

        assert_eq!(confirmations.used.lock().unwrap().len(), 1);
    }
}
