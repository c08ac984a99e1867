use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use fumehood_policy::{HttpUse, Scheme};

use super::{MAX_URL_BYTES, Refused, Request};

/// Methods that may be sent. Not `CONNECT`, which makes a tunnel, nor `TRACE`, which echoes what the server added.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

/// Longest name and label of the domain name system.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Where a request goes, in the one form in which everything compares and sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) method: &'static str,
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Begins with `/`.
    pub(crate) path_and_query: String,
}

/// A host in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// In lower case, without a final dot, and surely not an address in disguise.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Target {
    /// Where `request` goes.
    pub(crate) fn of(request: &Request) -> Result<Self, Refused> {
        let method = METHODS.into_iter().find(|method| *method == request.method).ok_or(Refused::BadMethod)?;
        if request.authority.len().saturating_add(request.path.len()) > MAX_URL_BYTES {
            return Err(Refused::UrlTooLong);
        }
        let scheme = if request.https { Scheme::Https } else { Scheme::Http };
        let (host, port) = authority(&request.authority).ok_or(Refused::BadUrl)?;
        let port = port.unwrap_or(default_port(scheme));
        let path_and_query = path_and_query(&request.path).ok_or(Refused::BadUrl)?;
        Ok(Self { method, scheme, host, port, path_and_query })
    }

    /// The path alone.
    pub(crate) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// The value of the `Host` header.
    pub(crate) fn host_header(&self) -> String {
        let port = self.port;
        let named = if port == default_port(self.scheme) { String::new() } else { format!(":{port}") };
        match self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]{named}"),
            Host::Address(IpAddr::V4(_)) | Host::Name(_) => format!("{}{named}", self.host),
        }
    }

    /// Where it goes, as it is told of.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host_header(), self.path_and_query)
    }

    /// The request as grants see it; `host` is this target's host as text.
    pub(crate) fn used<'a>(&'a self, host: &'a str) -> HttpUse<'a> {
        HttpUse { method: self.method, scheme: self.scheme, host, port: self.port, path: self.path() }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

/// Host and port of an authority. User information is refused, not skipped: parsers disagree on where it ends.
fn authority(text: &str) -> Option<(Host, Option<u16>)> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']')?;
        // The parser of the standard library takes no zone (`%eth0`), and neither do we.
        let address: Ipv6Addr = address.parse().ok()?;
        let port = if rest.is_empty() { None } else { Some(port(rest.strip_prefix(':')?)?) };
        return Some((Host::Address(address.into()), port));
    }
    match text.split_once(':') {
        Some((name, digits)) => Some((host(name)?, Some(port(digits)?))),
        None => Some((host(text)?, None)),
    }
}

/// RFC 3986 §3.2.3: a port is digits; no sign, no space.
fn port(digits: &str) -> Option<u16> {
    let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|port| *port != 0)
}

fn host(text: &str) -> Option<Host> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let name = text.to_ascii_lowercase();
    if name.is_empty() || name.len() > MAX_NAME || !name.split('.').all(is_label) {
        return None;
    }
    // The resolver of the system reads `2130706433`, `0x7f.1` and `0177.0.0.1` as addresses. A name whose last label
    // is a number is an address in its usual form, or nothing.
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        return name.parse::<Ipv4Addr>().ok().map(|address| Host::Address(address.into()));
    }
    Some(Host::Name(name))
}

/// Letters, digits, hyphens, and underscores, which are common in names though not in host names.
fn is_label(label: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(known) && !label.starts_with('-')
}

fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    hexadecimal || label.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 9112 §3.2.1: the origin form. Only visible ASCII, so that nothing can end the request line; no fragment, and no
/// backslash, which some servers take for a slash.
fn path_and_query(text: &str) -> Option<String> {
    let text = match text {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_owned(),
    };
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\'));
    (text.starts_with('/') && plain).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(authority: &str, path: &str) -> Result<Target, Refused> {
        let (authority, path) = (authority.to_owned(), path.to_owned());
        Target::of(&Request {
            method: "GET".into(),
            https: true,
            authority,
            path,
            headers: Vec::new(),
            body: Vec::new(),
            connect_ms: None,
            first_byte_ms: None,
            between_bytes_ms: None,
        })
    }

    fn host_of(authority: &str) -> Option<String> {
        parse(authority, "/").ok().map(|target| target.host.to_string())
    }

    #[test]
    fn one_host_has_one_form() {
        for same in ["example.com", "EXAMPLE.com", "example.com.", "Example.Com.:443"] {
            assert_eq!(host_of(same).as_deref(), Some("example.com"), "{same}");
        }
        assert_eq!(host_of("xn--bcher-kva.example").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(host_of("[0:0:0:0:0:0:0:1]:80").as_deref(), Some("::1"));
        assert_eq!(host_of("127.0.0.1.").as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        for odd in [
            "",
            ".",
            ":80",
            "a..b",
            "example.com..",
            ".example.com",
            "user@example.com",
            "user:pass@example.com",
            "ok.com@evil.test",
            "ok.com\\@evil.test",
            "ok.com\\evil.test",
            "ok.com/evil",
            "ok.com#evil",
            "ok.com?evil",
            "ok.com evil",
            "ok.com\r\nx: y",
            "ok.com\0",
            "ok.com\t",
            "b\u{fc}cher.example",
            "ⓔxample.com",
            "example。com",
            "%65xample.com",
            "example.com:",
            "example.com:0",
            "example.com:65536",
            "example.com:+80",
            "example.com:080000",
            "example.com:80:80",
            "example.com: 80",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
            "-x.example.com",
        ] {
            assert_eq!(parse(odd, "/"), Err(Refused::BadUrl), "{odd:?}");
        }
    }

    #[test]
    fn a_number_is_an_address_in_its_usual_form_or_nothing() {
        for odd in [
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "127.0.1",
            "017700000001",
            "127.0.0.01",
            "1.2.3.4.5",
            "0x",
            "256.0.0.1",
            "example.1",
            "0X7F.0.0.0x1",
            "127.0.0.1.1",
            "0000127.0.0.1",
            "127.0.0.0x1",
        ] {
            assert_eq!(parse(odd, "/"), Err(Refused::BadUrl), "{odd}");
        }
        assert_eq!(parse("10.0.0.1", "/").unwrap().host, Host::Address([10, 0, 0, 1].into()));
        assert_eq!(host_of("127.0.0.1.nip.io").as_deref(), Some("127.0.0.1.nip.io"));
    }

    #[test]
    fn a_path_is_in_origin_form() {
        assert_eq!(parse("a.test", "").unwrap().path_and_query, "/");
        assert_eq!(parse("a.test", "?q=1").unwrap().path_and_query, "/?q=1");
        assert_eq!(parse("a.test", "/a/../b?q=/../x").unwrap().path(), "/a/../b");
        for odd in
            ["x", "*", "http://evil.test/", "/a b", "/a\r\nHost: evil", "/a\0", "/a#b", "/a\\b", "/\u{e9}", "/\u{7f}"]
        {
            assert_eq!(parse("a.test", odd), Err(Refused::BadUrl), "{odd:?}");
        }
        assert_eq!(parse("//evil.test", "/"), Err(Refused::BadUrl));
        assert_eq!(parse("a.test", &format!("/{}", "x".repeat(10 << 20))), Err(Refused::UrlTooLong));
    }

    #[test]
    fn tunnels_echoes_and_inventions_are_not_methods() {
        for method in ["CONNECT", "TRACE", "get", "GET ", "PROPFIND", "", "GET / HTTP/1.1\r\n"] {
            let mut request = crate::http::tests::get("http://a.test/");
            request.method = method.into();
            assert_eq!(Target::of(&request), Err(Refused::BadMethod), "{method:?}");
        }
    }

    #[test]
    fn the_host_header_names_the_port_unless_it_is_the_schemes_own() {
        assert_eq!(parse("A.test.:443", "/").unwrap().host_header(), "a.test");
        assert_eq!(parse("a.test:8443", "/").unwrap().host_header(), "a.test:8443");
        assert_eq!(parse("[::1]:8443", "/").unwrap().host_header(), "[::1]:8443");
    }
}
