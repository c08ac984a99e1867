use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use super::syntax::{Options, secret_name, shown, unknown};

/// Longest name of a host. RFC 1035 §2.3.4.
const MAX_HOST: usize = 253;

/// Longest label of one. RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

/// Longest method: the registered ones have at most 17 letters.
const MAX_METHOD: usize = 20;

/// Most methods, and most addresses, of one grant.
const MAX_LIST: usize = 16;

/// Headers about the connection or the framing of a message, beside those that begin with `proxy-`.
///
/// RFC 9110 §7.6.1, with the ones that were used for the same before it.
const OF_CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Requests to one place outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpGrant {
    /// Upper-case methods; none means every method.
    pub methods: Vec<String>,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Which hosts.
    pub host: HostPattern,
    /// The port; the scheme's own unless written.
    pub port: u16,
    /// What the path must begin with, a whole segment at a time: `/v1` covers `/v1` and `/v1/x`, not `/v10`. `/` covers all.
    pub path: String,
    /// Addresses that are allowed although they are private, loopback, link-local or otherwise not public.
    ///
    /// A host that is itself an address is granted by that address.
    pub addresses: Vec<IpNet>,
    /// What the server adds to each request; the guest never sees it.
    pub credential: Option<Credential>,
}

/// The scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// Which hosts, in lower case without a final dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host alone: a name or an address, one of version 6 without its brackets.
    Exactly(String),
    /// `*.example.com`: every name below this one, at any depth, and not the name itself.
    Below(String),
}

/// A header that carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    /// Lower-case name of the header.
    pub header: String,
    /// What stands before the secret, such as `Bearer `.
    pub prefix: String,
    /// Name of the secret.
    pub secret: String,
}

/// Whether a header, in lower case, is about the connection or the framing of the message: those are the server's alone.
///
/// No guest sends one, and none carries a secret.
#[must_use]
pub fn is_of_connection(header: &str) -> bool {
    OF_CONNECTION.contains(&header) || header.starts_with("proxy-")
}

impl HttpGrant {
    pub(super) fn parsed(subject: Option<&str>, options: &mut Options<'_>) -> Result<Self, String> {
        let subject = subject.ok_or("it has no URL: write `http:GET https://api.example.com/v1`")?;
        let (methods, url) = subject.split_once(' ').map_or((None, subject), |(methods, url)| (Some(methods), url));
        let methods = methods.map(self::methods).transpose()?.unwrap_or_default();
        let Url { scheme, host, port, path } = Url::parsed(url)?;
        let addresses = addresses(&options.all("address"))?;
        let credential = credential(options)?;
        Ok(Self { methods, scheme, host, port, path, addresses, credential })
    }

    pub(super) fn covers(&self, wanted: &Self) -> bool {
        let methods = self.methods.is_empty()
            || !wanted.methods.is_empty() && wanted.methods.iter().all(|method| self.methods.contains(method));
        let mut addresses = wanted.addresses.iter();
        methods
            && (self.scheme, self.port) == (wanted.scheme, wanted.port)
            && self.host.covers(&wanted.host)
            && path_covers(&self.path, &wanted.path)
            && addresses.all(|wanted| self.addresses.iter().any(|own| own.contains(wanted)))
            && (wanted.credential.is_none() || wanted.credential == self.credential)
    }
}

impl Scheme {
    /// The port that is meant when none is written.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl HostPattern {
    /// Whether every host that `wanted` stands for is one of these.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        let is_below = |name: &str, top: &str| name.strip_suffix(top).is_some_and(|rest| rest.ends_with('.'));
        match (self, wanted) {
            (Self::Exactly(own), Self::Exactly(wanted)) => bare(own) == bare(wanted),
            (Self::Exactly(_), Self::Below(_)) => false,
            (Self::Below(top), Self::Exactly(name)) => is_below(name, top),
            (Self::Below(top), Self::Below(name)) => name == top || is_below(name, top),
        }
    }
}

/// An address of version 6 without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether `path` begins with all segments of `prefix`. A path that walks about is never covered.
fn path_covers(prefix: &str, path: &str) -> bool {
    if !path.split('/').all(is_plain_segment) {
        return false;
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a segment of a path means the same to everyone who reads it.
fn is_plain_segment(segment: &str) -> bool {
    let lower = segment.to_ascii_lowercase();
    let dots = lower.replace("%2e", ".");
    dots != "." && dots != ".." && !["%2f", "%5c", "\\"].iter().any(|hidden| lower.contains(hidden))
}

struct Url {
    scheme: Scheme,
    host: HostPattern,
    port: u16,
    path: String,
}

impl Url {
    fn parsed(url: &str) -> Result<Self, String> {
        let example = "write it as `https://api.example.com/v1`";
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("`{}` is no URL: {example}", shown(url)))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(unknown("scheme", other, &["http", "https"])),
        };
        // RFC 3986 §3.2: the authority ends at the first `/`, `?` or `#`. A backslash is a slash to some readers.
        if let Some(wrong) = rest.chars().find(|c| "?#\\@ ".contains(*c)) {
            return Err(format!("a URL here has a scheme, a host, a port and a path, and no `{wrong}`: {example}"));
        }
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, self::port(port)?),
            _ => (authority, scheme.port()),
        };
        Ok(Self { scheme, host: host_pattern(host)?, port, path: self::path(path)? })
    }
}

fn port(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0).ok_or_else(|| format!("`{}` is not a port", shown(text)))
}

fn host_pattern(text: &str) -> Result<HostPattern, String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        let address = address.ok_or_else(|| format!("`{}` is not an address of version 6", shown(text)))?;
        return Ok(HostPattern::Exactly(address.to_string()));
    }
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    match name.strip_prefix("*.") {
        Some(top) => {
            if is_numeric(top) {
                return Err(format!("`{}` stands for no hosts: an address has no names below it", shown(text)));
            }
            Ok(HostPattern::Below(host_name(top)?.to_owned()))
        }
        None => Ok(HostPattern::Exactly(host_name(name)?.to_owned())),
    }
}

fn host_name(name: &str) -> Result<&str, String> {
    if name.contains('*') {
        return Err(format!(
            "`*` may stand only for the first part of a host with others after it, as in `*.example.com`, unlike `{}`",
            shown(name)
        ));
    }
    let fits = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.len() <= MAX_LABEL && !label.starts_with('-') && label.bytes().all(inner)
    };
    if name.len() > MAX_HOST || !name.split('.').all(fits) {
        let hint = if name.is_ascii() { "" } else { "; write an international name in its ASCII form, `xn--…`" };
        return Err(format!("`{}` is not the name of a host{hint}", shown(name)));
    }
    // Resolvers read `0x7f.1` and `2130706433` as addresses: only the plain form is one here.
    if is_numeric(name) && name.parse::<Ipv4Addr>().is_err() {
        return Err(format!("`{}` is neither a name nor a plain address such as `192.0.2.1`", shown(name)));
    }
    Ok(name)
}

/// Whether resolvers may take a name for an address: its last part is a number.
fn is_numeric(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex || !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
}

fn path(text: &str) -> Result<String, String> {
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    if trimmed.is_empty() {
        return Ok("/".to_owned());
    }
    // RFC 3986 §3.3: pchar, but for the comma, which ends a path here.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+;=:@%".contains(&byte);
    if !trimmed.bytes().all(fits) || !has_whole_escapes(trimmed) {
        return Err(format!("the path `{}` holds what a path cannot: write it as `%2C`, for a comma", shown(text)));
    }
    if trimmed.split('/').skip(1).any(|segment| segment.is_empty() || !is_plain_segment(segment)) {
        return Err(format!("the path `{}` must not hold empty parts, `.`, `..` or hidden slashes", shown(text)));
    }
    Ok(trimmed.to_owned())
}

fn has_whole_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

fn methods(text: &str) -> Result<Vec<String>, String> {
    let mut methods = Vec::new();
    for method in text.split('+') {
        let is_method =
            (1..=MAX_METHOD).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_method {
            return Err(format!("`{}` is not a method: write `GET+POST`", shown(method)));
        }
        // The one opens a tunnel to anywhere, the other shows what was sent, credentials and all.
        if ["CONNECT", "TRACE"].contains(&method) {
            return Err(format!("{method} cannot be granted"));
        }
        methods.push(method.to_owned());
    }
    sorted(methods, "methods")
}

fn addresses(texts: &[&str]) -> Result<Vec<IpNet>, String> {
    let parsed = texts.iter().map(|text| {
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        net.map(|net| net.trunc()).ok_or_else(|| format!("`address={}` is no address or CIDR block", shown(text)))
    });
    sorted(parsed.collect::<Result<_, _>>()?, "addresses")
}

fn sorted<T: Ord>(mut list: Vec<T>, what: &str) -> Result<Vec<T>, String> {
    list.sort_unstable();
    list.dedup();
    if list.len() > MAX_LIST { Err(format!("it has more than {MAX_LIST} {what}")) } else { Ok(list) }
}

fn credential(options: &mut Options<'_>) -> Result<Option<Credential>, String> {
    let bearer = options.one("bearer")?;
    let header = options.with_prefix("header.");
    let (header, prefix, secret) = match (bearer, header) {
        (None, None) => return Ok(None),
        (Some(secret), None) => ("authorization".to_owned(), "Bearer ".to_owned(), secret),
        (None, Some((name, secret))) => (header_name(name)?, String::new(), secret),
        (Some(_), Some(_)) => return Err("it has two secrets, and a request carries one".to_owned()),
    };
    Ok(Some(Credential { header, prefix, secret: secret_name(secret)?.to_owned() }))
}

fn header_name(name: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let lower = name.to_ascii_lowercase();
    if lower.is_empty() || lower.len() > MAX_LABEL || !lower.bytes().all(fits) {
        return Err(format!("`{}` is not the name of a header, as in `header.x-api-key=API_TOKEN`", shown(name)));
    }
    if is_of_connection(&lower) || lower == "content-type" {
        return Err(format!("the header {lower} belongs to the connection: it cannot carry a secret"));
    }
    Ok(lower)
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join("+"))?;
        }
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        if self.path != "/" {
            f.write_str(&self.path)?;
        }
        for net in &self.addresses {
            match net.prefix_len() == net.max_prefix_len() {
                true => write!(f, ",address={}", net.addr())?,
                false => write!(f, ",address={net}")?,
            }
        }
        match &self.credential {
            None => Ok(()),
            Some(Credential { header, prefix, secret }) if header == "authorization" && prefix == "Bearer " => {
                write!(f, ",bearer={secret}")
            }
            Some(Credential { header, secret, .. }) => write!(f, ",header.{header}={secret}"),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(host) if host.contains(':') => write!(f, "[{}]", bare(host)),
            Self::Exactly(host) => f.write_str(host),
            Self::Below(top) => write!(f, "*.{top}"),
        }
    }
}
