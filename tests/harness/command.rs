use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::program;

/// How a command line ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit code.
    pub code: i32,
    /// Its data.
    pub stdout: String,
    /// Its talk.
    pub stderr: String,
}

/// The binary, in an environment without any configuration of the machine.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(program());
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("FUMEHOOD_"));
    for name in ours {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command
}

/// Run a command line that talks to no server.
#[must_use]
pub fn fumehood(arguments: &[&str]) -> Finished {
    let mut command = command();
    command.args(arguments);
    Finished::of(&mut command)
}

impl Finished {
    /// Run `command` to its end.
    ///
    /// # Panics
    ///
    /// When it does not start, was killed, or wrote anything but text.
    #[must_use]
    pub fn of(command: &mut Command) -> Self {
        Self::with_input(command, b"")
    }

    /// Run `command` to its end, with `input` on its standard input.
    ///
    /// # Panics
    ///
    /// As [`Finished::of`].
    #[must_use]
    pub fn with_input(command: &mut Command, input: &[u8]) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the command starts");
        // It may not want to read.
        let _ = child.stdin.take().expect("it was asked to be piped").write_all(input);
        let output = child.wait_with_output().expect("the command ends");
        let text = |bytes| String::from_utf8(bytes).expect("the command writes text");
        let code = output.status.code().unwrap_or_else(|| panic!("{command:?} was killed: {}", output.status));
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The data of a success.
    ///
    /// # Panics
    ///
    /// When it was none.
    #[must_use]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.stderr);
        &self.stdout
    }

    /// The one JSON document of a success.
    ///
    /// # Panics
    ///
    /// When it was none, or stdout holds anything else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// What it said when it failed with `code` and no data.
    ///
    /// # Panics
    ///
    /// When it ended otherwise.
    #[must_use]
    pub fn failed(&self, code: i32) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
        self.stderr.trim_end()
    }
}
