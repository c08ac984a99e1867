//! `fumehood dev`: the loop of whoever writes a tool.

use std::{
    fs,
    io::{self, IsTerminal, Read},
    net::SocketAddr,
    os::fd::AsFd,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fumehood_store::Access;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::{
    args::DevArgs,
    commands::serve::{Server, announce, asked_to_stop},
    config::Config,
    exit,
    house::{House, runtime},
    logging,
    output::{Output, single_line},
    project::{Project, Sources},
};

/// How often the sources are looked at. Two looks must see the same: editors write in several steps.
const LOOK: Duration = Duration::from_millis(150);

/// Where all of it is kept, in the folder of the project: what was granted is there again the next time.
const PLACE: &str = ".fumehood";

/// Longest call that is remembered, and longest answer that is shown.
const MOST_REMEMBERED: usize = 1 << 20;
const MOST_SHOWN: u64 = 64 << 10;

/// What pressing a key says.
const KEYS: &str = "r calls the last call again, b builds, q ends";

/// Serve a project, build it whenever its sources change, and serve what came of it if it could be built.
pub(crate) fn run(config: &Config, args: &DevArgs, output: &Output) -> anyhow::Result<ExitCode> {
    logging::start(&config.log)?;
    let project = Project::open(&args.project)?;
    let place = args.project.join(PLACE);
    let mut config = config.clone();
    if let Some(address) = args.listen {
        config.server.listen = address;
    }
    config.server.data_dir = place.join("data");
    config.server.apis_dir = vec![place.join("apis")];
    // Nobody else reaches a loopback address, and who sits here may do everything anyway.
    config.server.auth = !config.server.listen.ip().is_loopback();
    fs::create_dir_all(&config.server.apis_dir[0])?;
    // What was built last time is not served before what is there now was built.
    for old in fs::read_dir(&config.server.apis_dir[0])? {
        fs::remove_file(old?.path())?;
    }
    let last = LastCall::of_example(&project);
    drop(project);
    runtime(&config.isolation.trusted)?.block_on(async {
        let house = House::open(&config, Access::Own)?;
        house.isolate(&config).await?;
        let server = Server::bind(&config, &house).await?;
        let address = server.address;
        announce(&house, address, config.server.auth);
        let server = server.with(|router| remembering(router, last.clone()));
        house.begin(&config).await?;
        let (done, finished) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async move {
            let _ = finished.await;
        }));
        let dev = Loop {
            folder: args.project.clone(),
            served: config.server.apis_dir[0].clone(),
            output: *output,
            address,
            key: fs::read_to_string(&house.key_file).ok().map(|key| key.trim().to_owned()),
            last,
        };
        tokio::select! {
            () = dev.run() => {}
            () = asked_to_stop() => {}
        }
        drop(done);
        house.dispatcher.stop_work(Duration::ZERO).await;
        serving.await??;
        Ok(ExitCode::SUCCESS)
    })
}

/// What goes on beside the server.
#[derive(Clone)]
struct Loop {
    folder: PathBuf,
    /// From where components are served.
    served: PathBuf,
    output: Output,
    address: SocketAddr,
    key: Option<String>,
    last: LastCall,
}

impl Loop {
    /// Build whenever the sources have changed, and do what keys say, until one says to end.
    async fn run(self) {
        let (mut keys, _terminal) = keys();
        self.output.talk(KEYS);
        let (mut built, mut seen) = (None, Sources::default());
        loop {
            let now = Sources::of(&self.folder);
            if now == seen && built.as_ref() != Some(&now) {
                self.blocking(Self::build).await;
                built = Some(now);
                continue;
            }
            seen = now;
            let key = tokio::time::timeout(LOOK, keys.recv()).await;
            match key {
                Ok(Some(b'r')) => self.blocking(Self::call_again).await,
                Ok(Some(b'b')) => built = None,
                Ok(Some(b'q')) => return,
                Ok(Some(_)) | Err(_) => {}
                // Nobody is there to press any; the sources change all the same.
                Ok(None) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn blocking(&self, act: fn(&Self) -> anyhow::Result<()>) {
        let own = self.clone();
        let done = tokio::task::spawn_blocking(move || act(&own)).await;
        if let Err(error) = done.unwrap_or_else(|error| Err(error.into())) {
            let _ = exit::report(&error, &self.output);
        }
    }

    /// Build, and put what came of it in the place of what is served, if it is anything else.
    fn build(&self) -> anyhow::Result<()> {
        let built = Project::open(&self.folder).map_err(Into::into).and_then(|project| project.build());
        let built = built.inspect_err(|_| {
            if fs::read_dir(&self.served).is_ok_and(|mut served| served.next().is_some()) {
                self.output.talk("the last one that could be built is still served");
            }
        })?;
        let served = self.served.join(built.file_name().unwrap_or_default());
        let bytes = fs::read(&built)?;
        if fs::read(&served).is_ok_and(|old| old == bytes) {
            self.output.talk("built: nothing has changed");
            return Ok(());
        }
        let new = self.served.join("_new");
        fs::write(&new, bytes)?;
        fs::rename(new, served)?;
        self.output.talk(&format!("built: {} is served", built.display()));
        Ok(())
    }

    /// Send the last call again, and show what is answered.
    fn call_again(&self) -> anyhow::Result<()> {
        let Some(call) = self.last.get() else {
            self.output.talk("nothing has been called yet, and tool.toml has no example");
            return Ok(());
        };
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut request = agent.post(format!("http://{}{}", self.address, call.path));
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(key) = self.key.as_ref().filter(|_| !call.headers.contains_key("authorization")) {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = request.send(&call.body[..])?;
        let mut body = Vec::new();
        response.body_mut().as_reader().take(MOST_SHOWN).read_to_end(&mut body)?;
        let body: String = String::from_utf8_lossy(&body).lines().map(|line| single_line(line) + "\n").collect();
        self.output.talk(&format!("{} {}", call.path, response.status()));
        self.output.print(&body)?;
        Ok(())
    }
}

/// A call as it came in.
#[derive(Debug, Clone)]
struct Call {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// The call that was made last. Cloning is cheap.
#[derive(Clone, Default)]
struct LastCall(Arc<Mutex<Option<Call>>>);

impl LastCall {
    /// Until something is called: the first example of a project.
    fn of_example(project: &Project) -> Self {
        let call = || {
            let name = project.component()?.file_stem()?.to_str()?.to_owned();
            let example = project.manifest.examples.first()?;
            let headers = [("content-type", "application/json")].into_iter().map(|(name, value)| {
                (HeaderName::from_static(name), value.parse().expect("it is a value of a header"))
            });
            let path = format!("/api/{name}/{}", example.function);
            Some(Call { path, headers: headers.collect(), body: example.args.to_string().into() })
        };
        Self(Arc::new(Mutex::new(call())))
    }

    fn get(&self) -> Option<Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, call: Call) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
    }
}

/// `router`, which remembers the last call.
fn remembering(router: Router, last: LastCall) -> Router {
    router.layer(middleware::from_fn_with_state(last, remember))
}

async fn remember(State(last): State<LastCall>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let length = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    let is_short = length.is_some_and(|length: usize| length <= MOST_REMEMBERED);
    let may_call = path.starts_with("/mcp") || (path.starts_with("/api/") && !path.starts_with("/api/v1/"));
    if request.method() != Method::POST || !is_short || !may_call {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_REMEMBERED).await else {
        return (StatusCode::BAD_REQUEST, "the request broke off").into_response();
    };
    if !parts.uri.path().starts_with("/mcp") || calls_a_tool(&body) {
        let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let mut headers = parts.headers.clone();
        for hop in ["host", "content-length", "connection", "transfer-encoding", "accept-encoding", "mcp-session-id"] {
            headers.remove(hop);
        }
        last.set(Call { path, headers, body: body.clone() });
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// Whether a message of MCP calls a tool.
fn calls_a_tool(message: &[u8]) -> bool {
    serde_json::from_slice::<Value>(message).is_ok_and(|message| message["method"] == "tools/call")
}

/// The keys that are pressed, one by one, and what puts the terminal back.
fn keys() -> (mpsc::Receiver<u8>, Option<Terminal>) {
    let (sender, keys) = mpsc::channel(8);
    let terminal = Terminal::without_lines();
    // Reading cannot be given up: the thread ends with the process.
    thread::spawn(move || {
        for key in io::stdin().lock().bytes().map_while(Result::ok) {
            if sender.blocking_send(key).is_err() {
                return;
            }
        }
    });
    (keys, terminal)
}

/// A terminal that tells of each key at once; as it was when this is dropped.
struct Terminal(Termios);

impl Terminal {
    fn without_lines() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin().as_fd()).ok()?;
        let mut now = before.clone();
        now.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &now).ok()?;
        Some(Self(before))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}
