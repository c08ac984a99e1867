//! Calls that do nothing until a person has confirmed them.
//!
//! A tool that its author marks as such is refused at the door, whichever way its call comes, unless it was confirmed: by whoever
//! calls, with what the refusal brings for that, or by an administrator. Either is for this call of this key alone, good once
//! and for a while, and is written down with who decided.

use std::time::Duration;

use bytes::Bytes;
use fumehood_model::{Digest, KeyId, Principal, Timestamp};
use fumehood_policy::{Action, ConfirmedBy};
use fumehood_registry::Tool;
use fumehood_store::{
    Confirmation, ConfirmationFilter, ConfirmationState, ConfirmedCall, Decided, NewConfirmation, fresh_id,
};
use fumehood_value::Arguments;
use serde_json::{Number, Value};

use crate::{DispatchError, Dispatcher, HistoryConfig, dispatcher::blocking, error::shown, jobs::QUICK};

/// How long a caller may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long an administrator may take, the caller then to come again, and a refusal holds.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Most questions of one key that wait.
const MOST_OF_A_KEY: u64 = 100;

/// Longest part of the arguments that whoever decides is shown, in bytes.
const SHOWN: usize = 4_096;

/// From here on not every whole number is a 64-bit float: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Length of the id of a question: somebody types it, and it is no secret.
const ID: usize = 12;

/// Most questions that one page holds.
pub const MAX_CONFIRMATIONS: usize = 1_000;

/// Which questions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confirmations {
    /// Those too that were decided, or are too old to be.
    pub all: bool,
    /// Only of this tool, as MCP names it.
    pub tool: Option<String>,
    /// Only of this key.
    pub key: Option<KeyId>,
    /// Only what stands before this one.
    pub before: Option<u64>,
    /// Most questions, up to [`MAX_CONFIRMATIONS`].
    pub most: usize,
}

/// A call that may take place once it has its place: then its confirmation is used. In a box, as nearly no call has one.
#[derive(Debug)]
pub(crate) struct Confirmed {
    this: This,
    token: Option<Digest>,
}

/// Which call that is, and how its arguments are written: without needless space.
#[derive(Debug, Clone)]
struct This {
    call: ConfirmedCall,
    arguments: String,
}

impl Dispatcher {
    /// Whether this call may take place, as far as a person must confirm it. Nothing is used by that.
    pub(crate) async fn confirmed(
        &self,
        principal: &Principal,
        tool: &Tool,
        arguments: &Arguments,
        token: Option<&str>,
    ) -> Result<Box<Confirmed>, DispatchError> {
        let this = this(principal, tool, arguments).await?;
        // What was given out before only administrators were to decide is worth nothing now.
        let token = token.filter(|_| self.inner.config.confirmed_by == ConfirmedBy::Caller);
        let token = token.map(|token| Digest::of(token.as_bytes()));
        if self.inner.database.is_confirmed(this.call.clone(), token, Timestamp::now()).await? {
            return Ok(Box::new(Confirmed { this, token }));
        }
        Err(self.ask_for(principal, tool, this, true).await)
    }

    /// Use the confirmation of a call that now takes place; its id.
    pub(crate) async fn use_confirmation(
        &self,
        principal: &Principal,
        tool: &Tool,
        confirmed: Box<Confirmed>,
    ) -> Result<String, DispatchError> {
        let Confirmed { this, token } = *confirmed;
        let spent = self.inner.database.spend_confirmation(this.call.clone(), token, Timestamp::now()).await?;
        let Some(used) = spent else { return Err(self.ask_for(principal, tool, this, true).await) };
        let by = used.decided.as_ref().map_or("", |decided| &*decided.key.0);
        tracing::info!(
            tool.name = %tool.name, component.digest = %tool.digest, key.id = %principal.key,
            arguments.digest = %used.call.arguments, confirmation.id = used.id, confirmation.by = by,
            "A call of {} by {} takes place, confirmed with key {by}", tool.name, principal.name
        );
        Ok(used.id)
    }

    /// The call did not take place for which a confirmation was used.
    pub(crate) async fn return_confirmation(&self, id: String) {
        if let Err(error) = self.inner.database.return_confirmation(id).await {
            tracing::warn!(%error, "A confirmation that was not used could not be given back");
        }
    }

    /// Ask that this call be confirmed, and do nothing else; nothing if an administrator has done so already. Only where its caller
    /// `can_decide` is it told with what.
    ///
    /// # Errors
    ///
    /// That it must be, and with what it can; or that the call would fail anyway.
    pub async fn ask_to_confirm(
        &self,
        principal: &Principal,
        tool: &Tool,
        arguments: &Arguments,
        can_decide: bool,
    ) -> Result<(), DispatchError> {
        Action::Call.check(principal)?;
        let this = this(principal, tool, arguments).await?;
        if self.inner.database.is_confirmed(this.call.clone(), None, Timestamp::now()).await? {
            return Ok(());
        }
        Err(self.ask_for(principal, tool, this, can_decide).await)
    }

    /// That whoever was asked for `principal` does not agree: then nothing else confirms the call either, until it is asked anew.
    ///
    /// # Errors
    ///
    /// When it cannot be written down.
    pub async fn decline(
        &self,
        principal: &Principal,
        tool: &Tool,
        arguments: &Arguments,
        token: &str,
    ) -> Result<(), DispatchError> {
        let This { call, .. } = this(principal, tool, arguments).await?;
        let digest = call.arguments;
        let (token, decided) = (Digest::of(token.as_bytes()), decided_by(principal));
        if self.inner.database.decline_confirmation(call, token, decided).await? {
            tracing::info!(
                tool.name = %tool.name, component.digest = %tool.digest, key.id = %principal.key, arguments.digest = %digest,
                "A call of {} by {} was declined by its own user", tool.name, principal.name
            );
        }
        Ok(())
    }

    /// Calls that must be confirmed, the newest first.
    ///
    /// # Errors
    ///
    /// When `principal` may not decide.
    pub async fn confirmations(
        &self,
        principal: &Principal,
        which: Confirmations,
    ) -> Result<Vec<Confirmation>, DispatchError> {
        Action::Confirm.check(principal)?;
        let Confirmations { all, tool, key, before, most } = which;
        let (waiting, most) = ((!all).then(Timestamp::now), most.clamp(1, MAX_CONFIRMATIONS));
        Ok(self.inner.database.confirmations(ConfirmationFilter { waiting, tool, key, before, most }).await?)
    }

    /// Confirm the call that is asked for as `id`, or refuse it, for whoever wants to call. It takes place when it comes again.
    ///
    /// # Errors
    ///
    /// When `principal` may not, or nothing such waits.
    pub async fn decide_confirmation(
        &self,
        principal: &Principal,
        id: &str,
        agrees: bool,
    ) -> Result<Confirmation, DispatchError> {
        Action::Confirm.check(principal)?;
        let decided = decided_by(principal);
        let until = decided.at.later(DAY);
        let decided = self.inner.database.decide_confirmation(id.to_owned(), agrees, decided, until).await?;
        let decided = decided.ok_or_else(|| DispatchError::NothingToConfirm { id: shown(id) })?;
        let word = if agrees { "confirmed" } else { "refused" };
        tracing::info!(
            tool.name = decided.call.tool, component.digest = %decided.call.component, key.id = %decided.call.key,
            arguments.digest = %decided.call.arguments, confirmation.id = decided.id, confirmation.by = %principal.key,
            "A call of {} by {} was {word} by {}", decided.call.tool, decided.caller, principal.name
        );
        Ok(decided)
    }

    /// Forget questions that need not be kept any longer.
    pub(crate) async fn retire_confirmations(&self) -> Result<(), DispatchError> {
        let HistoryConfig { keep_for, keep_most } = self.inner.config.history;
        let now = Timestamp::now();
        while self.inner.database.prune_confirmations(now, now.earlier(keep_for), keep_most).await? > 0 {}
        Ok(())
    }

    /// The answer to a call that nobody has confirmed.
    async fn ask_for(&self, principal: &Principal, tool: &Tool, this: This, can_decide: bool) -> DispatchError {
        match self.question(principal, tool, this, can_decide).await {
            Ok(error) | Err(error) => error,
        }
    }

    async fn question(
        &self,
        principal: &Principal,
        tool: &Tool,
        this: This,
        can_decide: bool,
    ) -> Result<DispatchError, DispatchError> {
        let This { call, arguments } = this;
        let bytes = arguments.len();
        let shown = arguments[..arguments.floor_char_boundary(SHOWN)].to_owned();
        if bytes <= QUICK {
            // Nobody is to confirm what cannot be done anyway.
            tool.check(Arguments::Text(arguments.into()))?;
        }
        let at = Timestamp::now();
        let token = match self.inner.config.confirmed_by {
            ConfirmedBy::Caller if can_decide => Some(fresh_id()?),
            ConfirmedBy::Caller | ConfirmedBy::Administrator => None,
        };
        let mut id = fresh_id()?;
        id.truncate(ID);
        let new = NewConfirmation {
            id,
            call,
            caller: principal.name.to_string(),
            shown,
            arguments_bytes: bytes as u64,
            at,
            until: at.later(DAY),
            token: token.as_deref().map(|token| (Digest::of(token.as_bytes()), at.later(PATIENCE))),
            most: MOST_OF_A_KEY,
        };
        let asked = self.inner.database.ask_confirmation(new).await?;
        if self.inner.config.read_only {
            // Nobody else does it where no server runs.
            self.retire_confirmations().await?;
        }
        if asked.state == ConfirmationState::Refused {
            return Ok(DispatchError::ConfirmationRefused { tool: tool.name.clone(), until: asked.until });
        }
        tracing::info!(
            tool.name = %tool.name, component.digest = %tool.digest, key.id = %principal.key,
            arguments.digest = %asked.call.arguments, confirmation.id = asked.id,
            "A call of {} by {} waits to be confirmed: fumehood confirmations confirm {}", tool.name, principal.name, asked.id
        );
        let left = Duration::from_millis(asked.until.unix_ms.saturating_sub(at.unix_ms));
        let within = if token.is_some() { PATIENCE } else { left };
        Ok(DispatchError::Unconfirmed { tool: tool.name.clone(), id: asked.id, token, within })
    }
}

fn decided_by(principal: &Principal) -> Decided {
    Decided { key: principal.key.clone(), by: principal.name.to_string(), at: Timestamp::now() }
}

async fn this(principal: &Principal, tool: &Tool, arguments: &Arguments) -> Result<This, DispatchError> {
    let input = arguments.clone().into_text();
    let (canonical, arguments) =
        if input.len() <= QUICK { canonical(&input) } else { blocking(move || Ok(canonical(&input))).await? };
    let (key, tool, component) = (principal.key.clone(), tool.name.to_string(), tool.digest);
    Ok(This { call: ConfirmedCall { key, tool, component, arguments: canonical }, arguments })
}

/// Arguments as they are shown, and their digest: the same for the same values, however they are written. What is no JSON is
/// refused later, and by then is the same text.
fn canonical(input: &Bytes) -> (Digest, String) {
    let text = serde_json::from_slice(input).map(|value: Value| ordered(value).to_string());
    let text = text.unwrap_or_else(|_| String::from_utf8_lossy(input).into_owned());
    (Digest::of(text.as_bytes()), text)
}

/// The same value with its members by name, and whole numbers as such.
fn ordered(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, ordered(value))).collect();
            members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(values) => values.into_iter().map(ordered).collect(),
        Value::Number(number) => Value::Number(whole(&number).unwrap_or(number)),
        value => value,
    }
}

/// A whole number that is written as a fraction, as `3.0`.
fn whole(number: &Number) -> Option<Number> {
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and not too large for that")]
    Some(Number::from(float as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_values_are_the_same_arguments_however_they_are_written() {
        let of = |text: &'static str| canonical(&Bytes::from_static(text.as_bytes()));

        let first = of(r#"{"b":[{"d":1,"c":-0.0}],"a":999}"#);
        assert_eq!(first.1, r#"{"a":999,"b":[{"c":0,"d":1}]}"#);
        assert_eq!(first, of(r#" { "a" : 999.0, "b": [ {"c": 0, "d": 1e0} ] } "#));
        for other in [r#"{"a":999,"b":[{"c":0.5,"d":1}]}"#, r#"{"a":"999","b":[{"c":0,"d":1}]}"#, "{"] {
            assert_ne!(of(other).0, first.0, "{other}");
        }
        assert_eq!(of("1e300").0, of("10e299").0);
    }
}
