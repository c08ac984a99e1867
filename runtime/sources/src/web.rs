//! Requests over HTTP, with bounds, and only where they may go.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fumehood_model::ByteSize;
use ureq::{
    Agent, Body, Timeout,
    config::ConfigBuilder,
    http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
    typestate::AgentScope,
};

use crate::{Config, SourceError};

/// Longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest that an answer may take to begin: a server that starts waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Most redirects that are followed: what registries do to their storage takes one or two.
const MAX_REDIRECTS: usize = 5;

/// Largest file of certificates.
const MAX_ROOTS: u64 = 4 << 20;

/// How much of what an error says is shown.
const SAID_MAX: usize = 300;

/// A client that asks over TLS, or over plain HTTP where that is allowed.
pub(crate) struct Web {
    /// Through the proxy that the environment names, if it names one.
    outside: Agent,
    /// This machine is asked directly.
    loopback: Agent,
    plain_http: Vec<String>,
}

/// What is asked.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: Uri,
    pub(crate) accept: Option<&'static str>,
    pub(crate) authorization: Option<HeaderValue>,
    /// What is sent, and its type.
    pub(crate) body: Option<(&'a str, &'a [u8])>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Who has answered, after redirects.
    pub(crate) host: String,
    body: Body,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(method: Method, url: Uri) -> Self {
        Self { method, url, accept: None, authorization: None, body: None }
    }

    pub(crate) fn accept(self, accept: &'static str) -> Self {
        Self { accept: Some(accept), ..self }
    }

    pub(crate) fn authorization(self, authorization: Option<HeaderValue>) -> Self {
        Self { authorization, ..self }
    }

    pub(crate) fn body(self, kind: &'a str, body: &'a [u8]) -> Self {
        Self { body: Some((kind, body)), ..self }
    }
}

impl Web {
    /// A client as `config` wants it.
    ///
    /// # Errors
    ///
    /// When a file of certificates cannot be used.
    pub(crate) fn new(config: &Config) -> Result<Self, SourceError> {
        let tls = TlsConfig::builder().root_certs(roots(&config.extra_roots)?).build();
        let of = |builder: ConfigBuilder<AgentScope>| -> Agent { builder.build().into() };
        let common = || {
            // Redirects are followed here: what may be followed depends on where it leads.
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(concat!("fumehood/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .timeout_resolve(Some(CONNECT_TIMEOUT))
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_recv_response(Some(ANSWER_TIMEOUT))
                .timeout_per_call(Some(Duration::from_secs(config.timeout_s)))
        };
        Ok(Self { outside: of(common()), loopback: of(common().proxy(None)), plain_http: config.plain_http.clone() })
    }

    /// Whether `host`, with its port if it has one, may be asked without TLS.
    pub(crate) fn allows_plain(&self, host: &str) -> bool {
        is_loopback(host) || self.is_plain(host)
    }

    /// Whether the configuration says that `host` is asked without TLS.
    pub(crate) fn is_plain(&self, host: &str) -> bool {
        self.plain_http.iter().any(|plain| plain.eq_ignore_ascii_case(host))
    }

    /// Ask, and follow redirects of what has no body.
    ///
    /// # Errors
    ///
    /// When nobody answers, or it leads where we do not go. An answer of any status is an answer.
    pub(crate) fn send(&self, ask: &Ask<'_>) -> Result<Answer, SourceError> {
        let mut ask = ask.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send_once(&ask)?;
            let is_redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
            let Some(to) = answer.headers.get(header::LOCATION).filter(|_| is_redirect) else { return Ok(answer) };
            let to = String::from_utf8_lossy(to.as_bytes()).chars().take(SAID_MAX * 10).collect::<String>();
            let refused = |why| SourceError::Redirected {
                host: answer.host.clone(),
                to: to.chars().take(SAID_MAX).collect(),
                why,
            };
            if ask.body.is_some() || !matches!(ask.method, Method::GET | Method::HEAD) {
                return Err(refused("what is sent goes to whom it was meant for"));
            }
            let next = resolved(&ask.url, &to).ok_or_else(|| refused("it is no address"))?;
            if ask.url.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(refused("it leads from TLS to plain HTTP"));
            }
            if next.authority() != ask.url.authority() {
                // Credentials are for whom they were given for.
                ask.authorization = None;
            }
            ask.url = next;
        }
        let to = ask.url.to_string().chars().take(SAID_MAX).collect();
        Err(SourceError::Redirected { host: host_of(&ask.url), to, why: "these are more than 5 redirects" })
    }

    fn send_once(&self, ask: &Ask<'_>) -> Result<Answer, SourceError> {
        let host = host_of(&ask.url);
        if ask.url.scheme_str() != Some("https") && !self.allows_plain(&host) {
            return Err(SourceError::Plain { host });
        }
        let mut request = Request::builder().method(&ask.method).uri(&ask.url);
        if let Some(accept) = ask.accept {
            request = request.header(header::ACCEPT, accept);
        }
        if let Some(authorization) = &ask.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let agent = if is_loopback(&host) { &self.loopback } else { &self.outside };
        let sent = match ask.body {
            Some((kind, body)) => {
                request.header(header::CONTENT_TYPE, kind).body(body).map(|request| agent.run(request))
            }
            None => request.body(()).map(|request| agent.run(request)),
        };
        let response: Response<Body> = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(unanswered(host, error)),
            Err(error) => return Err(unanswered(host, error.into())),
        };
        let (parts, body) = response.into_parts();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, host, body })
    }
}

impl Answer {
    /// The whole body, which is not read if it says that it has more than `allowed`, and not to its end if it has.
    pub(crate) fn read(self, what: &str, allowed: ByteSize) -> Result<Vec<u8>, SourceError> {
        let too_large = || SourceError::TooLarge { what: what.to_owned(), allowed };
        if self.body.content_length().is_some_and(|length| length > allowed.0) {
            return Err(too_large());
        }
        let host = self.host;
        // One byte more is what tells a body that is too large from one that just fits.
        match self.body.into_with_config().limit(allowed.0 + 1).read_to_vec() {
            Ok(bytes) if bytes.len() as u64 > allowed.0 => Err(too_large()),
            Ok(bytes) => Ok(bytes),
            Err(ureq::Error::BodyExceedsLimit(_)) => Err(too_large()),
            Err(error) => Err(unanswered(host, error)),
        }
    }

    /// The error that this answer is, with a little of what it says.
    pub(crate) fn refused(self, what: &str) -> SourceError {
        let (host, status, what) = (self.host.clone(), self.status, what.to_owned());
        let said = self.read(&what, ByteSize::kib(8)).unwrap_or_default();
        SourceError::Refused { host, what, status, said: said_in(&said) }
    }
}

/// What an error of a registry says, if it is one, or else its text if that is short.
fn said_in(bytes: &[u8]) -> String {
    let text = match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(value) => {
            let first = &value["errors"][0];
            let text = |key: &str| first[key].as_str().unwrap_or_default();
            [text("code"), text("message")].join(" ").trim().to_owned()
        }
        Err(_) => String::from_utf8_lossy(bytes).trim().to_owned(),
    };
    let is_page = text.starts_with('<');
    if is_page { String::new() } else { text.chars().take(SAID_MAX).collect::<String>().escape_debug().to_string() }
}

/// The host of an address, with its port if it has one.
pub(crate) fn host_of(url: &Uri) -> String {
    url.authority().map(ToString::to_string).unwrap_or_default()
}

/// Where a `Location` leads from `base`.
pub(crate) fn resolved(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next()?;
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let full = if location.contains("://") && !location.starts_with('/') {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let uri: Uri = full.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    uri.authority().filter(|authority| is_http && !authority.as_str().contains('@'))?;
    Some(uri)
}

/// Whether `host`, with or without a port, is this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The certificates that browsers trust, and those in `files`.
fn roots(files: &[PathBuf]) -> Result<RootCerts, SourceError> {
    let browsers = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let mut all: Vec<_> = browsers.map(|certificate| Certificate::from_der(certificate)).collect();
    for path in files {
        all.extend(read_roots(path)?);
    }
    Ok(RootCerts::Specific(Arc::new(all)))
}

fn read_roots(path: &Path) -> Result<Vec<Certificate<'static>>, SourceError> {
    let unreadable = |source| SourceError::File { path: path.to_owned(), doing: "read", source };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_ROOTS {
        return Err(SourceError::TooLarge { what: path.display().to_string(), allowed: ByteSize(MAX_ROOTS) });
    }
    let text = fs::read(path).map_err(unreadable)?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<_> = parse_pem(&text).filter_map(certificate).collect();
    if found.is_empty() { Err(SourceError::NoRoots { path: path.to_owned() }) } else { Ok(found) }
}

fn unanswered(host: String, error: ureq::Error) -> SourceError {
    if let Some(rustls::Error::InvalidCertificate(_)) = tls_error(&error) {
        return SourceError::NotTrusted { host, source: Box::new(error) };
    }
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            SourceError::Unreachable { host, source: Box::new(error) }
        }
        ureq::Error::Timeout(_) => SourceError::TooSlow { host },
        error => SourceError::Unreachable { host, source: Box::new(error) },
    }
}

/// Whether nobody speaks TLS where we tried to.
pub(crate) fn speaks_no_tls(error: &SourceError) -> bool {
    let SourceError::Unreachable { source, .. } = error else { return false };
    match (tls_error(source), &**source) {
        (Some(rustls::Error::InvalidMessage(_)), _) => true,
        (None, ureq::Error::Io(error)) => {
            matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
        }
        _ => false,
    }
}

/// What went wrong with TLS, if it was that.
fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_from_where_it_was_said() {
        let to = |location: &str| resolved(&"https://x.y:1/a/b?c".parse().unwrap(), location).map(|to| to.to_string());

        assert_eq!(to("https://z/w").as_deref(), Some("https://z/w"));
        assert_eq!(to("/d?e").as_deref(), Some("https://x.y:1/d?e"));
        assert_eq!(to("d").as_deref(), Some("https://x.y:1/a/d"));
        assert_eq!(to("//z/w").as_deref(), Some("https://z/w"));
        assert_eq!(to("/d#part").as_deref(), Some("https://x.y:1/d"));
        for wrong in ["ftp://z/w", "https://a:b@z/w", "https://", "file:///etc/passwd"] {
            assert_eq!(to(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_and_who_is_named_are_asked_without_tls() {
        let config = Config { plain_http: vec!["registry.lan:5000".to_owned()], ..Config::default() };
        let web = Web::new(&config).unwrap();

        for host in ["localhost", "localhost:5000", "127.0.0.1:1", "127.1.2.3", "[::1]:5000", "REGISTRY.lan:5000"] {
            assert!(web.allows_plain(host), "{host}");
        }
        for host in ["registry.lan", "localhost.x.y", "10.0.0.1", "127.0.0.1.x.y", "[::2]"] {
            assert!(!web.allows_plain(host), "{host}");
        }
    }

    #[test]
    fn an_error_of_a_registry_is_told_and_a_page_is_not() {
        let told = br#"{"errors": [{"code": "DENIED", "message": "no\nway"}]}"#;

        assert_eq!(said_in(told), "DENIED no\\nway");
        assert_eq!((said_in(b"<html>"), said_in(b" busy ")), (String::new(), "busy".to_owned()));
    }
}
