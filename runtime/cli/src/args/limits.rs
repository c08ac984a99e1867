use clap::Args as ClapArgs;
use fumehood_model::{Bound, ByteSize, Lowered};

/// Bounds that are lowered for a call, for each attempt of a job, or for every call with a key.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct LimitArgs {
    /// Most fuel that a call may burn
    #[arg(long, value_name = "UNITS")]
    max_fuel: Option<u64>,
    /// Longest that a call may take
    #[arg(long, value_name = "MILLISECONDS")]
    deadline_ms: Option<u64>,
    /// Most memory that a call may have, as 8MiB
    #[arg(long, value_name = "SIZE")]
    max_memory: Option<ByteSize>,
    /// Lower any other bound, as http_requests=2 or log=4KiB: keys as below `limits` in fumehood.toml; may be given several
    /// times
    #[arg(long = "limit", value_name = "BOUND=MOST", value_parser = limit)]
    limits: Vec<(Bound, u64)>,
}

impl LimitArgs {
    /// All of them together.
    pub(crate) fn lowered(&self) -> Lowered {
        let named = [
            (Bound::FuelUnits, self.max_fuel),
            (Bound::DeadlineMs, self.deadline_ms),
            (Bound::Memory, self.max_memory.map(|size| size.0)),
        ];
        let named = named.into_iter().filter_map(|(bound, most)| Some((bound, most?)));
        named
            .chain(self.limits.iter().copied())
            .fold(Lowered::default(), |lowered, (bound, most)| lowered.and(Lowered::default().with(bound, most)))
    }
}

fn limit(text: &str) -> Result<(Bound, u64), String> {
    let (name, most) = text.split_once('=').ok_or("write it as log=4KiB")?;
    if name.trim() == "concurrent_calls" {
        return Err("it bounds no single call: a key takes it as --concurrent-calls".to_owned());
    }
    let bound: Bound = name.trim().parse()?;
    Ok((bound, bound.parse(most.trim())?))
}
