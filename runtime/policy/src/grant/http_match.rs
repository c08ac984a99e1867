//! Which requests a grant covers.

use std::net::IpAddr;

use super::{HostPattern, HttpGrant, Scheme};

/// A request as grants see it, in canonical form: whoever makes one has parsed the URL strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpUse<'a> {
    /// The upper-case method.
    pub method: &'a str,
    /// The scheme.
    pub scheme: Scheme,
    /// A name in lower case without a final dot, or an address without brackets.
    pub host: &'a str,
    /// The port, also when it is the scheme's own.
    pub port: u16,
    /// The path as it will be sent, without the query.
    pub path: &'a str,
}

impl HttpGrant {
    /// Whether this grant covers `used`. Which addresses the host may stand for is another question:
    /// [`HttpGrant::admits_address`].
    #[must_use]
    pub fn admits(&self, used: &HttpUse<'_>) -> bool {
        self.scheme == used.scheme
            && self.port == used.port
            && (self.methods.is_empty() || self.methods.iter().any(|method| method == used.method))
            && self.host.matches(used.host)
            && self.admits_path(used.path)
    }

    /// Whether a host that this grant covers may stand for `address` although that address is not public.
    #[must_use]
    pub fn admits_address(&self, address: IpAddr) -> bool {
        let itself = match &self.host {
            HostPattern::Exactly(host) => literal(host) == Some(address),
            HostPattern::Below(_) => false,
        };
        itself || self.addresses.iter().any(|network| network.contains(&address))
    }

    fn admits_path(&self, path: &str) -> bool {
        if self.path == "/" || self.path.is_empty() {
            return true;
        }
        let below = path.strip_prefix(&self.path);
        let whole = below.is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
        whole && !climbs(path)
    }
}

impl HostPattern {
    /// Whether this pattern covers `host`, which is in the form of [`HttpUse::host`].
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exactly(own) => own == host || literal(own).is_some_and(|own| literal(host) == Some(own)),
            // An address has no names above it: `*.0.0.1` covers nothing.
            Self::Below(parent) => {
                let below = host.strip_suffix(parent.as_str()).and_then(|rest| rest.strip_suffix('.'));
                literal(host).is_none() && below.is_some_and(|name| !name.is_empty())
            }
        }
    }
}

/// The address that a host is, with or without the brackets of a URL.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// Whether some server could read `path` as leading out of the folder that it seems to be in.
///
/// Servers differ in what they decode before they look for `..`: an encoded dot, slash or backslash, parameters after
/// `;`, and a second round of decoding are all taken into account.
fn climbs(path: &str) -> bool {
    let once = decoded(path);
    [decoded(&once), once].iter().any(|path| {
        path.split(['/', '\\']).any(|segment| {
            let name = segment.split(';').next().unwrap_or_default();
            matches!(name, "." | "..")
        })
    })
}

/// `path` with what is encoded of `.`, `/`, `\`, `;` and `%` decoded.
fn decoded(path: &str) -> String {
    const CODES: [(&str, char); 5] = [("2e", '.'), ("2f", '/'), ("5c", '\\'), ("3b", ';'), ("25", '%')];
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let code = CODES.iter().find(|(code, _)| after.get(..2).is_some_and(|two| two.eq_ignore_ascii_case(code)));
        match code {
            Some((_, plain)) => {
                text.push(*plain);
                rest = &after[2..];
            }
            None => {
                text.push('%');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(host: HostPattern) -> HttpGrant {
        HttpGrant {
            methods: vec!["GET".into(), "HEAD".into()],
            scheme: Scheme::Https,
            host,
            port: 443,
            path: "/".into(),
            addresses: Vec::new(),
            credential: None,
        }
    }

    fn exactly(host: &str) -> HttpGrant {
        grant(HostPattern::Exactly(host.into()))
    }

    const USED: HttpUse<'static> =
        HttpUse { method: "GET", scheme: Scheme::Https, host: "api.example.com", port: 443, path: "/" };

    #[test]
    fn method_scheme_host_and_port_must_all_agree() {
        let grant = exactly("api.example.com");

        assert!(grant.admits(&USED));
        for other in [
            HttpUse { method: "POST", ..USED },
            HttpUse { method: "get", ..USED },
            HttpUse { scheme: Scheme::Http, ..USED },
            HttpUse { host: "api.example.com.evil.test", ..USED },
            HttpUse { host: "xapi.example.com", ..USED },
            HttpUse { host: "example.com", ..USED },
            HttpUse { port: 8443, ..USED },
        ] {
            assert!(!grant.admits(&other), "{other:?}");
        }
    }

    #[test]
    fn a_grant_without_methods_covers_every_method() {
        let grant = HttpGrant { methods: Vec::new(), ..exactly("api.example.com") };

        assert!(grant.admits(&HttpUse { method: "PATCH", ..USED }));
    }

    #[test]
    fn a_wildcard_covers_names_below_it_and_neither_the_name_itself_nor_an_address() {
        let below = grant(HostPattern::Below("example.com".into()));
        let numbers = grant(HostPattern::Below("0.0.1".into()));

        let covers = |grant: &HttpGrant, host| grant.admits(&HttpUse { host, ..USED });

        assert!(covers(&below, "api.example.com"));
        assert!(covers(&below, "a.b.example.com"));
        for host in ["example.com", ".example.com", "evilexample.com", "example.com.evil.test"] {
            assert!(!covers(&below, host), "{host}");
        }
        assert!(!covers(&numbers, "127.0.0.1"));
    }

    #[test]
    fn a_path_covers_whole_segments() {
        let v1 = HttpGrant { path: "/v1".into(), ..exactly("api.example.com") };
        let folder = HttpGrant { path: "/v1/".into(), ..exactly("api.example.com") };

        let covers = |grant: &HttpGrant, path| grant.admits(&HttpUse { path, ..USED });

        for path in ["/v1", "/v1/", "/v1/x", "/v1/a%2Fb", "/v1/a..b", "/v1/x;y=.."] {
            assert!(covers(&v1, path), "{path}");
        }
        for path in ["/", "/v10", "/v1.5", "/V1", "/%761", "//v1", "/x/v1"] {
            assert!(!covers(&v1, path), "{path}");
        }
        assert!(covers(&folder, "/v1/x"));
        assert!(!covers(&folder, "/v1"));
    }

    #[test]
    fn a_path_that_may_climb_is_not_within_a_prefix() {
        let v1 = HttpGrant { path: "/v1".into(), ..exactly("api.example.com") };
        let all = exactly("api.example.com");

        for path in [
            "/v1/../admin",
            "/v1/..",
            "/v1/./x",
            "/v1/%2e%2e/admin",
            "/v1/%2E./admin",
            "/v1/.%2e/admin",
            "/v1/..%2fadmin",
            "/v1/..%5cadmin",
            "/v1/x%2f..%2f..%2fadmin",
            "/v1/..\\admin",
            "/v1/..;/admin",
            "/v1/..;a=b/admin",
            "/v1/%252e%252e/admin",
            "/v1/%252e%252e%252fadmin",
            "/v1/..%3b/admin",
        ] {
            let used = HttpUse { path, ..USED };
            assert!(!v1.admits(&used), "{path}");
            assert!(all.admits(&used), "{path}");
        }
    }

    #[test]
    fn an_address_is_granted_by_itself_or_by_a_network_and_in_one_form_only() {
        let itself = exactly("127.0.0.1");
        let six = exactly("[::1]");
        let network = HttpGrant { addresses: vec!["10.0.0.0/8".parse().unwrap()], ..exactly("intern.example.com") };

        assert!(itself.admits_address("127.0.0.1".parse().unwrap()));
        assert!(!itself.admits_address("127.0.0.2".parse().unwrap()));
        assert!(!itself.admits_address("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!itself.admits(&HttpUse { host: "::ffff:7f00:1", ..USED }));
        assert!(six.admits(&HttpUse { host: "::1", ..USED }));
        assert!(six.admits_address("::1".parse().unwrap()));
        assert!(network.admits_address("10.1.2.3".parse().unwrap()));
        assert!(!network.admits_address("192.168.0.1".parse().unwrap()));
    }
}
