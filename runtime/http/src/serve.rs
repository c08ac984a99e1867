use std::{future::Future, io, sync::Arc, time::Duration};

use axum::Router;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

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
    // Each connection holds a receiver until it ends; one that was upgraded to another protocol has ended here.
    let ending = watch::Sender::new(());
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
        let connection = builder.serve_connection(stream, service).with_upgrades();
        let mut ending = ending.subscribe();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let exhausted = watch.exhausted(config.header_timeout, config.idle_timeout);
            let mut exhausted = std::pin::pin!(exhausted);
            let mut is_ending = false;
            loop {
                tokio::select! {
                    ended = &mut connection => {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "A connection ended early");
                        }
                        break;
                    }
                    () = &mut exhausted => {
                        tracing::debug!("A connection was closed because its client took too long");
                        break;
                    }
                    _ = ending.changed(), if !is_ending => {
                        is_ending = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
            drop(place);
        });
    }
    drop(listener);
    ending.send_replace(());
    if tokio::time::timeout(config.drain_timeout, ending.closed()).await.is_err() {
        tracing::warn!("Requests were still running after {} s and are cut off", config.drain_timeout.as_secs());
    }
    Ok(())
}
