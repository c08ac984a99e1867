//! `fumehood schedules`.

use std::{process::ExitCode, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    args::{ScheduleArgs, SchedulesCommand},
    client::Client,
    commands::jobs,
    output::{pretty, table},
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
        SchedulesCommand::Show { name } => {
            let schedule = client.get(&[PATH[0], PATH[1], PATH[2], name], &[])?;
            session.output.data(&schedule, || pretty(&schedule))?;
        }
        SchedulesCommand::Add(args) => {
            let wanted = wanted(&client, args)?;
            let schedule = client.put(&[PATH[0], PATH[1], PATH[2], &args.name], &Value::Object(wanted))?;
            let next = schedule["next_at"].as_str().unwrap_or("never");
            session.output.talk(&format!("schedule {} runs next at {next}", args.name));
            session.output.data(&schedule, String::new)?;
        }
        SchedulesCommand::Pause { name } => set_paused(session, &client, name, true)?,
        SchedulesCommand::Resume { name } => set_paused(session, &client, name, false)?,
        SchedulesCommand::Rm { name } => {
            client.delete(&[PATH[0], PATH[1], PATH[2], name])?;
            session.output.talk(&format!("schedule {name} removed"));
            session.output.data(&json!({ "name": name, "removed": true }), String::new)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The schedule as the server takes it.
fn wanted(client: &Client, args: &ScheduleArgs) -> anyhow::Result<Map<String, Value>> {
    let job = jobs::order(client, &args.target, &args.words, args.json.as_deref(), &args.order)?;
    let millis = |span: Duration| json!(span.as_millis().to_string().parse::<u64>().unwrap_or(u64::MAX));
    let mut wanted = Map::new();
    let when = match (&args.cron, args.every) {
        (Some(cron), _) => json!({ "cron": cron, "zone": args.zone }),
        (None, every) => json!({ "every_ms": every.map(millis) }),
    };
    wanted.insert("when".to_owned(), when);
    if let Some(jitter) = args.jitter {
        wanted.insert("jitter_ms".to_owned(), millis(jitter));
    }
    wanted.insert("missed".to_owned(), args.missed.as_str().into());
    wanted.insert("overlap".to_owned(), args.overlap.as_str().into());
    wanted.insert("job".to_owned(), Value::Object(job));
    Ok(wanted)
}

fn set_paused(session: &Session<'_>, client: &Client, name: &str, paused: bool) -> anyhow::Result<()> {
    let path = [PATH[0], PATH[1], PATH[2], name];
    let mut schedule = client.get(&path, &[])?;
    let mut wanted = schedule["spec"].take();
    wanted["paused"] = paused.into();
    let schedule = client.put(&path, &wanted)?;
    session.output.talk(&format!("schedule {name} {}", if paused { "rests" } else { "goes on" }));
    session.output.data(&schedule, String::new)?;
    Ok(())
}

fn rendered(schedules: &[Value]) -> String {
    let rows = schedules.iter().map(|schedule| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let spec = &schedule["spec"];
        let when = match spec["when"]["every_ms"].as_u64() {
            Some(every) => format!("every {} s", every as f64 / 1000.0),
            None => format!("{} {}", text(&spec["when"]["cron"]), text(&spec["when"]["zone"])),
        };
        let next = if schedule["paused"] == true { "paused".to_owned() } else { text(&schedule["next_at"]) };
        vec![text(&schedule["name"]), text(&spec["job"]["tool"]), when, next, text(&schedule["last_at"])]
    });
    table(&["NAME", "TOOL", "WHEN", "NEXT", "LAST"], rows)
}
