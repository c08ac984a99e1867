//! The numeric goals of the sandbox: each is measured as told beside it, and held against its gate.

mod bombs;
mod canary;
mod cost;
mod deadline;
mod deaths;
mod fuel;
mod memory;
mod respawn;

use anyhow::{Result, ensure};

use crate::arguments::{Goal, GoalName};
use crate::fumehood::{Fumehood, Home};
use crate::zoo;

/// What was found of one goal.
#[derive(Debug)]
struct Verdict {
    /// What was measured, with its gates.
    line: String,
    /// Whether all gates hold; nothing if there was nothing to measure.
    holds: Option<bool>,
}

/// Measure the goals, one after another, each with a server of its own.
///
/// # Errors
///
/// When one does not hold or could not be measured.
pub(crate) async fn run(settings: &Goal) -> Result<()> {
    let mut missed = 0;
    for goal in &settings.goals {
        let verdict = match goal {
            GoalName::S1 => deaths::measure(settings).await?,
            GoalName::S2 => deadline::measure(settings).await?,
            GoalName::S3 => memory::measure(settings).await?,
            GoalName::S4 => bombs::measure(settings).await?,
            GoalName::S5 => canary::measure(settings).await?,
            GoalName::S6 => respawn::measure(settings).await?,
            GoalName::S9 => fuel::measure(settings).await?,
            GoalName::Cost => cost::measure(settings).await?,
        };
        let word = match verdict.holds {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "NOT MEASURED",
        };
        println!("{goal:?} {}: {word}", verdict.line);
        missed += usize::from(verdict.holds != Some(true));
    }
    ensure!(missed == 0, "{missed} of {} goals do not hold", settings.goals.len());
    Ok(())
}

/// A server with the zoo and its bounds, and the honest module beside it. The home must outlive it.
async fn start(settings: &Goal) -> Result<(Home, Fumehood)> {
    let home = Home::new()?;
    home.add(HONEST, &settings.product.calculator()?)?;
    zoo::lay_out(&home)?;
    let fumehood = Fumehood::start_with_bounds_of_zoo(&settings.product.binary()?, &home).await?;
    Ok((home, fumehood))
}

/// The honest module.
const HONEST: &str = "calculator";

/// Milliseconds for people.
fn ms(us: f64) -> String {
    format!("{:.1} ms", us / 1000.0)
}

/// Mebibytes for people.
fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
