use std::{
    fmt::Display,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Client, command, eventually, until};

/// How long a server may take to start or to end. Generous: machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is about to be started.
#[derive(Debug, Clone)]
pub struct Setup {
    home: Arc<TempDir>,
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    ready: bool,
}

impl Setup {
    fn new() -> Self {
        let home = tempfile::Builder::new().prefix("fumehood-test-").tempdir().expect("a temporary folder");
        fs::create_dir(home.path().join("apis")).expect("a folder in it");
        Self { home: Arc::new(home), settings: Vec::new(), arguments: Vec::new(), ready: true }
    }

    /// Serve `component` as the module `name`, from a file in the folder of APIs.
    #[must_use]
    pub fn api(self, name: &str, component: impl AsRef<[u8]>) -> Self {
        self.file(&format!("{name}.wasm"), component)
    }

    /// Serve the component in `file` as the module `name`.
    ///
    /// # Panics
    ///
    /// When the file cannot be read.
    #[must_use]
    pub fn guest(self, name: &str, file: &Path) -> Self {
        self.api(name, fs::read(file).expect("the component can be read"))
    }

    /// Put a file into the folder of APIs.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.apis().join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder can be made");
        fs::write(path, bytes).expect("the file can be written");
        self
    }

    /// Set a key of the configuration, as `section.key`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Display) -> Self {
        self.settings.push((format!("FUMEHOOD_{}", key.replace('.', "__").to_uppercase()), value.to_string()));
        self
    }

    /// Give compiling the time that it takes in a development build on a busy machine.
    #[must_use]
    pub fn patient(self) -> Self {
        self.set("limits.deadline_ms", 300_000).set("components.compile_cpu_s", 120)
    }

    /// Add a variable to the environment of the server.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Add an argument to the command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Where the data will be.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Where the components are.
    #[must_use]
    pub fn apis(&self) -> PathBuf {
        self.home.path().join("apis")
    }

    /// The command that starts this server.
    #[must_use]
    pub fn command(&self) -> std::process::Command {
        let mut command = command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).arg("--data-dir").arg(self.data());
        if !self.arguments.iter().any(|argument| argument == "--apis-dir") {
            command.arg("--apis-dir").arg(self.apis());
        }
        command.args(&self.arguments).envs(self.settings.iter().cloned()).current_dir(self.home.path());
        command
    }

    /// Start it, and wait until it has loaded everything.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(self) -> Server {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let log = follow(&mut child);
        let address = until("the server tells where it listens", PATIENCE, || {
            let ended = child.try_wait().expect("its state can be asked");
            assert_eq!(ended, None, "the server ended at once:\n{}", text(&log));
            address_in(&text(&log))
        });
        let key = fs::read_to_string(self.data().join("admin.key")).ok();
        let client = Client::new(&format!("http://{address}"), key.as_deref().map(str::trim));
        if self.ready {
            until("the server has loaded everything", PATIENCE, || {
                (client.get("/api/v1/health/ready").status == 200).then_some(())
            });
        }
        Server { setup: self, child: Some(child), log, address, client }
    }
}

/// A running server. Dropping it asserts that it runs no call any more, and ends it.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
    address: String,
    client: Client,
}

impl Server {
    /// A server that is about to be started, with folders of its own.
    #[must_use]
    pub fn setup() -> Setup {
        Setup::new()
    }

    /// A server without any module.
    #[must_use]
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// A client with the administrator's key.
    #[must_use]
    pub fn admin(&self) -> &Client {
        &self.client
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its data are.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.setup.data()
    }

    /// Its folder of APIs.
    #[must_use]
    pub fn apis(&self) -> PathBuf {
        self.setup.apis()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Wait until it has written `text` to standard error.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn says(&self, text: &str) {
        eventually(text, || self.log().contains(text));
    }

    /// A command line that talks to this server, with its administrator's key.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = command();
        command.args(arguments).args(["--server", &self.url()]).arg("--data-dir").arg(self.data());
        command.current_dir(self.setup.home.path());
        command
    }

    /// The id of its process.
    ///
    /// # Panics
    ///
    /// When it runs no more.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Ask it to end with this signal, without waiting for it.
    ///
    /// # Panics
    ///
    /// When it runs no more.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the server runs");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process has an id");
        kill_process(pid, signal).expect("our own child can be signalled");
    }

    /// Wait until it has ended by itself.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        until("the server ends", PATIENCE, || child.try_wait().expect("its state can be asked"))
    }

    /// End it in good order, and start it again on the same folders.
    #[must_use]
    pub fn restart(self) -> Self {
        self.stop().start()
    }

    /// End it in good order. What is left can be started again.
    ///
    /// # Panics
    ///
    /// When it does not end with success.
    #[must_use]
    pub fn stop(mut self) -> Setup {
        self.signal(Signal::TERM);
        let status = self.ended();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.setup.clone()
    }

    /// Kill it as a power cut would. What is left can be started again.
    #[must_use]
    pub fn crash(mut self) -> Setup {
        self.signal(Signal::KILL);
        self.ended();
        self.setup.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if thread::panicking() {
            eprintln!("the server said:\n{}", text(&self.log));
        } else if child.try_wait().is_ok_and(|ended| ended.is_none()) {
            eventually("no call is left running", || {
                let Ok(answer) = self.client.try_send("GET", "/api/v1/health/detailed", &[], &[]) else { return true };
                let health = answer.json();
                answer.status != 200 || (health["calls_running"] == 0 && health["calls_waiting"] == 0)
            });
        }
        // It may have ended already; then there is nothing to kill.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Collect what `child` says, so that it never blocks on a full pipe.
fn follow(child: &mut Child) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let (lines, stderr) = (Arc::clone(&log), child.stderr.take().expect("it was asked to be piped"));
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_str(&line);
            lines.push('\n');
        }
    });
    log
}

fn text(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn address_in(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.starts_with("fumehood ") && line.contains(" serves http://"))?;
    Some(line.split_once("http://")?.1.to_owned())
}
