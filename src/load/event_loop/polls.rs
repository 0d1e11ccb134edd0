//! The polls of a loop: of all clients, and in a chat of the pair that whispers.
//!
//! A poll reports in the order in which sockets became ready: a whisper would be read after what thousands of readers have
//! got before it, and their time, which is this program's, be taken for the server's. So who whispers and who listens have a
//! poll of their own, which is looked at between every few of the others.

use crate::load::dialect::Role;
use crate::load::schedule;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The token of the whispers' poll in the poll of all.
pub(super) const WHISPERS: Token = Token(usize::MAX - 3);

pub(super) struct Polls {
    pub(super) all: Poll,
    whispers: Option<Poll>,
}

impl Polls {
    pub(super) fn new() -> io::Result<Polls> {
        Ok(Polls { all: Poll::new()?, whispers: None })
    }

    /// From now on the pair that whispers has a poll of its own.
    pub(super) fn add_whispers(&mut self) -> io::Result<()> {
        let whispers = Poll::new()?;
        // So that a wait for all ends for it too.
        self.all.registry().register(&mut SourceFd(&whispers.as_raw_fd()), WHISPERS, Interest::READABLE)?;
        self.whispers = Some(whispers);
        Ok(())
    }

    /// The poll that a client is registered with.
    pub(super) fn of(&self, slot: usize) -> &Poll {
        match (&self.whispers, Role::of(slot)) {
            (Some(whispers), Role::Listener | Role::Whisperer) => whispers,
            _ => &self.all,
        }
    }

    /// Waits for events of all; to the microsecond where somebody sends by the clock.
    pub(super) fn wait(
        &mut self,
        events: &mut Events,
        mut pause: Duration,
        by_clock: bool,
    ) -> io::Result<()> {
        if by_clock {
            schedule::wait(&self.all, pause)?;
            pause = Duration::ZERO;
        }
        match self.all.poll(events, Some(pause)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            outcome => outcome,
        }
    }

    /// What the pair that whispers has got; whether there is such a pair.
    pub(super) fn look_at_whispers(&mut self, events: &mut Events) -> io::Result<bool> {
        let Some(whispers) = &mut self.whispers else { return Ok(false) };
        whispers.poll(events, Some(Duration::ZERO))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::net::UnixStream;
    use std::io::Write;

    #[test]
    fn a_whisper_ends_the_wait_for_all_and_is_reported_before_readers_who_were_ready_first() {
        let mut polls = Polls::new().unwrap();
        polls.add_whispers().unwrap();
        let mut pairs = [Role::Reader, Role::Listener].map(|role| (role.slot(), UnixStream::pair().unwrap()));
        let [mut of_all, mut of_whispers] = [(); 2].map(|()| Events::with_capacity(8));
        for (slot, (near, far)) in &mut pairs {
            polls.of(*slot).registry().register(near, Token(*slot), Interest::READABLE).unwrap();
            far.write_all(b"text").unwrap();
        }
        let tokens = |events: &Events| events.iter().map(|event| event.token()).collect::<Vec<_>>();
        polls.wait(&mut of_all, Duration::MAX, true).unwrap();
        assert_eq!(tokens(&of_all), [Token(Role::Reader.slot()), WHISPERS]);
        assert!(polls.look_at_whispers(&mut of_whispers).unwrap());
        assert_eq!(tokens(&of_whispers), [Token(Role::Listener.slot())]);
        pairs[1].1.1.write_all(b"text").unwrap();
        polls.wait(&mut of_all, Duration::MAX, false).unwrap();
        assert_eq!(tokens(&of_all), [WHISPERS], "nothing but a whisper has come");
    }
}
