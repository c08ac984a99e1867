//! Work that takes long, for the tests of calls that run as jobs.

wit_bindgen::generate!({
    path: ["../../../wit/fumehood-host", "../../../wit/deps/logging", "wit"],
    world: "test:long-work/long-work",
    generate_all,
});

use std::{io::Write, thread::sleep, time::Duration};

use exports::test::long_work::work::{Done, Failure, Guest};
use fumehood::host::{call, job, secrets};
use wasi::logging::logging;

struct LongWork;

impl Guest for LongWork {
    fn count_slowly(steps: u32, millis: u32) -> u32 {
        for step in 1..=steps {
            nap(millis);
            call::progress(step.into(), Some(steps.into()), Some(&format!("step {step}")));
            info(&format!("logged step {step}"));
            println!("printed step {step}");
        }
        steps
    }

    fn resume(total: u32, millis: u32, fail_at: Option<u32>, how: Option<Failure>) -> Result<Done, String> {
        let from = match job::resumed() {
            Some(state) => number(&state)?,
            None => 0,
        };
        for step in from + 1..=total {
            nap(millis);
            job::checkpoint(&step.to_le_bytes()).map_err(explain)?;
            call::progress(step.into(), Some(total.into()), None);
            if fail_at == Some(step) {
                fail(how.unwrap_or(Failure::Trap), step)?;
            }
        }
        Ok(Done { attempt: job::attempt(), from, to: total.max(from) })
    }

    fn keep(bytes: u32) -> Result<u32, String> {
        job::checkpoint(&vec![7; bytes as usize]).map_err(explain)?;
        Ok(job::resumed().map_or(0, |state| state.len() as u32))
    }

    fn spin() {
        loop {
            std::hint::spin_loop();
        }
    }

    fn nap(millis: u32) {
        nap(millis);
    }

    fn flood(lines: u32) {
        for line in 0..lines {
            println!("line {line}");
            eprintln!("line {line}");
            info(&format!("line {line}"));
        }
    }

    fn leak(name: String, millis: u32) -> Result<(), String> {
        let secret = secrets::get(&name).map_err(|error| error.name().to_owned())?;
        let (one, other) = secret.split_at(secret.len() / 2);
        print(&format!("it is {one}"));
        nap(millis);
        print(&format!("{other}, no more"));
        info(&format!("it is {secret}"));
        call::progress(1.0, None, Some(&secret));
        Ok(())
    }
}

fn nap(millis: u32) {
    if millis > 0 {
        sleep(Duration::from_millis(millis.into()));
    }
}

fn info(message: &str) {
    logging::log(logging::Level::Info, "long-work", message);
}

/// Print `text`, which need not end a line, at once.
fn print(text: &str) {
    print!("{text}");
    std::io::stdout().flush().expect("standard output takes everything");
}

fn number(state: &[u8]) -> Result<u32, String> {
    state.try_into().map(u32::from_le_bytes).map_err(|_| format!("a checkpoint of {} bytes", state.len()))
}

fn fail(how: Failure, step: u32) -> Result<(), String> {
    match how {
        Failure::Trap => std::process::abort(),
        Failure::Exit => std::process::exit(1),
        Failure::Error => Err(format!("step {step} failed")),
    }
}

fn explain(error: job::Error) -> String {
    match error {
        job::Error::NotAJob => "not-a-job",
        job::Error::TooLarge => "too-large",
        job::Error::Unavailable => "unavailable",
    }
    .to_owned()
}

export!(LongWork);
