//! How a run ends: all is well again, the honest get what they came for, and nothing is left.

use crate::agent::Agent;
use crate::plan::Behaviour;
use crate::random::Random;
use crate::world::World;
use porter::engine::Statistics;
use std::time::Duration;

impl World {
    /// All faults are mended, the ill-meaning leave, and the honest get done what they came for. Then nothing is left.
    pub(crate) fn end(&mut self, salt: u64) {
        let mut random = Random::new(salt);
        self.disk.heal();
        // Or nobody could register in a file that somebody has replaced.
        self.reload();
        self.entropy.0.borrow_mut().failures = 0;
        if self.model.users.none_is_stored {
            self.fall(false, 2);
        }
        for agent in &mut self.agents {
            if let (Some(link), true) = (agent.link, agent.behaviour != Behaviour::Honest) {
                match random.below(3) {
                    0 => self.links[link].leave(),
                    1 => self.links[link].sever(),
                    _ => self.links[link].half_close(),
                }
                agent.disconnected();
            }
        }
        let honest: Vec<usize> = (0..self.agents.len()).filter(|n| !self.agents[*n].is_content()).collect();
        let mut turns = 0;
        while let Some(waits) = honest.iter().find(|n| !self.agents[**n].is_content()) {
            turns += 1;
            // Long texts for a crowd go out in shares, of which some worlds have small ones.
            assert!(turns < 20_000, "{} waits for ever: {:?}", self.agents[*waits].name, self.agents[*waits]);
            let mut moved = false;
            for who in &honest {
                moved |= self.act(*who, &mut random, true);
            }
            self.settle_network(moved);
        }
        for link in &mut self.links {
            link.leave();
        }
        while !self.engine().is_empty() || !self.knocking.is_empty() {
            turns += 1;
            assert!(turns < 23_000, "connections are left");
            // What was sent before is read at its pace.
            self.clock.set(self.clock.get() + Duration::from_secs(5));
            self.settle_network(false);
        }
        self.check_nothing_left();
    }

    /// All that flies arrives, the server has a turn, and if there is nothing to do then, time passes.
    fn settle_network(&mut self, moved: bool) {
        self.links.iter_mut().for_each(|link| link.arrive(usize::MAX));
        self.turn_or_fall(1);
        self.clock.set(self.clock.get() + Duration::from_millis(1));
        let unread = |agent: &Agent| agent.link.is_some_and(|link| self.links[link].has_unread());
        let moving = moved || self.agents.iter().any(unread);
        if !moving {
            // With nothing due, somebody may have been told to come back later.
            let pause = self.patience().unwrap_or(Duration::from_secs(1));
            self.clock.set(self.clock.get() + pause);
        }
    }

    fn check_nothing_left(&mut self) {
        let mut turns = 0;
        loop {
            self.turn();
            match self.patience() {
                None => break,
                Some(pause) => self.clock.set(self.clock.get() + pause),
            }
            turns += 1;
            assert!(turns < 2_000, "something is always due");
        }
        assert_eq!(self.engine().statistics(), Statistics::default(), "what is left at the end");
        assert!(self.model.conns.is_empty() && self.model.sessions.is_empty());
        // A machine that dies now has all that was acknowledged.
        self.fall(true, 2);
    }
}
