use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use fumehood_policy::{Credential, Grant, HostPattern, HttpGrant};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;
use tokio_rustls::{TlsConnector, rustls};
use tracing::Instrument;

use super::{
    Refused, Request, Response, dial,
    exchange::{Exchange, Patience},
    headers,
    held::Held,
    playback::Playback,
    recorder::Recorder,
    resolve::{Lookups, Prohibited, Resolve, System},
    shares::Shares,
    target::Target,
};
use crate::{
    Visit,
    secrets::{self as safe, Safe},
};

/// Longest that looking up a name and connecting may take, unless the guest wants it shorter.
///
/// Ten seconds: a name server that is asked twice and a lost first packet fit in; who waits longer waits in vain.
const CONNECT: Duration = Duration::from_secs(10);

/// How the server reaches the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// PEM files of certificates that are trusted beside those that browsers trust.
    pub extra_roots: Vec<PathBuf>,
    /// Names that are looked up at a time, of one module a quarter. Each takes a thread.
    pub concurrent_lookups: usize,
    /// Connections that are open at a time, of one module a quarter.
    pub connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { extra_roots: Vec::new(), concurrent_lookups: 16, connections: 256 }
    }
}

/// Why the way out cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The file of certificates cannot be read.
    #[error("certificates cannot be read from {}", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// One of the certificates cannot be trusted.
    #[error("a certificate in {} cannot be used", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// There are no certificates in the file.
    #[error("there is no certificate in {}", path.display())]
    NoRoots {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls {
        /// Why.
        source: rustls::Error,
    },
}

/// The way out: decides which requests may leave, and sends them. Cloning is cheap.
#[derive(Clone)]
pub struct Egress(Way);

/// Where answers come from.
#[derive(Clone)]
enum Way {
    Network(Network),
    Recorded(Network, Recorder),
    Playback(Playback),
}

/// The way to the outside.
#[derive(Clone)]
struct Network {
    lookups: Lookups,
    tls: TlsConnector,
    connections: Shares,
}

/// A request that may leave, once the addresses of its host were looked at.
pub(crate) struct Admitted<'a> {
    pub(crate) target: Target,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    connect: Option<Duration>,
    patience: Patience,
    /// The grants that cover it; at least one.
    grants: Vec<&'a HttpGrant>,
}

impl Egress {
    /// The way out of a server.
    ///
    /// # Errors
    ///
    /// When the certificates of the configuration cannot be used.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        Self::resolving(config, Arc::new(System))
    }

    /// The way out with a resolver of one's own.
    pub(crate) fn resolving(config: &Config, resolver: Arc<dyn Resolve>) -> Result<Self, SetupError> {
        Ok(Self(Way::Network(Network {
            lookups: Lookups::new(resolver, config.concurrent_lookups),
            tls: dial::tls(&config.extra_roots)?,
            connections: Shares::of(config.connections),
        })))
    }

    /// This way out, of which all that leaves is kept with what comes back.
    #[must_use]
    pub fn recorded(self, recorder: Recorder) -> Self {
        match self.0 {
            Way::Network(network) | Way::Recorded(network, _) => Self(Way::Recorded(network, recorder)),
            Way::Playback(playback) => Self(Way::Playback(playback)),
        }
    }

    /// No way out: what may leave is answered from records.
    #[must_use]
    pub fn played(playback: Playback) -> Self {
        Self(Way::Playback(playback))
    }

    /// Send `request` for a call, if it may leave.
    pub(crate) async fn send(&self, visit: &Visit, secrets: &Safe, request: Request) -> Result<Response, Refused> {
        let started = Instant::now();
        let admitted = Admitted::new(visit, request)?;
        let (method, host) = (admitted.target.method, admitted.target.host.to_string());
        let span = tracing::debug_span!("capability.http", http.request.method = method, server.address = host);
        let answer = async {
            let secret = match admitted.credential() {
                // Who is sent nothing needs no secret.
                Some(_) if matches!(self.0, Way::Playback(_)) => None,
                Some(credential) => Some(secrets.value(&credential.secret).await.map_err(|refused| {
                    if refused == safe::Refused::NotSet {
                        visit.secret_not_set(&credential.secret);
                    }
                    Refused::NoCredential
                })?),
                None => None,
            };
            self.deliver(visit, admitted, secret).await
        };
        let answer = answer.instrument(span).await;
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(
            http.request.method = method, server.address = host, http.response.status_code = status,
            error.type = answer.as_ref().err().map(tracing::field::debug), duration_ms,
            module.name = %visit.about().module,
            "A tool's {method} request to {host} ended"
        );
        answer
    }

    /// Send what may leave, with the secret that belongs to its credential.
    pub(crate) async fn deliver(
        &self,
        visit: &Visit,
        admitted: Admitted<'_>,
        secret: Option<String>,
    ) -> Result<Response, Refused> {
        match &self.0 {
            Way::Network(network) => network.deliver(visit, admitted, secret).await,
            Way::Recorded(network, recorder) => {
                let keep = recorder.leaving(&admitted);
                let answer = network.deliver(visit, admitted, secret).await;
                keep(&answer);
                answer
            }
            Way::Playback(playback) => {
                visit.note(&narrowest(&admitted.target, None), true);
                playback.answer(&admitted, visit.about().limits.http_body.as_usize())
            }
        }
    }
}

impl Network {
    async fn deliver(
        &self,
        visit: &Visit,
        mut admitted: Admitted<'_>,
        secret: Option<String>,
    ) -> Result<Response, Refused> {
        let patience = admitted.patience;
        let limits = &visit.about().limits;
        let counter = Arc::clone(&visit.used.lock().unwrap_or_else(PoisonError::into_inner).http_held);
        let held = Held::counting(counter, limits.host_memory.as_usize());
        let mut share = held.take(admitted.body.len()).ok_or(Refused::BodyTooLarge)?;
        let by = patience.until(Some(admitted.connect.map_or(CONNECT, |asked| asked.min(CONNECT))));
        let module = &visit.about().module;
        let place = timeout_at(by, self.connections.take(module)).await.map_err(|_| Refused::ConnectTimedOut)?;

        let (target, grants) = (&admitted.target, &admitted.grants);
        let vetted = self.lookups.vetted(&target.host, target.port, grants, module, by).await;
        let addresses = vetted.map_err(|prohibited| match prohibited {
            Prohibited::Lookup(refused) => refused,
            Prohibited::Address(address) => {
                visit.note(&narrowest(target, Some(address)), false);
                Refused::AddressProhibited
            }
        })?;
        visit.note(&narrowest(target, None), true);
        if let Some((credential, secret)) = admitted.credential().zip(secret.as_deref()) {
            let (name, value) = header(credential, secret).ok_or(Refused::NoCredential)?;
            // The guest's own header of that name gives way.
            admitted.headers.insert(name, value);
            // Who is sent it may send it back, and the guest may print what it was sent.
            visit.remember_secret(secret);
        }
        let stream = dial::connect(&addresses, by).await?;
        let exchange = Exchange {
            target: &admitted.target,
            headers: admitted.headers,
            body: admitted.body,
            patience,
            most: limits.http_body.as_usize(),
            share: &mut share,
        };
        let answer = match exchange.target.scheme {
            fumehood_policy::Scheme::Http => exchange.over(stream).await,
            fumehood_policy::Scheme::Https => {
                let secured = dial::secure(&self.tls, stream, &exchange.target.host, by).await?;
                exchange.over(secured).await
            }
        };
        drop(place);
        answer
    }
}

impl<'a> Admitted<'a> {
    /// `request`, if it is valid and the call is granted it. Nothing was looked up yet.
    pub(crate) fn new(visit: &'a Visit, request: Request) -> Result<Self, Refused> {
        let about = visit.about();
        count(visit)?;
        let target = Target::of(&request)?;
        let headers = headers::outgoing(&request.headers)?;
        if request.body.len() > about.limits.http_body.as_usize() {
            return Err(Refused::BodyTooLarge);
        }
        let host = target.host.to_string();
        let used = target.used(&host);
        let covers = |grant: &'a Grant| {
            let Grant::Http(grant) = grant else { return None };
            grant.admits(&used).then_some(grant)
        };
        let grants: Vec<_> = about.grants.iter().filter_map(covers).collect();
        if grants.is_empty() {
            visit.note(&narrowest(&target, None), false);
            return Err(Refused::Denied);
        }
        let patience = Patience {
            deadline: about.deadline.into(),
            first_byte: request.first_byte_ms.map(Duration::from_millis),
            between_bytes: request.between_bytes_ms.map(Duration::from_millis),
        };
        let connect = request.connect_ms.map(Duration::from_millis);
        Ok(Self { target, headers, body: request.body, connect, patience, grants })
    }

    /// The credential of the grant that fits most closely, of those that have one.
    pub(crate) fn credential(&self) -> Option<&'a Credential> {
        let with = self.grants.iter().filter(|grant| grant.credential.is_some());
        with.max_by_key(|grant| closeness(grant)).and_then(|grant| grant.credential.as_ref())
    }
}

/// How closely a grant fits what it covers: one host before many, a long path before a short one, few methods before all.
fn closeness(grant: &HttpGrant) -> (bool, usize, usize, bool) {
    let (one, host) = match &grant.host {
        HostPattern::Exactly(host) => (true, host.len()),
        HostPattern::Below(parent) => (false, parent.len()),
    };
    (one, host, grant.path.len(), !grant.methods.is_empty())
}

/// Count one more request of the call, whatever becomes of it: guessing is not free either.
fn count(visit: &Visit) -> Result<(), Refused> {
    let about = visit.about();
    if about.together.request(about.limits.http_requests) { Ok(()) } else { Err(Refused::TooMany) }
}

/// The header that carries `secret`, marked so that nothing prints it.
fn header(credential: &Credential, secret: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(credential.header.as_bytes()).ok().filter(|name| !headers::is_ours(name))?;
    let mut value = HeaderValue::try_from(format!("{}{secret}", credential.prefix)).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The narrowest grant that would cover a request to `target`, at `address` if that is what it lacks.
fn narrowest(target: &Target, address: Option<IpAddr>) -> Grant {
    Grant::Http(HttpGrant {
        methods: vec![target.method.to_owned()],
        scheme: target.scheme,
        host: HostPattern::Exactly(target.host.to_string()),
        port: target.port,
        path: "/".to_owned(),
        addresses: address.map(IpNet::from).into_iter().collect(),
        credential: None,
    })
}
