//! When something is due again and again.

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use fumehood_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::SpecError;

/// Shortest interval.
const MIN_EVERY_MS: u64 = 1_000;

/// Longest interval: a century. Longer ones are mistakes.
const MAX_EVERY_MS: u64 = 100 * 366 * 86_400_000;

/// How far back a search begins that must not miss the hour that a clock passes twice.
const FOLD_MS: u64 = 3 * 3_600_000;

/// The moments at which a schedule is due, before any jitter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum When {
    /// As a cron expression says.
    Cron {
        /// Five fields, or six with seconds first.
        expression: String,
        /// The zone whose clocks count, as the time zone database calls it.
        ///
        /// A time that the clocks skip in spring is made up for when they go on; one that they pass twice in autumn
        /// counts once. Expressions with an open hour or minute follow time itself.
        zone: Tz,
        /// The expression, parsed.
        cron: Box<Cron>,
    },
    /// At every multiple of an interval since 1970, so that all nodes agree.
    Every {
        /// The interval, at least a second.
        interval_ms: u64,
    },
}

/// [`When`] as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
}

impl When {
    /// A cron expression, by the clocks of `zone`.
    ///
    /// # Errors
    ///
    /// When either is not one, or it is never due.
    pub fn cron(expression: &str, zone: &str) -> Result<Self, SpecError> {
        let bad = |why: String| SpecError::Cron { expression: expression.chars().take(80).collect(), why };
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| bad(error.to_string()))?;
        let zone = zone.parse().map_err(|_| SpecError::Zone { zone: zone.chars().take(80).collect() })?;
        let when = Self::Cron { expression: expression.to_owned(), zone, cron: Box::new(cron) };
        when.after(Timestamp { unix_ms: 0 }).ok_or_else(|| bad("no day of any year fits".to_owned()))?;
        Ok(when)
    }

    /// An interval.
    ///
    /// # Errors
    ///
    /// When it is shorter than a second or longer than a century.
    pub fn every(interval_ms: u64) -> Result<Self, SpecError> {
        if (MIN_EVERY_MS..=MAX_EVERY_MS).contains(&interval_ms) {
            Ok(Self::Every { interval_ms })
        } else {
            Err(SpecError::Every { interval_ms })
        }
    }

    /// The first moment after `at`.
    #[must_use]
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { zone, cron, .. } => {
                let next = cron.find_next_occurrence(&local(at, *zone)?, false).ok()?;
                timestamp(&next).filter(|next| *next > at)
            }
            Self::Every { interval_ms } => {
                let unix_ms = (at.unix_ms / interval_ms + 1).checked_mul(*interval_ms)?;
                Some(Timestamp { unix_ms })
            }
        }
    }

    /// The last moment before or at `at`.
    pub(super) fn latest(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { zone, cron, .. } => {
                let found = cron.find_previous_occurrence(&local(at, *zone)?, true).ok();
                let found = found.and_then(|found| timestamp(&found)).filter(|found| *found <= at)?;
                let before = Timestamp { unix_ms: found.unix_ms.saturating_sub(1) };
                let is_plain = self.after(before) == Some(found) && self.after(found).is_none_or(|next| next > at);
                if is_plain { Some(found) } else { self.latest_in_fold(found, at) }
            }
            Self::Every { interval_ms } => Some(Timestamp { unix_ms: at.unix_ms / interval_ms * interval_ms }),
        }
    }

    /// Where looking back and looking ahead disagree, because the clocks were put back, looking ahead is right.
    fn latest_in_fold(&self, found: Timestamp, at: Timestamp) -> Option<Timestamp> {
        let mut next = self.after(Timestamp { unix_ms: found.unix_ms.saturating_sub(FOLD_MS) });
        let mut latest = None;
        while let Some(slot) = next.filter(|slot| *slot <= at) {
            latest = Some(slot);
            next = self.after(slot);
        }
        latest.or_else(|| self.latest(Timestamp { unix_ms: found.unix_ms.checked_sub(FOLD_MS)? }))
    }
}

impl PartialEq for When {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cron { expression, zone, .. }, Self::Cron { expression: text, zone: clocks, .. }) => {
                expression == text && zone == clocks
            }
            (Self::Every { interval_ms }, Self::Every { interval_ms: other }) => interval_ms == other,
            (Self::Cron { .. }, Self::Every { .. }) | (Self::Every { .. }, Self::Cron { .. }) => false,
        }
    }
}

impl TryFrom<Written> for When {
    type Error = SpecError;

    fn try_from(written: Written) -> Result<Self, SpecError> {
        match written {
            Written { cron: Some(cron), zone, every_ms: None } => Self::cron(&cron, zone.as_deref().unwrap_or("UTC")),
            Written { cron: None, zone: None, every_ms: Some(every_ms) } => Self::every(every_ms),
            _ => Err(SpecError::When),
        }
    }
}

impl From<When> for Written {
    fn from(when: When) -> Self {
        match when {
            When::Cron { expression, zone, .. } => {
                Self { cron: Some(expression), zone: Some(zone.name().to_owned()), every_ms: None }
            }
            When::Every { interval_ms } => Self { every_ms: Some(interval_ms), ..Self::default() },
        }
    }
}

fn local(at: Timestamp, zone: Tz) -> Option<DateTime<Tz>> {
    let at = Utc.timestamp_millis_opt(i64::try_from(at.unix_ms).ok()?).single()?;
    Some(at.with_timezone(&zone))
}

fn timestamp(at: &DateTime<Tz>) -> Option<Timestamp> {
    u64::try_from(at.timestamp_millis()).ok().map(|unix_ms| Timestamp { unix_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    fn at(text: &str) -> Timestamp {
        timestamp(&DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Tz::UTC)).unwrap()
    }

    /// The next `many` moments after `from`.
    fn moments(when: &When, from: &str, many: usize) -> Vec<String> {
        let first = when.after(at(from));
        std::iter::successors(first, |slot| when.after(*slot)).take(many).map(|slot| slot.to_string()).collect()
    }

    fn berlin(expression: &str) -> When {
        When::cron(expression, "Europe/Berlin").unwrap()
    }

    #[test]
    fn a_time_that_is_skipped_in_spring_counts_once_when_the_clocks_go_on() {
        let slots = moments(&berlin("30 2 * * *"), "2026-03-27T12:00:00Z", 4);

        let expected = ["2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"];
        assert_eq!(slots[..3], expected);
    }

    #[test]
    fn a_time_that_comes_twice_in_autumn_counts_once() {
        let slots = moments(&berlin("30 2 * * *"), "2026-10-24T12:00:00Z", 3);

        let expected = ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z", "2026-10-27T01:30:00.000Z"];
        assert_eq!(slots, expected);
    }

    #[test]
    fn what_comes_every_hour_follows_time_itself() {
        let spring = moments(&berlin("0 * * * *"), "2026-03-28T23:30:00Z", 3);
        let autumn = moments(&berlin("0 * * * *"), "2026-10-24T23:30:00Z", 4);

        assert_eq!(spring, ["2026-03-29T00:00:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-29T02:00:00.000Z"]);
        let expected = [
            "2026-10-25T00:00:00.000Z",
            "2026-10-25T01:00:00.000Z",
            "2026-10-25T02:00:00.000Z",
            "2026-10-25T03:00:00.000Z",
        ];
        assert_eq!(autumn, expected);
    }

    #[test]
    fn six_fields_begin_with_seconds() {
        let slots = moments(&When::cron("*/20 0 0 1 1 *", "UTC").unwrap(), "2026-12-31T00:00:00Z", 3);

        assert_eq!(slots, ["2027-01-01T00:00:00.000Z", "2027-01-01T00:00:20.000Z", "2027-01-01T00:00:40.000Z"]);
    }

    #[test]
    fn intervals_are_counted_from_one_moment_for_all() {
        let slots = moments(&When::every(90_000).unwrap(), "2026-11-20T00:00:00Z", 2);

        assert_eq!(slots, ["2026-11-20T00:01:30.000Z", "2026-11-20T00:03:00.000Z"]);
    }

    #[test]
    fn looking_back_agrees_with_looking_ahead() {
        let whens = [
            berlin("30 2 * * *"),
            berlin("*/7 * * * *"),
            berlin("15,45 1-3 * * *"),
            berlin("0 0 29 2 *"),
            When::cron("30 1 * * *", "Australia/Lord_Howe").unwrap(),
            When::every(7_000).unwrap(),
        ];
        let starts = ["2026-03-28T22:00:00Z", "2026-10-24T22:00:00Z", "2027-04-03T12:00:00Z", "2026-06-01T00:00:00Z"];
        let mut dice = Dice(3);
        for when in &whens {
            for _ in 0..300 {
                let start = at(starts[usize::try_from(dice.below(4)).unwrap()]);
                let at = Timestamp { unix_ms: start.unix_ms + dice.below(8 * 3_600_000) };
                let latest = when.latest(at).unwrap();

                assert!(latest <= at);
                let before = Timestamp { unix_ms: latest.unix_ms - 1 };
                assert_eq!(when.after(before), Some(latest), "{when:?} before {at}: {latest} is no moment of it");
                assert!(when.after(latest).is_none_or(|next| next > at), "{when:?} before {at}: {latest} is too early");
            }
        }
    }

    #[test]
    fn mistakes_are_refused_with_their_reason() {
        let parse = |text: &str| serde_json::from_str::<When>(text).map_err(|error| error.to_string());

        assert!(parse(r#"{"cron":"61 * * * *"}"#).unwrap_err().contains("61 * * * *"));
        assert!(parse(r#"{"cron":"0 0 1 1 * * 2030"}"#).is_err(), "a year is none of the fields");
        assert!(parse(r#"{"cron":"0 0 30 2 *"}"#).unwrap_err().contains("no day of any year fits"));
        assert!(parse(r#"{"cron":"* * * * *","zone":"Europe/Bärlin"}"#).unwrap_err().contains("Bärlin"));
        assert!(parse(r#"{"every_ms":999}"#).unwrap_err().contains("999"));
        for neither in [r#"{}"#, r#"{"cron":"* * * * *","every_ms":1000}"#, r#"{"every_ms":1000,"zone":"UTC"}"#] {
            assert!(parse(neither).unwrap_err().contains("either"), "{neither}");
        }
        let when = parse(r#"{"cron":"30 2 * * *","zone":"Europe/Berlin"}"#).unwrap();
        assert_eq!(serde_json::to_string(&when).unwrap(), r#"{"cron":"30 2 * * *","zone":"Europe/Berlin"}"#);
    }
}
