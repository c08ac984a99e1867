//! S5: nothing of one tenant is found by another.

use anyhow::{Context as _, Result, ensure};
use fumehood_tests::zoo::Guest;
use tokio::task::JoinSet;

use super::Verdict;
use crate::arguments::Goal;
use crate::client::Connection;
use crate::component::unique;
use crate::fumehood::{Fumehood, Home};
use crate::request;

/// Callers at a time, so that places are handed on in every order.
const CONNECTIONS: u64 = 4;
/// Pages of 64 KiB that most calls look through: what a place keeps of its last call is the beginning of its memory.
const PAGES: u64 = 4;
/// Pages that every [`LARGE_EVERY`]th call looks through: more than any place keeps.
const LARGE_PAGES: u64 = 200;
const LARGE_EVERY: u64 = 100;

/// Two modules in turns, of two tenants: each call looks through its fresh memory, table and globals for marks, and leaves its
/// own everywhere.
pub(super) async fn measure(settings: &Goal) -> Result<Verdict> {
    let home = Home::new()?;
    let canary = Guest::Canary.component();
    home.add("left", &unique(&canary, 1))?;
    home.add("right", &unique(&canary, 2))?;
    let fumehood = Fumehood::start_with_bounds_of_zoo(&settings.product.binary()?, &home).await?;
    let address = fumehood.address();
    let keys = [fumehood.new_key("left").await?, fumehood.new_key("right").await?];
    let alternations = settings.calls;
    let mut loops = JoinSet::new();
    for caller in 0..CONNECTIONS {
        let keys = keys.clone();
        loops.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let (mut calls, mut found) = (0, 0);
            for number in (caller..alternations).step_by(CONNECTIONS as usize) {
                let pages = if number % LARGE_EVERY < CONNECTIONS { LARGE_PAGES } else { PAGES };
                for (module, key) in ["left", "right"].into_iter().zip(&keys) {
                    let arguments = format!(r#"{{"mark":{},"pages":{pages}}}"#, number + 1);
                    let request = request::call(address, key, module, "look", &arguments);
                    let response = connection.exchange(&request).await?;
                    ensure!(response.status == 200, "{response}");
                    let marks: u64 = std::str::from_utf8(&response.body)?.parse().context("a number of marks")?;
                    (calls, found) = (calls + 1, found + marks);
                }
            }
            anyhow::Ok((calls, found))
        });
    }
    let (mut calls, mut found) = (0_u64, 0_u64);
    while let Some(ended) = loops.join_next().await {
        let one = ended.context("a connection panicked")??;
        (calls, found) = (calls + one.0, found + one.1);
    }
    fumehood.stop().await?;
    let line = format!("{alternations} alternations of two tenants, {calls} calls: marks found {found} (gate 0)");
    Ok(Verdict { line, holds: Some(found == 0 && calls == 2 * alternations) })
}
