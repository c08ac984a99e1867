//! `fumehood schedules`.

use std::{process::ExitCode, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    args::{ScheduleArgs, ScheduleName, SchedulesCommand},
    client::Client,
    commands::jobs,
    output::{compact, limits, single_line, table},
    session::Session,
};

const PATH: [&str; 3] = ["api", "v1", "schedules"];

/// List, add, pause and remove schedules.
pub(crate) fn run(session: &Session<'_>, command: &SchedulesCommand) -> anyhow::Result<ExitCode> {
    let client = session.client()?;
    match command {
        SchedulesCommand::Ls => {
            let answer = client.get(&PATH, &[])?;
            session.output.data(&answer, || rendered(answer["schedules"].as_array().map_or(&[][..], Vec::as_slice)))?;
        }
        SchedulesCommand::Show(which) => {
            let schedule = client.get(&path(which), &key(which))?;
            session.output.data(&schedule, || shown(&schedule))?;
        }
        SchedulesCommand::Add(args) => {
            let wanted = Value::Object(wanted(&client, args)?);
            let schedule = client.put_with(&path(&args.name), &key(&args.name), &wanted)?;
            session.output.talk(&told(&schedule));
            session.output.data(&schedule, String::new)?;
        }
        SchedulesCommand::Pause(which) => set_paused(session, &client, which, true)?,
        SchedulesCommand::Resume(which) => set_paused(session, &client, which, false)?,
        SchedulesCommand::Rm(which) => {
            client.delete_with(&path(which), &key(which))?;
            let name = &which.name;
            session.output.talk(&format!("schedule {name} removed"));
            session.output.data(&json!({ "name": name, "removed": true }), String::new)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(which: &ScheduleName) -> [&str; 4] {
    [PATH[0], PATH[1], PATH[2], &which.name]
}

fn key(which: &ScheduleName) -> Vec<(&str, &str)> {
    which.of_key.iter().map(|key| ("key", key.as_str())).collect()
}

/// The schedule as the server takes it. Nothing is said of whether it rests: one that does goes on doing so.
fn wanted(client: &Client, args: &ScheduleArgs) -> anyhow::Result<Map<String, Value>> {
    let job = jobs::order(client, &args.target, &args.words, args.json.as_deref(), &args.order)?;
    let millis = |span: Duration| json!(span.as_millis().to_string().parse::<u64>().unwrap_or(u64::MAX));
    let mut wanted = Map::new();
    let when = match (&args.cron, args.every) {
        (Some(cron), _) => json!({ "cron": cron, "zone": args.zone.as_deref().unwrap_or("UTC") }),
        (None, every) => json!({ "every_ms": every.map(millis) }),
    };
    wanted.insert("when".to_owned(), when);
    if let Some(jitter) = args.jitter {
        wanted.insert("jitter_ms".to_owned(), millis(jitter));
    }
    wanted.insert("missed".to_owned(), json!(args.missed));
    wanted.insert("overlap".to_owned(), json!(args.overlap));
    wanted.insert("job".to_owned(), Value::Object(job));
    Ok(wanted)
}

fn set_paused(session: &Session<'_>, client: &Client, which: &ScheduleName, paused: bool) -> anyhow::Result<()> {
    let mut schedule = client.get(&path(which), &key(which))?;
    let mut wanted = schedule["spec"].take();
    wanted["paused"] = paused.into();
    // The one that was found, whoever else adds one of this name meanwhile.
    let schedule = client.put_with(&path(which), &[("key", &text(&schedule["key"]))], &wanted)?;
    session.output.talk(&told(&schedule));
    session.output.data(&schedule, String::new)?;
    Ok(())
}

/// How a schedule stands, in a sentence.
fn told(schedule: &Value) -> String {
    let (name, owner) = (text(&schedule["name"]), text(&schedule["key"]));
    if schedule["paused"] == true {
        return format!("schedule {name} of key {owner} rests: `fumehood schedules resume {name}` lets it go on");
    }
    match schedule["next_at"].as_str() {
        Some(next) => format!("schedule {name} of key {owner} runs next at {next}"),
        None => format!("schedule {name} of key {owner} never runs again"),
    }
}

fn rendered(schedules: &[Value]) -> String {
    let rows = schedules.iter().map(|schedule| {
        let spec = &schedule["spec"];
        vec![
            text(&schedule["name"]),
            text(&schedule["key"]),
            text(&spec["job"]["tool"]),
            when(&spec["when"]),
            next(schedule),
            text(&schedule["last_at"]),
            text(&schedule["passed_over"]),
        ]
    });
    table(&["NAME", "KEY", "TOOL", "WHEN", "NEXT", "LAST", "PASSED OVER"], rows)
}

fn shown(schedule: &Value) -> String {
    let (spec, job) = (&schedule["spec"], &schedule["spec"]["job"]);
    let mut lines = Vec::new();
    let mut line = |name: &str, text: &str| lines.push(format!("{name:<12}{}", single_line(text)));
    line("schedule", &text(&schedule["name"]));
    line("key", &text(&schedule["key"]));
    line("tool", &text(&job["tool"]));
    line("input", &compact(&job["input"]));
    line("when", &when(&spec["when"]));
    line("next", &next(schedule));
    for (name, value) in [
        ("last", &schedule["last_at"]),
        ("last job", &schedule["last_job"]),
        ("passed over", &schedule["passed_over"]),
        ("added", &schedule["created_at"]),
        ("missed", &spec["missed"]),
        ("overlap", &spec["overlap"]),
    ] {
        if let Some(value) = value.as_str() {
            line(name, value);
        }
    }
    if let Some(jitter) = spec["jitter_ms"].as_u64().filter(|jitter| *jitter > 0) {
        line("jitter", &seconds(jitter));
    }
    for (name, value) in [("priority", &job["priority"]), ("attempts", &job["max_attempts"])] {
        if let Some(value) = value.as_i64() {
            line(name, &value.to_string());
        }
    }
    if let Some(within) = job["begin_within_ms"].as_u64() {
        line("begin within", &format!(" {}", seconds(within)));
    }
    if job["repeatable"] == true {
        line("repeatable", "yes");
    }
    let tags: Vec<_> = job["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !tags.is_empty() {
        line("tags", &tags.join(", "));
    }
    if job["limits"].as_object().is_some_and(|limits| !limits.is_empty()) {
        line("limits", &limits(&job["limits"]));
    }
    lines.join("\n")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn when(when: &Value) -> String {
    match when["every_ms"].as_u64() {
        Some(every) => format!("every {}", seconds(every)),
        None => format!("{} {}", text(&when["cron"]), text(&when["zone"])),
    }
}

fn next(schedule: &Value) -> String {
    if schedule["paused"] == true { "paused".to_owned() } else { text(&schedule["next_at"]) }
}

fn seconds(millis: u64) -> String {
    format!("{} s", millis as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_shown_as_a_job_is() {
        let schedule = json!({
            "name": "nightly", "key": "k1", "paused": true, "created_at": "2026-11-20T00:00:00.000Z",
            "spec": {
                "when": { "cron": "0 3 * * *", "zone": "Europe/Berlin" }, "jitter_ms": 1_500, "missed": "once",
                "job": { "tool": "m__f", "input": { "a": 1 }, "priority": 2, "tags": ["x"], "limits": {} },
            },
        });

        let expected = "schedule    nightly\nkey         k1\ntool        m__f\ninput       {\"a\":1}\n\
            when        0 3 * * * Europe/Berlin\nnext        paused\nadded       2026-11-20T00:00:00.000Z\n\
            missed      once\njitter      1.5 s\npriority    2\ntags        x";

        assert_eq!(shown(&schedule), expected);
        assert!(told(&schedule).contains("of key k1 rests: `fumehood schedules resume nightly`"));
    }
}
