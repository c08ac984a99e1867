//! Processes of this very test program, as workers.

use std::{
    fs::{self, File, Permissions},
    io::{Read, Write},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

use bytes::BytesMut;
use fumehood_capabilities::{Ask, Heard, Nothing};
use fumehood_model::ByteSize;
use fumehood_policy::Limits;
use fumehood_store::{Access, DataDirectory};

use super::*;
use crate::{
    compiler::{Compiler, CompilerLimits, Isolation},
    workers::protocol::{End, Order, Report, read_order, write},
};

/// Far more than one call may have open.
const MANY_ASKS: u64 = 100;

/// Run again as a process of its own with one of the tests that are ignored otherwise.
fn again(test: &str) -> Vec<String> {
    let name = format!("workers::tests::{test}");
    [name.as_str(), "--exact", "--ignored", "--nocapture", "--test-threads=1"].map(ToOwned::to_owned).into()
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn be_a_worker() {
    worker(std::io::stdin().as_fd().try_clone_to_owned().unwrap(), || ()).unwrap();
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn panic_in_the_background() {
    child::end_on_panic();
    let background = crate::background::Background::new(1).unwrap();
    let task = background.handle().spawn(async { panic!("our own fault") });
    let _ = background.handle().block_on(task);
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn ask_for_a_call_that_is_gone() {
    let mut socket = File::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let mut input = BytesMut::new();
    let mut out = Vec::new();
    write(&Report::Ready(Isolated::default()), &mut out).unwrap();
    socket.write_all(&out).unwrap();
    let (mut call, mut answered) = (None, 0);
    while answered < MANY_ASKS {
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "the server has closed the socket");
        input.extend_from_slice(&buffer[..read]);
        while let Some(order) = read_order(&mut input).unwrap() {
            match order {
                Order::Call { call: begun, .. } => {
                    call = Some(begun);
                    let mut asks = Vec::new();
                    for ask in 0..MANY_ASKS {
                        write(&Report::Ask { call: begun + 1, ask, what: Ask::Resumed }, &mut asks).unwrap();
                    }
                    socket.write_all(&asks).unwrap();
                }
                Order::Reply { .. } => answered += 1,
                _ => {}
            }
        }
    }
    out.clear();
    write(&Report::Done { call: call.unwrap(), end: End::Full }, &mut out).unwrap();
    socket.write_all(&out).unwrap();
    // Until the server ends it.
    let _ = socket.read(&mut [0; 1]);
}

fn settings(program: PathBuf) -> Settings {
    settings_of(program, "be_a_worker")
}

/// Workers that run this test.
fn settings_of(program: PathBuf, test: &str) -> Settings {
    let arguments = again(test);
    Settings { program, arguments, processes: 1, recycle_after: 1_000, max_answer: ByteSize::mib(1), require: false }
}

fn own_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A sandbox with one worker, and a component in its store.
fn sandbox(home: &Path, settings: Settings) -> (Sandbox, Digest) {
    let directory = DataDirectory::open(home, Access::Own).unwrap();
    let (blobs, cache) = (directory.blobs().unwrap(), directory.cache().unwrap());
    let bytes = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/demo/calculator.wasm")).unwrap();
    let digest = Digest::of(&bytes);
    blobs.put(&digest, &bytes).unwrap();
    let config = Config { concurrent_calls: 1, ..Config::default() };
    let compiler = Compiler::new(Isolation::None, CompilerLimits::default());
    let workers = Workers::new(config.clone(), settings);
    (Sandbox::new(config, compiler, blobs, cache, Some(workers)).unwrap(), digest)
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

#[test]
fn a_panic_in_the_background_ends_the_process_with_its_message() {
    let ended = Command::new(own_program())
        .args(again("panic_in_the_background"))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();

    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(libc::SIGABRT));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("our own fault"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_process_has_what_the_one_before_was_called_for() {
    let home = tempfile::tempdir().unwrap();
    let (sandbox, digest) = sandbox(home.path(), settings(own_program()));
    let slot = Arc::clone(&sandbox.workers().unwrap().inner.shared[0]);
    sandbox.load(&digest).await.unwrap();
    let first = slot.process().await.unwrap();

    Arc::clone(&slot).renew().await.unwrap();
    let second = slot.process().await.unwrap();
    assert_ne!(first.pid(), second.pid());
    assert_eq!(second.recent(), [digest], "before it took over");

    let pid = rustix::process::Pid::from_raw(second.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("the next one to be sent it", || {
        slot.running().is_some_and(|third| third.pid() != second.pid() && third.recent() == [digest])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_start_is_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let (program, ready) = (home.path().join("program"), home.path().join("ready"));
    let script = format!("#!/bin/sh\n[ -e {} ] || exit 1\nexec {} \"$@\"\n", ready.display(), own_program().display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let (sandbox, _) = sandbox(&home.path().join("data"), settings(program));
    let slot = Arc::clone(&sandbox.workers().unwrap().inner.shared[0]);
    assert!(slot.process().await.is_err());

    slot.start_soon();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(slot.running().is_none());
    fs::write(&ready, "").unwrap();

    eventually("it starts, and nobody had to call", || slot.running().is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_talks_nonsense_before_it_is_ready_is_ended() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("program");
    fs::write(&program, "#!/bin/sh\nprintf '\\377\\377\\377\\377 nonsense' >&0\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let (sandbox, _) = sandbox(&home.path().join("data"), settings(program));
    let slot = Arc::clone(&sandbox.workers().unwrap().inner.shared[0]);

    let started = tokio::time::timeout(Duration::from_secs(20), slot.process()).await;

    assert!(matches!(started, Ok(Err(SandboxError::Worker { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_a_call_that_is_gone_is_answered_and_harms_no_neighbour() {
    let home = tempfile::tempdir().unwrap();
    let (sandbox, digest) = sandbox(home.path(), settings_of(own_program(), "ask_for_a_call_that_is_gone"));
    let call = Call {
        digest,
        function: 0,
        arguments: fumehood_value::Arguments::Text("{}".to_owned().into()),
        limits: Limits::default(),
        deadline: Instant::now() + Duration::from_secs(60),
        granted: Granted::default(),
        host: Arc::new(Nothing),
        heard: Heard::default(),
        trusted: false,
    };

    let ended = sandbox.call(call, ()).await;

    assert!(matches!(ended, Err(SandboxError::Full)), "{ended:?}");
}

#[tokio::test]
async fn places_without_a_process_make_room_for_others() {
    let home = tempfile::tempdir().unwrap();
    let (sandbox, digest) = sandbox(home.path(), settings(own_program()));
    let workers = sandbox.workers().unwrap();

    for number in 0..3 * MOST_CORDONS {
        workers.slot(&digest, vec![Opening::of(PathBuf::from(format!("/none/{number}")), false)]);
    }

    assert_eq!(workers.cordons().len(), MOST_CORDONS);
}
