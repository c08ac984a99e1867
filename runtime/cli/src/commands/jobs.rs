//! `fumehood jobs`.

pub(crate) mod watch;

use std::{fs, path::Path, process::ExitCode};

use fumehood_model::Code;
use serde_json::{Map, Value, json};

use crate::{
    args::{JobsCommand, OrderArgs, SubmitArgs},
    arguments,
    client::Client,
    commands::confirmations,
    exit::Failure,
    output::{duration, grouped, pretty, single_line, size, table},
    session::Session,
    target,
};

const PATH: [&str; 3] = ["api", "v1", "jobs"];

/// Most jobs that one request lists.
const PAGE: usize = 500;

/// Submit, list, follow, cancel and retry jobs.
pub(crate) fn run(session: &Session<'_>, command: &JobsCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        JobsCommand::Submit(args) => submit(session, &client, args)?,
        JobsCommand::Ls { state, tool, tag, schedule, limit } => {
            let state = (!state.is_empty()).then(|| state.join(","));
            let query = [("state", &state), ("tool", tool), ("tag", tag), ("schedule", schedule)];
            let query: Vec<_> = query.iter().filter_map(|(name, text)| Some((*name, text.as_deref()?))).collect();
            let jobs = list(&client, &query, *limit)?;
            session.output.data(&json!({ "jobs": jobs }), || rendered(&jobs))?;
        }
        JobsCommand::Show { id } => {
            let job = client.get(&[PATH[0], PATH[1], PATH[2], id], &[])?;
            session.output.data(&job, || shown(&job))?;
        }
        JobsCommand::Watch { id } => watch::to_the_end(session, &client, id)?,
        JobsCommand::Cancel { ids } => {
            each(session, ids, |id| {
                let job = client.delete(&[PATH[0], PATH[1], PATH[2], id])?;
                session.output.talk(&format!("job {id}: {}", told(&job)));
                Ok(job)
            })?;
        }
        JobsCommand::Retry { ids } => {
            each(session, ids, |id| {
                let job = client.post_empty(&[PATH[0], PATH[1], PATH[2], id, "retry"])?;
                session.output.talk(&format!("job {id} is tried again"));
                Ok(job)
            })?;
        }
        JobsCommand::Prune { ids, all: _, state, older_than, keep } if ids.is_empty() => {
            let seconds = older_than.map_or(0, |age| age.as_secs());
            let wanted = json!({ "states": state, "older_than_s": seconds, "keep": keep.unwrap_or_default() });
            let answer = client.post(&[PATH[0], PATH[1], PATH[2], "prune"], &wanted)?;
            session.output.talk(&format!("{} jobs forgotten", answer["pruned"]));
            session.output.data(&answer, String::new)?;
        }
        JobsCommand::Prune { ids, .. } => {
            each(session, ids, |id| {
                client.delete_with(&[PATH[0], PATH[1], PATH[2], id], &[("purge", "true")])?;
                session.output.talk(&format!("job {id} forgotten"));
                Ok(json!({ "id": id, "pruned": true }))
            })?;
        }
        JobsCommand::Import { file } => import(session, &client, file)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Take in a file of jobs. What could be taken in was, also when this fails because of the others.
fn import(session: &Session<'_>, client: &Client, file: &Path) -> anyhow::Result<()> {
    let text = fs::read(file)
        .map_err(|error| Failure::new(Code::NotFound, format!("{} cannot be read: {error}", file.display())))?;
    let jobs: Value = serde_json::from_slice(&text)
        .map_err(|error| Failure::new(Code::InvalidInput, format!("{} is not JSON: {error}", file.display())))?;
    let answer = client.post(&[PATH[0], PATH[1], PATH[2], "import"], &jobs)?;
    session.output.talk(&format!("{} jobs taken in, {} here already", answer["imported"], answer["known"]));
    session.output.data(&answer, String::new)?;
    let refused = answer["refused"].as_array().map_or(&[][..], Vec::as_slice);
    if refused.is_empty() {
        return Ok(());
    }
    // As `position` counts them, and programs the entries of an array.
    let line = |job: &Value| format!("queue[{}]: {}", job["position"], job["reason"].as_str().unwrap_or_default());
    let message = format!("{} jobs of {} could not be taken in", refused.len(), file.display());
    Err(Failure::new(Code::InvalidInput, message).lines(refused.iter().map(line).collect()).into())
}

fn submit(session: &Session<'_>, client: &Client, args: &SubmitArgs) -> anyhow::Result<()> {
    let mut wanted = order(client, &args.target, &args.words, args.json.as_deref(), &args.order)?;
    let mut put = |name: &str, value: Option<Value>| value.map(|value| wanted.insert(name.to_owned(), value));
    put("delay_ms", args.delay.map(|delay| json!(delay.as_secs().saturating_mul(1000))));
    put("run_at", args.at.as_ref().map(|at| json!(at)));
    put("expires_at", args.expires.as_ref().map(|at| json!(at)));
    put("idempotency_key", args.idempotency_key.as_ref().map(|key| json!(key)));
    let (wanted, tool) = (Value::Object(wanted), args.target.as_str());
    let job = confirmations::confirming(args.confirm, tool, &wanted["input"], |confirmation| {
        client.post_confirmed(&PATH, &wanted, confirmation)
    })??;
    let id = job["id"].as_str().unwrap_or_default();
    if args.wait {
        return watch::to_the_end(session, client, id);
    }
    session.output.talk(&format!("follow it with `fumehood jobs watch {id}`"));
    session.output.data(&job, || single_line(id))?;
    Ok(())
}

/// What a job is to be, as the server takes it.
pub(crate) fn order(
    client: &Client,
    target: &str,
    words: &[String],
    json: Option<&str>,
    args: &OrderArgs,
) -> anyhow::Result<Map<String, Value>> {
    let tool = target::find(client, target)?;
    let input = arguments::build(&tool["input_schema"], words, json)?;
    let mut order = Map::new();
    order.insert("tool".to_owned(), tool["name"].clone());
    order.insert("input".to_owned(), input);
    order.insert("priority".to_owned(), args.priority.into());
    order.insert("repeatable".to_owned(), args.repeatable.into());
    order.insert("tags".to_owned(), json!(args.tags));
    order.insert("limits".to_owned(), json!(args.limits.lowered()));
    if let Some(attempts) = args.attempts {
        order.insert("max_attempts".to_owned(), attempts.into());
    }
    Ok(order)
}

/// Do the same with each; with one, its document is what is written, with several a list of them.
fn each(session: &Session<'_>, ids: &[String], work: impl Fn(&str) -> Result<Value, Failure>) -> anyhow::Result<()> {
    let documents = ids.iter().map(|id| work(id)).collect::<Result<Vec<_>, _>>()?;
    let document = if let [only] = &documents[..] { only.clone() } else { json!({ "jobs": documents }) };
    session.output.data(&document, String::new)?;
    Ok(())
}

/// Jobs, page by page, until there are `limit`.
fn list(client: &Client, query: &[(&str, &str)], limit: usize) -> Result<Vec<Value>, Failure> {
    let mut jobs = Vec::new();
    let mut before: Option<String> = None;
    while jobs.len() < limit {
        let page = PAGE.min(limit - jobs.len()).to_string();
        let mut query = [query, &[("limit", page.as_str())]].concat();
        query.extend(before.as_deref().map(|before| ("before", before)));
        let mut answer = client.get(&PATH, &query)?;
        jobs.extend(answer["jobs"].as_array_mut().map(std::mem::take).unwrap_or_default());
        before = answer["next"].as_str().map(str::to_owned);
        if before.is_none() {
            break;
        }
    }
    Ok(jobs)
}

fn rendered(jobs: &[Value]) -> String {
    let rows = jobs.iter().map(|job| {
        let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
        let took = job["usage"]["duration_us"].as_u64().map_or_else(|| "-".to_owned(), duration);
        vec![
            text("id"),
            format!("{}.{}", text("module"), text("function")),
            told(job),
            format!("{}/{}", job["attempt"], job["max_attempts"]),
            text("created_at"),
            took,
        ]
    });
    table(&["ID", "TOOL", "STATE", "ATTEMPT", "SUBMITTED", "TOOK"], rows)
}

/// Where a job stands, with how far it is or why it failed.
fn told(job: &Value) -> String {
    let state = job["state"].as_str().unwrap_or_default();
    let percent = job["progress"]["percent"].as_f64().filter(|_| state == "running");
    match (percent, job["error"]["code"].as_str()) {
        _ if job["cancelling"] == true => format!("{state} (cancelling)"),
        (Some(percent), _) => format!("{state} {percent:.0} %"),
        (None, Some(code)) if code != state => format!("{state} ({code})"),
        _ => state.to_owned(),
    }
}

fn shown(job: &Value) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push(format!("{name:<12}{}", single_line(&text)));
    let text = |name: &str| job[name].as_str().map(str::to_owned);
    line("job", text("id").unwrap_or_default());
    line("tool", format!("{}.{}", text("module").unwrap_or_default(), text("function").unwrap_or_default()));
    line("state", told(job));
    line("attempt", format!("{} of {}", job["attempt"], job["max_attempts"]));
    line("priority", job["priority"].to_string());
    let tags: Vec<_> = job["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !tags.is_empty() {
        line("tags", tags.join(", "));
    }
    for (name, key) in [
        ("submitted", "created_at"),
        ("not before", "run_at"),
        ("expires", "expires_at"),
        ("started", "started_at"),
        ("ended", "finished_at"),
        ("schedule", "schedule"),
        ("key", "key"),
        ("digest", "digest"),
    ] {
        if let Some(value) = text(key) {
            line(name, value);
        }
    }
    let used = |key: &str| job["usage"][key].as_u64();
    for (name, used) in [
        ("took", used("duration_us").map(duration)),
        ("fuel", used("fuel_units").map(grouped)),
        ("memory", used("memory_bytes").map(size)),
    ] {
        if let Some(used) = used {
            line(name, used);
        }
    }
    if let Some(message) = job["progress"]["message"].as_str() {
        line("says", message.to_owned());
    }
    if let Some(message) = job["error"]["message"].as_str() {
        line("error", message.to_owned());
    }
    let mut shown = lines.join("\n");
    if !job["result"].is_null() {
        shown += &format!("\nresult\n{}", pretty(&job["result"]));
    } else if let Some(bytes) = job["result_bytes"].as_u64() {
        shown += &format!("\nresult      {bytes} bytes at {}", single_line(&text("result_url").unwrap_or_default()));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_told_in_a_word_or_two() {
        assert_eq!(told(&json!({ "state": "running", "progress": { "percent": 41.6 } })), "running 42 %");
        assert_eq!(told(&json!({ "state": "failed", "error": { "code": "fuel" } })), "failed (fuel)");
        assert_eq!(told(&json!({ "state": "cancelled", "error": { "code": "cancelled" } })), "cancelled");
        assert_eq!(told(&json!({ "state": "running", "cancelling": true })), "running (cancelling)");
    }

    #[test]
    fn a_job_is_shown_with_all_that_was_said_of_it_and_what_it_used() {
        let job = json!({
            "id": "1", "module": "m", "function": "f", "state": "completed", "attempt": 1, "max_attempts": 3,
            "priority": -2, "tags": ["a b", "c"], "usage": { "fuel_units": 12_345, "memory_bytes": 2_048, "duration_us": 7 },
        });

        let text = shown(&job);

        for line in
            ["priority    -2", "tags        a b, c", "fuel        12,345", "memory      2.0 KiB", "took        7 µs"]
        {
            assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
        }
    }
}
