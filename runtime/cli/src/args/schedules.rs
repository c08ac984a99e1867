//! `fumehood schedules`.

use std::time::Duration;

use clap::{ArgGroup, Args as ClapArgs, Subcommand, ValueEnum};
use serde::Serialize;

use super::jobs::{OrderArgs, age};

/// `schedules …`.
#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// List schedules: those of the key, for an administrator those of all keys
    #[command(alias = "list", after_help = "Example: fumehood schedules ls")]
    Ls,
    /// Show a schedule
    #[command(after_help = "Example: fumehood schedules show nightly")]
    Show(ScheduleName),
    /// Add a schedule, or replace the one of this name, which stays with its key and rests if it did
    #[command(after_help = SCHEDULE_EXAMPLES)]
    Add(Box<ScheduleArgs>),
    /// Let a schedule rest
    #[command(after_help = "Example: fumehood schedules pause nightly")]
    Pause(ScheduleName),
    /// Let a schedule go on
    #[command(after_help = "Example: fumehood schedules resume nightly")]
    Resume(ScheduleName),
    /// Remove a schedule; jobs that it has submitted stay
    #[command(alias = "remove", after_help = "Example: fumehood schedules rm nightly")]
    Rm(ScheduleName),
}

/// Which schedule is meant.
#[derive(Debug, ClapArgs)]
pub(crate) struct ScheduleName {
    /// The schedule: names are those of their keys, and the own ones come first
    pub(crate) name: String,
    /// The one of the key with this id, for administrators
    #[arg(long = "of-key", value_name = "ID")]
    pub(crate) of_key: Option<String>,
}

const SCHEDULE_EXAMPLES: &str = "\
Example: fumehood schedules add nightly --cron '0 3 * * *' --zone Europe/Berlin reports.build
Example: fumehood schedules add pulse --every 30s --missed skip --overlap skip checks.ping host=example.com";

/// `schedules add`.
#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("when").args(["cron", "every"]).required(true))]
pub(crate) struct ScheduleArgs {
    #[command(flatten)]
    pub(crate) name: ScheduleName,
    /// The tool, as MODULE.FUNCTION
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Its arguments, as k=v, k:=json or k=@file
    #[arg(value_name = "K=V")]
    pub(crate) words: Vec<String>,
    /// The arguments as a JSON object: as text, @FILE, or - for standard input; K=V wins over it
    #[arg(long, value_name = "JSON")]
    pub(crate) json: Option<String>,
    /// When, as five or six fields of cron, or @hourly, @daily, @weekly, @monthly or @yearly
    #[arg(long, value_name = "FIELDS")]
    pub(crate) cron: Option<String>,
    /// By the clocks of which time zone, as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    pub(crate) zone: Option<String>,
    /// How often instead, as 30s, 15m, 12h or 1d
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) every: Option<Duration>,
    /// Spread its runs over so long, as 30s
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) jitter: Option<Duration>,
    /// What becomes of runs that were missed while no server ran
    #[arg(long, value_enum, default_value_t, value_name = "skip|once|all")]
    pub(crate) missed: Missed,
    /// What happens when the run before has not ended
    #[arg(long, value_enum, default_value_t, value_name = "skip|queue|replace")]
    pub(crate) overlap: Overlap,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

/// What becomes of runs that were missed.
#[derive(Debug, Clone, Copy, Default, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Missed {
    /// They are over
    Skip,
    /// One makes up for all of them
    #[default]
    Once,
    /// Each is made up for, the last hundred of them
    All,
}

/// What happens when the run before has not ended.
#[derive(Debug, Clone, Copy, Default, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Overlap {
    /// This one is passed over
    #[default]
    Skip,
    /// This one is submitted beside the other
    Queue,
    /// The other one is cancelled
    Replace,
}
