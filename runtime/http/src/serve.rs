use std::{future::Future, io, sync::Arc, time::Duration};

use axum::Router;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    Hosts,
    edge::Edge,
    patience::{Watch, Watched},
};

/// How long to wait after the operating system refused a connection, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How connections are treated.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// Connections at a time; more wait to be accepted.
    pub max_connections: usize,
    /// How long requests may take to finish once the server is asked to stop.
    pub drain_timeout: Duration,
    /// Names under which the server may be addressed.
    pub hosts: Hosts,
}

/// Serve `router` on `listener` until `stop` completes, then let running requests finish.
///
/// # Errors
///
/// None at present: a connection that fails is its own affair.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: Config,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let edge = Edge::new(router, config.hosts);
    let mut builder = http1::Builder::new();
    // `Watch` does this for less.
    builder.header_read_timeout(None);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(config.max_connections));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        let (stream, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        // Without this the second small packet of an answer waits 40 ms for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let (edge, watch) = (edge.clone(), Watch::new());
        let stream = TokioIo::new(Watched { stream, watch: watch.clone() });
        let watched = watch.clone();
        let service = service_fn(move |request| {
            watched.serving();
            let (answer, watched) = (edge.clone().answer(request), watched.clone());
            async move {
                let answer = answer.await;
                watched.idle();
                answer
            }
        });
        let connection = graceful.watch(builder.serve_connection(stream, service));
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "A connection ended early");
                },
                () = watch.exhausted(config.header_timeout, config.idle_timeout) => {
                    tracing::debug!("A connection was closed because its client took too long");
                }
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(config.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("Requests were still running after {} s and are cut off", config.drain_timeout.as_secs());
    }
    Ok(())
}
