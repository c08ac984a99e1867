//! What surrounds the call of a test, and what is wrong with how it was used.

use std::{path::Path, time::Duration};

use fumehood_capabilities::{
    Fixed, Time,
    http::{Egress, Playback, Recorder},
};
use fumehood_policy::{Grant, Limits};

use super::{Ran, record::Recording};
use crate::{
    local::{Given, Outside},
    project::{Around, Case, Project, Recorded},
};

/// Most records that are named to whoever missed one.
const MAX_NAMED: usize = 10;

/// What answers the requests of a call.
pub(super) enum Answers {
    /// Nothing: they are refused.
    Nothing,
    /// Records.
    Played(Playback),
    /// Real servers, and this keeps what they say.
    Live(Recorder),
}

/// What a call within `limits` is given, and what answers its requests. Where `recording` is, real servers answer what has no
/// records.
pub(super) fn given(
    case: &Case,
    project: &Project,
    limits: &Limits,
    recording: Option<&Recording>,
) -> (Given, Answers) {
    let around = &case.around;
    let left = Duration::from_millis(limits.deadline_ms);
    let fixed = Fixed { time: around.now.map(|now| Time { now, left }), seed: around.seed };
    let records: Vec<_> = records(around).map(Recorded::record).collect();
    if let (true, Some(recording)) = (records.is_empty(), recording.filter(|_| !case.is_example)) {
        let (outside, recorder) = recording.outside(project);
        return (Given { fixed, outside: Some(outside) }, Answers::Live(recorder));
    }
    if records.is_empty() {
        return (Given { fixed, outside: None }, Answers::Nothing);
    }
    let playback = Playback::new(records).expect("they were checked when they were read");
    let egress = Egress::played(playback.clone());
    let outside = Outside { grants: grants(project), egress, secrets: Vec::new() };
    (Given { fixed, outside: Some(outside) }, Answers::Played(playback))
}

/// Where answers are written down or fetched, what is asked for is as good as granted: an operator could grant nothing else.
pub(super) fn grants(project: &Project) -> Vec<Grant> {
    let wishes = project.manifest.permissions.iter().map(|wish| wish.grant.clone());
    wishes.filter(|grant| matches!(grant, Grant::Http(_))).collect()
}

fn records(around: &Around) -> impl Iterator<Item = &Recorded> {
    around.own.iter().chain(around.shared.iter())
}

/// What is wrong with the requests that a call has made: it `missed` records, its own were `used` so often, it was `denied`.
pub(super) fn wrong(around: &Around, missed: &[String], used: &[u32], denied: &[Grant]) -> Vec<String> {
    let mut wrong = Vec::new();
    for grant in denied.iter().filter(|grant| matches!(grant, Grant::Http(_))) {
        wrong.push(format!(
            "it was refused `{grant}`, as on a server: tool.toml does not ask for it under [[permissions]]"
        ));
    }
    for request in missed {
        wrong.push(format!("no record answers {request}"));
    }
    if !missed.is_empty() {
        let there = records(around).take(MAX_NAMED).map(|record| match record.times {
            1 => format!("there is  {}", record.request()),
            times => format!("there is  {}, {times} times", record.request()),
        });
        wrong.extend(there);
        let more = records(around).count().saturating_sub(MAX_NAMED);
        wrong.extend((more > 0).then(|| format!("there are {more} more")));
    }
    for (record, used) in around.own.iter().zip(used).filter(|(record, used)| **used < record.times) {
        wrong.push(match used {
            0 => format!("it never asked for what is recorded: {}", record.request()),
            _ => format!("it asked {used} times and not {} for {}", record.times, record.request()),
        });
    }
    wrong
}

/// Say of each file, all of whose tests were run and passed, which of its records none of them asked for.
pub(super) fn mind_unused(ran: &mut [Ran<'_>], all: &[Case]) {
    let mut files: Vec<&Path> = all.iter().map(|case| case.place.0.as_path()).collect();
    files.dedup();
    for file in files {
        let is_here = |case: &Case| case.place.0 == file;
        let here: Vec<_> = ran.iter().filter(|ran| is_here(ran.case)).collect();
        let were_all_run = here.len() == all.iter().filter(|case| is_here(case)).count();
        let (true, Some(first)) = (were_all_run && here.iter().all(|ran| ran.wrong.is_empty()), here.first()) else {
            continue;
        };
        let unused = first.case.around.shared.iter().enumerate().filter(|(position, _)| {
            let is_used = |ran: &&Ran<'_>| ran.shared.get(*position).is_some_and(|used| *used > 0);
            !here.iter().any(is_used)
        });
        let wrong: Vec<_> = unused
            .map(|(_, record)| format!("no test of this file asks for its record: {}", record.request()))
            .collect();
        if let Some(last) = ran.iter_mut().rfind(|ran| is_here(ran.case)) {
            last.is_all &= wrong.is_empty();
            last.wrong.extend(wrong);
        }
    }
}
