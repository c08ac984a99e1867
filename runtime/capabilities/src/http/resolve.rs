use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use fumehood_model::ModuleName;
use fumehood_policy::HttpGrant;
use tokio::time::{Instant, timeout_at};

use super::{Refused, address::is_public, shares::Shares, target::Host};

/// Most addresses of one name that are looked at: names with more are not made for us.
const MAX_ADDRESSES: usize = 16;

/// The future of [`Resolve::resolve`].
pub(crate) type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Turns names into addresses.
pub(crate) trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`, in the order in which to try them.
    fn resolve(&self, name: String) -> Resolving;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

/// Look-ups of the whole server. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Lookups {
    resolver: Arc<dyn Resolve>,
    places: Shares,
}

impl Resolve for System {
    fn resolve(&self, name: String) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

impl Lookups {
    pub(crate) fn new(resolver: Arc<dyn Resolve>, at_a_time: usize) -> Self {
        Self { resolver, places: Shares::of(at_a_time) }
    }

    /// The addresses of `host` that one of `grants` lets a request of `module` go to; at least one.
    ///
    /// Asked once: what is dialled is what was looked at here, whatever the name stands for a moment later.
    pub(crate) async fn vetted(
        &self,
        host: &Host,
        port: u16,
        grants: &[&HttpGrant],
        module: &ModuleName,
        by: Instant,
    ) -> Result<Vec<SocketAddr>, Prohibited> {
        let found = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.found(name.clone(), module, by).await?,
        };
        let allowed = |ip: IpAddr| is_public(ip) || grants.iter().any(|grant| grant.admits_address(ip));
        let vetted: Vec<_> = found.iter().filter(|ip| allowed(**ip)).map(|ip| SocketAddr::new(*ip, port)).collect();
        match found.first() {
            None => Err(Refused::NotResolved.into()),
            Some(first) if vetted.is_empty() => Err(Prohibited::Address(*first)),
            Some(_) => Ok(vetted),
        }
    }

    async fn found(&self, name: String, module: &ModuleName, by: Instant) -> Result<Vec<IpAddr>, Refused> {
        let place = timeout_at(by, self.places.take(module)).await.map_err(|_| Refused::LookupTimedOut)?;
        let looking = self.resolver.resolve(name);
        // The system's resolver blocks a thread until it is done, whoever still waits: its place is taken for as long.
        let looked = tokio::spawn(async move {
            let found = looking.await;
            drop(place);
            found
        });
        match timeout_at(by, looked).await {
            Err(_) => Err(Refused::LookupTimedOut),
            Ok(Err(_) | Ok(Err(_))) => Err(Refused::NotResolved),
            Ok(Ok(Ok(mut addresses))) => {
                addresses.truncate(MAX_ADDRESSES);
                Ok(addresses)
            }
        }
    }
}

/// Why a name leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prohibited {
    /// It stands for nothing that a request may go to; one of the addresses that it stands for.
    Address(IpAddr),
    /// It could not be looked up.
    Lookup(Refused),
}

impl From<Refused> for Prohibited {
    fn from(refused: Refused) -> Self {
        Self::Lookup(refused)
    }
}
