//! The least that could answer the same requests: what fumehood is compared with.

pub(crate) mod plain_axum;
pub(crate) mod plain_rmcp;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::serve::ListenerExt as _;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::Deserialize;
use serde_json::Number;
use tokio::net::TcpListener;

/// The largest whole number below which every whole `f64` has one decimal spelling: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The arguments of `add`.
#[derive(Debug, Deserialize)]
struct Addends {
    a: f64,
    b: f64,
}

impl Addends {
    /// The sum as fumehood writes it: a whole number has no fraction, so `42` and not `42.0`.
    fn sum(&self) -> Option<Number> {
        let sum = self.a + self.b;
        if sum.fract() == 0.0 && sum.abs() < EXACT { Some(Number::from(sum as i64)) } else { Number::from_f64(sum) }
    }
}

/// Serve the routes until the process is killed, saying on stderr where.
///
/// The process ends with the one that started it, even when that one is killed and cannot clean up.
async fn serve_routes(address: SocketAddr, routes: Router) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot follow the parent process")?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    eprintln!("listening on http://{}", listener.local_addr().context("the listener has no address")?);
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("the socket is open and speaks TCP"));
    axum::serve(listener, routes).await.context("the server failed")
}

#[cfg(test)]
mod tests {
    use super::Addends;

    #[test]
    fn a_whole_sum_has_no_fraction() {
        let sum = |a, b| Addends { a, b }.sum().map(|number| number.to_string());

        assert_eq!(sum(2.0, 40.0).as_deref(), Some("42"));
        assert_eq!(sum(0.5, 1.0).as_deref(), Some("1.5"));
        assert_eq!(sum(f64::MAX, f64::MAX), None);
    }
}
