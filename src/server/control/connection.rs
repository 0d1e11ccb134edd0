//! One connection to the control socket: lines in, JSON out.

use super::super::places::Occupant;
use crate::Moment;
use crate::auth::Origin;
use crate::command::{Answer, Line, import_line};
use crate::engine::{CommandId, Engine};
use crate::limits::{CONTROL_IDLE, CONTROL_LINE_BYTES, CONTROL_OUTPUT_BYTES, CONTROL_SILENCE};
use crate::store::{Account, Store};
use log::Level;
use mio::net::UnixStream;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use zeroize::Zeroize;

/// Bytes read in one turn: some hundred users of an import, which is what a turn has time for.
const READ_BYTES: usize = 16 * 1024;

/// Somebody who may ask for everything.
pub(super) struct ControlConnection {
    stream: UnixStream,
    /// Whether the last read did not find the end of what was there.
    is_readable: bool,
    /// Whether the last write was taken whole.
    is_writable: bool,
    /// Whether the peer has said all that it will.
    has_ended: bool,
    /// What was read and not understood yet: less than two lines.
    input: Vec<u8>,
    output: VecDeque<u8>,
    state: State,
    /// When it connected, or last sent or was sent something.
    active: Moment,
}

enum State {
    /// A request comes next.
    Idle,
    /// So many users are still to come.
    Importing {
        left: usize,
        accounts: Vec<Account>,
        problem: Option<String>,
    },
    Running(CommandId),
    /// Nothing more is understood; what waits is written.
    Closing,
}

/// Whoever asks for nothing, or for nothing whole, gives way to others.
impl Occupant for ControlConnection {
    fn gives_way(&self) -> Option<(Origin, Moment)> {
        let is_silent = matches!(self.state, State::Idle) && !self.has_line() && self.output.is_empty();
        is_silent.then(|| (Origin::of(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.active + CONTROL_SILENCE))
    }
}

impl ControlConnection {
    pub(super) fn new(stream: UnixStream, now: Moment) -> ControlConnection {
        ControlConnection {
            stream,
            is_readable: true,
            is_writable: true,
            has_ended: false,
            input: Vec::new(),
            output: VecDeque::new(),
            state: State::Idle,
            active: now,
        }
    }

    pub(super) fn notice_ready(&mut self) {
        (self.is_readable, self.is_writable) = (true, true);
    }

    /// Whether it would go on at once.
    pub(super) fn has_work<S: Store>(&self, engine: &Engine<S>) -> bool {
        let may_say_more = self.output.len() < CONTROL_OUTPUT_BYTES;
        let has_answer = matches!(self.state, State::Running(id) if may_say_more && engine.has_answer(id));
        let is_waiting = matches!(self.state, State::Running(_));
        has_answer || (!is_waiting && (self.may_read() || self.has_line()))
    }

    /// When it is closed; never while the server keeps it waiting.
    pub(super) fn deadline(&self) -> Moment {
        match self.state {
            State::Running(_) if self.output.is_empty() => Moment::NEVER,
            _ => self.active + CONTROL_IDLE,
        }
    }

    /// Reads, understands, answers and writes a share. Whether it goes on.
    pub(super) fn serve<S: Store>(&mut self, engine: &mut Engine<S>, now: Moment) -> bool {
        if self.deadline() <= now {
            return false;
        }
        if self.may_read()
            && let Err(error) = self.read(now)
        {
            log_event!(Level::Debug, "control connection lost", reason = ?error);
            return false;
        }
        while self.understand_line(engine, now) {}
        if matches!(self.state, State::Idle | State::Importing { .. })
            && self.input.len() > CONTROL_LINE_BYTES
        {
            self.say(&Answer::Failed(format!("the line is longer than {CONTROL_LINE_BYTES} bytes")));
            self.state = State::Closing;
        }
        self.answer(engine);
        if self.is_writable && self.write(now).is_err() {
            return false;
        }
        let is_over = match self.state {
            State::Closing => true,
            State::Idle | State::Importing { .. } => self.has_ended && !self.has_line(),
            State::Running(_) => false,
        };
        !(is_over && self.output.is_empty())
    }

    /// It is over: nobody waits for what it has asked for.
    pub(super) fn leave<S: Store>(&self, engine: &mut Engine<S>) {
        if let State::Running(id) = self.state {
            engine.cancel_command(id);
        }
    }

    fn may_read(&self) -> bool {
        let has_room = self.input.len() <= CONTROL_LINE_BYTES;
        self.is_readable && !self.has_ended && has_room && !matches!(self.state, State::Closing)
    }

    fn has_line(&self) -> bool {
        self.input.contains(&b'\n')
    }

    fn read(&mut self, now: Moment) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.has_ended = true,
            Ok(count) => {
                self.input.extend_from_slice(&buffer[..count]);
                self.active = now;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        buffer.zeroize();
        Ok(())
    }

    /// Takes one line, if there is a whole one and it is its turn.
    fn understand_line<S: Store>(&mut self, engine: &mut Engine<S>, now: Moment) -> bool {
        if !matches!(self.state, State::Idle | State::Importing { .. }) {
            return false;
        }
        let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else { return false };
        let rest = self.input.split_off(end + 1);
        let taken = std::mem::replace(&mut self.input, rest);
        let line = std::str::from_utf8(&taken[..end]).map(|line| line.strip_suffix('\r').unwrap_or(line));
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Importing { left, accounts, problem } => {
                self.take_user(engine, line.ok(), left, accounts, problem, now);
            }
            _ => match line
                .map_err(|_| "the line is not UTF-8".to_owned())
                .and_then(|line| engine.parse_line(line).map_err(|error| error.to_string()))
            {
                Ok(Line::Command(command)) => {
                    self.state = State::Running(engine.handle_command(command, now))
                }
                Ok(Line::Import(left)) => {
                    self.state = State::Importing { left, accounts: Vec::new(), problem: None };
                }
                Err(reason) => self.say(&Answer::Failed(reason)),
            },
        }
        true
    }

    /// Takes one user of an import. After the last all are handed on, unless one is bad.
    fn take_user<S: Store>(
        &mut self,
        engine: &mut Engine<S>,
        line: Option<&str>,
        left: usize,
        mut accounts: Vec<Account>,
        mut problem: Option<String>,
        now: Moment,
    ) {
        if problem.is_none() {
            let account = line.ok_or("it is not UTF-8".to_owned());
            match account.and_then(|line| import_line(line).map_err(|error| error.to_string())) {
                Ok(account) => accounts.push(account),
                Err(reason) => problem = Some(format!("user {}: {reason}", accounts.len() + 1)),
            }
        }
        self.state = match (left - 1, problem) {
            (0, Some(problem)) => {
                self.say(&Answer::Failed(format!("nobody is imported: {problem}")));
                State::Idle
            }
            (0, None) => {
                State::Running(engine.handle_command(crate::command::Command::ImportUsers(accounts), now))
            }
            (left, problem) => State::Importing { left, accounts, problem },
        };
    }

    /// Says what there is to say, as far as there is room.
    fn answer<S: Store>(&mut self, engine: &mut Engine<S>) {
        let State::Running(id) = self.state else { return };
        while self.output.len() < CONTROL_OUTPUT_BYTES {
            let Some(answer) = engine.poll_answer(id) else { return };
            self.say(&answer);
            if answer.is_last() {
                self.state = State::Idle;
                return;
            }
        }
    }

    fn say(&mut self, answer: &Answer) {
        self.output.extend(answer.to_json().to_string().bytes().chain(*b"\n"));
    }

    fn write(&mut self, now: Moment) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(self.output.as_slices().0) {
                Ok(count) => {
                    self.output.drain(..count);
                    self.active = now;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_writable = false;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
