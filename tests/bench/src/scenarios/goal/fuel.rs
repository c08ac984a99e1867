//! S9: the same call burns the same fuel.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::{Verdict, start};
use crate::arguments::Goal;
use crate::client::Connection;
use crate::request;

/// The header that tells what a call burnt.
const FUEL: &str = "fumehood-fuel:";

/// A call that loops, computes and fills memory, again and again.
pub(super) async fn measure(settings: &Goal) -> Result<Verdict> {
    let (_home, fumehood) = start(settings).await?;
    let request = request::call(fumehood.address(), fumehood.key(), "steady-work", "work", r#"{"rounds":1000}"#);
    let mut connection = Connection::open(fumehood.address()).await?;
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    for _ in 0..settings.samples {
        let response = connection.exchange(&request).await?;
        response.require_success()?;
        *seen.entry(response.number(FUEL).context("the answer does not tell its fuel")?).or_default() += 1;
    }
    fumehood.stop().await?;
    let (fuel, equal) = seen.iter().max_by_key(|(_, count)| **count).map_or((0, 0), |(fuel, count)| (*fuel, *count));
    let line = format!("fuel of {} calls: {equal} burnt {fuel} units (gate all)", settings.samples);
    Ok(Verdict { line, holds: Some(equal == settings.samples) })
}
