//! Calls that somebody listens to, inside the server and in a worker process, which must give the same.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test, in helpers of tests as in tests")]

mod stage;

use std::{io, os::fd::AsFd};

use fumehood_capabilities::{Heard, Stream, Told, logging::Level};
use fumehood_model::{ByteSize, Crash, Outcome, StopReason};
use fumehood_policy::Limits;
use fumehood_sandbox::Finished;

use crate::stage::{Ear, Stage, Where};

/// A value that occurs nowhere by chance.
const SECRET: &str = "correct-horse-battery-staple";

/// Not a test: what the others start as their worker process.
#[test]
#[ignore = "the other tests start it as their worker process"]
fn worker() {
    // Started by hand, it has no socket.
    let _ = fumehood_sandbox::sandbox_worker(io::stdin().as_fd().try_clone_to_owned().unwrap(), || ());
}

fn value(finished: &Finished) -> &str {
    match &finished.outcome {
        Outcome::Value(json) | Outcome::ToolError(json) => std::str::from_utf8(json).unwrap(),
        Outcome::Stopped(stopped) => panic!("{stopped}"),
    }
}

/// All that was printed to `stream`, and all lines, as the listener heard them.
fn printed(told: &[Told], stream: Stream) -> String {
    told.iter()
        .filter_map(|told| match told {
            Told::Output { stream: of, text } if *of == stream => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn logged(told: &[Told]) -> Vec<&str> {
    told.iter()
        .filter_map(|told| if let Told::Log { message, .. } = told { Some(message.as_str()) } else { None })
        .collect()
}

#[tokio::test]
async fn what_a_guest_says_is_heard_while_it_runs_and_is_what_is_kept_at_the_end() {
    let Some(stage) = Stage::new() else { return };
    let mut heard = Vec::new();

    for at in Where::BOTH {
        let ear = Ear::new(1);
        let finished = stage.call(at, "count-slowly", r#"{"steps": 4, "millis": 60}"#, Limits::default(), &ear).await;

        let batches = ear.batches();
        let told = batches.concat();
        assert_eq!(value(&finished), "4");
        assert!(batches.len() > 1, "{at:?}: {batches:?}");
        assert_eq!(printed(&told, Stream::Stdout).as_bytes(), finished.said.stdout.bytes, "{at:?}");
        assert_eq!(logged(&told).len(), finished.said.logged.lines.len(), "{at:?}");
        let first = Told::Log { level: Level::Info, message: "logged step 1".into(), context: "long-work".into() };
        assert_eq!(told[0], first, "{at:?}");
        let progress = ear.progress();
        assert_eq!(progress.last().map(|last| (last.done, last.total)), Some((4.0, Some(4.0))), "{at:?}");
        assert!(progress.len() > 1, "{at:?}: {progress:?}");
        heard.push((finished.said, printed(&told, Stream::Stdout), logged(&told).join("\n")));
    }

    assert_eq!(heard[0], heard[1]);
}

#[tokio::test]
async fn a_later_attempt_goes_on_from_the_last_checkpoint_however_the_first_ended() {
    let Some(stage) = Stage::new() else { return };

    for at in Where::BOTH {
        for how in ["trap", "exit", "error"] {
            let arguments = format!(r#"{{"total": 5, "millis": 0, "fail_at": 2, "how": "{how}"}}"#);
            let first = Ear::new(1);
            let failed = stage.call(at, "resume", &arguments, Limits::default(), &first).await;
            let left = first.state().unwrap();
            let second = first.next_attempt();
            let done = stage.call(at, "resume", &arguments, Limits::default(), &second).await;

            match how {
                "error" => assert_eq!(value(&failed), r#""step 2 failed""#),
                "exit" => assert_eq!(*stopped(&failed), StopReason::Trap { crash: Crash::ExitFailure }),
                _ => assert_eq!(*stopped(&failed), StopReason::Trap { crash: Crash::Unreachable }),
            }
            assert_eq!(left, 2_u32.to_le_bytes().as_slice(), "{at:?} {how}");
            assert_eq!(value(&done), r#"{"attempt":2,"from":2,"to":5}"#, "{at:?} {how}");
        }
    }
}

fn stopped(finished: &Finished) -> &StopReason {
    let Outcome::Stopped(stopped) = &finished.outcome else { panic!("{finished:?}") };
    &stopped.reason
}

#[tokio::test]
async fn a_call_in_which_the_server_panics_ends_as_one_whose_process_died() {
    let Some(stage) = Stage::new() else { return };
    let heard = Heard { told: false, attempt: Some(1) };

    let finished = stage.call_failing("keep", r#"{"bytes": 1}"#, heard).await;

    assert_eq!(*stopped(&finished), StopReason::Trap { crash: Crash::Process });
}

#[tokio::test]
async fn a_checkpoint_has_a_bound_and_needs_a_job_that_takes_it() {
    let Some(stage) = Stage::new() else { return };
    let keep = |bytes: u32| format!(r#"{{"bytes": {bytes}}}"#);

    for at in Where::BOTH {
        let call = async |bytes, ear: &Ear| {
            let finished = stage.call(at, "keep", &keep(bytes), Limits::default(), ear).await;
            value(&finished).to_owned()
        };
        assert_eq!(call(1 << 20, &Ear::new(1)).await, "1048576", "{at:?}");
        assert_eq!(call((1 << 20) + 1, &Ear::new(1)).await, r#""too-large""#, "{at:?}");
        assert_eq!(call(1, &Ear::new(1).that_lost_its_job()).await, r#""unavailable""#, "{at:?}");
        assert_eq!(call(1, &Ear::of_a_direct_call()).await, r#""not-a-job""#, "{at:?}");
    }
}

#[tokio::test]
async fn a_flood_is_heard_within_the_bounds_of_what_is_kept() {
    let Some(stage) = Stage::new() else { return };
    let limits = Limits { output: ByteSize::kib(16), log: ByteSize::kib(16), ..Limits::default() };

    for at in Where::BOTH {
        let ear = Ear::new(1);
        let finished = stage.call(at, "flood", r#"{"lines": 20000}"#, limits, &ear).await;

        let (told, said) = (ear.batches().concat(), &finished.said);
        assert_eq!(value(&finished), "null");
        assert!(said.stdout.truncated && said.stderr.truncated && said.logged.truncated, "{at:?}");
        assert_eq!(printed(&told, Stream::Stdout).as_bytes(), said.stdout.bytes, "{at:?}");
        assert_eq!(printed(&told, Stream::Stderr).as_bytes(), said.stderr.bytes, "{at:?}");
        assert_eq!(logged(&told).len(), said.logged.lines.len(), "{at:?}");
    }
}

#[tokio::test]
async fn a_secret_that_is_printed_in_two_pieces_is_heard_by_nobody() {
    let Some(stage) = Stage::new() else { return };
    stage.set_secret("TOKEN", SECRET);

    for at in Where::BOTH {
        let ear = Ear::new(1);
        let arguments = r#"{"name": "TOKEN", "millis": 250}"#;
        let finished = stage.call(at, "leak", arguments, Limits::default(), &ear).await;

        let batches = ear.batches();
        let told = batches.concat();
        assert_eq!(value(&finished), "null");
        assert_eq!(printed(&batches[0], Stream::Stdout), "it is ", "{at:?}");
        assert_eq!(printed(&told, Stream::Stdout), "it is [secret], no more", "{at:?}");
        assert_eq!(logged(&told), ["it is [secret]"], "{at:?}");
        assert_eq!(ear.progress().pop().unwrap().message.as_deref(), Some("[secret]"), "{at:?}");
    }
}

#[tokio::test]
async fn whoever_listens_for_progress_alone_hears_nothing_else() {
    let Some(stage) = Stage::new() else { return };

    for at in Where::BOTH {
        let ear = Ear::of_a_direct_call();
        let finished = stage.call(at, "count-slowly", r#"{"steps": 2, "millis": 1}"#, Limits::default(), &ear).await;

        assert_eq!(value(&finished), "2");
        assert_eq!(ear.progress().last().map(|last| last.done), Some(2.0), "{at:?}");
        assert_eq!(ear.batches(), Vec::<Vec<Told>>::new(), "{at:?}");
    }
}

#[tokio::test]
async fn a_call_that_nobody_listens_to_sends_nothing_to_its_host() {
    let Some(stage) = Stage::new() else { return };

    for at in Where::BOTH {
        let (finished, asked) = stage.call_alone(at, "flood", r#"{"lines": 500}"#, Heard::default()).await;
        let (_, told) = stage.call_alone(at, "flood", r#"{"lines": 500}"#, Heard { told: true, attempt: None }).await;

        assert_eq!((value(&finished), asked), ("null", 0), "{at:?}");
        assert!(told > 0, "{at:?}");
    }
}
