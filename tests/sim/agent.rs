//! The clients: honest ones with something to get done, clumsy and hostile ones with frames of every kind.

use crate::plan::{Behaviour, Mode, Settings};
use crate::random::Random;
use crate::transport::OPENING;
use crate::wire::{Said, change_frame, frame, take_reply};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Tokens that one client remembers.
const TOKENS: usize = 6;

/// One client, with or without a connection.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) behaviour: Behaviour,
    pub(crate) name: String,
    pub(crate) password: String,
    /// What an honest one has asked for in its place, be it that this or that counts now.
    other_password: Option<String>,
    is_changing: bool,
    /// It was never told what became of that.
    is_unsure: bool,
    pub(crate) peer: SocketAddr,
    /// Which of the world's links is its connection.
    pub(crate) link: Option<usize>,
    /// Bytes received of an incomplete frame.
    pub(crate) received: Vec<u8>,
    /// Tokens that it was given, the newest last.
    pub(crate) tokens: Vec<[u8; 16]>,
    /// What the honest ones know of where they are.
    wants: Wants,
    /// Messages sent in this connection, and how many of them came back.
    sent: usize,
    back: usize,
    /// Messages still to be sent.
    left: usize,
    pub(crate) done: bool,
    /// It was told to come back later, and lets so many occasions pass.
    rest: usize,
}

/// What an honest client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Hello,
    Identify,
    Answer,
    Register,
    Login,
    Talk,
    Bye,
}

impl Agent {
    pub(crate) fn new(number: usize, settings: &Settings, random: &mut Random) -> Agent {
        let behaviour = settings.behaviours[number];
        let name = match behaviour {
            Behaviour::Honest => format!("honest{number}"),
            Behaviour::Roaming => format!("roaming{number}"),
            // Some look like others.
            Behaviour::Twin => {
                format!("{}win{}", if number / 3 % 4 < 3 { 't' } else { 'T' }, number % 3)
            }
            Behaviour::Guesser => "honest0".to_owned(),
            _ => format!("n{}", random.below(4)),
        };
        let password = format!("password of {}", name.to_lowercase());
        let place = random.below(settings.addresses) as u8;
        let ip: IpAddr = match place {
            3 => Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().into(),
            // These are all of one network.
            4 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number as u16).into(),
            6.. if place.is_multiple_of(2) => {
                Ipv6Addr::new(0x2001, 0xdb8, 0, place.into(), 0, 0, 0, 1).into()
            }
            _ => Ipv4Addr::new(10, 0, 0, place + 1).into(),
        };
        let left = random.below(12) + if settings.socket_bytes >= 1_000 && random.one_in(4) { 90 } else { 0 };
        Agent {
            behaviour,
            name,
            password,
            other_password: None,
            is_changing: false,
            is_unsure: false,
            peer: SocketAddr::new(ip, 1024 + number as u16),
            link: None,
            received: Vec::new(),
            tokens: Vec::new(),
            wants: Wants::Hello,
            sent: 0,
            back: 0,
            left,
            done: false,
            rest: 0,
        }
    }

    /// Whether it lets this occasion to connect pass.
    pub(crate) fn rests(&mut self) -> bool {
        let rests = self.rest > 0;
        self.rest = self.rest.saturating_sub(1);
        rests
    }

    pub(crate) fn connected(&mut self, link: usize) {
        self.link = Some(link);
        self.received.clear();
        self.is_changing = false;
        self.wants = Wants::Hello;
        (self.sent, self.back) = (0, 0);
    }

    /// What it says for its transport to open: those that mean ill may say nothing, or something else.
    pub(crate) fn opening(&self, random: &mut Random) -> &'static [u8] {
        match self.behaviour {
            Behaviour::Hostile | Behaviour::NonReading if random.one_in(6) => b"",
            Behaviour::Hostile if random.one_in(6) => b"tcp",
            _ => OPENING,
        }
    }

    /// The connection is no more. What was under way may be lost, so it is counted as not done.
    pub(crate) fn disconnected(&mut self) {
        self.link = None;
        self.left += self.sent - self.back;
        (self.sent, self.back) = (0, 0);
    }

    /// Bytes have come; honest clients understand them.
    pub(crate) fn hear(&mut self, bytes: &[u8], mode: Mode) {
        self.received.extend_from_slice(bytes);
        while let Some(said) = take_reply(&mut self.received) {
            if let Said::Welcome(token, _) = &said {
                self.tokens.push(*token);
                if self.tokens.len() > TOKENS {
                    self.tokens.remove(0);
                }
            }
            if self.is_civil() {
                self.understand(&said, mode);
            }
        }
    }

    /// Whether it speaks only when it is its turn, and then as it should.
    pub(crate) fn is_civil(&self) -> bool {
        matches!(self.behaviour, Behaviour::Honest | Behaviour::Roaming | Behaviour::Twin)
    }

    /// Whether it leaves its connection as it is, to go on in another.
    pub(crate) fn moves_on(&self, random: &mut Random) -> bool {
        self.behaviour == Behaviour::Roaming && self.wants == Wants::Talk && random.one_in(3)
    }

    fn understand(&mut self, said: &Said, mode: Mode) {
        match said {
            Said::Hello(_) => self.wants = Wants::Identify,
            Said::Wanted(0) => self.wants = Wants::Register,
            Said::Wanted(_) => self.wants = Wants::Login,
            Said::Welcome(..) => self.wants = Wants::Talk,
            Said::Message(sender, text) if mode == Mode::Echo && sender.is_empty() => {
                if let Some(number) = text.strip_prefix("echo ") {
                    let number: usize = number.split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(number, self.back, "{} got an echo out of order", self.name);
                    assert!(self.back < self.sent, "{} got an echo twice", self.name);
                    self.back += 1;
                }
            }
            Said::Message(..) | Said::Names(..) => {}
            Said::PasswordChanged => {
                self.swap_passwords();
                self.changed_or_not();
            }
            Said::Error(5, _) if self.is_changing => self.changed_or_not(),
            Said::Error(4, text) if self.is_changing => {
                assert!(self.behaviour == Behaviour::Twin, "{} knows its password: {text:?}", self.name);
                self.changed_or_not();
            }
            Said::Bye => self.done |= self.wants == Wants::Bye,
            Said::Error(6, _) => {
                // If it was an older one that is dead, there is still the newest.
                let kept = usize::from(self.behaviour == Behaviour::Roaming && self.tokens.len() > 1);
                self.tokens.drain(..self.tokens.len() - kept);
                self.wants = Wants::Identify;
            }
            Said::Error(1, _) if self.behaviour == Behaviour::Twin => {
                // Whoever it looks like is who it wants to be.
                let (first, rest) = self.name.split_at(1);
                let other = if first == "t" { "T" } else { "t" };
                self.name = format!("{other}{rest}");
                self.wants = Wants::Identify;
            }
            Said::Error(1 | 2, text) => panic!("{} is honest, and told {text:?}", self.name),
            Said::Error(100..=103, text) => panic!("{} is honest, and told {text:?}", self.name),
            Said::Error(4, _) => {
                self.swap_passwords();
                self.wants = Wants::Identify;
            }
            Said::Error(104, _) => self.swap_passwords(),
            Said::Error(105 | 106, _) => self.rest = 20,
            Said::Error(5, _) => self.wants = Wants::Register,
            Said::Error(..) => {}
        }
    }

    /// Whether it has sent all that it will: the end may come in one packet with a guess.
    pub(crate) fn has_said_all(&self, random: &mut Random) -> bool {
        self.behaviour == Behaviour::Guesser && random.one_in(3)
    }

    /// What it sends now.
    pub(crate) fn speak(&mut self, random: &mut Random, settings: &Settings, tokens: &[[u8; 16]]) -> Vec<u8> {
        let comes_back = !self.is_civil() && self.comes_back(random);
        match self.behaviour {
            Behaviour::Honest | Behaviour::Roaming | Behaviour::Twin => self.speak_honestly(random, settings),
            Behaviour::NonReading => frame(1, &[b""]).repeat(2_000),
            Behaviour::Guesser => {
                let guess = frame(3, &[b"a guess at it"]);
                let last = if random.one_in(4) { frame(6, &[]) } else { Vec::new() };
                [frame(1, &[self.name.as_bytes()]), guess.repeat(1 + random.below(3)), last].concat()
            }
            _ if comes_back => {
                // With a token from before: the last, or one that may be dead.
                frame(4, &[&random.pick(&self.tokens)])
            }
            _ => (0..1 + random.below(4)).flat_map(|_| self.babble(random, settings, tokens)).collect(),
        }
    }

    /// Whether it begins this connection by going on with a session.
    fn comes_back(&mut self, random: &mut Random) -> bool {
        std::mem::replace(&mut self.wants, Wants::Answer) == Wants::Hello
            && !self.tokens.is_empty()
            && !random.one_in(3)
    }

    fn speak_honestly(&mut self, random: &mut Random, settings: &Settings) -> Vec<u8> {
        let before = std::mem::replace(&mut self.wants, Wants::Answer);
        match before {
            Wants::Identify => match self.token_to_present(random) {
                Some(token) => frame(4, &[&token]),
                None => frame(1, &[self.name.as_bytes()]),
            },
            Wants::Register => frame(2, &[self.password.as_bytes()]),
            Wants::Login => frame(3, &[self.password.as_bytes()]),
            Wants::Talk => self.talk(random, settings),
            other => {
                self.wants = other;
                Vec::new()
            }
        }
    }

    /// The newest; from those who roam sometimes the one before, which is dead if the newest was used.
    fn token_to_present(&self, random: &mut Random) -> Option<[u8; 16]> {
        let one_before = self.behaviour == Behaviour::Roaming && self.tokens.len() > 1 && random.one_in(2);
        self.tokens.iter().rev().nth(usize::from(one_before)).copied()
    }

    fn talk(&mut self, random: &mut Random, settings: &Settings) -> Vec<u8> {
        self.wants = Wants::Talk;
        let Some(token) = self.tokens.last().copied() else { return Vec::new() };
        if self.behaviour == Behaviour::Roaming {
            // Now and then so much that the next may have to wait, here or where it goes on.
            let times = if random.one_in(3) { 110 } else { 1 };
            return frame(5, &[&token, b"on the road"]).repeat(times);
        }
        if random.one_in(6) {
            return frame(8, &[&token]);
        }
        let changes = match self.behaviour {
            Behaviour::Honest => !self.is_unsure && random.one_in(8),
            Behaviour::Twin => random.one_in(2),
            _ => false,
        };
        if changes {
            let new = format!("password {} of {}", random.next(), self.name);
            let change = change_frame(&token, &self.password, &new);
            (self.is_changing, self.is_unsure, self.wants) = (true, true, Wants::Answer);
            // A twin is told by the others what counts.
            self.other_password = Some(new).filter(|_| self.behaviour == Behaviour::Honest);
            return change;
        }
        let mut bytes = Vec::new();
        let burst = settings.socket_bytes >= 1_000 && random.one_in(6);
        for _ in 0..if burst { 90 } else { 1 + random.below(3) } {
            if self.left == 0 {
                if self.back == self.sent || settings.mode != Mode::Echo {
                    self.wants = Wants::Bye;
                    bytes.extend(frame(6, &[]));
                }
                return bytes;
            }
            let tail = "ü".repeat(if burst { 990 } else { random.pick(&[0, 3, 30, 500]) });
            let number = self.sent;
            let text = match settings.mode {
                Mode::Chat if random.one_in(3) => format!("@{} psst {tail}", whispered_to(random.below(4))),
                Mode::Chat if random.one_in(3) => format!(" @n{} psst {tail}", random.below(4)),
                _ => format!("echo {number} {tail}"),
            };
            bytes.extend(frame(5, &[&token, text.as_bytes()]));
            self.left -= 1;
            self.sent += 1;
            if settings.mode != Mode::Echo {
                self.back += 1;
            }
        }
        bytes
    }

    /// A frame of any kind, often a good one.
    fn babble(&mut self, random: &mut Random, settings: &Settings, tokens: &[[u8; 16]]) -> Vec<u8> {
        let hostile = self.behaviour == Behaviour::Hostile;
        let mut token = self.tokens.last().copied().unwrap_or([7; 16]);
        if !tokens.is_empty() && random.one_in(if hostile { 3 } else { 8 }) {
            token = random.pick(tokens);
        }
        if random.one_in(if hostile { 12 } else { 60 }) {
            let bit = random.below(128);
            token[bit / 8] ^= 1 << (bit % 8);
        }
        let password = self.a_password(random, hostile);
        match random.below(if hostile { 22 } else { 17 }) {
            0 if random.one_in(3) => {
                // An honest client's name is guessed at, never registered: it is to get in, in the end.
                let name = format!("honest{}", random.below(settings.behaviours.len()));
                [frame(1, &[name.as_bytes()]), frame(3, &[password.as_bytes()])].concat()
            }
            0..3 => frame(1, &[self.a_name(random).as_bytes()]),
            3..5 => frame(2, &[password.as_bytes()]),
            5..8 => frame(3, &[password.as_bytes()]),
            8 => frame(4, &[&token]),
            9 if random.one_in(4) => frame(6, &[]),
            10 => {
                // The whole way in, without waiting for answers.
                let name = self.name.as_bytes();
                [frame(1, &[name]), frame(2, &[password.as_bytes()]), frame(3, &[password.as_bytes()])]
                    .concat()
            }
            11 => frame(8, &[&token]),
            12 if random.one_in(3) => {
                let new = format!("password {} of {}", random.next(), self.name);
                let new = if random.one_in(5) { "short" } else { &new };
                change_frame(&token, &password, new)
            }
            9 | 12..17 => frame(5, &[&token, self.a_text(random, settings).as_bytes()]),
            17 => frame(5, &[&token, b"\xff\xfe"]),
            18 if random.one_in(2) => {
                let guess = frame(3, &[b"a guess at it"]);
                [frame(1, &[self.name.as_bytes()]), guess.repeat(3)].concat()
            }
            18 => frame(random.pick(&[0, 9, 0x81, 0xff]), &[b"what"]),
            19 => random.pick(&[0, 1_025, 4_097, settings.config.max_frame_bytes + 1]).to_be_bytes().to_vec(),
            20 => frame(random.pick(&[3, 4, 5, 6, 7, 8]), &[&vec![b'x'; random.pick(&[1, 15, 17, 1_025])]]),
            _ => frame(random.pick(&[1, 2, 3]), &[b"a\xc3\x28"]),
        }
    }

    fn changed_or_not(&mut self) {
        (self.is_changing, self.is_unsure, self.wants) = (false, false, Wants::Talk);
    }

    fn swap_passwords(&mut self) {
        if let Some(other) = &mut self.other_password {
            std::mem::swap(other, &mut self.password);
        }
    }

    fn a_name(&self, random: &mut Random) -> String {
        match random.below(12) {
            0 => random.pick(&["", "server", "SERVER", "-x", "a b", "x\u{7}"]).to_owned(),
            1 => "ü".repeat(random.pick(&[32, 33])),
            2..5 => format!("n{}", random.below(4)),
            // These look like those.
            5 => format!("N{}", random.below(4)),
            _ => self.name.clone(),
        }
    }

    fn a_password(&self, random: &mut Random, hostile: bool) -> String {
        match random.below(if hostile { 6 } else { 14 }) {
            0 => random.pick(&["", "short", "seven77"]).to_owned(),
            1 => "not the password".to_owned(),
            2 => "y".repeat(random.pick(&[1_024, 1_024, 1_025])),
            3 => format!("password of n{}", random.below(4)),
            _ => self.password.clone(),
        }
    }

    fn a_text(&self, random: &mut Random, settings: &Settings) -> String {
        let longest = settings.config.max_frame_bytes as usize - 17;
        match random.below(10) {
            0 => String::new(),
            1 => "z".repeat(longest),
            2..5 => format!("@n{} {}", random.below(4), random.next()),
            5 => {
                let addresses = ["@server hi", "@nobody hi", "@n1", "@n1  ", "@n1 ", "@ x"];
                let slips = [" @n1 x", "@n1\tx", "@n1\u{a0}x", "\u{3000}@n1 x", "\u{200b}@n1 x", "@@n1 x"];
                random.pick(&[addresses, slips].concat()).to_owned()
            }
            _ => format!("text {} of {}", random.next(), self.name),
        }
    }

    /// Whether an honest client has nothing more to do.
    pub(crate) fn is_content(&self) -> bool {
        self.behaviour != Behaviour::Honest || self.done
    }
}

/// Whom honest clients whisper to: each other, and whoever is there.
fn whispered_to(number: usize) -> String {
    if number < 2 { format!("honest{number}") } else { format!("n{number}") }
}
