//! Calls that do nothing until a person has confirmed them.
//!
//! A tool that its author marks as such is refused at the door, whichever way its call comes, unless it was confirmed: by whoever
//! calls, with what the refusal brings for that, or by an administrator. Either is for this call of this key alone, good once
//! and for a while, and is written down with who decided.

use std::time::Duration;

use bytes::Bytes;
use fumehood_model::{Digest, Principal, Timestamp};
use fumehood_policy::{Action, ConfirmedBy};
use fumehood_registry::Tool;
use fumehood_store::{Confirmation, ConfirmationState, ConfirmedCall, Decider, NewConfirmation, fresh_id};
use fumehood_value::Arguments;
use serde_json::Value;

use crate::{DispatchError, Dispatcher, HistoryConfig, error::shown, jobs::QUICK};

/// How long a caller may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long an administrator may take, and the caller then to come again.
const PATIENCE_OF_ADMINISTRATORS: Duration = Duration::from_secs(24 * 3_600);

/// Most questions of one key that wait.
const MOST_OF_A_KEY: u64 = 100;

/// Longest part of the arguments that whoever decides is shown, in bytes.
const SHOWN: usize = 4_096;

/// Length of the id of a question: somebody types it, and it is no secret.
const ID: usize = 12;

impl Dispatcher {
    /// Whether this call may take place, as far as a person must confirm it.
    pub(crate) async fn check_confirmed(
        &self,
        principal: &Principal,
        tool: &Tool,
        arguments: &Arguments,
        token: Option<&str>,
    ) -> Result<(), DispatchError> {
        let (call, input) = this(principal, tool, arguments);
        let token = token.map(|token| Digest::of(token.as_bytes()));
        match self.inner.database.spend_confirmation(call.clone(), token, Timestamp::now()).await? {
            Some(used) => {
                let by = used.decided_by.as_deref().unwrap_or_default();
                tracing::info!(
                    tool.name = %tool.name, component.digest = %tool.digest, key.id = %principal.key,
                    arguments.digest = %call.arguments, confirmation.id = %used.id, confirmation.by = by,
                    "A call of {} by {} takes place, as {by} has confirmed it", tool.name, principal.name
                );
                Ok(())
            }
            None => Err(self.ask_for(principal, tool, call, input).await),
        }
    }

    /// Ask that this call be confirmed, and do nothing else; nothing if an administrator has done so already.
    ///
    /// # Errors
    ///
    /// That it must be, and with what it can; or that the call would fail anyway.
    pub async fn ask_to_confirm(
        &self,
        principal: &Principal,
        tool: &Tool,
        arguments: &Arguments,
    ) -> Result<(), DispatchError> {
        Action::Call.check(principal)?;
        let (call, input) = this(principal, tool, arguments);
        if self.inner.database.is_confirmed(call.clone(), Timestamp::now()).await? {
            return Ok(());
        }
        Err(self.ask_for(principal, tool, call, input).await)
    }

    /// That whoever was asked for `principal` does not agree.
    ///
    /// # Errors
    ///
    /// When it cannot be written down.
    pub async fn decline(&self, principal: &Principal, token: &str) -> Result<(), DispatchError> {
        let decider = Decider::Token(Digest::of(token.as_bytes()));
        self.decide(principal, decider, false).await.map(drop)
    }

    /// Calls that must be confirmed, the newest first: those that can be decided, or all that are kept.
    ///
    /// # Errors
    ///
    /// When `principal` may not decide.
    pub async fn confirmations(
        &self,
        principal: &Principal,
        all: bool,
        most: usize,
    ) -> Result<Vec<Confirmation>, DispatchError> {
        Action::Confirm.check(principal)?;
        Ok(self.inner.database.confirmations((!all).then(Timestamp::now), most).await?)
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
        let decided = self.decide(principal, Decider::Id(id.to_owned()), agrees).await?;
        decided.ok_or_else(|| DispatchError::NothingToConfirm { id: shown(id) })
    }

    /// Forget questions that need not be kept any longer.
    pub(crate) async fn retire_confirmations(&self) -> Result<(), DispatchError> {
        let HistoryConfig { keep_for, keep_most } = self.inner.config.history;
        let now = Timestamp::now();
        self.inner.database.prune_confirmations(now, now.earlier(keep_for), keep_most).await?;
        Ok(())
    }

    async fn decide(
        &self,
        principal: &Principal,
        decider: Decider,
        agrees: bool,
    ) -> Result<Option<Confirmation>, DispatchError> {
        let by = principal.name.to_string();
        let decided = self.inner.database.decide_confirmation(decider, agrees, by, Timestamp::now()).await?;
        if let Some(decided) = &decided {
            let word = if agrees { "confirmed" } else { "refused" };
            tracing::info!(
                tool.name = decided.call.tool, component.digest = %decided.call.component, key.id = %decided.call.key,
                arguments.digest = %decided.call.arguments, confirmation.id = decided.id, confirmation.by = %principal.name,
                "A call of {} by {} was {word} by {}", decided.call.tool, decided.caller, principal.name
            );
        }
        Ok(decided)
    }

    /// The answer to a call that nobody has confirmed.
    async fn ask_for(&self, principal: &Principal, tool: &Tool, call: ConfirmedCall, input: Bytes) -> DispatchError {
        match self.question(principal, tool, call, input).await {
            Ok(error) | Err(error) => error,
        }
    }

    async fn question(
        &self,
        principal: &Principal,
        tool: &Tool,
        call: ConfirmedCall,
        input: Bytes,
    ) -> Result<DispatchError, DispatchError> {
        let start = input.get(..SHOWN).unwrap_or(&input);
        let start = String::from_utf8_lossy(start).into_owned();
        if input.len() <= QUICK {
            // Nobody is to confirm what cannot be done anyway.
            tool.check(Arguments::Text(input))?;
        }
        let at = Timestamp::now();
        let token = match self.inner.config.confirmed_by {
            ConfirmedBy::Caller => Some(fresh_id()?),
            ConfirmedBy::Administrator => None,
        };
        let mut id = fresh_id()?;
        id.truncate(ID);
        let new = NewConfirmation {
            id,
            call,
            caller: principal.name.to_string(),
            shown: start,
            at,
            until: at.later(PATIENCE_OF_ADMINISTRATORS),
            token: token.as_deref().map(|token| (Digest::of(token.as_bytes()), at.later(PATIENCE))),
            most: MOST_OF_A_KEY,
        };
        let asked = self.inner.database.ask_confirmation(new).await?;
        if asked.state == ConfirmationState::Refused {
            return Ok(DispatchError::ConfirmationRefused { tool: tool.name.clone() });
        }
        tracing::info!(
            tool.name = %tool.name, component.digest = %tool.digest, key.id = %principal.key,
            arguments.digest = %asked.call.arguments, confirmation.id = %asked.id,
            "A call of {} by {} waits to be confirmed: fumehood confirmations confirm {}", tool.name, principal.name, asked.id
        );
        let within = if token.is_some() { PATIENCE } else { at_until(at, asked.until) };
        Ok(DispatchError::Unconfirmed { tool: tool.name.clone(), id: asked.id, token, within })
    }
}

/// Which call that is, and its arguments as text.
fn this(principal: &Principal, tool: &Tool, arguments: &Arguments) -> (ConfirmedCall, Bytes) {
    let input = arguments.clone().into_text();
    let canonical = serde_json::from_slice(&input).map(|value: Value| Digest::of(value.to_string().as_bytes()));
    let arguments = canonical.unwrap_or_else(|_| Digest::of(&input));
    let call =
        ConfirmedCall { key: principal.key.clone(), tool: tool.name.to_string(), component: tool.digest, arguments };
    (call, input)
}

fn at_until(at: Timestamp, until: Timestamp) -> Duration {
    Duration::from_millis(until.unix_ms.saturating_sub(at.unix_ms))
}
