//! What this server has said of its sessions, and what is still to be said.

use crate::Moment;
use crate::auth::{Name, SessionId};
use crate::limits::LEASE_RENEWAL;
use crate::store::{EndReason, EntryId, News};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

/// A session of this server, as others know it.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) entry: EntryId,
    pub(super) name: Name,
    /// Hash of its token.
    pub(super) token: String,
    /// Hash of the one before, while it is good; or nothing.
    pub(super) previous: String,
    /// Which of its tokens this is: the store keeps a newer one.
    pub(super) generation: u64,
    /// Where its client is, or was last.
    pub(super) peer: String,
    /// When it ends, if it is lost.
    pub(super) expires: Option<Moment>,
    /// The store may not know its tokens.
    pub(super) has_new_tokens: bool,
    /// When its lease is renewed.
    pub(super) renewal: Moment,
}

/// What this server has said of its sessions.
#[derive(Debug)]
pub(super) struct Carriage {
    /// This server's mark.
    pub(super) owner: String,
    /// Longer than a session that was lost may wait, counted from its last renewal.
    pub(super) lease: Duration,
    pub(super) carried: HashMap<SessionId, Carried>,
    pub(super) by_entry: HashMap<EntryId, SessionId>,
    /// Entries that were opened or resumed for whoever waits for it, not carried yet, and each time that they were: one may
    /// be resumed again, or go elsewhere and come back, before the first who waits has heard.
    opened: HashMap<EntryId, VecDeque<Opened>>,
    pub(super) renewals: BTreeSet<(Moment, SessionId)>,
    /// Entries that ended here, until the store has answered to that: whom it resumes before comes too late.
    pub(super) ended: HashSet<EntryId>,
    /// When a session was last said to have no connection.
    pub(super) said_lost: Moment,
    news: VecDeque<News>,
    /// Bytes of texts among the news.
    held_bytes: usize,
    pub(super) reap: Moment,
}

/// Texts of other servers that are held while this one cannot hand them out as fast.
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// What a text takes; nothing for other news.
fn text_bytes(news: &News) -> usize {
    match news {
        // An empty one, too, is a text.
        News::Said { text, .. } | News::SaidTo { text, .. } => text.len() + 1,
        _ => 0,
    }
}

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) name: Name,
    pub(super) token: String,
    pub(super) previous: String,
    pub(super) generation: u64,
    pub(super) peer: String,
    /// When it was asked for, if it was resumed.
    pub(super) asked: Moment,
    /// It was said meanwhile to be over, perhaps why, or to go on elsewhere.
    pub(super) left: Option<Option<EndReason>>,
}

impl Carriage {
    pub(super) fn new(mark: [u8; 8], resume_window: Duration) -> Carriage {
        Carriage {
            owner: format!("{:016x}", u64::from_be_bytes(mark)),
            lease: resume_window + LEASE_RENEWAL,
            carried: HashMap::new(),
            by_entry: HashMap::new(),
            opened: HashMap::new(),
            renewals: BTreeSet::new(),
            ended: HashSet::new(),
            said_lost: Moment::START,
            news: VecDeque::new(),
            held_bytes: 0,
            reap: Moment::NEVER,
        }
    }

    /// The channel on which others tell this server something.
    pub(super) fn channel(&self) -> String {
        format!("porter:server:{}", self.owner)
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(super) fn push_news(&mut self, news: News) {
        self.held_bytes += text_bytes(&news);
        self.news.push_back(news);
    }

    /// The next; none while it is a text, and none is wanted.
    pub(super) fn pop_news(&mut self, takes_texts: bool) -> Option<News> {
        let is_next = self.news.front().is_some_and(|news| takes_texts || text_bytes(news) == 0);
        let news = if is_next { self.news.pop_front() } else { None }?;
        self.held_bytes -= text_bytes(&news);
        Some(news)
    }

    /// Whether more texts can be held.
    pub(super) fn has_room(&self) -> bool {
        self.held_bytes < HELD_BYTES
    }

    /// The store may not know what a session's tokens are.
    pub(super) fn note_new_tokens(&mut self, session: SessionId) {
        if let Some(carried) = self.carried.get_mut(&session) {
            carried.has_new_tokens = true;
        }
    }

    pub(super) fn next_deadline(&self) -> Moment {
        self.renewals.first().map_or(self.reap, |(due, _)| self.reap.min(*due))
    }

    pub(super) fn forget(&mut self, session: SessionId) -> Option<Carried> {
        let carried = self.carried.remove(&session)?;
        self.by_entry.remove(&carried.entry);
        self.renewals.remove(&(carried.renewal, session));
        Some(carried)
    }

    /// Somebody waits to hear that an entry was opened or resumed.
    pub(super) fn note_opened(&mut self, entry: EntryId, opened: Opened) {
        self.opened.entry(entry).or_default().push_back(opened);
    }

    /// When the lease is renewed of a session that was opened or resumed. At once where one was said to have no connection since
    /// it was asked for: it may have been this one, as it was before, and then the store has heard of that last.
    pub(super) fn first_renewal(&self, asked: Moment, now: Moment) -> Moment {
        if self.said_lost >= asked { now } else { now + LEASE_RENEWAL }
    }

    /// What the first of those who wait for an entry has opened.
    pub(super) fn take_opened(&mut self, entry: EntryId) -> Option<Opened> {
        let Entry::Occupied(mut waiting) = self.opened.entry(entry) else { return None };
        let first = waiting.get_mut().pop_front();
        if waiting.get().is_empty() {
            waiting.remove();
        }
        first
    }

    /// An entry is over, or goes on elsewhere: for those, too, who wait for it. Who resumes it later does not hear of this.
    pub(super) fn note_left(&mut self, entry: EntryId, ended: Option<EndReason>) {
        self.opened.get_mut(&entry).into_iter().flatten().for_each(|opened| opened.left = Some(ended));
    }

    /// Has a session's lease renewed then.
    pub(super) fn renew_at(&mut self, session: SessionId, due: Moment) {
        if let Some(carried) = self.carried.get_mut(&session) {
            self.renewals.remove(&(carried.renewal, session));
            carried.renewal = due;
            self.renewals.insert((due, session));
        }
    }

    pub(super) fn insert(&mut self, session: SessionId, carried: Carried) {
        self.by_entry.insert(carried.entry, session);
        self.renewals.insert((carried.renewal, session));
        self.carried.insert(session, carried);
    }
}
