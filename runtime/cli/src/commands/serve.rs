//! `fumehood serve`.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use fumehood_http::{Gate, Hosts, MaxBody};
use fumehood_model::Code;
use fumehood_store::Access;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    args::ServeArgs,
    config::Config,
    exit::Failure,
    house::{House, runtime},
    logging,
};

/// Serve REST and MCP over HTTP.
pub(crate) fn run(config: &Config, _: &ServeArgs) -> anyhow::Result<ExitCode> {
    logging::start(&config.log)?;
    runtime(&config.isolation.trusted)?.block_on(async {
        let house = House::open(config, Access::Own)?;
        house.isolate(config).await?;
        let server = Server::bind(config, &house).await?;
        announce(&house, server.address, config.server.auth);
        // Requests are answered while modules are loading; `health/ready` tells when all are there.
        let patience = Duration::from_secs(config.server.drain_timeout_s);
        let stop = Stop::when(asked_to_stop());
        let working = async {
            // Asked to stop while it loads, it has nothing to finish.
            tokio::select! {
                begun = house.begin(config) => begun?,
                () = stop.asked() => return Ok(()),
            }
            stop.asked().await;
            house.dispatcher.stop_work(patience).await;
            anyhow::Ok(())
        };
        let sandbox = house.sandbox.clone();
        let serving = server.run(async {
            stop.asked().await;
            tracing::info!("Stopping: no new calls, and those that run may finish");
            sandbox.stopping();
        });
        let (worked, served) = tokio::join!(working, serving);
        // Calls that ended while connections were drained are written down too.
        house.dispatcher.stop_work(Duration::ZERO).await;
        worked?;
        served?;
        tracing::info!("Stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// A server that listens but does not answer yet.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    router: axum::Router,
    config: fumehood_http::Config,
}

impl Server {
    /// Listen where `config` says, for the tools of `house`.
    pub(crate) async fn bind(config: &Config, house: &House) -> anyhow::Result<Self> {
        let wanted = config.server.listen;
        let listener = TcpListener::bind(wanted).await.map_err(|error| cannot_listen(wanted, &error))?;
        let address = listener.local_addr()?;
        let gate = Gate::new(house.dispatcher.clone(), config.server.auth);
        let max_body = MaxBody(config.server.max_body);
        let rest = fumehood_rest::State {
            dispatcher: house.dispatcher.clone(),
            gate: gate.clone(),
            max_body,
            started: Instant::now(),
        };
        let card = fumehood_mcp::card_router(gate.clone());
        let mcp = fumehood_mcp::State {
            dispatcher: house.dispatcher.clone(),
            gate,
            max_body,
            database: house.database.clone(),
            config: config.mcp.clone(),
        };
        let router = fumehood_rest::router(rest).merge(fumehood_mcp::router(mcp)).merge(card);
        let config = fumehood_http::Config {
            header_timeout: Duration::from_secs(config.server.header_timeout_s),
            idle_timeout: Duration::from_secs(config.server.idle_timeout_s),
            max_connections: config.server.max_connections,
            drain_timeout: Duration::from_secs(config.server.drain_timeout_s),
            hosts: Hosts::new(&address, &config.server.allowed_hosts),
        };
        Ok(Self { address, listener, router, config })
    }

    /// The same with a router that is made of its own.
    pub(crate) fn with(self, change: impl FnOnce(axum::Router) -> axum::Router) -> Self {
        Self { router: change(self.router), ..self }
    }

    /// Answer until `stop`, then let running requests finish.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        fumehood_http::serve(self.listener, self.router, self.config, stop).await.context("serving failed")
    }
}

/// Whether somebody asked to stop. Heard once, it stays asked: whoever looks later, between two waits, misses nothing.
struct Stop(watch::Receiver<bool>);

impl Stop {
    fn when(somebody_asks: impl Future<Output = ()> + Send + 'static) -> Self {
        let (told, asked) = watch::channel(false);
        tokio::spawn(async move {
            somebody_asks.await;
            told.send_replace(true);
        });
        Self(asked)
    }

    async fn asked(&self) {
        // Whoever tells is gone only when the process is.
        let _ = self.0.clone().wait_for(|asked| *asked).await;
    }
}

/// Until somebody presses Ctrl-C or the service manager asks to stop.
pub(crate) async fn asked_to_stop() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

fn cannot_listen(wanted: SocketAddr, error: &io::Error) -> Failure {
    let failure = Failure::new(Code::Unavailable, format!("cannot listen on {wanted}: {error}"));
    match error.kind() {
        io::ErrorKind::AddrInUse => failure.hint(
            "another program listens there, perhaps another fumehood: stop it, or choose another address with --listen; \
             port 0 takes a free one",
        ),
        _ => failure.hint("choose another address with --listen"),
    }
}

/// Say where it is served, and with which key.
pub(crate) fn announce(house: &House, address: SocketAddr, auth: bool) {
    let url = format!("http://{address}");
    eprintln!("fumehood {} serves {url}", env!("CARGO_PKG_VERSION"));
    eprintln!("  docs  {url}/docs");
    eprintln!("  MCP   {url}/mcp");
    eprintln!("  data  {}", house.data_dir().display());
    match (&house.first_key, auth) {
        (_, false) => eprintln!("  keys  not asked for: whoever reaches this address is an administrator"),
        (Some(key), true) => {
            eprintln!("  key   {key}");
            eprintln!("        an administrator's, made now and shown only once; kept in {}", house.key_file.display());
        }
        (None, true) if house.key_file.exists() => eprintln!("  key   in {}", house.key_file.display()),
        (None, true) => {
            eprintln!("  key   one that was made before; {} is not there any more", house.key_file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_asks_to_stop_between_two_waits_is_heard_by_the_second() {
        let (ask, asked) = oneshot::channel::<()>();
        let stop = Stop::when(async { drop(asked.await) });
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            () = stop.asked() => panic!("nobody has asked"),
        }
        drop(ask);
        tokio::task::yield_now().await;

        for _ in 0..2 {
            tokio::time::timeout(Duration::from_secs(20), stop.asked()).await.unwrap();
        }
    }
}
