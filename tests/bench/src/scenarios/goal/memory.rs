//! S3: how much memory an attack makes the server hold beyond what the call may have.

use anyhow::Result;
use fumehood_tests::zoo::{End, Guest, Stop};

use super::{Verdict, mib, start};
use crate::arguments::Goal;
use crate::client::Connection;
use crate::process;
use crate::report::print_table;
use crate::zoo::{self, Tally};

/// What a call may have: its memory and its tables, by the bounds of the zoo.
const BUDGET_BYTES: u64 = (16 << 20) + 8 * 100_000;
/// What an attack may make the server hold beyond that.
const GATE_BYTES: u64 = 16 << 20;
/// How often each attack is made.
const ROUNDS: usize = 5;

/// Every attack on resources, by itself: the kernel's own mark of the largest resident memory of the server and its
/// children, less what was resident before, less what the call may have. One process after another reaches its mark, and
/// the marks are added up: this can only be too much.
pub(super) async fn measure(settings: &Goal) -> Result<Verdict> {
    let (_home, fumehood) = start(settings).await?;
    let address = fumehood.address();
    let shots = zoo::shots(address, &fumehood.new_key("hostile").await?, |guest, attack| {
        takes_resources(guest, &attack.end).then_some(attack)
    });
    let mut connection = Connection::open(address).await?;
    let mut tally = Tally::default();
    for shot in &shots {
        tally.shoot(&mut connection, address, shot).await?;
    }
    let mut beyond: Vec<(u64, &str)> = Vec::new();
    for shot in &shots {
        let mut most = 0;
        for _ in 0..ROUNDS {
            let family = process::family(fumehood.pid())?;
            family.iter().try_for_each(|pid| process::forget_peak(*pid))?;
            let before: u64 = family.iter().filter_map(|pid| process::peak_rss(*pid)).sum();
            tally.shoot(&mut connection, address, shot).await?;
            let peak: u64 = family.iter().filter_map(|pid| process::peak_rss(*pid)).sum();
            most = most.max(peak.saturating_sub(before));
        }
        beyond.push((most, &shot.name));
    }
    fumehood.stop().await?;
    beyond.sort_unstable_by(|one, other| other.cmp(one));
    let rows: Vec<_> = beyond.iter().take(10).map(|(bytes, name)| vec![(*name).to_owned(), mib(*bytes)]).collect();
    print_table(
        &format!("S3: most memory of {} attacks, with the {} of the call.", shots.len(), mib(BUDGET_BYTES)),
        &["attack", "memory"],
        &rows,
    );
    let (worst, name) = beyond.first().copied().unwrap_or_default();
    let over = worst.saturating_sub(BUDGET_BYTES);
    let line = format!("memory over budget, at most {} by {name} (gate {})", mib(over), mib(GATE_BYTES));
    Ok(Verdict { line, holds: Some(over <= GATE_BYTES) })
}

/// Whether an attack is one on memory, of the guest or of the host.
fn takes_resources(guest: Guest, end: &End) -> bool {
    let by_its_end = match end {
        End::Stopped(stop) => match stop {
            Stop::Memory | Stop::Result | Stop::HostCalls | Stop::HostBytes | Stop::Handles | Stop::Random => true,
            Stop::Fuel | Stop::Deadline | Stop::Crash(_) => false,
        },
        End::Value(_) | End::ToolError(_) => false,
    };
    let name = guest.name();
    by_its_end
        || ["grow", "memories", "stdout", "stderr", "tables", "list", "poll", "flood"]
            .iter()
            .any(|part| name.contains(part))
}
