//! `fumehood dev`: the loop of whoever writes a tool.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use fumehood_model::{ByteSize, Code};
use fumehood_policy::{OnChangedDefinitions, OnNewPermissions};
use fumehood_signature::Signatures;
use fumehood_store::Access;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    args::DevArgs,
    commands::serve::{Server, announce, asked_to_stop},
    config::Config,
    exit::{self, Failure},
    house::{House, runtime},
    local::{COMPILE_CPU_S, beside},
    logging,
    output::{Output, single_line},
    project::{Project, Sources},
};

mod keys;

use keys::{Keys, Terminal};

/// How often the sources are looked at. Two looks must see the same: editors write in several steps.
const LOOK: Duration = Duration::from_millis(150);

/// Where all of it is kept, in the folder of the project: what was granted is there again the next time.
const PLACE: &str = ".fumehood";

/// Longest that a repeated call is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Headers that belong to one request or one connection.
const NOT_REPEATED: [&str; 10] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "accept-encoding",
    "expect",
    "idempotency-key",
    "mcp-session-id",
    "traceparent",
    "x-request-id",
];

/// Longest call that is remembered, and longest answer that is shown.
const MOST_REMEMBERED: ByteSize = ByteSize::mib(1);
const MOST_SHOWN: u64 = 64 << 10;

/// What pressing a key says.
const KEYS: &str = "r calls the last call again, b builds, q ends";

/// Serve a project, build it whenever its sources change, and serve what came of it if it could be built.
pub(crate) fn run(config: &Config, args: &DevArgs, output: &Output) -> anyhow::Result<ExitCode> {
    logging::start(&config.log)?;
    Project::open(&args.project)?;
    let place = args.project.join(PLACE);
    let served = place.join("apis");
    let mut config = config.clone();
    config.server.data_dir = place.join("data");
    config.server.apis_dir = vec![served.clone()];
    config.sources.modules.clear();
    // Whatever was built takes the place of what was there, as its author wants to see it.
    config.server.reload_apis = true;
    config.components.on_new_permissions = OnNewPermissions::Serve;
    config.components.on_changed_definitions = OnChangedDefinitions::Serve;
    // Nobody has signed what was built a moment ago.
    config.signatures = Signatures::default();
    config.components.compile_cpu_s = config.components.compile_cpu_s.max(COMPILE_CPU_S);
    config.server.drain_timeout_s = 1;
    make(&place, &served)?;
    runtime(&config.isolation.trusted)?.block_on(async {
        let house = House::open(&config, Access::Own)?;
        // What was built last time is not served before what is there now was built.
        keep_only(&served, &[])?;
        house.isolate(&config).await?;
        let server = Server::bind(&config, &house).await?;
        let address = server.address;
        announce(&house, address, config.server.auth);
        let last = LastCall::default();
        let server = server.with(|router| remembering(router, last.clone()));
        house.begin(&config).await?;
        let (done, finished) = oneshot::channel::<()>();
        let sandbox = house.sandbox.clone();
        let serving = tokio::spawn(server.run(async move {
            let _ = finished.await;
            sandbox.stopping();
        }));
        let key = fs::read_to_string(&house.key_file).ok().map(|key| key.trim().to_owned());
        let dev = Loop { folder: args.project.clone(), served, output: *output, address, key, last };
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

/// Make the folders. Nobody else reads them, and no repository takes them in: there are keys in them.
fn make(place: &Path, served: &Path) -> Result<(), Failure> {
    let make = |folder: &Path| match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    let made = make(place).and_then(|()| make(served)).and_then(|()| fs::write(place.join(".gitignore"), "*\n"));
    made.map_err(|error| Failure::new(Code::Unavailable, format!("{} cannot be made: {error}", place.display())))
}

/// Remove what is served, but for the components with these `names`.
fn keep_only(served: &Path, names: &[OsString]) -> io::Result<()> {
    for entry in fs::read_dir(served)?.flatten() {
        if !names.contains(&entry.file_name()) && entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What keys asked for while it was built.
#[derive(Default)]
struct Asked {
    to_build: bool,
    to_end: bool,
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
        let mut keys = Keys::pressed();
        let _terminal = Terminal::without_lines();
        self.output.talk(KEYS);
        let (mut built, mut seen) = (None, Sources::default());
        let mut written = Vec::new();
        loop {
            let now = Sources::of(&self.folder);
            if now == seen && built.as_ref() != Some(&now) {
                let asked = self.building(&mut keys).await;
                if asked.to_end {
                    return;
                }
                let after = Sources::of(&self.folder);
                let changed = after.changed_since(&now);
                // What every build writes is no reason to build again; what was saved meanwhile is.
                built = Some(if changed == written { after } else { now });
                written = changed;
                if asked.to_build {
                    built = None;
                }
                continue;
            }
            seen = now;
            match tokio::time::timeout(LOOK, keys.next()).await {
                Ok(b'r') => self.blocking(Self::call_again).await,
                Ok(b'b') => built = None,
                Ok(b'q') => return,
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Build, and hear meanwhile what keys say: a build may take minutes.
    async fn building(&self, keys: &mut Keys) -> Asked {
        let mut asked = Asked::default();
        let build = self.blocking(Self::build);
        tokio::pin!(build);
        loop {
            let key = tokio::select! {
                () = &mut build => return asked,
                key = keys.next() => key,
            };
            match key {
                // What is served is called: the last one that could be built.
                b'r' => self.blocking(Self::call_again).await,
                b'b' if !asked.to_build => {
                    asked.to_build = true;
                    self.output.talk("once more after this build");
                }
                b'q' if !asked.to_end => {
                    asked.to_end = true;
                    self.output.talk("this ends when the build has ended; Ctrl-C ends both at once");
                }
                _ => {}
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
        let project = Project::open(&self.folder).map_err(anyhow::Error::from);
        let built = project.and_then(|project| Ok((project.build()?, beside(&project.manifest, &self.folder))));
        let (built, suppliers) = built.inspect_err(|_| {
            if fs::read_dir(&self.served).is_ok_and(|mut served| served.next().is_some()) {
                self.output.talk("the last one that could be built is still served");
            }
        })?;
        let name = built.file_name().unwrap_or_default().to_owned();
        let mut names = vec![name.clone()];
        let mut is_other = false;
        for (module, path) in suppliers {
            let name = OsString::from(format!("{module}.wasm"));
            is_other |= self.put(&name, &fs::read(path)?)?;
            names.push(name);
        }
        keep_only(&self.served, &names)?;
        let bytes = fs::read(&built)?;
        if is_other {
            // Another file with the same bytes is read anew, and put together anew.
            self.replace(&name, &bytes)?;
        } else if !self.put(&name, &bytes)? {
            self.output.talk("built: nothing has changed");
            return Ok(());
        }
        self.output.talk(&format!("built: {}", built.display()));
        Ok(())
    }

    /// Serve a component under this name. Whether it is any other than what was.
    fn put(&self, name: &OsStr, bytes: &[u8]) -> io::Result<bool> {
        let served = self.served.join(name);
        if fs::read(&served).is_ok_and(|old| old == bytes) {
            return Ok(false);
        }
        self.replace(name, bytes).map(|()| true)
    }

    fn replace(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let new = self.served.join("_new");
        fs::write(&new, bytes)?;
        fs::rename(new, self.served.join(name))
    }

    /// Send the last call again, and show what is answered.
    fn call_again(&self) -> anyhow::Result<()> {
        let Some(call) = self.last.get().or_else(|| self.example()) else {
            self.output.talk("nothing has been called yet, and tool.toml has no example");
            return Ok(());
        };
        // As for every request of ours: no proxy and no redirect, or a key would go elsewhere.
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).max_redirects(0);
        let agent = agent.timeout_global(Some(PATIENCE)).build().new_agent();
        let mut request = agent.post(format!("http://{}{}", self.address, call.path));
        for (name, value) in &call.headers {
            request = request.header(name, value);
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

impl Loop {
    /// The first example of the project, as its author calls it.
    fn example(&self) -> Option<Call> {
        let project = Project::open(&self.folder).ok()?;
        let name = project.component()?.file_stem()?.to_str()?.to_ascii_lowercase();
        let example = project.manifest.examples.first()?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = self.key.as_ref().and_then(|key| HeaderValue::try_from(format!("Bearer {key}")).ok()) {
            headers.insert(header::AUTHORIZATION, key);
        }
        Some(Call { path: format!("/api/{name}/{}", example.function), headers, body: example.args.to_string().into() })
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
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let is_short = length.is_some_and(|length: u64| length <= MOST_REMEMBERED.0);
    let Some(way) = Way::of(request.uri().path()).filter(|_| request.method() == Method::POST && is_short) else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let body = match fumehood_http::Body::read(Request::from_parts(parts.clone(), body), MOST_REMEMBERED).await {
        Ok(body) => body.0,
        Err(problem) => return problem.into_response(),
    };
    let response = next.run(Request::from_parts(parts.clone(), Body::from(body.clone()))).await;
    // What was refused to a stranger is not made for them.
    let is_refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status());
    if !is_refused && (way == Way::Rest || calls_a_tool(&body)) {
        let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let mut headers = parts.headers;
        for once in NOT_REPEATED {
            headers.remove(once);
        }
        last.set(Call { path, headers, body });
    }
    response
}

/// How a call comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Rest,
    Mcp,
}

impl Way {
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["mcp"] | ["mcp", _] => Some(Self::Mcp),
            ["api", "v1", "tools", _, "execute"] => Some(Self::Rest),
            ["api", module, _] if module != "v1" => Some(Self::Rest),
            _ => None,
        }
    }
}

/// Whether a message of MCP calls a tool.
fn calls_a_tool(message: &[u8]) -> bool {
    serde_json::from_slice::<Value>(message).is_ok_and(|message| message["method"] == "tools/call")
}
