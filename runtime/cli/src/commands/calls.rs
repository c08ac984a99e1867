//! `fumehood calls` and `fumehood stats`.

use std::process::ExitCode;

use serde_json::Value;

use crate::{
    args::{CallsArgs, StatsArgs},
    exit::Failure,
    output::{Format, duration, grouped, size, table, terminal_safe},
    session::Session,
};

/// List calls that have ended.
pub(crate) fn list(session: &Session<'_>, args: &CallsArgs) -> anyhow::Result<ExitCode> {
    if args.csv && session.output.format() == Format::Json {
        return Err(Failure::usage("calls are written with --csv or with -o json, not both").into());
    }
    let client = session.client()?;
    let query = [query(&args.which), vec![("limit", args.limit.to_string())]].concat();
    let query: Vec<_> = query.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let path = ["api", "v1", "calls"];
    if args.csv {
        session.output.print(&terminal_safe(&client.get_text(&path, &query, "text/csv")?.replace('\r', "")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = client.get(&path, &query)?;
    session.output.data(&answer, || {
        let rows = entries(&answer, "calls").iter().map(|call| {
            let text = |name: &str| call[name].as_str().unwrap_or_default().to_owned();
            let number = |name: &str| call["usage"][name].as_u64().unwrap_or_default();
            vec![
                text("at"),
                text("tool"),
                text("outcome"),
                duration(number("duration_us")),
                grouped(number("fuel_units")),
                text("via"),
                text("key"),
            ]
        });
        table(&["AT", "TOOL", "OUTCOME", "TOOK", "FUEL", "VIA", "KEY"], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Show figures for each tool.
pub(crate) fn statistics(session: &Session<'_>, args: &StatsArgs) -> anyhow::Result<ExitCode> {
    let query = query(args);
    let query: Vec<_> = query.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let answer = session.client()?.get(&["api", "v1", "statistics"], &query)?;
    session.output.data(&answer, || {
        let rows = entries(&answer, "tools").iter().map(|tool| {
            let number = |name: &str| tool[name].as_u64().unwrap_or_default();
            vec![
                tool["tool"].as_str().unwrap_or_default().to_owned(),
                grouped(number("calls")),
                format!("{:.1} %", tool["error_rate"].as_f64().unwrap_or_default() * 100.0),
                duration(number("p50_us")),
                duration(number("p95_us")),
                duration(number("p99_us")),
                grouped(number("fuel_units")),
                size(number("max_memory_bytes")),
            ]
        });
        table(&["TOOL", "CALLS", "ERRORS", "P50", "P95", "P99", "FUEL", "MEMORY"], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn query(args: &StatsArgs) -> Vec<(&'static str, String)> {
    let StatsArgs { tool, of_key, outcome, since, until } = args;
    let texts = [("tool", tool), ("key", of_key), ("outcome", outcome)];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
    let moments = [("since", since), ("until", until)];
    let moments = moments.into_iter().filter_map(|(name, at)| Some((name, at.as_ref()?.to_string())));
    texts.chain(moments).collect()
}

fn entries<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[][..], Vec::as_slice)
}
