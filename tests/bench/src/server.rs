//! A server under test: a process that we start, wait for and end.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// What stands before the address in the line that tells where a server listens.
const LISTENING: &str = "http://";
/// How long a server may take from SIGTERM to its end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How many of its last lines a server is quoted with when it fails.
const LAST_LINES: usize = 20;

/// A running server; dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pid: u32,
    address: SocketAddr,
    started: Instant,
}

impl Server {
    /// Start a server and wait until it tells on stderr where it listens.
    pub(crate) async fn start(mut command: Command, patience: Duration) -> Result<Self> {
        let program = command.as_std().get_program().to_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let pid = child.id().context("the server ended at once")?;
        let stderr = child.stderr.take().expect("it was asked to be piped");
        let address = wait_for_address(stderr, &program, patience).await?;
        Ok(Self { child, pid, address, started })
    }

    /// Start one of our own subcommands that serve.
    pub(crate) async fn start_baseline(subcommand: &str) -> Result<Self> {
        Self::start_baseline_with(subcommand, &[]).await
    }

    /// The same with more arguments.
    pub(crate) async fn start_baseline_with(subcommand: &str, arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg(subcommand).args(arguments);
        Self::start(command, Duration::from_secs(10)).await
    }

    /// Start a server that is written in Python.
    pub(crate) async fn start_python(python: &Path, file: &str) -> Result<Self> {
        Self::start_python_with(python, file, &[]).await
    }

    /// The same with arguments.
    pub(crate) async fn start_python_with(python: &Path, file: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).args(arguments);
        Self::start(command, Duration::from_secs(30)).await
    }

    /// The id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the process was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Kill the server, wait until it is gone.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill the server")
    }

    /// Ask the server to end, wait for it. Tells how long that took.
    ///
    /// # Errors
    ///
    /// When it does not end in time; it is killed then.
    pub(crate) async fn stop(mut self) -> Result<Duration> {
        let asked = Instant::now();
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("not a process id")?;
        kill_process(pid, Signal::TERM).context("cannot send SIGTERM")?;
        let Ok(status) = timeout(STOP_PATIENCE, self.child.wait()).await else {
            bail!("the server did not end within {STOP_PATIENCE:?} after SIGTERM");
        };
        status.context("cannot wait for the server")?;
        Ok(asked.elapsed())
    }
}

/// Wait for the line with the address, then go on reading so that the server never blocks on a full pipe.
async fn wait_for_address(stderr: ChildStderr, program: &OsStr, patience: Duration) -> Result<SocketAddr> {
    let (sender, receiver) = oneshot::channel();
    let last_lines = Arc::new(Mutex::new(VecDeque::new()));
    tokio::spawn(read_lines(stderr, sender, Arc::clone(&last_lines)));
    let quote = || {
        let lines = last_lines.lock().expect("no thread panics while it holds the lock");
        lines.iter().cloned().collect::<Vec<String>>().join("\n")
    };
    match timeout(patience, receiver).await {
        Ok(Ok(address)) => Ok(address),
        Ok(Err(_)) => bail!("{} ended before it listened; it said:\n{}", program.display(), quote()),
        Err(_) => bail!("{} does not listen after {patience:?}; it said:\n{}", program.display(), quote()),
    }
}

/// Read all lines, send the first address found in them, keep the last lines.
async fn read_lines(
    stderr: ChildStderr,
    sender: oneshot::Sender<SocketAddr>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
) {
    let mut sender = Some(sender);
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if let Some(address) = address_in(&text)
            && let Some(sender) = sender.take()
        {
            // Nobody waits any more when the patience has ended just now.
            let _ = sender.send(address);
        }
        let mut lines = last_lines.lock().expect("no thread panics while it holds the lock");
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

/// The address in a line like `listening on http://127.0.0.1:7311/`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once(LISTENING)?;
    let end = after.find(|character: char| !(character.is_ascii_digit() || ".:".contains(character)));
    after[..end.unwrap_or(after.len())].trim_end_matches(['.', ':']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_line_for_people() {
        let expected = Some(SocketAddr::from(([127, 0, 0, 1], 4711)));

        assert_eq!(address_in("listening on http://127.0.0.1:4711"), expected);
        assert_eq!(address_in("Ready: http://127.0.0.1:4711/, docs at /docs."), expected);
        assert_eq!(address_in("\u{1b}[1mhttp://127.0.0.1:4711\u{1b}[0m"), expected);
        assert_eq!(address_in("Open http://127.0.0.1:4711."), expected);
        assert_eq!(address_in("see http://example.com"), None);
    }
}
