//! `fumehood demo`: the main job in one command, on tools that are part of this program.

use std::{fs, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context, ensure};
use fumehood_signature::Signatures;
use fumehood_store::Access;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{
    args::DemoArgs,
    commands::serve::{Server, asked_to_stop},
    config::Config,
    house::{House, runtime},
    logging,
    output::Output,
};

/// The tools that come with the demo. `runaway` looks useful and never ends.
const TOOLS: [(&str, &[u8]); 5] = [
    ("calculator", include_bytes!("../../demo/calculator.wasm")),
    ("text-stats", include_bytes!("../../demo/text-stats.wasm")),
    ("mandelbrot", include_bytes!("../../demo/mandelbrot.wasm")),
    ("json-tools", include_bytes!("../../demo/json-tools.wasm")),
    ("runaway", include_bytes!("../../demo/runaway.wasm")),
];

/// Longest that one request of the demo may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Start a server with example tools, call them, show what happened, and serve until Ctrl-C.
pub(crate) fn run(config: &Config, args: &DemoArgs, output: &Output) -> anyhow::Result<ExitCode> {
    logging::start(&config.log)?;
    // Everything is kept in a place of its own and removed afterwards: the demo changes nothing on the machine.
    let place =
        tempfile::Builder::new().prefix("fumehood-demo-").tempdir().context("no temporary directory can be made")?;
    let mut config = config.clone();
    config.server.data_dir = place.path().join("data");
    config.server.apis_dir = vec![place.path().join("apis")];
    config.server.auth = true;
    config.sources.modules.clear();
    // What it serves comes in this very program.
    config.signatures = Signatures::default();
    fs::create_dir_all(&config.server.apis_dir[0])?;
    for (name, component) in TOOLS {
        fs::write(config.server.apis_dir[0].join(format!("{name}.wasm")), component)?;
    }
    runtime(&config.isolation.trusted)?.block_on(async {
        let house = House::open(&config, Access::Own)?;
        let key = house.first_key.clone().context("the demo's own data directory had a key already")?;
        let server = listen(&mut config, args, &house).await?;
        let address = server.address;
        house.begin(&config).await?;
        let (done, finished) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(stop(finished)));
        let tour = Tour { url: format!("http://{address}"), key };
        let taken = tokio::task::spawn_blocking(move || tour.take().map(|shown| (tour, shown))).await?;
        let result = match taken {
            Ok((tour, shown)) => {
                output.print(&shown)?;
                if !args.check {
                    output.print(&tour.farewell())?;
                    asked_to_stop().await;
                }
                Ok(())
            }
            Err(error) => Err(error.context("the demo failed")),
        };
        drop(done);
        serving.await??;
        result?;
        if args.check {
            output.print("demo: every answer was right\n")?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Listen where asked; where nothing was asked for and the usual port is taken, on a free one.
async fn listen(config: &mut Config, args: &DemoArgs, house: &House) -> anyhow::Result<Server> {
    if args.listen.is_none() && args.check {
        config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    }
    match Server::bind(config, house).await {
        Err(_) if args.listen.is_none() => {
            config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
            Server::bind(config, house).await
        }
        bound => bound,
    }
}

async fn stop(finished: oneshot::Receiver<()>) {
    drop(finished.await);
}

/// What the demo shows, as a client from outside sees it.
struct Tour {
    url: String,
    key: String,
}

/// An answer to a request of the tour.
struct Seen {
    status: u16,
    body: Value,
    fuel: Option<String>,
    micros: Option<String>,
}

impl Tour {
    /// Make every request, check every answer, and tell what was seen.
    fn take(&self) -> anyhow::Result<String> {
        let rest = self.rest()?;
        let tool_error = self.tool_error()?;
        let mcp = self.mcp()?;
        let stopped = self.stopped()?;
        let refused = self.refused()?;
        let neighbour = self.call("calculator/add", &json!({ "a": 1, "b": 1 }))?;
        ensure!(
            neighbour.status == 200 && neighbour.body == json!(2),
            "after all this, calculator.add no longer answers"
        );
        self.listed()?;
        Ok([rest, tool_error, mcp, stopped, refused].join("\n"))
    }

    fn rest(&self) -> anyhow::Result<String> {
        let seen = self.call("calculator/add", &json!({ "a": 2, "b": 40 }))?;
        ensure!(seen.status == 200 && seen.body == json!(42), "calculator.add answered {} {}", seen.status, seen.body);
        let used = format!("{} units of fuel, {} us", seen.fuel.unwrap_or_default(), seen.micros.unwrap_or_default());
        Ok(format!(
            "1. A tool over REST: nobody wrote a schema for it, its WIT types are one.\n{}\n   -> 42   ({used})\n",
            self.curl("calculator/add", r#"{"a": 2, "b": 40}"#)
        ))
    }

    fn tool_error(&self) -> anyhow::Result<String> {
        let asked = self.call("calculator/evaluate", &json!({ "expression": "2 * (3 + 4)" }))?;
        ensure!(
            asked.status == 200 && asked.body == json!(14),
            "calculator.evaluate answered {} {}",
            asked.status,
            asked.body
        );
        let failed = self.call("calculator/divide", &json!({ "a": 1, "b": 0 }))?;
        ensure!(
            failed.status == 422 && failed.body["error"] == "tool_error",
            "dividing by zero answered {}",
            failed.body
        );
        Ok(format!(
            "2. When the tool itself says no, that is not a crash and not a success.\n{}\n   -> 422 tool_error: {}\n",
            self.curl("calculator/divide", r#"{"a": 1, "b": 0}"#),
            failed.body["message"].as_str().unwrap_or_default()
        ))
    }

    fn mcp(&self) -> anyhow::Result<String> {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "fumehood-demo", "version": env!("CARGO_PKG_VERSION") },
        });
        let request = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "calculator__multiply", "arguments": { "a": 6, "b": 7 }, "_meta": meta },
        });
        let headers = [
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "calculator__multiply"),
        ];
        let seen = self.post("/mcp", &request, &headers)?;
        let structured = &seen.body["result"]["structuredContent"];
        ensure!(*structured == json!({ "result": 42 }), "calculator__multiply answered {} {}", seen.status, seen.body);
        Ok(format!("3. The same tools over MCP, for agents: calculator__multiply(6, 7)\n   -> {structured}\n"))
    }

    fn stopped(&self) -> anyhow::Result<String> {
        let seen = self.call("runaway/find-prime-gap", &json!({ "start": 1 }))?;
        ensure!(seen.status == 508 && seen.body["error"] == "fuel", "runaway answered {} {}", seen.status, seen.body);
        Ok(format!(
            "4. A tool that never ends, stopped by its fuel. Everyone else was served meanwhile.\n{}\n   -> 508 fuel: {}\n",
            self.curl("runaway/find-prime-gap", r#"{"start": 1}"#),
            seen.body["message"].as_str().unwrap_or_default()
        ))
    }

    fn refused(&self) -> anyhow::Result<String> {
        let seen = self.call("calculator/add", &json!({ "a": "two", "c": 1 }))?;
        let pointers: Vec<_> =
            seen.body["details"].as_array().into_iter().flatten().map(|m| m["pointer"].clone()).collect();
        ensure!(
            seen.status == 422 && pointers == ["/a", "/c", "/b"],
            "wrong arguments answered {} {}",
            seen.status,
            seen.body
        );
        let mistakes: Vec<_> = seen.body["details"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|m| {
                format!(
                    "      {}: {}",
                    m["pointer"].as_str().unwrap_or_default(),
                    m["message"].as_str().unwrap_or_default()
                )
            })
            .collect();
        Ok(format!(
            "5. Wrong arguments: every mistake at once, before anything runs.\n{}\n   -> 422 invalid_input\n{}\n",
            self.curl("calculator/add", r#"{"a": "two", "c": 1}"#),
            mistakes.join("\n")
        ))
    }

    fn listed(&self) -> anyhow::Result<()> {
        let anonymous = agent().get(format!("{}/api/v1/tools", self.url)).call()?;
        ensure!(anonymous.status() == 401, "a request without a key was answered with {}", anonymous.status());
        let docs = agent().get(format!("{}/docs/", self.url)).call()?;
        ensure!(docs.status() == 200, "the docs page answered {}", docs.status());
        Ok(())
    }

    fn farewell(&self) -> String {
        let Self { url, key } = self;
        format!(
            "The server is running, until you press Ctrl-C:\n  docs  {url}/docs#key={key}\n  MCP   {url}/mcp\n  key   {key}\n\n\
             Upload a component of your own, compiled from any WIT in any language:\n  \
             curl -T my-tool.wasm -H 'Authorization: Bearer {key}' {url}/api/v1/modules/my-tool\n"
        )
    }

    fn curl(&self, path: &str, body: &str) -> String {
        let Self { url, key } = self;
        format!("   curl -s -H 'Authorization: Bearer {key}' -d '{body}' {url}/api/{path}")
    }

    fn call(&self, path: &str, body: &Value) -> anyhow::Result<Seen> {
        self.post(&format!("/api/{path}"), body, &[])
    }

    fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> anyhow::Result<Seen> {
        let mut request =
            agent().post(format!("{}{path}", self.url)).header("authorization", format!("Bearer {}", self.key));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send_json(body).with_context(|| format!("{path} could not be asked"))?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (fuel, micros) = (header("fumehood-fuel"), header("fumehood-duration-us"));
        let status = response.status().as_u16();
        let body = response.body_mut().read_json().with_context(|| format!("{path} did not answer with JSON"))?;
        Ok(Seen { status, body, fuel, micros })
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}
