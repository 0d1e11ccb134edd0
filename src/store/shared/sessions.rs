//! The directory of sessions: a hash for each, which its owner renews, and which is reaped when nobody does.

use super::carriage::{Carried, Opened};
use super::command::Command;
use super::greeting::{refused, text};
use super::keys::user_key;
use super::pipeline::Reply;
use super::retries::Retry;
use super::scripts::{CONFIRM, DEBTS, KEEP, OPEN, PRESENT, REAP, RESUME, WHO};
use super::trouble::Kind;
use super::{Asked, REMOVED, SharedStore, record};
use crate::Moment;
use crate::auth::{Name, PasswordHash, SessionId};
use crate::limits::{LEASE_RENEWAL, SHARE_RENEWALS, TOKEN_BYTES};
use crate::store::{Became, Directory, EndReason, EntryId, Fetched, Found, News, Resumed, Ticket};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::Duration;

/// From one look at who is overdue to the next.
const REAP_PAUSE: Duration = Duration::from_secs(1);
/// Who owes most, of those who owe anything, in one list.
const LISTED_DEBTS: usize = 10_000;
/// How long nobody is taken for dead after the store was away: those who were cut off from it too have to say that they are
/// not.
const REAP_GRACE: Duration = Duration::from_secs(5);

/// What a session is called that was opened by this token, and what others may read of the token: halves of one hash.
fn halves(token: &[u8; TOKEN_BYTES]) -> (EntryId, String) {
    let digest = Sha256::digest(token);
    let (mut hash, mut entry) = ([0; 16], [0; 16]);
    hash.copy_from_slice(&digest[..16]);
    entry.copy_from_slice(&digest[16..]);
    (EntryId(entry), hex(&hash))
}

fn hash_of(token: &[u8; TOKEN_BYTES]) -> String {
    halves(token).1
}

pub(super) fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

fn entry(text: &str) -> Option<EntryId> {
    u128::from_str_radix(text, 16).ok().map(|number| EntryId(number.to_be_bytes()))
}

fn milliseconds(span: Duration) -> String {
    span.as_millis().to_string()
}

pub(super) fn word(why: EndReason) -> &'static str {
    match why {
        EndReason::Kicked => "kicked",
        EndReason::Disabled => "disabled",
        EndReason::Removed => "removed",
        EndReason::PasswordChanged => "password-changed",
    }
}

impl SharedStore {
    /// The store can be asked again: it is told of every session, for it may have lost some, or taken them for dead.
    pub(super) fn say_all(&mut self, now: Moment) {
        let sessions: Vec<SessionId> = self.carriage.carried.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.carriage.renew_at(session, now));
        // Before what waits: a session may have been asked for that has ended before.
        for retry in self.retries.take_first() {
            self.pipeline.ask_first(&self.retry_command(&retry), Asked::Retry(retry), now);
        }
        self.carriage.reap = now + REAP_GRACE;
        self.ask_who_is_here();
    }

    pub(super) fn ask_who_is_here(&mut self) {
        let command = self.script(PRESENT, &[], &[]);
        self.pipeline.ask(command, Asked::Present);
    }

    /// Renews leases that are due, a share of them, and looks for sessions of others that nobody renews.
    pub(super) fn renew(&mut self, now: Moment) {
        if !self.is_ready() {
            return;
        }
        let mut due_now = Vec::new();
        for _ in 0..SHARE_RENEWALS {
            let Some((_, session)) = self.carriage.renewals.first().copied().filter(|(due, _)| *due <= now)
            else {
                break;
            };
            self.carriage.renew_at(session, now + LEASE_RENEWAL);
            due_now.push(session);
        }
        self.keep(&due_now, now);
        if self.carriage.reap <= now {
            self.carriage.reap = now + REAP_PAUSE;
            // Nobody could renew anything while all is refused.
            if self.trouble.kind() != Some(Kind::Refusing) {
                let command = self.script(REAP, &[], &[]);
                self.pipeline.ask(command, Asked::Clock);
            }
        }
    }

    /// Says of these sessions that they are this server's, and what their tokens are.
    fn keep(&mut self, sessions: &[SessionId], now: Moment) {
        let mut arguments = vec![self.carriage.owner.clone()];
        let mut renewed = Vec::new();
        for session in sessions {
            let Some(carried) = self.carriage.carried.get(session) else { continue };
            if carried.expires.is_some() {
                self.carriage.said_lost = now;
            }
            let lease = carried.expires.map_or(self.carriage.lease, |expires| expires.since(now));
            arguments.extend([
                hex(&carried.entry.0),
                carried.name.as_str().to_owned(),
                carried.token.clone(),
                carried.previous.clone(),
                carried.generation.to_string(),
                milliseconds(lease),
                if carried.has_new_tokens { "new".to_owned() } else { String::new() },
                if carried.expires.is_none() { "1".to_owned() } else { "0".to_owned() },
                carried.peer.clone(),
            ]);
            renewed.push((*session, carried.generation));
        }
        if arguments.len() > 1 {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let command = self.script(KEEP, &[], &arguments);
            self.pipeline.ask(command, Asked::Kept { renewed });
        }
    }

    pub(super) fn take_opened(&mut self, ticket: Ticket, entry: EntryId, reply: &Reply) {
        let answer = match text(reply) {
            Some("done") => Some(Found::Opened(Some(entry))),
            Some("changed") => Some(Found::Opened(None)),
            _ => None,
        };
        if !matches!(answer, Some(Found::Opened(Some(_)))) {
            self.carriage.take_opened(entry);
        }
        self.fetched.push_back(Fetched { ticket, answer });
    }

    pub(super) fn take_resumed(
        &mut self,
        ticket: Ticket,
        (token, previous, peer): (String, String, String),
        asked: Moment,
        reply: &Reply,
    ) {
        let resumed = match reply {
            Reply::Array { data, .. } => match data.as_slice() {
                [id, name, Reply::Number { data: generation, .. }] => {
                    text(id).and_then(entry).and_then(|id| {
                        let name = text(name).and_then(|name| Name::stored(name).ok())?;
                        Some((id, name, u64::try_from(*generation).ok()?))
                    })
                }
                _ => None,
            },
            _ => None,
        };
        let has_ended = resumed.as_ref().is_some_and(|(entry, ..)| self.carriage.ended.contains(entry));
        let answer = match (resumed, text(reply)) {
            (Some(_), _) if has_ended => Some(Found::Resumed(None)),
            (Some((entry, name, generation)), _) => {
                let name_here = name.clone();
                let opened = Opened { name: name_here, token, previous, generation, peer, asked, left: None };
                self.carriage.note_opened(entry, opened);
                Some(Found::Resumed(Some(Resumed { entry, name })))
            }
            (None, Some("unknown")) => Some(Found::Resumed(None)),
            _ => None,
        };
        if answer.is_none() {
            let reason = format!("the shared store resumes nobody: {}", refused(reply));
            self.warn(reason, self.now);
        }
        self.fetched.push_back(Fetched { ticket, answer });
    }

    /// Sessions of which the store knows that they are somebody else's, or over.
    pub(super) fn take_kept(&mut self, renewed: &[(SessionId, u64)], reply: &Reply) {
        let Reply::Array { data, .. } = reply else {
            // It is said again in twenty seconds.
            let reason = format!("the shared store does not keep sessions: {}", refused(reply));
            return self.warn(reason, self.now);
        };
        for (session, generation) in renewed {
            if let Some(carried) = self.carriage.carried.get_mut(session) {
                carried.has_new_tokens &= carried.generation != *generation;
            }
        }
        for said in data.iter().filter_map(text) {
            match entry(said) {
                Some(entry) => self.leave(entry, None),
                None => self.take_word(said),
            }
        }
    }

    /// What another server says of a session.
    pub(super) fn take_word(&mut self, said: &str) {
        let Some((what, id)) = said.split_once(' ') else { return };
        let Some(entry) = entry(id) else { return };
        let why = [EndReason::Kicked, EndReason::Disabled, EndReason::Removed, EndReason::PasswordChanged];
        self.leave(entry, why.into_iter().find(|why| word(*why) == what));
    }

    /// A session is not this server's any more: it has ended, or goes on elsewhere.
    fn leave(&mut self, entry: EntryId, ended: Option<EndReason>) {
        self.carriage.note_left(entry, ended);
        self.part_with(entry, ended);
    }

    /// The session of this server that an entry is goes, and none that is resumed later.
    fn part_with(&mut self, entry: EntryId, ended: Option<EndReason>) {
        let Some(session) = self.carriage.by_entry.get(&entry).copied() else { return };
        self.carriage.forget(session);
        self.carriage.push_news(ended.map_or(News::Moved(session), |why| News::Ended(session, why)));
    }
}

impl Directory for SharedStore {
    fn open(
        &mut self,
        ticket: Ticket,
        name: &Name,
        verified: &PasswordHash,
        token: &[u8; TOKEN_BYTES],
        peer: SocketAddr,
    ) {
        let ((entry, hash), peer) = (halves(token), peer.to_string());
        let arguments = [
            &verified.to_phc(),
            &hex(&entry.0),
            name.as_str(),
            &self.carriage.owner,
            &hash,
            &milliseconds(self.carriage.lease),
            &peer,
        ];
        let command = self.script(OPEN, &[&user_key(name)], &arguments);
        let (name, previous) = (name.clone(), String::new());
        let asked = Moment::NEVER;
        let opened = Opened { name, token: hash, previous, generation: 1, peer, asked, left: None };
        self.carriage.note_opened(entry, opened);
        self.pipeline.ask(command, Asked::Open { ticket, entry });
    }

    fn resume(
        &mut self,
        ticket: Ticket,
        presented: &[u8; TOKEN_BYTES],
        token: &[u8; TOKEN_BYTES],
        peer: SocketAddr,
        here: Option<SessionId>,
    ) {
        // What the store may not know of it comes first.
        let has_news =
            |carried: &Carried| carried.has_new_tokens || carried.renewal <= self.now || !self.is_ready();
        if let Some(session) = here.filter(|session| self.carriage.carried.get(session).is_some_and(has_news))
        {
            self.keep(&[session], self.now);
        }
        let (previous, token, peer) = (hash_of(presented), hash_of(token), peer.to_string());
        let lease = milliseconds(self.carriage.lease);
        let command = self.script(RESUME, &[], &[&previous, &token, &self.carriage.owner, &lease, &peer]);
        let (opened, asked) = ((token, previous, peer), self.now);
        self.pipeline.ask(command, Asked::Resume { ticket, opened, asked });
    }

    fn end_all(&mut self, ticket: Ticket, name: &Name, why: EndReason) {
        let command = self.end_all_command(name, why);
        self.pipeline.ask(command, Asked::EndAll { ticket, name: name.clone(), why });
    }

    fn end_if(&mut self, name: &Name, became: Became<'_>, why: EndReason) {
        let record = match became {
            Became::Password(password) => password.to_phc(),
            Became::Disabled => record::state(true).to_owned(),
            Became::Removed => REMOVED.to_owned(),
        };
        self.ask_until_answered(Retry::EndAll { name: name.clone(), why, became: Some(record) });
    }

    fn list(&mut self, ticket: Ticket) {
        let command = self.script(WHO, &[], &[&self.carriage.owner]);
        self.pipeline.ask(command, Asked::Who { ticket });
    }

    fn list_debts(&mut self, ticket: Ticket) {
        let most = LISTED_DEBTS.to_string();
        self.pipeline.ask(Command::script(DEBTS, &[]).with(most.as_bytes()), Asked::Debts { ticket });
    }

    fn carried(&self, entry: EntryId) -> Option<SessionId> {
        self.carriage.by_entry.get(&entry).copied()
    }

    fn carry(&mut self, entry: EntryId, session: Option<SessionId>) {
        let Some(opened) = self.carriage.take_opened(entry) else { return };
        let Some(session) = session else { return self.ask_until_answered(Retry::End { entry }) };
        self.carriage.forget(session);
        let Opened { name, token, previous, generation, peer, asked, left } = opened;
        let renewal = self.carriage.first_renewal(asked, self.now);
        let (expires, has_new_tokens) = (None, false);
        let carried =
            Carried { entry, name, token, previous, generation, peer, expires, has_new_tokens, renewal };
        self.carriage.insert(session, carried);
        left.into_iter().for_each(|ended| self.part_with(entry, ended));
    }

    fn resumed_here(
        &mut self,
        session: SessionId,
        presented: &[u8; TOKEN_BYTES],
        token: &[u8; TOKEN_BYTES],
        peer: SocketAddr,
    ) {
        if let Some(carried) = self.carriage.carried.get_mut(&session) {
            (carried.token, carried.previous, carried.expires) = (hash_of(token), hash_of(presented), None);
            (carried.has_new_tokens, carried.peer) = (true, peer.to_string());
            carried.generation += 1;
        }
        self.carriage.renew_at(session, self.now);
    }

    fn confirm(&mut self, session: SessionId) {
        let Some(carried) = self.carriage.carried.get_mut(&session) else { return };
        carried.previous.clear();
        let entry = hex(&carried.entry.0);
        let command = self.script(CONFIRM, &[], &[&entry, &self.carriage.owner]);
        self.pipeline.ask(command, Asked::Confirm { session });
    }

    fn lose(&mut self, session: SessionId, window: Duration) {
        if let Some(carried) = self.carriage.carried.get_mut(&session) {
            carried.expires = Some(self.now + window);
        }
        self.carriage.renew_at(session, self.now);
    }

    fn end(&mut self, session: SessionId) {
        if let Some(carried) = self.carriage.forget(session) {
            self.carriage.ended.insert(carried.entry);
            self.ask_until_answered(Retry::End { entry: carried.entry });
        }
    }

    fn say(&mut self, to: Option<&Name>, sender: Option<&Name>, text: &str) {
        self.publish(to, sender, text);
    }

    fn poll_news(&mut self, takes_texts: bool) -> Option<News> {
        self.carriage.pop_news(takes_texts)
    }
}
