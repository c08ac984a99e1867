use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use crate::guests::{target_dir, workspace};

/// Names another binary to test, such as a released one.
const OVERRIDE: &str = "FUMEHOOD_TEST_PROGRAM";

/// The binary `fumehood`, built on first use.
///
/// # Panics
///
/// When it cannot be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os(OVERRIDE) {
        Some(program) => program.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let _turn = turn("fumehood-tests.lock");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-p", "fumehood", "--message-format=json"]).current_dir(workspace());
    let messages = artifacts(&mut cargo);
    let executable = messages.iter().find_map(|message| message["executable"].as_str());
    executable.expect("cargo names the binary that it has built").into()
}

/// The artifacts that a run of cargo reports.
pub(crate) fn artifacts(cargo: &mut Command) -> Vec<Value> {
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::piped()).output().expect("cargo is there: it runs this test");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{cargo:?} failed:\n{talk}");
    let messages = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    messages.filter(|message: &Value| message["reason"] == "compiler-artifact").collect()
}

/// Held while this process, and no other, builds something.
pub(crate) fn turn(name: &str) -> File {
    let path = target_dir().join(name);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.unwrap_or_else(|error| panic!("{} cannot be opened: {error}", path.display()));
    file.lock().expect("the file system of the target directory has locks");
    file
}
