//! A blocking client of the server's REST API.

mod events;
mod problem;

use std::{io::Read, time::Duration};

use fumehood_model::{Code, Lowered};
use serde_json::Value;
use ureq::{
    Agent, Body, RequestBuilder, SendBody, Timeout,
    http::{Response, StatusCode, Uri, header::AUTHORIZATION},
};

use crate::{
    exit::{Exit, Failure},
    report::Report,
};

/// Longest that connecting may take: the server is on this machine or near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest that an answer may take to begin.
///
/// Every server has a deadline for each call and a bound for compiling; this only catches one that lost them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// Longest answer that is read. A tool's answer has at most 8 MiB unless the server is configured otherwise.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// Largest body that is sent without asking the server first whether it takes it.
const ASK_FIRST: usize = 1 << 20;

/// Tools asked for at once.
const PAGE: u64 = 100;

/// Most pages asked for, so that a server which miscounts cannot keep us for ever.
const MAX_PAGES: u64 = 1000;

/// One server, seen with one key.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    host: String,
    key: Option<String>,
}

pub(crate) use events::{Event, Events};

/// What became of a call.
pub(crate) enum Called {
    /// It has ended.
    Answered(Answer),
    /// It goes on as the job of this id.
    Job(String),
}

/// The answer of a call.
pub(crate) struct Answer {
    /// The tool's own answer.
    pub(crate) value: Value,
    /// What the call used.
    pub(crate) report: Report,
}

impl Client {
    /// A client of the server at `url`. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// When `url` is not one of an HTTP server.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let refused = |why: &str| Failure::usage(format!("`{url}` cannot be the address of a server: {why}"));
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = full.parse().map_err(|_| refused("it is not a URL such as http://127.0.0.1:7311"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(refused("this command line speaks plain HTTP only; use a tunnel such as ssh -L"));
            }
            _ => return Err(refused("it does not start with http://")),
        }
        if uri.query().is_some() || uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(refused("it may have a host, a port and a path only"));
        }
        // No proxy and no redirect: the key goes to the server that was named, and nowhere else.
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("fumehood/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_recv_body(Some(ANSWER_TIMEOUT))
            .build()
            .into();
        let host = uri.host().unwrap_or_default().to_owned();
        Ok(Self { agent, base: full.trim_end_matches('/').to_owned(), host, key: None })
    }

    /// This client with a key.
    ///
    /// # Errors
    ///
    /// When `key` cannot be one.
    pub(crate) fn with_key(mut self, key: &str) -> Result<Self, Failure> {
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::new(Code::Unauthenticated, "the API key is empty or has characters that no key has"));
        }
        self.key = Some(key.to_owned());
        Ok(self)
    }

    /// The host of the server, as it stands in its URL.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// `GET` a document.
    pub(crate) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        let request = self.agent.get(self.url(path)).query_pairs(query.iter().copied());
        Ok(self.finish(self.authorized(request).call())?.0)
    }

    /// `POST` a document.
    pub(crate) fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.post_confirmed(path, body, None)
    }

    /// `POST` a document that a person may have to confirm; what the server says to that.
    pub(crate) fn post_confirmed(
        &self,
        path: &[&str],
        body: &Value,
        confirmation: Option<&str>,
    ) -> Result<Value, Failure> {
        Ok(self.finish(self.send_json(path, body, Lowered::default(), confirmation)?)?.0)
    }

    /// `PUT` a document; what the server says to that.
    pub(crate) fn put(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.put_with(path, &[], body)
    }

    /// `PUT` a document at what `path` and `query` name.
    pub(crate) fn put_with(&self, path: &[&str], query: &[(&str, &str)], body: &Value) -> Result<Value, Failure> {
        let request = self.agent.put(self.url(path)).query_pairs(query.iter().copied());
        Ok(self.finish(self.authorized(request.header("accept", "application/json")).send_json(body))?.0)
    }

    /// `DELETE` what `path` names; what the server says to that.
    pub(crate) fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        Ok(self.finish(self.authorized(self.agent.delete(self.url(path))).call())?.0)
    }

    /// `DELETE` what `path` and `query` name.
    pub(crate) fn delete_with(&self, path: &[&str], query: &[(&str, &str)]) -> Result<(), Failure> {
        let request = self.agent.delete(self.url(path)).query_pairs(query.iter().copied());
        self.finish(self.authorized(request).call()).map(drop)
    }

    /// `POST` nothing.
    pub(crate) fn post_empty(&self, path: &[&str]) -> Result<Value, Failure> {
        Ok(self.finish(self.authorized(self.agent.post(self.url(path))).send_empty())?.0)
    }

    /// Upload what `bytes` gives, of this type and length, as `module`.
    pub(crate) fn put_component(
        &self,
        module: &str,
        kind: &str,
        bytes: &mut dyn Read,
        length: u64,
    ) -> Result<Value, Failure> {
        let request = self
            .agent
            .put(self.url(&["api", "v1", "modules", module]))
            .content_type(kind)
            .header("content-length", length)
            // The server refuses one that is too large, or from someone who may not, before it is sent.
            .header("expect", "100-continue");
        Ok(self.finish(self.authorized(request).send(SendBody::from_reader(bytes)))?.0)
    }

    /// Call a tool within these bounds and wait for its answer, or for the server's word that it is a job.
    pub(crate) fn call(
        &self,
        module: &str,
        function: &str,
        arguments: &Value,
        lowered: Lowered,
        confirmation: Option<&str>,
    ) -> Result<Called, Failure> {
        let sent = self.send_json(&["api", module, function], arguments, lowered, confirmation)?;
        let is_job = sent.as_ref().is_ok_and(|response| response.status() == StatusCode::ACCEPTED);
        let (value, report) = self.finish(sent)?;
        match value["queue_id"].as_str().filter(|_| is_job) {
            Some(id) => Ok(Called::Job(id.to_owned())),
            None => Ok(Called::Answered(Answer { value, report })),
        }
    }

    /// What happens to the job `id` after the event `after`.
    pub(crate) fn events(&self, id: &str, after: Option<&str>) -> Result<Events, Failure> {
        let request = self.agent.get(self.url(&["api", "v1", "jobs", id, "events"]));
        let request = match after {
            Some(after) => request.header("last-event-id", after),
            None => request,
        };
        // An event may be long in coming: the server sends something every 15 s all the same.
        let request = request.config().timeout_recv_body(None).build();
        let mut response = self.authorized(request).call().map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(Events::new(response.into_body().into_reader()));
        }
        let limited = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let bytes = limited.read_to_vec().map_err(|error| self.unreachable(&error))?;
        Err(problem::failure(response.status().as_u16(), &bytes, self.key.is_some()))
    }

    /// The failure that a problem in a document of the server stands for.
    pub(crate) fn failure_of(&self, error: &Value) -> Failure {
        let document = serde_json::json!({
            "error": error["code"], "message": error["message"], "details": error["details"],
        });
        problem::failure(500, document.to_string().as_bytes(), self.key.is_some())
    }

    /// `GET` a document as text of this type.
    pub(crate) fn get_text(&self, path: &[&str], query: &[(&str, &str)], accept: &str) -> Result<String, Failure> {
        let request = self.agent.get(self.url(path)).query_pairs(query.iter().copied()).header("accept", accept);
        let mut response = self.authorized(request).call().map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let limited = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let bytes = limited.read_to_vec().map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            return Err(problem::failure(status.as_u16(), &bytes, self.key.is_some()));
        }
        String::from_utf8(bytes).map_err(|_| self.not_ours())
    }

    /// What a module asks for, could reach, has used and is granted.
    pub(crate) fn review(&self, module: &str) -> Result<Value, Failure> {
        self.get(&["api", "v1", "modules", module, "permissions"], &[])
    }

    /// All tools that `query` selects, page by page.
    pub(crate) fn tools(&self, query: &[(&str, &str)]) -> Result<Vec<Value>, Failure> {
        let mut tools = Vec::new();
        for page in 1..=MAX_PAGES {
            let (page, limit) = (page.to_string(), PAGE.to_string());
            let query: Vec<_> = query.iter().copied().chain([("page", &*page), ("limit", &*limit)]).collect();
            let mut answer = self.get(&["api", "v1", "tools"], &query)?;
            let Value::Array(mut found) = answer["tools"].take() else { break };
            let is_last = found.is_empty();
            tools.append(&mut found);
            if is_last || tools.len() as u64 >= answer["total"].as_u64().unwrap_or(0) {
                break;
            }
        }
        Ok(tools)
    }

    fn send_json(
        &self,
        path: &[&str],
        body: &Value,
        limits: Lowered,
        confirmation: Option<&str>,
    ) -> Result<Result<Response<Body>, ureq::Error>, Failure> {
        let request = self.agent.post(self.url(path)).header("accept", "application/json");
        let limits: Vec<_> = limits.iter().map(|(bound, most)| format!("{bound}={most}")).collect();
        let request = if limits.is_empty() { request } else { request.header("fumehood-limits", limits.join(", ")) };
        let request = match confirmation {
            Some(confirmation) => request.header("fumehood-confirm", confirmation),
            None => request,
        };
        let json = serde_json::to_vec(body).map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
        let request = self.authorized(request).content_type("application/json");
        // The server refuses what is too large before it is sent; small bodies are not worth the wait.
        let request = if json.len() > ASK_FIRST { request.header("expect", "100-continue") } else { request };
        Ok(request.send(&json[..]))
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, format!("Bearer {key}")),
            None => request,
        }
    }

    fn url(&self, path: &[&str]) -> String {
        path.iter().fold(self.base.clone(), |url, segment| url + "/" + &encode(segment))
    }

    fn finish(&self, sent: Result<Response<Body>, ureq::Error>) -> Result<(Value, Report), Failure> {
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        let report = Report::of_headers(response.headers());
        let status = response.status();
        let limited = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let bytes = limited.read_to_vec().map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            return Err(problem::failure(status.as_u16(), &bytes, self.key.is_some()));
        }
        if bytes.is_empty() {
            return Ok((Value::Null, report));
        }
        let value = serde_json::from_slice(&bytes).map_err(|_| self.not_ours())?;
        Ok((value, report))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let base = &self.base;
        let message = match error {
            ureq::Error::Io(error) if error.kind() != std::io::ErrorKind::ConnectionRefused => {
                format!("the connection to {base} broke: {error}")
            }
            ureq::Error::Timeout(timeout) if !matches!(timeout, Timeout::Connect | Timeout::Resolve) => {
                format!("the server at {base} did not answer within {} s", ANSWER_TIMEOUT.as_secs())
            }
            ureq::Error::Io(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(_) => {
                let next = "start one with `fumehood serve`, or point --server/FUMEHOOD_SERVER elsewhere";
                return Failure::with_exit(
                    Exit::NotFound,
                    "unreachable",
                    format!("no server answers at {base}; {next}"),
                );
            }
            ureq::Error::BodyExceedsLimit(most) => {
                return Failure::new(Code::ResultTooLarge, format!("the server's answer has more than {most} bytes"));
            }
            error => format!("what answers at {base} does not speak HTTP as expected: {error}"),
        };
        Failure::with_exit(Exit::NotFound, "unreachable", message)
    }

    fn not_ours(&self) -> Failure {
        let message = format!("what answers at {} is not a fumehood server: it did not answer with JSON", self.base);
        Failure::with_exit(Exit::NotFound, "unreachable", message)
    }
}

/// `segment` as one segment of a path.
fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        // RFC 3986 §2.3: the unreserved characters.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    // RFC 3986 §5.2.4: a segment of dots only would walk about in the path.
    if matches!(segment, "." | "..") { segment.replace('.', "%2E") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(url: &str) -> Option<String> {
        Client::new(url).ok().map(|client| client.host)
    }

    #[test]
    fn addresses_are_accepted_with_and_without_a_scheme() {
        assert_eq!(host("http://127.0.0.1:7311/").as_deref(), Some("127.0.0.1"));
        assert_eq!(host("localhost:7311").as_deref(), Some("localhost"));
        assert_eq!(host("http://[::1]:7311").as_deref(), Some("[::1]"));
    }

    #[test]
    fn other_schemes_passwords_and_queries_are_refused() {
        for url in ["https://x", "ftp://x", "http://a:b@x", "http://x/?q", "http://", ""] {
            assert!(host(url).is_none(), "{url:?} must be refused");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        let client = Client::new("http://x/").ok().unwrap();

        assert_eq!(client.url(&["api", "a/../b?c#d", ".."]), "http://x/api/a%2F..%2Fb%3Fc%23d/%2E%2E");
    }

    #[test]
    fn a_key_cannot_smuggle_a_header() {
        let client = || Client::new("http://x").ok().unwrap();

        assert_eq!(client().with_key("fh_1\n").ok().unwrap().key.as_deref(), Some("fh_1"));
        assert!(client().with_key("fh_1\r\nX: y").is_err());
        assert!(client().with_key(" ").is_err());
    }
}
