use chrono_tz::TZ_VARIANTS;
use fumehood_model::{Lowered, Priority};
use serde::{Deserialize, Serialize};

use super::When;

/// Longest jitter: what is spread over more than an hour is another schedule.
const MAX_JITTER_MS: u64 = 3_600_000;

/// Most slips in the name of a zone that is still recognised.
const MAX_SLIPS: usize = 2;

/// What a schedule does and when: what stands in [`fumehood_store::Schedule::spec`] as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// When it is due.
    pub when: When,
    /// By how much it may be late at the most, in milliseconds: by how much it is depends on its name and the moment.
    #[serde(default)]
    pub jitter_ms: u64,
    /// What becomes of moments at which no server ran.
    #[serde(default)]
    pub missed: Missed,
    /// What becomes of a moment at which its last job has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// The job that it submits.
    pub job: JobSpec,
}

/// What becomes of moments that were missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are over.
    Skip,
    /// However many there were, one job makes up for them.
    #[default]
    Once,
    /// Each gets its job, the last [`super::MAX_MISSED`] of them.
    All,
}

/// What becomes of a moment at which the last job of the schedule has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is passed over.
    #[default]
    Skip,
    /// Its job is submitted beside the other.
    Queue,
    /// The last job is cancelled, and this one is submitted in its place.
    Replace,
}

/// The job that a schedule submits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The tool, as callers name it; the version that the module has when the schedule is due.
    pub tool: String,
    /// Its arguments.
    #[serde(default = "no_arguments")]
    pub input: serde_json::Value,
    /// Which of its owner's jobs goes first.
    #[serde(default)]
    pub priority: Priority,
    /// Attempts that may begin, unless the default will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Whether it may run again although an attempt may have had effects, if the tool does not say so.
    #[serde(default, rename = "repeatable", skip_serializing_if = "Option::is_none")]
    pub is_repeatable: Option<bool>,
    /// Words by which it can be found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How long after its moment it must have begun, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_within_ms: Option<u64>,
    /// Bounds that it sets for itself.
    #[serde(default)]
    pub limits: Lowered,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// It says when in no way, or in two.
    #[error("`when` needs either `cron`, with a `zone` if it is not UTC, or `every_ms`")]
    When,
    /// The expression is none.
    #[error("`{expression}` is no cron expression of five fields, or six with seconds first: {}", plainly(.why))]
    Cron {
        /// The expression, shortened.
        expression: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such zone.
    #[error("`{zone}` is not a time zone: {}", near_zone(.zone))]
    Zone {
        /// Its name, shortened.
        zone: String,
    },
    /// The interval is out of bounds.
    #[error("an interval is from 1000 ms to a hundred years, not {interval_ms} ms")]
    Every {
        /// The interval.
        interval_ms: u64,
    },
    /// The jitter is too long.
    #[error("a jitter is at most {most} ms, not {jitter_ms} ms")]
    Jitter {
        /// The jitter.
        jitter_ms: u64,
        /// The bound.
        most: u64,
    },
    /// The text is no JSON of the right form.
    #[error("{what}")]
    Form {
        /// Where and what.
        what: String,
    },
}

impl ScheduleSpec {
    /// Read a schedule from its JSON.
    ///
    /// # Errors
    ///
    /// When it is none, or one that makes no sense.
    pub fn parse(json: &str) -> Result<Self, SpecError> {
        let spec: Self = serde_json::from_str(json).map_err(|error| SpecError::Form { what: error.to_string() })?;
        if spec.jitter_ms > MAX_JITTER_MS {
            return Err(SpecError::Jitter { jitter_ms: spec.jitter_ms, most: MAX_JITTER_MS });
        }
        Ok(spec)
    }

    /// The schedule as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("nothing in it can fail to be written")
    }
}

/// What is wrong with an expression, without the words by which its parser sorts its errors.
fn plainly(why: &str) -> String {
    const SORTS: [&str; 3] = ["Component error: ", "Invalid pattern: ", "Pattern contains illegal characters: "];
    let why = SORTS.iter().find_map(|sort| why.strip_prefix(sort)).unwrap_or(why);
    let why = why.trim_end_matches('.').replace("CronPattern", "pattern");
    why.chars().take(1).flat_map(char::to_lowercase).chain(why.chars().skip(1)).collect()
}

/// The zone that was probably meant, or how they are called.
fn near_zone(zone: &str) -> String {
    let wanted = zone.to_lowercase().replace(' ', "_");
    let distance = |name: &str| {
        let (name, city) = (name.to_lowercase(), name.rsplit('/').next().unwrap_or_default().to_lowercase());
        if city == wanted { 0 } else { slips(&name, &wanted) }
    };
    let near = TZ_VARIANTS.iter().map(|zone| (distance(zone.name()), zone.name())).min();
    match near.filter(|(distance, _)| *distance <= MAX_SLIPS) {
        Some((_, name)) => format!("did you mean {name}?"),
        None => "they have names like Europe/Berlin".to_owned(),
    }
}

/// How many letters must be added, left out or changed to make one of the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], index + 1);
        for (place, same) in other.iter().map(|&wanted| wanted == letter).enumerate() {
            let change = before + usize::from(!same);
            before = row[place + 1];
            row[place + 1] = change.min(before + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

fn no_arguments() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_survives_its_text() {
        let text = r#"{"when":{"every_ms":60000},"jitter_ms":5000,"missed":"all","overlap":"replace",
            "job":{"tool":"m__f","input":{"a":1},"priority":3,"max_attempts":2,"tags":["x"],"begin_within_ms":1000,
                   "repeatable":true,"limits":{"fuel_units":5}}}"#;

        let spec = ScheduleSpec::parse(text).unwrap();

        assert_eq!(ScheduleSpec::parse(&spec.to_json()), Ok(spec.clone()));
        assert_eq!((spec.missed, spec.overlap, spec.job.priority.get()), (Missed::All, Overlap::Replace, 3));
        let least = ScheduleSpec::parse(r#"{"when":{"every_ms":60000},"job":{"tool":"m__f"}}"#).unwrap();
        assert_eq!((least.missed, least.overlap, least.job.input), (Missed::Once, Overlap::Skip, no_arguments()));
    }

    #[test]
    fn the_zone_that_was_probably_meant_is_named() {
        assert_eq!(near_zone("Europe/Berln"), "did you mean Europe/Berlin?");
        assert_eq!(near_zone("europe/berlin"), "did you mean Europe/Berlin?");
        assert_eq!(near_zone("New York"), "did you mean America/New_York?");
        assert_eq!(near_zone("Mars/North"), "they have names like Europe/Berlin");
    }

    #[test]
    fn an_expression_is_refused_in_words_of_ours() {
        let why = |why: &str| SpecError::Cron { expression: "x".to_owned(), why: why.to_owned() }.to_string();

        assert!(why("Component error: Number out of bounds.").ends_with("seconds first: number out of bounds"));
        assert!(why("no day of any year fits").ends_with(": no day of any year fits"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            r#"{"when":{"every_ms":60000},"job":{"tool":"m__f"},"jiter_ms":1}"#,
            r#"{"when":{"every_ms":60000},"job":{"tool":"m__f","owner":"somebody else"}}"#,
            r#"{"when":{"every_ms":60000,"at":1},"job":{"tool":"m__f"}}"#,
            r#"{"when":{"every_ms":60000},"job":{"tool":"m__f"},"missed":"some"}"#,
            r#"{"when":{"every_ms":60000},"job":{"tool":"m__f"},"jitter_ms":3600001}"#,
            r#"{"when":{"every_ms":60000}}"#,
        ] {
            assert!(ScheduleSpec::parse(text).is_err(), "{text}");
        }
    }
}
