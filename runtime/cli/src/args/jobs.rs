//! `fumehood jobs`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args as ClapArgs, Subcommand};
use fumehood_model::{JobState, Timestamp};

use super::LimitArgs;

/// `jobs …`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Submit a call as a job; its id is written to standard output
    #[command(after_help = "Example: fumehood jobs submit reports.build year=2026 --priority 5 --tag monthly")]
    Submit(SubmitArgs),
    /// List jobs, the newest first
    #[command(
        alias = "list",
        after_help = "Example: fumehood jobs ls --state running,available\nExample: fumehood jobs ls --state dead"
    )]
    Ls {
        /// Only in these states, joined by commas; `dead` stands for failed, interrupted and discarded
        #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = state)]
        state: Vec<String>,
        /// Only of this module, or of one function of it; it need not be served any more
        #[arg(long, value_name = "MODULE[.FUNCTION]")]
        tool: Option<String>,
        /// Only with this tag
        #[arg(long)]
        tag: Option<String>,
        /// Only of this schedule
        #[arg(long, value_name = "NAME")]
        schedule: Option<String>,
        /// Most jobs
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show a job
    #[command(after_help = "Example: fumehood jobs show 0199a3c4-5b6d-7e8f-9012-3456789abcde -o json")]
    Show {
        /// The job
        id: String,
    },
    /// Follow a job until it ends, with what it tells, and write its result
    #[command(after_help = "Example: fumehood jobs watch 0199a3c4-5b6d-7e8f-9012-3456789abcde")]
    Watch {
        /// The job
        id: String,
    },
    /// End jobs: at once where they wait, within a second where they run
    #[command(after_help = "Example: fumehood jobs cancel 0199a3c4-5b6d-7e8f-9012-3456789abcde")]
    Cancel {
        /// The jobs
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Try jobs again that failed, were interrupted or discarded
    #[command(after_help = "Example: fumehood jobs retry 0199a3c4-5b6d-7e8f-9012-3456789abcde")]
    Retry {
        /// The jobs
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Forget jobs that have ended, with their results: those that fit all that is said, or with --all all of them
    #[command(
        alias = "rm",
        group = ArgGroup::new("which").args(["ids", "state", "older_than", "keep", "all"]).required(true).multiple(true),
        after_help = "Example: fumehood jobs prune --state dead --older-than 30d\nExample: fumehood jobs prune 0199a3c4-5b6d-7e8f-9012-3456789abcde"
    )]
    Prune {
        /// These jobs, and no others
        #[arg(conflicts_with_all = ["state", "older_than", "keep"])]
        ids: Vec<String>,
        /// Every job that has ended, dead letters too
        #[arg(long, conflicts_with_all = ["ids", "state", "older_than", "keep"])]
        all: bool,
        /// Only in these states, joined by commas; `dead` stands for failed, interrupted and discarded
        #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = state)]
        state: Vec<String>,
        /// Only those that ended so long ago, as 90s, 15m, 12h or 30d
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Option<Duration>,
        /// Keep so many all the same, the newest
        #[arg(long, value_name = "COUNT")]
        keep: Option<u64>,
    },
    /// Take in the jobs of a state file of the form {"queue": […]}
    #[command(after_help = "Example: fumehood jobs import ./processing/state.json")]
    Import {
        /// The file
        file: PathBuf,
    },
}

/// `jobs submit`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SubmitArgs {
    /// The tool, as MODULE.FUNCTION
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Its arguments, as k=v, k:=json or k=@file
    #[arg(value_name = "K=V")]
    pub(crate) words: Vec<String>,
    /// The arguments as a JSON object: as text, @FILE, or - for standard input; K=V wins over it
    #[arg(long, value_name = "JSON")]
    pub(crate) json: Option<String>,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
    /// Run it after so long, as 90s, 15m, 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = age, conflicts_with = "at")]
    pub(crate) delay: Option<Duration>,
    /// Run it at this moment at the earliest, as 2026-12-24T18:00:00+01:00
    #[arg(long, value_name = "MOMENT")]
    pub(crate) at: Option<Timestamp>,
    /// Let it fail if it has not begun by then
    #[arg(long, value_name = "MOMENT")]
    pub(crate) expires: Option<Timestamp>,
    /// Submit it once, however often this is said with the same text
    #[arg(long, value_name = "TEXT")]
    pub(crate) idempotency_key: Option<String>,
    /// Confirm it, if its tool does nothing before a person has
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Follow it until it ends, and write its result in place of its id
    #[arg(long)]
    pub(crate) wait: bool,
}

/// What jobs and schedules have in common.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct OrderArgs {
    /// Which of the key's jobs goes first: from -9, last, to 9
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-9..=9))]
    pub(crate) priority: i64,
    /// How often it may be tried where another attempt can mend what went wrong
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) attempts: Option<u32>,
    /// Run it again after a crash although it may have had effects
    #[arg(long)]
    pub(crate) repeatable: bool,
    /// A word by which it can be found; may be given several times
    #[arg(long = "tag", value_name = "WORD")]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
/// A span of time such as 90s, 15m, 12h or 30d.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "write a whole number with s, m, h or d behind it, as 90s".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// The name of a state of jobs, or `dead`.
fn state(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name != "dead" {
        name.parse::<JobState>().map_err(|error| format!("{error}, or `dead` for those that are dead letters"))?;
    }
    Ok(name.to_owned())
}
