//! Processes of this very test program, as workers.

use std::process::{Command, Stdio};

use super::*;

/// Run again as a process of its own with one of the tests that are ignored otherwise.
fn again(test: &str) -> Vec<String> {
    let name = format!("workers::tests::{test}");
    [name.as_str(), "--exact", "--ignored", "--nocapture", "--test-threads=1"].map(ToOwned::to_owned).into()
}

#[test]
#[ignore = "run by other tests, as a process of its own"]
fn panic_in_the_background() {
    child::end_on_panic();
    let background = crate::background::Background::new(1).unwrap();
    let task = background.handle().spawn(async { panic!("our own fault") });
    let _ = background.handle().block_on(task);
}

fn own_program() -> PathBuf {
    std::env::current_exe().unwrap()
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
