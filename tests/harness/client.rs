use std::time::Duration;

use serde_json::Value;
use ureq::{
    Agent,
    http::{Method, Request},
};

use crate::Answer;

/// Longer than any call may take in a test: what hangs must fail, not hang the tests.
const PATIENCE: Duration = Duration::from_secs(300);

/// One server, seen with one key or none. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    url: String,
    key: Option<String>,
}

impl Client {
    /// A client of the server at `url`.
    #[must_use]
    pub fn new(url: &str, key: Option<&str>) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        Self { agent, url: url.to_owned(), key: key.map(str::to_owned) }
    }

    /// The same server without a key.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    /// The same server with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The key.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_deref().expect("this client has a key")
    }

    /// Send a request. A body of no bytes is no body.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Send a request that may get no answer.
    ///
    /// # Errors
    ///
    /// When there is none.
    ///
    /// # Panics
    ///
    /// When the request cannot be one.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let method: Method = method.parse().expect("a method");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = if body.is_empty() {
            self.agent.run(request.body(()).expect("a request"))?
        } else {
            self.agent.run(request.body(body).expect("a request"))?
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.body_mut().with_config().limit(256 << 20).read_to_vec()?;
        Ok(Answer { status, headers, body })
    }

    /// `GET` something.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[])
    }

    /// `DELETE` something.
    #[must_use]
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], &[])
    }

    /// `POST` JSON.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Call `module/function` with these arguments.
    #[must_use]
    pub fn call(&self, tool: &str, arguments: &Value) -> Answer {
        self.post(&format!("/api/{tool}"), arguments)
    }

    /// Call `module/function` with these arguments and headers.
    #[must_use]
    pub fn call_with(&self, tool: &str, headers: &[(&str, &str)], arguments: &Value) -> Answer {
        let typed: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.send("POST", &format!("/api/{tool}"), &typed, arguments.to_string().as_bytes())
    }

    /// Call `module/function` with this text in place of JSON.
    #[must_use]
    pub fn call_text(&self, tool: &str, body: &str) -> Answer {
        self.send("POST", &format!("/api/{tool}"), &[("content-type", "application/json")], body.as_bytes())
    }

    /// Upload a component.
    #[must_use]
    pub fn upload(&self, module: &str, component: &[u8]) -> Answer {
        self.send("PUT", &format!("/api/v1/modules/{module}"), &[("content-type", "application/wasm")], component)
    }

    /// Upload a component with a manifest beside it.
    #[must_use]
    pub fn upload_with(&self, module: &str, component: &[u8], manifest: &str) -> Answer {
        let part = |name: &str| format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        let (first, second) = (part("component"), part("manifest"));
        let body = [first.as_bytes(), component, b"\r\n", second.as_bytes(), manifest.as_bytes(), b"\r\n--xyz--\r\n"];
        let headers = [("content-type", "multipart/form-data; boundary=xyz")];
        self.send("PUT", &format!("/api/v1/modules/{module}"), &headers, &body.concat())
    }

    /// Make a key with this role, and see the server with it.
    #[must_use]
    pub fn new_key(&self, name: &str, role: &str) -> (String, Self) {
        let made = self.post("/api/v1/keys", &serde_json::json!({ "name": name, "roles": [role] })).expect(201);
        let text = |key: &str| made[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {made}")).to_owned();
        (text("id"), self.with_key(&text("key")))
    }

    /// What `health/detailed` says.
    #[must_use]
    pub fn health(&self) -> Value {
        self.get("/api/v1/health/detailed").value()
    }

    /// How many calls run right now.
    #[must_use]
    pub fn calls_running(&self) -> u64 {
        self.health()["calls_running"].as_u64().expect("a count of calls")
    }
}
