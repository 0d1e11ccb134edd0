//! What happens: each [`Op`] of a run, carried out.

use crate::model::Cause;
use crate::net::Link;
use crate::plan::{Behaviour, Op};
use crate::random::Random;
use crate::wire::frame;
use crate::world::World;
use porter::engine::{TransportEvent, Written};
use std::time::Duration;

impl World {
    pub(crate) fn apply(&mut self, op: Op) {
        match op {
            Op::Act { who, salt } => {
                self.act(who, &mut Random::new(salt), false);
            }
            Op::Arrive { who, salt } => self.arrive(who, salt),
            Op::Flood { who, salt } => self.flood(who, salt),
            Op::HalfClose { who } => {
                if let Some(link) = self.agents[who].link {
                    self.links[link].half_close();
                }
            }
            Op::Break { who } => {
                if let Some(link) = self.agents[who].link {
                    self.links[link].sever();
                    self.agents[who].disconnected();
                }
            }
            Op::Turn { turns } => (0..turns).for_each(|_| self.turn_or_fall(1)),
            Op::Pass { milliseconds } => {
                let pause = Duration::from_millis(milliseconds);
                self.clock.set(self.clock.get() + pause);
            }
            Op::Sleep => {
                if let Some(pause) = self.patience() {
                    self.clock.set(self.clock.get() + pause);
                }
            }
            Op::Type { salt } => self.type_line(salt),
            Op::Spoil { fault, skip, times } => self.disk.fail(fault, skip, times),
            Op::Dry { times } => {
                self.entropy.0.borrow_mut().failures = times;
                self.model.dry = true;
            }
            Op::Late { salt } => self.late(salt),
            Op::Crash { machine, calls: Some(calls), .. } => {
                self.machine_dies = machine;
                self.disk.set_fuse(calls);
            }
            Op::Crash { machine, calls: None, salt } => self.fall(machine, salt),
            Op::Restart { salt } => self.restart(salt),
            Op::Meddle { salt } => self.meddle(salt),
            Op::Garble { who } => {
                if let Some(link) = self.agents[who].link {
                    self.links[link].garble();
                }
            }
        }
    }

    /// Somebody's tool puts a copy in the place of the users' file, an editor is about to take its last line end away, or
    /// the server is told to take the file as it is.
    fn meddle(&mut self, salt: u64) {
        match salt % 4 {
            // What could not be taken back must not become another file's content.
            0 | 1 if !self.model.users.none_is_stored => {
                self.disk.replace("users.csv", self.disk.bytes("users.csv"));
            }
            2 => self.is_edited = true,
            _ => self.reload(),
        }
    }

    /// The server takes the users' file as it is.
    pub(crate) fn reload(&mut self) {
        let now = self.tick();
        self.engine().handle_reload(now);
        self.note_notices();
        self.rehearse();
    }

    /// A client does something; whether its conversation went on.
    pub(crate) fn act(&mut self, who: usize, random: &mut Random, eager: bool) -> bool {
        let agent = &mut self.agents[who];
        let Some(number) = agent.link else {
            if agent.behaviour == Behaviour::Honest && agent.done {
                return false;
            }
            if agent.rests() {
                return false;
            }
            let number = self.links.len();
            let mut link = Link::new(agent.peer, self.settings.socket_bytes, self.settings.breaks);
            if self.settings.record_bytes > 0 {
                link.send(agent.opening(random));
            }
            self.links.push(link);
            self.knocking.push_back(number);
            agent.connected(number);
            return false;
        };
        if agent.moves_on(random) {
            agent.disconnected();
            return false;
        }
        let link = &mut self.links[number];
        let lazy = match agent.behaviour {
            Behaviour::Hostile => !random.one_in(3),
            Behaviour::NonReading => !random.one_in(10),
            _ => false,
        };
        let most = if eager { usize::MAX } else { random.pick(&[1, 7, 100, 5_000, usize::MAX]) };
        let bytes = link.receive(if lazy { 0 } else { most });
        agent.hear(&bytes, self.settings.mode);
        if link.is_over() {
            if agent.behaviour != Behaviour::Hostile {
                link.leave();
            }
            agent.disconnected();
            return false;
        }
        let mut sent = Vec::new();
        if link.takes_more() {
            let tokens: Vec<[u8; 16]> = self
                .agents
                .iter()
                .filter(|agent| agent.behaviour != Behaviour::Honest)
                .flat_map(|agent| agent.tokens.iter().copied())
                .collect();
            let agent = &mut self.agents[who];
            if agent.behaviour != Behaviour::Honest
                && let Some(password) = self.model.users.password(&agent.name)
            {
                // They tell each other when one has changed it.
                agent.password = password;
            }
            sent = self.agents[who].speak(random, &self.settings, &tokens);
            link.send(&sent);
            if !eager && self.agents[who].has_said_all(random) {
                link.half_close();
            }
        }
        if self.settings.prompt_network || eager {
            link.arrive(usize::MAX);
        }
        !bytes.is_empty() || !sent.is_empty()
    }

    fn arrive(&mut self, who: usize, salt: u64) {
        let mut random = Random::new(salt);
        if let Some(link) = self.agents[who].link {
            let most = random.pick(&[0, 1, 3, 4, 30, 1_000, usize::MAX]);
            self.links[link].arrive(most);
        }
    }

    fn flood(&mut self, who: usize, salt: u64) {
        let agent = &self.agents[who];
        let (Some(link), true) = (agent.link, !agent.is_civil()) else { return };
        if !self.links[link].takes_more() {
            return;
        }
        let mut random = Random::new(salt);
        let token = agent.tokens.last().copied().unwrap_or_default();
        let one = match random.below(6) {
            0 => frame(1, &[b""]),
            1 => frame(1, &[b"n1"]),
            2 => frame(5, &[&token, b""]),
            3 => frame(5, &[&token, &[b'f'; 1_500]]),
            4 => frame(8, &[&token]),
            _ => frame(5, &[&token, b"@nobody x"]),
        };
        let times = 100_000 / one.len();
        self.links[link].send(&one.repeat(times));
    }

    fn type_line(&mut self, salt: u64) {
        let mut random = Random::new(salt);
        let name = random.below(4);
        let line = match random.below(9) {
            0 => "/who".to_owned(),
            1 => "/stats".to_owned(),
            2 => format!("/kick n{name}"),
            3 => format!("@n{name} from the operator"),
            4 => random
                .pick(&["/kick", "/kick server", "@", "@x", "", "/help", "/nonsense", " @n1 x", " /who"])
                .to_owned(),
            _ => format!("typed {salt}"),
        };
        self.call(Cause::Line(&line));
        self.write();
        self.close();
    }

    /// Something for a connection that is no more: it must not reach whoever has its slot now.
    fn late(&mut self, salt: u64) {
        if self.gone.is_empty() {
            return;
        }
        let mut random = Random::new(salt);
        let id = random.pick(&self.gone);
        let now = self.tick();
        let engine = self.engine();
        match random.below(9) {
            0 => engine.handle_bytes(id, &mut frame(6, &[]), now),
            1 => engine.handle_bytes(id, &mut [], now),
            2 => engine.handle_transport(id, TransportEvent::HalfClosed, now),
            3 => engine.handle_transport(id, TransportEvent::Ended, now),
            4 => engine.handle_transport(id, TransportEvent::Reset, now),
            5 => engine.handle_transport(id, TransportEvent::WriteClosed, now),
            6 => engine.handle_transport(id, TransportEvent::NeverOpened, now),
            7 => engine.handle_transport(id, TransportEvent::Failed("too late"), now),
            _ => engine.handle_writable(id, now, |_| Written::bytes(0)),
        }
        self.observe(Cause::Late, now);
    }
}
