//! Jobs of another system, which keeps them as `{"queue": […]}` in one file.

use bytes::Bytes;
use fumehood_model::{Code, Failure, JobId, JobOutcome, JobState, JobTool, KeyId, Outcome, Principal, Timestamp};
use fumehood_policy::Action;
use fumehood_store::{NewJob, SubmitError};
use serde::Deserialize;
use serde_json::Value;

use crate::{DispatchError, Dispatcher, jobs::Order, patience::patiently};

/// Most jobs of one file.
const MAX_JOBS: usize = 100_000;

/// The tag of every job that came in this way.
const TAG: &str = "imported";

/// What became of a file of jobs.
#[derive(Debug, Default)]
pub struct Imported {
    /// Jobs that were taken in.
    pub jobs: u64,
    /// Those that are here already.
    pub known: u64,
    /// What could not be taken in: the position in the file, and why.
    pub refused: Vec<(usize, String)>,
}

/// The file.
#[derive(Deserialize)]
struct State {
    queue: Vec<Value>,
}

/// One job in it.
#[derive(Deserialize)]
struct Entry {
    queue_id: JobId,
    endpoint: String,
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    data: Value,
    status: Status,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    created_at: Value,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Status {
    Queued,
    Processing,
    Completed,
    Failed,
}

impl Dispatcher {
    /// Take in the jobs of a state file: what had not ended waits again, what had is kept with its result.
    ///
    /// A job belongs to the key that is named in the file where it is one of ours, else to `principal`. The text of a key is
    /// looked up and kept nowhere. A file can be taken in twice: what is here already is passed over.
    ///
    /// # Errors
    ///
    /// When `principal` may not, or the text is no such file at all.
    pub async fn import_jobs(&self, principal: &Principal, text: &[u8]) -> Result<Imported, DispatchError> {
        Action::ManageJobs.check(principal)?;
        let queue = self.queue()?;
        let bad = |what: String| DispatchError::BadOrder { what };
        let state: State = serde_json::from_slice(text)
            .map_err(|error| bad(format!("this is not a file of jobs of the form {{\"queue\": […]}}: {error}")))?;
        if state.queue.len() > MAX_JOBS {
            return Err(bad(format!("the file holds {} jobs, and {MAX_JOBS} are the most", state.queue.len())));
        }
        let mut imported = Imported::default();
        for (position, entry) in state.queue.into_iter().enumerate() {
            let now = Timestamp::now();
            let job = serde_json::from_value::<Entry>(entry)
                .map_err(|error| error.to_string())
                .and_then(|entry| self.imported(principal, entry, now));
            let submitted = match job {
                Ok(job) => patiently(queue.store.submit(vec![job], queue.config.bounds, now)).await,
                Err(why) => {
                    imported.refused.push((position, why));
                    continue;
                }
            };
            match submitted {
                Ok(_) => imported.jobs += 1,
                Err(DispatchError::Submit(SubmitError::Exists { .. })) => imported.known += 1,
                // Nor would it answer for the rest; what is known by then is counted as such the next time.
                Err(error @ DispatchError::Unanswered { .. }) => return Err(error),
                Err(error) => imported.refused.push((position, error.to_string())),
            }
        }
        tracing::info!(
            jobs = imported.jobs, refused = imported.refused.len(), key.id = %principal.key,
            "{} jobs of another system taken in by {}", imported.jobs, principal.name
        );
        Ok(imported)
    }

    fn imported(&self, principal: &Principal, entry: Entry, now: Timestamp) -> Result<NewJob, String> {
        let path = entry.endpoint.trim_matches('/');
        let path = path.strip_prefix("api/").unwrap_or(path);
        let (module, function) =
            path.rsplit_once('/').ok_or_else(|| format!("`{}` names no module and function", path.escape_debug()))?;
        let owner = entry.api_key.as_deref().and_then(|text| self.inner.keys.verify(text));
        let owner: KeyId = owner.map_or_else(|| principal.key.clone(), |owner| owner.key);
        let input = match entry.data {
            Value::Null => Bytes::from_static(b"{}"),
            data => Bytes::from(data.to_string()),
        };
        let catalogue = self.inner.registry.current();
        let tool = catalogue.module(module).and_then(|module| module.tool(function));
        let ended = match entry.status {
            Status::Queued | Status::Processing => None,
            Status::Completed => {
                Some((JobState::Completed, Some(JobOutcome::Ended(Outcome::Value(entry.result.to_string())))))
            }
            Status::Failed => {
                let message = entry.error.as_str().map_or_else(|| entry.error.to_string(), str::to_owned);
                let failure = Failure { code: Code::ToolError, message };
                Some((JobState::Failed, Some(JobOutcome::Failed(failure))))
            }
        };
        let unknown = || format!("there is no function {}/{}", module.escape_debug(), function.escape_debug());
        let name = module.parse().map_err(|_| unknown())?;
        let order = Order { tags: vec![TAG.to_owned()], ..Order::default() };
        let digest = match (&ended, tool) {
            (_, Some(tool)) => tool.digest,
            // What has ended is kept, whether or not its tool is here.
            (Some(_), None) => fumehood_model::Digest::of(b""),
            (None, None) => return Err(unknown()),
        };
        Ok(NewJob {
            id: entry.queue_id,
            owner,
            tool: JobTool { module: name, function: function.to_owned(), digest },
            input,
            lowered: tool.map(|tool| tool.limits).unwrap_or_default(),
            priority: order.priority,
            run_at: created(&entry.created_at).map_or(now, |at| at.min(now)),
            expires_at: None,
            max_attempts: self.queue().map_or(1, |queue| queue.config.max_attempts),
            is_repeatable: tool.is_some_and(|tool| tool.is_idempotent),
            tags: order.tags,
            idempotency: None,
            schedule: None,
            held_by: None,
            ended,
        })
    }
}

/// A moment as seconds since 1970, or as text; in UTC where it does not say.
fn created(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().or_else(|_| format!("{text}Z").parse()).ok(),
        value => {
            let seconds = value.as_f64().filter(|seconds| (0.0..1e10).contains(seconds))?;
            Some(Timestamp { unix_ms: (seconds * 1000.0) as u64 })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_read_as_other_systems_write_them() {
        let at = Some(Timestamp { unix_ms: 1_700_000_000_500 });

        assert_eq!(created(&json!(1_700_000_000.5)), at);
        assert_eq!(created(&json!("2023-11-14T22:13:20.500Z")), at);
        assert_eq!(created(&json!("2023-11-14T22:13:20.500000")), at);
        assert_eq!(created(&json!("2023-11-14T23:13:20.500+01:00")), at);
        assert_eq!((created(&json!("soon")), created(&json!(-1)), created(&Value::Null)), (None, None, None));
    }
}
