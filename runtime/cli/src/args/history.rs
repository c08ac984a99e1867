//! `fumehood calls` and `fumehood stats`.

use clap::Args as ClapArgs;
use fumehood_model::Timestamp;

/// Which calls.
#[derive(Debug, ClapArgs)]
pub(crate) struct StatsArgs {
    /// Only of this tool, which need not be served any more
    #[arg(long, value_name = "MODULE.FUNCTION")]
    pub(crate) tool: Option<String>,
    /// Only of the key with this id
    #[arg(long = "of-key", value_name = "ID")]
    pub(crate) of_key: Option<String>,
    /// Only with this outcome: `ok`, `error`, or the code of a failure
    #[arg(long)]
    pub(crate) outcome: Option<String>,
    /// Only what arrived at this moment or later, as 2026-11-20T00:00:00Z
    #[arg(long, value_name = "MOMENT")]
    pub(crate) since: Option<Timestamp>,
    /// Only what arrived before this moment
    #[arg(long, value_name = "MOMENT")]
    pub(crate) until: Option<Timestamp>,
}

/// `calls`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CallsArgs {
    #[command(flatten)]
    pub(crate) which: StatsArgs,
    /// Most calls
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// Write them as CSV
    #[arg(long)]
    pub(crate) csv: bool,
}
