//! When deadlines are met: what has arrived is judged first.
//!
//! A server that was stopped for a minute, or waited for a slow disk, finds logins and resumes in its sockets whose time
//! is up. They came in time. In every turn deadlines come after reading, and after a pause they are put off until nothing
//! is left unread, and for a moment more, so that those who were in the middle of something can go on with it. All of it
//! is bounded: whoever never stops sending keeps no deadline off, nor does a disk that is always slow.

use crate::Moment;
use crate::limits::{PAUSE_GRACE_MOST, PAUSE_HOLD_MOST, PAUSE_LEAST, PAUSE_RENEWALS_MOST};
use std::time::Duration;

/// Notices pauses, and puts deadlines off after them.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// When the last turn began.
    last_turn: Moment,
    /// What the last turn took, if it was known before the wait.
    turn_took: Duration,
    /// When the wait is to be over.
    wakes: Moment,
    hold: Option<Hold>,
}

/// Deadlines are put off.
#[derive(Debug)]
struct Hold {
    /// Whatever is left to be read.
    least: Moment,
    /// As long as something is.
    most: Moment,
    /// Pauses since the one that it began with: it begins anew with each, unless there were too many.
    renewals: u32,
}

impl Deadlines {
    /// The server waits for nothing: the next turn begins at once.
    pub(super) fn goes_on(&mut self) {
        (self.turn_took, self.wakes) = (Duration::ZERO, self.last_turn);
    }

    /// The server waits, if nothing happens until then.
    pub(super) fn waits(&mut self, now: Moment, wakes: Moment) {
        (self.turn_took, self.wakes) = (now.since(self.last_turn), wakes.max(now));
    }

    /// The server waits for something to happen. As nothing is due, there is no deadline to be put off.
    pub(super) fn waits_for_ever(&mut self) {
        (self.turn_took, self.wakes) = (Duration::ZERO, Moment::NEVER);
    }

    /// A turn begins. If it is late there was a pause, for all that is known ever since the last turn began: a process that
    /// was stopped while it waited is late only by what was not to be waited anyway.
    pub(super) fn begin_turn(&mut self, now: Moment) {
        let late = self.turn_took + now.since(self.wakes);
        let last_turn = std::mem::replace(&mut self.last_turn, now);
        if late < PAUSE_LEAST {
            return;
        }
        let renewals = self.hold.as_ref().map_or(0, |hold| hold.renewals + 1);
        if renewals <= PAUSE_RENEWALS_MOST {
            let least = now + now.since(last_turn).min(PAUSE_GRACE_MOST);
            self.hold = Some(Hold { least, most: now + PAUSE_HOLD_MOST, renewals });
        }
    }

    /// Whether what is due is to be done now. At the end of a hold it always is.
    pub(super) fn are_met(&mut self, now: Moment, has_unread: impl FnOnce() -> bool) -> bool {
        let is_held = |hold: &Hold| now < hold.least || (now < hold.most && has_unread());
        if self.hold.as_ref().is_some_and(is_held) {
            return false;
        }
        self.hold = None;
        true
    }

    /// Whether there is a hold, even one that is over.
    pub(super) fn has_hold(&self) -> bool {
        self.hold.is_some()
    }

    /// Whether there was a pause a moment ago.
    pub(super) fn is_after_pause(&self, now: Moment) -> bool {
        self.hold.as_ref().is_some_and(|hold| now < hold.least)
    }

    /// When something that is due then will be done, if nothing is left to be read.
    pub(super) fn put_off(&self, due: Moment) -> Moment {
        self.hold.as_ref().map_or(due, |hold| due.max(hold.least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::START + Duration::from_millis(milliseconds)
    }

    #[test]
    fn without_a_pause_nothing_is_put_off_whatever_is_unread() {
        let mut deadlines = Deadlines::default();
        for turn in 0..1_000 {
            deadlines.begin_turn(at(turn * 90));
            assert!(deadlines.are_met(at(turn * 90), || true));
            match turn % 3 {
                0 => deadlines.goes_on(),
                // A long wait that was meant to be, and one that something has cut short.
                1 => deadlines.waits(at(turn * 90 + 1), at(turn * 90 + 50)),
                _ => deadlines.waits(at(turn * 90 + 1), at(turn * 90 + 500_000)),
            }
        }
        deadlines.waits_for_ever();
        deadlines.begin_turn(at(50_000_000));
        assert!(deadlines.are_met(at(50_000_000), || true));
    }

    /// A wait that takes too long, a turn that does (a slow sync), and a turn that was to follow at once and did not.
    #[test]
    fn after_each_kind_of_pause_deadlines_are_put_off() {
        let waits: [fn(&mut Deadlines); 3] = [
            |deadlines| deadlines.waits(at(51), at(2_000)),
            |deadlines| deadlines.waits(at(30_000), at(31_000)),
            Deadlines::goes_on,
        ];
        for (number, wait) in waits.into_iter().enumerate() {
            let mut deadlines = Deadlines::default();
            deadlines.begin_turn(at(50));
            assert!(deadlines.are_met(at(50), || false), "{number}");
            wait(&mut deadlines);
            deadlines.begin_turn(at(30_010));
            assert!(
                !deadlines.are_met(at(30_010), || false) && deadlines.is_after_pause(at(30_010)),
                "{number}"
            );
            assert_eq!(deadlines.put_off(at(20_000)), at(30_010) + PAUSE_GRACE_MOST, "{number}");
            assert_eq!(deadlines.put_off(at(90_000)), at(90_000), "{number}");
            assert!(deadlines.are_met(at(30_010) + PAUSE_GRACE_MOST, || false), "{number}");
        }
    }

    /// The story: stopped for four seconds, but until a quarter of a second before its end there was nothing to be done.
    #[test]
    fn a_pause_in_a_wait_may_have_been_all_of_it() {
        let mut deadlines = Deadlines::default();
        deadlines.begin_turn(at(100));
        deadlines.waits(at(101), at(3_850));
        deadlines.begin_turn(at(4_100));
        assert!(!deadlines.are_met(at(6_099), || false));
        assert!(deadlines.are_met(at(6_100), || false));
    }

    fn paused() -> Deadlines {
        let mut deadlines = Deadlines::default();
        deadlines.goes_on();
        deadlines.begin_turn(at(60_000));
        deadlines
    }

    #[test]
    fn what_is_unread_puts_deadlines_off_further_but_not_for_ever() {
        let mut deadlines = paused();
        let mut now = at(60_000);
        let mut turns = 0;
        while !deadlines.are_met(now, || true) {
            turns += 1;
            now = now + Duration::from_millis(5);
            deadlines.goes_on();
            deadlines.begin_turn(now);
        }
        assert_eq!(now, at(60_000) + PAUSE_HOLD_MOST);
        assert!(turns > 400, "as many as it takes to accept all of a full backlog: {turns}");
    }

    #[test]
    fn a_pause_during_a_hold_is_no_running_time() {
        let mut deadlines = paused();
        deadlines.goes_on();
        deadlines.begin_turn(at(120_000));
        assert!(!deadlines.are_met(at(120_000), || true));
        assert!(deadlines.are_met(at(120_000) + PAUSE_HOLD_MOST, || true));
    }

    /// The story: a start is long enough for a pause, and what it had put off was over long since when the process was
    /// stopped. The pause was added to that, and put nothing off.
    #[test]
    fn a_pause_puts_off_anew_what_an_earlier_one_had() {
        let mut deadlines = Deadlines::default();
        deadlines.begin_turn(at(165));
        assert!(!deadlines.are_met(at(268), || false));
        deadlines.waits(at(269), at(3_172));
        deadlines.begin_turn(at(4_200));
        assert!(!deadlines.are_met(at(6_199), || false));
        assert!(deadlines.are_met(at(6_200), || false));
    }

    #[test]
    fn a_pause_in_every_turn_does_not_put_deadlines_off_for_ever() {
        let mut deadlines = Deadlines::default();
        let mut are_met = |turn: u64| {
            deadlines.goes_on();
            deadlines.begin_turn(at(turn * 150));
            deadlines.are_met(at(turn * 150), || turn.is_multiple_of(2))
        };
        let met = (1..=200).filter(|turn| are_met(*turn)).count();
        assert!(met >= 5, "{met} times in half a minute");
    }

    /// The shorter the pause, the less is to be made up for.
    #[test]
    fn a_short_pause_puts_deadlines_off_for_as_long_as_it_was() {
        let mut deadlines = Deadlines::default();
        deadlines.goes_on();
        deadlines.begin_turn(at(300));
        assert!(!deadlines.are_met(at(599), || false));
        assert!(deadlines.are_met(at(600), || false));
    }
}
