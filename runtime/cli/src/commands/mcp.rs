//! `fumehood mcp`: one client on standard input and output.

use std::process::ExitCode;

use fumehood_model::Principal;
use fumehood_store::Access;

use crate::{
    args::McpArgs,
    config::Config,
    house::{Changes, House, runtime},
    logging,
};

/// Serve MCP over stdio until the client goes away.
///
/// A server may be running on the same data directory: this process only reads from it, and follows its changes.
pub(crate) fn run(config: &Config, _: &McpArgs) -> anyhow::Result<ExitCode> {
    logging::start(&config.log)?;
    let runtime = runtime(&config.isolation.trusted)?;
    runtime.block_on(async {
        let house = House::open(config, Access::Share)?;
        let changes = Changes::of(&house)?;
        house.load().await?;
        let client = fumehood_mcp::stdio(house.dispatcher.clone(), Principal::local());
        tokio::select! {
            ended = client => ended?,
            () = changes.follow(&house) => {}
        }
        anyhow::Ok(())
    })?;
    // A thread may still be waiting for a line that never comes.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}
