//! S1: the server outlives every hostile call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use fumehood_tests::zoo::{Attack, End, Stop};
use tokio::task::JoinSet;

use super::{Verdict, start};
use crate::arguments::Goal;
use crate::client::Connection;
use crate::process;
use crate::report::print_table;
use crate::zoo::{self, Tally};

/// Connections that attack: as many as one key has places.
const CONNECTIONS: usize = 6;
/// Fuel of what ends by its fuel: it ends no differently with less.
const FUEL: u64 = 500_000;

/// All attacks of the zoo but those that wait for a deadline, again and again. A death is a server that is not there
/// any more; an attack without an answer counts as one too, as nothing but a dying server leaves a call unanswered.
pub(super) async fn measure(settings: &Goal) -> Result<Verdict> {
    let (_home, fumehood) = start(settings).await?;
    let address = fumehood.address();
    let shots = Arc::new(zoo::shots(address, &fumehood.new_key("hostile").await?, |_, attack| quick(attack)));
    let left = Arc::new(AtomicU64::new(settings.calls));
    let mut loops = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (shots, left) = (Arc::clone(&shots), Arc::clone(&left));
        loops.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut tally = Tally::default();
            for shot in shots.iter().cycle().skip(number * shots.len() / CONNECTIONS) {
                let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                if before.is_err() {
                    break;
                }
                tally.shoot(&mut connection, address, shot).await?;
            }
            anyhow::Ok(tally)
        });
    }
    let mut total = Tally::default();
    while let Some(ended) = loops.join_next().await {
        total.merge(ended.context("a connection panicked")??);
    }
    let died = !process::is_alive(fumehood.pid());
    let deaths = total.unanswered + u64::from(died);
    let codes: Vec<_> = total.codes.iter().map(|(code, count)| vec![code.clone(), count.to_string()]).collect();
    print_table("S1: hostile calls by outcome.", &["outcome", "calls"], &codes);
    for (name, count) in &total.unexpected {
        println!("{count} calls of {name}: not what the zoo says");
    }
    if !died {
        fumehood.stop().await?;
    }
    let unexpected: u64 = total.unexpected.values().sum();
    let line = format!(
        "hostile calls {}, deaths of the server {deaths} (gate 0), ended otherwise than the zoo says {unexpected} (gate 0)",
        total.answered() + total.unanswered
    );
    Ok(Verdict { line, holds: Some(deaths == 0 && unexpected == 0) })
}

fn quick(attack: Attack) -> Option<Attack> {
    match attack.end {
        End::Stopped(Stop::Deadline) => None,
        End::Stopped(Stop::Fuel) => Some(Attack { fuel: FUEL, ..attack }),
        _ => Some(attack),
    }
}
