use std::{collections::HashSet, net::SocketAddr};

use fumehood_model::Code;
use http::{HeaderMap, Uri, header};

use crate::Problem;

/// Names under which this server may be addressed.
///
/// A browser page from elsewhere can make a visitor's browser send requests to this machine, by its address or by a
/// name that it lets point here. Such requests carry a foreign `Origin` or `Host`, and are refused.
#[derive(Debug, Clone)]
pub struct Hosts {
    allowed: Option<HashSet<String>>,
}

impl Hosts {
    /// For a server that listens on `listen`: loopback names and `extra` are accepted; where it listens beyond loopback
    /// and there are no `extra`, any name is.
    ///
    /// Loopback names are always safe: a page from elsewhere cannot make a browser send them.
    #[must_use]
    pub fn new(listen: &SocketAddr, extra: &[String]) -> Self {
        let mut allowed: HashSet<String> = extra.iter().map(|host| host.to_ascii_lowercase()).collect();
        if !listen.ip().is_loopback() && allowed.is_empty() {
            return Self { allowed: None };
        }
        allowed.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        allowed.insert(host_of(&listen.to_string()).to_owned());
        Self { allowed: Some(allowed) }
    }

    /// Whether a request to `uri` with these headers may be answered.
    ///
    /// # Errors
    ///
    /// When it is addressed to another host, or comes from a page of another.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(allowed) = &self.allowed else { return Ok(()) };
        let refuse = |what: &str| {
            Err(Problem::new(
                Code::Forbidden,
                format!("{what} is not one that this server is known by: add it to server.allowed_hosts"),
            ))
        };
        let host = uri.authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok());
        if !host.is_some_and(|host| is_in(allowed, host_of(host))) {
            return refuse("the host of this request");
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| host_of(rest));
        if host.is_some_and(|host| is_in(allowed, host)) { Ok(()) } else { refuse("the origin of this request") }
    }
}

fn is_in(allowed: &HashSet<String>, host: &str) -> bool {
    allowed.contains(host) || allowed.contains(&host.to_ascii_lowercase())
}

/// `example.org:80` and `[::1]:80` without their ports.
fn host_of(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(listen: &str, extra: &[&str], host: &'static str, origin: Option<&'static str>) -> bool {
        let extra: Vec<_> = extra.iter().map(|host| (*host).to_owned()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        Hosts::new(&listen.parse().unwrap(), &extra).check(&Uri::from_static("/"), &headers).is_ok()
    }

    #[test]
    fn a_server_on_loopback_answers_only_to_loopback_names() {
        assert!(check("127.0.0.1:1", &[], "127.0.0.1:1", None));
        assert!(check("127.0.0.1:1", &[], "LocalHost", Some("http://[::1]:99")));
        assert!(check("127.0.0.1:1", &["tools.test"], "tools.test:80", Some("https://tools.test")));
        assert!(!check("127.0.0.1:1", &[], "evil.test", None));
        assert!(!check("127.0.0.1:1", &[], "localhost.evil.test", None));
        assert!(!check("127.0.0.1:1", &[], "localhost", Some("https://evil.test")));
        assert!(!check("127.0.0.1:1", &[], "localhost", Some("null")));
    }

    #[test]
    fn a_public_server_answers_to_any_name_until_told_its_own() {
        assert!(check("0.0.0.0:1", &[], "anything.test", None));
        assert!(!check("0.0.0.0:1", &["mine.test"], "other.test", None));
        assert!(check("0.0.0.0:1", &["mine.test"], "127.0.0.1:1", None));
    }
}
