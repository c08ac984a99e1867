use std::time::{Duration, Instant};

/// Time between two reports of a guest: ten a second look like movement, and more are only work.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);

/// How much may come ahead of its time, in the time that it stands for.
const AHEAD: Duration = Duration::from_secs(1);

/// Holds back who comes too often.
///
/// The guest side keeps to its pace by itself, unless it is in the hands of its guest.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When what has come so far would be over, had it come evenly.
    over: Option<Instant>,
}

impl Pace {
    /// When what has come `now`, and stands for so much time as `cost`, may go on: at once, unless there was too much.
    pub(crate) fn turn(&mut self, now: Instant, cost: Duration) -> Instant {
        let before = self.over.map_or(now, |over| over.max(now));
        self.over = Some(before + cost);
        before.checked_sub(AHEAD).map_or(now, |turn| turn.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_to_the_pace_never_waits() {
        let (mut pace, start) = (Pace::default(), Instant::now());

        for count in 0..1_000 {
            let now = start + PERIOD * count;
            assert_eq!(pace.turn(now, PERIOD), now);
        }
    }

    #[test]
    fn who_comes_too_often_waits_for_the_time_that_it_stands_for() {
        let (mut pace, now) = (Pace::default(), Instant::now());

        let turns: Vec<_> = (0..1_000).map(|_| pace.turn(now, PERIOD)).collect();

        assert_eq!(turns.iter().filter(|turn| **turn == now).count(), 11);
        assert_eq!(turns[999], now + PERIOD * 999 - AHEAD);
    }
}
