//! What a schedule does at a moment.

use fumehood_model::Timestamp;
use fumehood_store::Schedule;

use super::{Missed, ScheduleSpec, When};

/// Most moments that were missed and are made up for.
pub const MAX_MISSED: usize = 100;

/// How late a moment may be noticed before it counts as missed.
///
/// A server that is busy, or is restarted, is not one that was down.
const GRACE_MS: u64 = 10_000;

/// What to do with a schedule that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The moment for which a job is to be submitted, if any.
    pub slot: Option<Timestamp>,
    /// When the schedule is due next; in the past if more is to be made up for.
    pub next_at: Option<Timestamp>,
}

impl ScheduleSpec {
    /// When a schedule called `name` that does this is due next after `after`, its jitter included.
    #[must_use]
    pub fn next(&self, name: &str, after: Timestamp) -> Option<Timestamp> {
        next(self, name, after)
    }

    /// What to do with `schedule`, which does this, at `now`.
    #[must_use]
    pub fn decide(&self, schedule: &Schedule, now: Timestamp) -> Plan {
        decide(schedule, self, now)
    }
}

fn next(spec: &ScheduleSpec, name: &str, after: Timestamp) -> Option<Timestamp> {
    let late = spec.when.latest(after).and_then(|slot| due(spec, name, slot)).filter(|due| *due > after);
    late.or_else(|| due(spec, name, spec.when.after(after)?))
}

fn decide(schedule: &Schedule, spec: &ScheduleSpec, now: Timestamp) -> Plan {
    let name = &schedule.name;
    let Some(first) = schedule.next_at else { return Plan { slot: None, next_at: None } };
    if first > now {
        return Plan { slot: None, next_at: Some(first) };
    }
    // The schedule may have been moved since `first` was set, so that no moment lies between.
    let last = latest(spec, name, now).filter(|last| *last >= first).unwrap_or(first);
    let slot = match spec.missed {
        Missed::Skip => Some(last).filter(|last| now.unix_ms - last.unix_ms <= GRACE_MS),
        Missed::Once => Some(last),
        Missed::All => Some(oldest(spec, name, first, last)),
    };
    let after = if spec.missed == Missed::All { slot.unwrap_or(now) } else { now };
    Plan { slot, next_at: next(spec, name, after) }
}

/// The first of at most [`MAX_MISSED`] moments from `first` to `last`.
fn oldest(spec: &ScheduleSpec, name: &str, first: Timestamp, last: Timestamp) -> Timestamp {
    let mut oldest = last;
    for _ in 1..MAX_MISSED {
        let before = Timestamp { unix_ms: oldest.unix_ms.saturating_sub(1) };
        match latest(spec, name, before).filter(|slot| *slot >= first && *slot < oldest) {
            Some(earlier) => oldest = earlier,
            None => break,
        }
    }
    oldest
}

/// The last moment before or at `at`, its jitter included.
fn latest(spec: &ScheduleSpec, name: &str, at: Timestamp) -> Option<Timestamp> {
    let slot = spec.when.latest(at)?;
    let due_at = due(spec, name, slot)?;
    if due_at <= at {
        return Some(due_at);
    }
    let before = spec.when.latest(Timestamp { unix_ms: slot.unix_ms.checked_sub(1)? })?;
    due(spec, name, before).filter(|due| *due <= at)
}

/// A moment with its jitter: the same on every node, and never as late as the next moment.
fn due(spec: &ScheduleSpec, name: &str, slot: Timestamp) -> Option<Timestamp> {
    if spec.jitter_ms == 0 {
        return Some(slot);
    }
    let gap = gap_after(&spec.when, slot).unwrap_or(u64::MAX);
    let jitter = hash(name, slot) % spec.jitter_ms.saturating_add(1).min(gap);
    Some(Timestamp { unix_ms: slot.unix_ms.checked_add(jitter)? })
}

fn gap_after(when: &When, slot: Timestamp) -> Option<u64> {
    Some(when.after(slot)?.unix_ms.saturating_sub(slot.unix_ms).max(1))
}

/// FNV-1a, finished as SplitMix64 is: of no use against anybody, and the same in every build for ever.
fn hash(name: &str, slot: Timestamp) -> u64 {
    let bytes = name.bytes().chain(slot.unix_ms.to_be_bytes());
    let mut hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use fumehood_model::KeyId;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn spec(missed: Missed, jitter_ms: u64) -> ScheduleSpec {
        let text = r#"{"when":{"every_ms":60000},"job":{"tool":"m__f"}}"#;
        ScheduleSpec { missed, jitter_ms, ..ScheduleSpec::parse(text).unwrap() }
    }

    fn schedule(next_ms: u64) -> Schedule {
        Schedule {
            owner: KeyId("key".into()),
            name: "name".into(),
            spec: String::new(),
            is_paused: false,
            next_at: Some(at(next_ms)),
            last_at: None,
            last_job: None,
            passed_over: None,
            created_at: at(0),
            version: 1,
        }
    }

    fn at(unix_ms: u64) -> Timestamp {
        Timestamp { unix_ms }
    }

    #[test]
    fn a_moment_that_is_now_gets_its_job_whatever_becomes_of_missed_ones() {
        for missed in [Missed::Skip, Missed::Once, Missed::All] {
            let plan = decide(&schedule(HOUR), &spec(missed, 0), at(HOUR + 300));

            assert_eq!(plan, Plan { slot: Some(at(HOUR)), next_at: Some(at(HOUR + 60_000)) }, "{missed:?}");
        }
    }

    #[test]
    fn nothing_happens_before_its_time() {
        let plan = decide(&schedule(HOUR), &spec(Missed::All, 0), at(HOUR - 1));

        assert_eq!(plan, Plan { slot: None, next_at: Some(at(HOUR)) });
    }

    #[test]
    fn after_a_day_without_a_server_moments_are_skipped_made_up_for_once_or_one_by_one() {
        let now = at(25 * HOUR + 30_000);
        let next_at = Some(at(25 * HOUR + 60_000));

        assert_eq!(decide(&schedule(HOUR), &spec(Missed::Skip, 0), now), Plan { slot: None, next_at });
        assert_eq!(decide(&schedule(HOUR), &spec(Missed::Once, 0), now), Plan { slot: Some(at(25 * HOUR)), next_at });
        let (mut due, mut slots) = (schedule(HOUR), Vec::new());
        while let Plan { slot: Some(slot), next_at } = decide(&due, &spec(Missed::All, 0), now) {
            slots.push(slot);
            due.next_at = next_at;
        }
        assert_eq!((slots.len(), slots[0]), (100, at(25 * HOUR - 99 * 60_000)));
        assert_eq!((slots.last(), due.next_at), (Some(&at(25 * HOUR)), next_at));
    }

    #[test]
    fn few_missed_moments_are_all_made_up_for() {
        let plan = decide(&schedule(HOUR), &spec(Missed::All, 0), at(HOUR + 150_000));

        assert_eq!(plan, Plan { slot: Some(at(HOUR)), next_at: Some(at(HOUR + 60_000)) });
    }

    #[test]
    fn jitter_is_the_same_everywhere_and_changes_no_order() {
        for jitter_ms in [1, 10_000, 60_000, HOUR] {
            let spec = spec(Missed::Once, jitter_ms);
            let mut after = at(HOUR);
            let mut late = Vec::new();
            for _ in 0..500 {
                let due = next(&spec, "name", after).unwrap();
                assert!(due > after && due == next(&spec, "name", at(due.unix_ms - 1)).unwrap());
                assert_eq!(latest(&spec, "name", due), Some(due));
                late.push(due.unix_ms % 60_000);
                after = due;
            }
            assert!(after.unix_ms >= HOUR + 499 * 60_000 && after.unix_ms < HOUR + 502 * 60_000, "none was lost");
            assert!(late.iter().all(|late| *late <= jitter_ms));
            let spread = late.iter().max().unwrap() - late.iter().min().unwrap();
            assert!(spread >= jitter_ms.min(59_000) * 9 / 10, "jitter of {jitter_ms} ms is spread over {spread}");
        }
        let [one, other] = ["one", "other"].map(|name| next(&spec(Missed::Once, 60_000), name, at(HOUR)));
        assert_ne!(one, other, "schedules are spread by their names");
    }

    #[test]
    fn a_schedule_without_a_further_moment_is_over() {
        let over = Schedule { next_at: None, ..schedule(0) };

        assert_eq!(decide(&over, &spec(Missed::All, 0), at(HOUR)), Plan { slot: None, next_at: None });
    }
}
