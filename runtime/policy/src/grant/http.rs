use ipnet::IpNet;

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
    /// This host alone: a name or an address.
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
