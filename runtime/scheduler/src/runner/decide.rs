//! What is decided without looking at anything: how long, how many, and what follows.

use std::time::Duration;

use fumehood_model::{Code, Failure, JobOutcome, JobState, Outcome, StopReason, Stopped, Timestamp};
use fumehood_store::End;

use super::{Attempted, Mend};
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

/// Most jobs that wait in hand, however quick they are.
pub(super) const MAX_PREFETCH: usize = 256;

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

/// How many jobs wait in hand for `places` when a job usually takes `usual`.
pub(super) fn prefetch(places: usize, usual: Option<Duration>) -> usize {
    let Some(usual) = usual.filter(|usual| *usual <= IN_HAND) else { return 0 };
    let rounds = IN_HAND.as_micros() / usual.as_micros().max(1);
    usize::try_from(rounds).unwrap_or(MAX_PREFETCH).saturating_mul(places).min(MAX_PREFETCH)
}

/// What becomes of a job after an attempt.
pub(super) fn follow(attempted: Attempted, facts: Facts, now: Timestamp, chance: u64) -> End {
    let Attempted { outcome, mend, .. } = attempted;
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
        Attempted { outcome, usage: None, mend }
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
        let at = |ms: f64| prefetch(4, Some(Duration::from_secs_f64(ms / 1_000.0)));

        assert_eq!((at(1_000.0), at(51.0), at(50.0), at(10.0), at(1.0)), (0, 0, 4, 20, 200));
        assert_eq!((at(0.01), at(0.0)), (MAX_PREFETCH, MAX_PREFETCH));
        assert_eq!(prefetch(4, None), 0, "nothing is taken in advance of jobs that nobody knows");
    }

    #[test]
    fn an_answer_of_the_tool_ends_the_job() {
        let end = |outcome| {
            let attempted = Attempted { outcome: JobOutcome::Ended(outcome), usage: None, mend: Mend::Never };
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
