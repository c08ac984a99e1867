//! MCP through the client of rmcp, in both eras, over HTTP and stdio: one line a check, which `run` counts.
//!
//! What the servers are, and what is asked of every client: see `checks.py`.

use std::{
    env,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, Peer, RoleClient, ServiceError,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
        ElicitationAction, ElicitationCapability, Implementation, ProtocolVersion, ReadResourceRequestParams,
        SubscriptionFilter, Tool,
    },
    service::{NotificationContext, RequestContext, RunningService},
    transport::{
        StreamableHttpClientTransport, TokioChildProcess, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const SUM: &str = "calculator__add";
const ENDLESS: &str = "runaway__find-prime-gap";
const DANGER: &str = "danger-rmcp";
const CONFIRMED: &str = "[functions.add]\nrequires_confirmation = true\n";

type Client = RunningService<RoleClient, User>;

/// Whoever sits before the client, and what it has heard.
#[derive(Clone, Default)]
struct User {
    /// What it answers to questions; without one it cannot be asked.
    answer: Option<Answer>,
    asked: Arc<Mutex<Vec<String>>>,
    tools_changed: Arc<AtomicBool>,
}

#[derive(Clone, Copy)]
enum Answer {
    Confirm(bool),
    Decline,
}

impl ClientHandler for User {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = self.answer.map(|_| ElicitationCapability::default());
        ClientConfig::new(capabilities, Implementation::new("rmcp-client", "0"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        if let ElicitRequestParams::FormElicitationParams { message, .. } = request {
            self.asked.lock().expect("nobody panics with it").push(message);
        }
        Ok(match self.answer {
            Some(Answer::Confirm(confirm)) => {
                ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "confirm": confirm }))
            }
            Some(Answer::Decline) | None => ElicitResult::new(ElicitationAction::Decline),
        })
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.tools_changed.store(true, Ordering::Release);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Http,
    Stdio,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Auto,
    Pinned,
    Legacy,
}

impl Mode {
    fn lifecycle(self) -> ClientLifecycleMode {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        match self {
            Self::Auto => {
                ClientLifecycleMode::Auto { preferred_versions, legacy_version: Some(ProtocolVersion::V_2025_11_25) }
            }
            Self::Pinned => ClientLifecycleMode::Discover { preferred_versions },
            Self::Legacy => ClientLifecycleMode::Initialize,
        }
    }

    fn version(self) -> &'static str {
        if self == Self::Legacy { "2025-11-25" } else { "2026-07-28" }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pinned => "2026-07-28",
            Self::Legacy => "legacy",
        }
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start this with tests/clients/run"))
}

async fn over_http(server: &str, key: Option<&str>, mode: Mode, user: User) -> Result<Client> {
    let config = StreamableHttpClientTransportConfig::with_uri(format!("{server}/mcp"));
    let config = match key {
        Some(key) => config.auth_header(key),
        None => config,
    };
    let transport = StreamableHttpClientTransport::from_config(config);
    Ok(user.serve_with_lifecycle(transport, mode.lifecycle()).await?)
}

async fn over_stdio(mode: Mode, user: User) -> Result<Client> {
    let mut command = tokio::process::Command::new(variable("FUMEHOOD"));
    command.args(["mcp", "--data-dir", &variable("MAIN_DATA"), "--apis-dir", &variable("MAIN_APIS")]);
    let (transport, _) = TokioChildProcess::builder(command).stderr(Stdio::null()).spawn()?;
    Ok(user.serve_with_lifecycle(transport, mode.lifecycle()).await?)
}

async fn connect(way: Way, mode: Mode, user: User) -> Result<Client> {
    match way {
        Way::Http => over_http(&variable("MAIN_URL"), Some(&variable("MAIN_KEY")), mode, user).await,
        Way::Stdio => over_stdio(mode, user).await,
    }
}

/// A failure is reported and does not keep the next check from running.
async fn check(name: &str, work: impl Future<Output = Result<()>>) {
    match timeout(3 * PATIENCE, work).await {
        Ok(Ok(())) => println!("PASS {name}"),
        Ok(Err(error)) => println!("FAIL {name}: {}", format!("{error:#}").replace('\n', " | ")),
        Err(_) => println!("FAIL {name}: it took more than {:?}", 3 * PATIENCE),
    }
}

fn equal<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(actual: T, expected: U) -> Result<()> {
    ensure!(actual == expected, "{actual:?} is not {expected:?}");
    Ok(())
}

async fn call(client: &Peer<RoleClient>, tool: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    client.call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)).await
}

/// As [`call`], by the client itself, which asks its user.
async fn call_asking(client: &Client, tool: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    client.call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)).await
}

fn text(result: &CallToolResult) -> String {
    result.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.as_str()).collect()
}

fn names(tools: &[Tool]) -> Vec<String> {
    tools.iter().map(|tool| tool.name.to_string()).collect()
}

async fn conversation(name: &str, client: &Client, version: &str) {
    let peer = client.peer();
    check(&format!("{name}: negotiates {version}"), async {
        let info = peer.peer_info().context("the server did not tell of itself")?;
        equal(info.protocol_version.as_str(), version)
    })
    .await;
    check(
        &format!("{name}: lists every tool once, in stable order, with object schemas for input and output"),
        async {
            let (listed, again) = (client.list_all_tools().await?, client.list_all_tools().await?);
            let listed_names = names(&listed);
            equal(&names(&again), &listed_names)?;
            let mut sorted = listed_names.clone();
            sorted.sort();
            sorted.dedup();
            equal(&listed_names, &sorted)?;
            ensure!(listed_names.iter().any(|name| name == SUM), "{listed_names:?}");
            for tool in &listed {
                equal(tool.input_schema.get("type"), Some(&json!("object")))?;
                let output = tool.output_schema.as_ref().and_then(|schema| schema.get("type"));
                equal(output, Some(&json!("object")))?;
            }
            Ok(())
        },
    )
    .await;
    check(&format!("{name}: a call answers structured content and the same JSON as text"), async {
        let result = call(peer, SUM, json!({ "a": 2, "b": 40 })).await?;
        equal((result.is_error, &result.structured_content), (Some(false), &Some(json!({ "result": 42 }))))?;
        equal(serde_json::from_str::<Value>(&text(&result))?, json!({ "result": 42 }))
    })
    .await;
    check(&format!("{name}: records, flags, options and tuples cross both ways"), async {
        let options = json!({ "measures": ["words", "lines"], "top_words": 1, "case": "fold" });
        let result = call(peer, "text-stats__analyse", json!({ "text": "a cat\nA dog", "options": options })).await?;
        equal(&result.structured_content, &Some(json!({ "words": 4, "lines": 2, "top_words": [["a", 2]] })))
    })
    .await;
    check(&format!("{name}: the tool's own error is isError with its text"), async {
        let result = call(peer, "calculator__divide", json!({ "a": 1, "b": 0 })).await?;
        equal((result.is_error, text(&result).as_str()), (Some(true), "division by zero"))
    })
    .await;
    check(&format!("{name}: bad arguments are isError with every pointer"), async {
        let result = call(peer, SUM, json!({ "a": "two", "c": 1 })).await?;
        equal(result.is_error, Some(true))?;
        for pointer in ["/a:", "/b:", "/c:"] {
            ensure!(text(&result).contains(pointer), "{}", text(&result));
        }
        Ok(())
    })
    .await;
    check(&format!("{name}: an unknown tool is an error of the protocol"), async {
        match call(peer, "calculator__ad", json!({})).await {
            Err(ServiceError::McpError(error)) => {
                equal(error.code.0, -32602)?;
                ensure!(error.message.contains("calculator__ad"), "{}", error.message);
                Ok(())
            }
            other => bail!("answered {other:?}"),
        }
    })
    .await;
    check(&format!("{name}: a tool that never ends is stopped, and told by its fuel"), async {
        let result = call(peer, ENDLESS, json!({ "start": 1 })).await?;
        ensure!(result.is_error == Some(true) && text(&result).contains("fuel"), "{result:?}");
        Ok(())
    })
    .await;
    check(&format!("{name}: lists no prompts where there are none, and reads every resource"), async {
        equal(client.list_all_prompts().await?.len(), 0)?;
        client.list_all_resource_templates().await?;
        let resources = client.list_all_resources().await?;
        for resource in &resources {
            let read = peer.read_resource(ReadResourceRequestParams::new(resource.uri.clone())).await?;
            ensure!(!read.contents.is_empty(), "{} is empty", resource.uri);
        }
        ensure!(!resources.is_empty(), "there are no resources");
        Ok(())
    })
    .await;
}

async fn refused(name: &str, mode: Mode) {
    for (what, key) in [("without a key", None), ("with a wrong key", Some("fh_0000000000000_wrong"))] {
        check(&format!("{name}: {what} is refused with 401"), async {
            let error = match over_http(&variable("MAIN_URL"), key, mode, User::default()).await {
                Ok(client) => client.list_all_tools().await.err().context("the client was let in")?.into(),
                Err(error) => error,
            };
            let told = format!("{error:#}");
            // What this client makes of 401, and of nothing else.
            ensure!(told.contains("Auth required"), "{told}");
            Ok(())
        })
        .await;
    }
}

async fn pages(name: &str, mode: Mode) {
    check(&format!("{name}: hundreds of tools come in pages, and one of the last page can be called"), async {
        let client = over_http(&variable("BUSY_URL"), Some(&variable("BUSY_KEY")), mode, User::default()).await?;
        let first = client.list_tools(None).await?;
        let all = names(&client.list_all_tools().await?);
        ensure!(first.next_cursor.is_some() && first.tools.len() < all.len(), "{} tools came in one page", all.len());
        let copies: usize = variable("BUSY_COPIES").parse()?;
        equal(all.iter().filter(|tool| tool.starts_with("zz-")).count(), 5 * copies)?;
        let last = all.iter().rev().find(|tool| tool.ends_with("__add")).context("no tool adds")?;
        let result = call(client.peer(), last, json!({ "a": 2, "b": 40 })).await?;
        equal(&result.structured_content, &Some(json!({ "result": 42 })))?;
        client.cancel().await?;
        Ok(())
    })
    .await;
}

async fn given_up(name: &str, mode: Mode) {
    check(&format!("{name}: a call that its client gives up ends at once on the server"), async {
        let (url, key) = (variable("BUSY_URL"), variable("BUSY_KEY"));
        let http = reqwest::Client::new();
        let running = async || -> Result<bool> {
            let health = http.get(format!("{url}/api/v1/health/detailed")).bearer_auth(&key).send().await?;
            Ok(health.json::<Value>().await?["calls_running"].as_u64() > Some(0))
        };
        let client = over_http(&url, Some(&key), mode, User::default()).await?;
        let peer = client.peer().clone();
        let endless = tokio::spawn(async move { call(&peer, ENDLESS, json!({ "start": 1 })).await });
        until(async || Ok(running().await?)).await.context("it did not begin")?;
        endless.abort();
        let given_up = Instant::now();
        until(async || Ok(!running().await?)).await.context("it did not end")?;
        ensure!(given_up.elapsed() < Duration::from_secs(3), "ended only after {:?}", given_up.elapsed());
        let result = call(client.peer(), SUM, json!({ "a": 2, "b": 40 })).await?;
        equal(&result.structured_content, &Some(json!({ "result": 42 })))
    })
    .await;
}

async fn until(is: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is().await? {
        ensure!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn confirmed(name: &str, way: Way, mode: Mode) {
    check(
        &format!("{name}: asks its user about a call that must be confirmed, and nothing but a yes has it done"),
        async {
            put(DANGER, Some(CONFIRMED)).await?;
            let tool = format!("{DANGER}__add");
            let asked = Arc::<Mutex<Vec<String>>>::default();
            for (answer, result) in [
                (Answer::Confirm(true), Some(json!({ "result": 42 }))),
                (Answer::Confirm(false), None),
                (Answer::Decline, None),
            ] {
                let user = User { answer: Some(answer), asked: Arc::clone(&asked), ..User::default() };
                let client = connect(way, mode, user).await?;
                let done = call_asking(&client, &tool, json!({ "a": 2, "b": 40 })).await?;
                equal((done.is_error, &done.structured_content), (Some(result.is_none()), &result))?;
                client.cancel().await?;
            }
            let question = format!(r#"Run {tool} with {{"a":2,"b":40}}?"#);
            equal(&*asked.lock().expect("nobody panics with it"), &vec![question; 3])?;
            let client = connect(way, mode, User::default()).await?;
            let done = call_asking(&client, &tool, json!({ "a": 2, "b": 40 })).await?;
            let code = done.meta.as_ref().and_then(|meta| meta.get("dev.fumehood/error").cloned());
            equal((done.is_error, code), (Some(true), Some(json!("confirmation_required"))))
        },
    )
    .await;
    delete(DANGER).await;
}

async fn hears(name: &str, way: Way, mode: Mode) {
    let module = "extra-rmcp";
    check(&format!("{name}: hears of an upload"), async {
        let user = User::default();
        let client = connect(way, mode, user.clone()).await?;
        let before = names(&client.list_all_tools().await?);
        if mode == Mode::Legacy {
            // The stream that carries it opens after the handshake, and nothing tells when: it changes until that is heard.
            until(async || {
                delete(module).await;
                put(module, None).await?;
                Ok(user.tools_changed.load(Ordering::Acquire))
            })
            .await?;
        } else {
            let filter = SubscriptionFilter::builder().tools_list_changed().build();
            let mut events = client.peer().listen(filter).await?;
            put(module, None).await?;
            timeout(PATIENCE, events.next()).await.context("nothing was heard")??.context("the stream ended")?;
        }
        let after = names(&client.list_all_tools().await?);
        let new: Vec<_> = after.iter().filter(|tool| !before.contains(tool)).collect();
        ensure!(!new.is_empty() && new.iter().all(|tool| tool.starts_with(module)), "{new:?}");
        Ok(())
    })
    .await;
    delete(module).await;
}

async fn put(module: &str, manifest: Option<&'static str>) -> Result<()> {
    let component = std::fs::read(variable("EXTRA_COMPONENT"))?;
    let url = format!("{}/api/v1/modules/{module}", variable("MAIN_URL"));
    let request = reqwest::Client::new().put(url).bearer_auth(variable("MAIN_KEY"));
    let part = |bytes: Vec<u8>| reqwest::multipart::Part::bytes(bytes);
    let request = match manifest {
        Some(manifest) => request.multipart(
            reqwest::multipart::Form::new().part("component", part(component)).part("manifest", part(manifest.into())),
        ),
        None => request.body(component),
    };
    let answer = request.send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}

async fn delete(module: &str) {
    let url = format!("{}/api/v1/modules/{module}", variable("MAIN_URL"));
    let _ = reqwest::Client::new().delete(url).bearer_auth(variable("MAIN_KEY")).send().await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    for mode in [Mode::Auto, Mode::Pinned, Mode::Legacy] {
        for way in [Way::Http, Way::Stdio] {
            let word = if way == Way::Http { "http" } else { "stdio" };
            let name = format!("rmcp {} over {word}", mode.name());
            check(&format!("{name}: connects and disconnects"), async {
                let client = connect(way, mode, User::default()).await?;
                conversation(&name, &client, mode.version()).await;
                client.cancel().await?;
                Ok(())
            })
            .await;
            if way == Way::Http {
                refused(&name, mode).await;
                pages(&name, mode).await;
                given_up(&name, mode).await;
            }
            confirmed(&name, way, mode).await;
            hears(&name, way, mode).await;
        }
    }
}
