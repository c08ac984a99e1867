//! What is decided without looking at anything: how long, how many, and what follows.

use std::time::Duration;

use fumehood_model::{Code, Failure, JobOutcome, JobState, Outcome, StopReason, Stopped, Timestamp};
use fumehood_store::End;

use super::{Attempted, Mend, RunnerConfig, hand::Load};
use crate::outside::later;

/// Longest wait before a second attempt; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// Longest wait before any attempt: what is out of reach for longer is looked after every few minutes.
const LAST_BACKOFF: Duration = Duration::from_secs(300);

/// How much work waits in hand, so that places do not stand empty while the store answers.
///
/// Fifty milliseconds: several commits on a disk that takes eight for one. What waits in hand cannot go to another
/// node, nor be overtaken by a more important job that comes later.
const IN_HAND: Duration = Duration::from_millis(50);

/// Longest time between the ends of two jobs that counts.
///
/// Two or three slow jobs in a row empty the hand, and after a pause some dozens of quick ones fill it again.
const LONGEST_INTERVAL: Duration = Duration::from_millis(200);

/// Most jobs that wait in hand, however quick they are.
pub(super) const MAX_PREFETCH: usize = 256;

/// Most jobs whose outcome is being recorded before more are claimed.
const MAX_FINISHING: usize = 1_024;

/// How much to ask the store for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) most: usize,
    /// How many of them begin at once.
    pub(super) at_once: usize,
    pub(super) per_key: u64,
}

/// What matters of a job when an attempt of it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) is_repeatable: bool,
    /// Which attempt it is, the first being 1.
    pub(super) attempt: u32,
}

/// How long to wait after attempt number `attempt`, of which `chance` picks a random part.
///
/// The whole range from nothing is used ("full jitter"): jobs that failed together do not come back together.
pub(super) fn backoff(attempt: u32, chance: u64) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let millis = u64::try_from(doubled.min(LAST_BACKOFF).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(chance % (millis + 1))
}

/// How many jobs wait in hand when one usually ends `interval` after another: as many as will end in [`IN_HAND`].
///
/// What counts is how often one ends, not how long each takes: among slow jobs on some places quick ones on another must
/// not run dry.
pub(super) fn prefetch(interval: Option<Duration>) -> usize {
    let Some(interval) = interval else { return 0 };
    let many = IN_HAND.as_micros() / interval.as_micros().max(1);
    usize::try_from(many).unwrap_or(MAX_PREFETCH).min(MAX_PREFETCH)
}

/// How often jobs end, after one more has: each new interval counts an eighth.
pub(super) fn pace(interval: Option<Duration>, latest: Duration) -> Duration {
    // At first jobs are taken for slow: two that happen to end together must not fill the hand.
    let usual = interval.unwrap_or(LONGEST_INTERVAL);
    usual - usual / 8 + latest.min(LONGEST_INTERVAL) / 8
}

/// How many jobs to ask for, and how many of one key may be in hand then.
///
/// Jobs that have to wait for their own key's bound take no room from those of others, and a node that is alone takes no
/// more of a key than that one may run and may have waiting: else the jobs of one key would fill the hand and wait in
/// it, while places stand empty and jobs of others wait in the store. Those whose outcome is on its way still count for
/// the store. Among many nodes the bound counts for all of them together, so it cannot serve for this.
pub(super) fn wanted(places: usize, own_places: usize, prefetch: usize, load: Load, config: &RunnerConfig) -> Wanted {
    let Load { runnable, beyond, finishing } = load;
    let at_once = places.saturating_sub(runnable);
    let room = at_once + prefetch.saturating_sub(beyond);
    let soon = (own_places + prefetch + finishing) as u64;
    Wanted {
        most: if finishing < MAX_FINISHING { room } else { 0 },
        at_once,
        per_key: if config.is_alone { config.per_key.min(soon) } else { config.per_key },
    }
}

/// What becomes of a job after an attempt.
pub(super) fn follow(attempted: Attempted, facts: Facts, now: Timestamp, chance: u64) -> End {
    let Attempted { outcome, mend, asks, .. } = attempted;
    if let Some(asked) = asks {
        return End::Asks { asked };
    }
    let at = later(now, backoff(facts.attempt, chance));
    match mend {
        Mend::Never => End::Final { state: state_of(&outcome), outcome: Some(outcome) },
        Mend::Later => End::Again { at, outcome, crashed: false },
        Mend::Crashed if facts.is_repeatable => End::Again { at, outcome, crashed: true },
        Mend::NotYet(wait) => End::Unrun { at: later(now, wait) },
        Mend::Crashed => End::Final { state: JobState::Interrupted, outcome: Some(outcome) },
    }
}

/// What becomes of a job that runs when the server ends.
pub(super) fn stopped(facts: Facts, now: Timestamp) -> End {
    let message = "the server was stopped while the job ran".to_owned();
    let outcome = JobOutcome::Failed(Failure { code: Code::Unavailable, message });
    if facts.is_repeatable {
        End::Again { at: now, outcome, crashed: false }
    } else {
        End::Final { state: JobState::Interrupted, outcome: Some(outcome) }
    }
}

/// What becomes of a job that somebody cancelled.
pub(super) fn cancelled() -> End {
    let outcome = JobOutcome::Ended(Outcome::Stopped(Stopped { reason: StopReason::Cancelled }));
    End::Final { state: JobState::Cancelled, outcome: Some(outcome) }
}

fn state_of(outcome: &JobOutcome) -> JobState {
    match outcome {
        JobOutcome::Ended(Outcome::Value(_)) => JobState::Completed,
        JobOutcome::Ended(Outcome::Stopped(Stopped { reason: StopReason::Cancelled })) => JobState::Cancelled,
        JobOutcome::Ended(Outcome::ToolError(_) | Outcome::Stopped(_)) | JobOutcome::Failed(_) => JobState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    const NOW: Timestamp = Timestamp { unix_ms: 1_000_000 };

    fn attempted(mend: Mend) -> Attempted {
        let outcome = JobOutcome::Failed(Failure { code: Code::Unavailable, message: String::new() });
        Attempted { outcome, usage: None, mend, asks: None }
    }

    #[test]
    fn waits_double_up_to_five_minutes_and_any_part_of_one_may_be_chosen() {
        let longest = |attempt| (0..400_000).map(|chance| backoff(attempt, chance)).max().unwrap();

        assert_eq!(
            [1, 2, 3, 9, 10, 40, u32::MAX].map(longest).map(|wait| wait.as_secs()),
            [1, 2, 4, 256, 300, 300, 300]
        );
        let mut dice = Dice(1);
        let mean: f64 = (0..10_000).map(|_| backoff(3, dice.roll()).as_secs_f64()).sum::<f64>() / 10_000.0;
        assert!((1.9..=2.1).contains(&mean), "the mean of full jitter is half: {mean}");
    }

    #[test]
    fn what_waits_in_hand_is_worth_fifty_milliseconds() {
        let at = |micros| prefetch(Some(Duration::from_micros(micros)));

        assert_eq!([1_000_000, 51_000, 50_000, 10_000, 1_000, 10, 0].map(at), [0, 0, 1, 5, 50, 256, 256]);
        assert_eq!(prefetch(None), 0, "nothing is taken in advance of jobs that nobody knows");
    }

    #[test]
    fn few_slow_jobs_empty_the_hand_and_few_quick_ones_fill_it() {
        let (quick, slow) = (Duration::from_millis(1), Duration::from_secs(10));
        let after = |first, then, many| {
            let settled = (0..100).fold(None, |usual, _| Some(pace(usual, first)));
            prefetch((0..many).fold(settled, |usual, _| Some(pace(usual, then))))
        };

        assert_eq!((after(slow, quick, 0), after(slow, quick, 12), after(slow, quick, 60)), (0, 1, 46));
        assert_eq!((after(quick, slow, 0), after(quick, slow, 1), after(quick, slow, 3)), (50, 1, 0));
    }

    #[test]
    fn what_waits_for_its_own_key_takes_no_room_from_others() {
        let config = RunnerConfig::default();
        let asked = |runnable, beyond, finishing| {
            let Wanted { most, per_key, .. } = wanted(3, 2, 4, Load { runnable, beyond, finishing }, &config);
            (most, per_key)
        };

        assert_eq!(asked(0, 0, 0), (7, 6));
        assert_eq!(asked(2, 4, 0), (1, 6), "a place is left for another key");
        assert_eq!(asked(3, 9, 1), (0, 7));
        assert_eq!(asked(0, 0, 2_000).0, 0, "what has run is recorded first");
        let many_nodes = RunnerConfig { is_alone: false, per_key: 50, ..config };
        assert_eq!(wanted(3, 2, 4, Load::default(), &many_nodes).per_key, 50);
    }

    #[test]
    fn an_answer_of_the_tool_ends_the_job() {
        let end = |outcome| {
            let attempted =
                Attempted { outcome: JobOutcome::Ended(outcome), usage: None, mend: Mend::Never, asks: None };
            let End::Final { state, .. } = follow(attempted, Facts { is_repeatable: true, attempt: 1 }, NOW, 0) else {
                panic!("it must be final")
            };
            state
        };

        assert_eq!(end(Outcome::Value("1".into())), JobState::Completed);
        assert_eq!(end(Outcome::ToolError("\"no\"".into())), JobState::Failed);
        assert_eq!(end(Outcome::Stopped(Stopped { reason: StopReason::Fuel { allowed: 1 } })), JobState::Failed);
        assert_eq!(end(Outcome::Stopped(Stopped { reason: StopReason::Cancelled })), JobState::Cancelled);
    }

    #[test]
    fn what_may_be_mended_is_tried_again_later() {
        let facts = Facts { is_repeatable: false, attempt: 2 };

        let End::Again { at, crashed, .. } = follow(attempted(Mend::Later), facts, NOW, 1_500) else {
            panic!("it must be tried again")
        };

        assert_eq!((at.unix_ms, crashed), (NOW.unix_ms + 1_500, false));
    }

    #[test]
    fn after_a_crash_or_a_stop_only_what_is_repeatable_is_tried_again() {
        for is_repeatable in [true, false] {
            let facts = Facts { is_repeatable, attempt: 1 };
            let crash = follow(attempted(Mend::Crashed), facts, NOW, 7);
            let stop = stopped(facts, NOW);

            if is_repeatable {
                assert!(matches!(crash, End::Again { crashed: true, at, .. } if at.unix_ms == NOW.unix_ms + 7));
                assert!(matches!(stop, End::Again { crashed: false, at: NOW, .. }));
            } else {
                assert!(matches!(crash, End::Final { state: JobState::Interrupted, .. }));
                assert!(matches!(stop, End::Final { state: JobState::Interrupted, .. }));
            }
        }
    }
}
