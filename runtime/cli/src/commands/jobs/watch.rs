//! Following a job to its end.

use std::{thread, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::{
    client::{Answer, Client, Event},
    commands::call,
    exit::Failure,
    output::single_line,
    report::Report,
    session::Session,
};

/// How often a broken connection is made anew, and how long after it broke.
const RECONNECTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Parts of a hundred, with a digit.
const WHOLE: u64 = 1_000;

/// Follow the job `id` until it ends, telling what it tells, and finish as a direct call of it would.
///
/// Ctrl-C ends the watching and not the job.
pub(crate) fn to_the_end(session: &Session<'_>, client: &Client, id: &str) -> anyhow::Result<()> {
    call::finish(&session.output, &answer(session, client, id)?)
}

/// The same, with the answer yet to be written.
pub(crate) fn answer(session: &Session<'_>, client: &Client, id: &str) -> anyhow::Result<Answer> {
    let bar = if session.output.shows_progress() { ProgressBar::new(WHOLE) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{msg} {bar:30} {percent} %")?);
    bar.set_message(format!("job {id}"));
    let mut shown = Shown { session, bar };
    let ended = follow(client, id, &mut shown);
    shown.bar.finish_and_clear();
    let job = ended?;
    if !job["error"].is_null() && job["state"] != "completed" {
        return Err(client.failure_of(&job["error"]).into());
    }
    let value = match &job["result"] {
        // A large one is not in the event.
        Value::Null if job["result_bytes"].as_u64().is_some_and(|bytes| bytes > 4) => {
            client.get(&["api", "v1", "jobs", id, "result"], &[])?
        }
        result => result.clone(),
    };
    Ok(Answer { value, report: Report::of_job(&job) })
}

/// The job as it ended.
fn follow(client: &Client, id: &str, shown: &mut Shown<'_, '_>) -> Result<Value, Failure> {
    let mut seen: Option<String> = None;
    let mut left = RECONNECTS;
    loop {
        match client.events(id, seen.as_deref()) {
            Ok(mut events) => {
                while let Some(event) = events.next() {
                    left = RECONNECTS;
                    shown.tell(&event);
                    if event.id.is_some() {
                        seen.clone_from(&event.id);
                    }
                    if event.kind == "state" && !event.data["finished_at"].is_null() {
                        return Ok(event.data);
                    }
                }
            }
            // The server may be starting again: the job is not lost with it.
            Err(failure) if seen.is_none() || !failure.is_unreachable() || left == 0 => return Err(failure),
            Err(_) => {}
        }
        left = left.saturating_sub(1);
        thread::sleep(PAUSE);
        // What ended while nobody listened is not told again.
        if let Ok(job) = client.get(&["api", "v1", "jobs", id], &[])
            && !job["finished_at"].is_null()
        {
            return Ok(job);
        }
    }
}

/// What somebody who waits is shown.
struct Shown<'a, 'b> {
    session: &'a Session<'b>,
    bar: ProgressBar,
}

impl Shown<'_, '_> {
    fn tell(&mut self, event: &Event) {
        let data = &event.data;
        match event.kind.as_str() {
            "state" => {
                let state = data["state"].as_str().unwrap_or_default();
                if data["attempt"].as_u64().is_some_and(|attempt| attempt > 1) {
                    self.say(&format!("{state}, attempt {} of {}", data["attempt"], data["max_attempts"]));
                } else {
                    self.say(state);
                }
                self.progress(&data["progress"]);
            }
            "progress" => self.progress(data),
            "log" => self.say(&format!("[{}] {}", text(&data["level"]), text(&data["text"]))),
            "output" => {
                for line in data["text"].as_str().unwrap_or_default().lines() {
                    self.say(&format!("[{}] {line}", text(&data["stream"])));
                }
            }
            _ => {}
        }
    }

    fn progress(&self, progress: &Value) {
        if let Some(percent) = progress["percent"].as_f64() {
            // Between 0 and 100.
            self.bar.set_position((percent * 10.0) as u64);
        }
        if let Some(message) = progress["message"].as_str() {
            self.bar.set_message(single_line(message));
        }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| self.session.output.talk(text));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
