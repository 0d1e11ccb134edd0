//! Texts for many, handed out in shares over turns, in order.
//!
//! A text for ten thousand is too much for one turn. So it is encoded once and queued, and each turn hands out a share: a
//! look at so many connections, each of which gets a reference. Texts that are queued before their turn has come are
//! gathered into one chunk, of which each gets one reference, whoever wrote them: only their writers, and whoever came
//! between two of them, get references to their parts.
//!
//! A text goes to those connections that were authenticated when it was handled. What a writer says to some after what
//! it said to all is queued behind it, and so is what it is answered; it is not read until all that is handed out. A
//! connection for which much waits that nobody has yet tried to write is waited for: whoever reads shall not be cut off
//! for the server's own delay.

mod behind;

use self::behind::Then;
use super::close_reason::CloseReason;
use super::connection::Connection;
use super::events::log_message;
use super::registry::Registry;
use super::{Config, ConnId};
use crate::auth::{Name, SessionId};
use crate::limits::{
    FAN_OUT_CHUNK_BYTES, FAN_OUT_CHUNK_TEXTS, FAN_OUT_QUEUE_BYTES, HEADER_BYTES, NAME_BYTES,
};
use crate::protocol::{Reply, SharedFrames};
use log::Level;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// What a message's frame has beside its text: header, kind, and the sender's name.
const MESSAGE_EXTRA_BYTES: usize = HEADER_BYTES + 2 + NAME_BYTES;
/// Room for jobs that is kept while there are none.
const JOBS_KEPT: usize = 64;

/// Who posts: a connection, or the server itself.
pub(super) type Author = Option<ConnId>;

/// What is still to be handed out.
#[derive(Debug, Default)]
pub(super) struct FanOut {
    jobs: VecDeque<Texts>,
    /// Connections whose sessions are over, with the names of these, until they have what was sent before.
    leaving: Vec<(ConnId, Name)>,
    /// Bytes of texts whose turn has not come, and of what is kept beside them.
    queued_bytes: usize,
    /// Counts connections as they are authenticated, so that a text knows for whom it came too early.
    admissions: u32,
}

/// Texts for many, or for a few behind such.
#[derive(Debug)]
struct Texts {
    audience: Audience,
    frames: Vec<u8>,
    parts: Vec<Part>,
    begun: Option<Begun>,
    /// What is done when all have theirs.
    then: VecDeque<Then>,
    /// Of the queued bytes, those that are beside the frames.
    beside_bytes: usize,
}

#[derive(Debug, PartialEq)]
enum Audience {
    All,
    Name(Name),
    One(ConnId),
}

/// One text of a chunk.
#[derive(Debug)]
struct Part {
    /// Where its frame ends.
    end: usize,
    text_bytes: usize,
    author: Author,
    but: Option<SessionId>,
    /// The count of admissions when it was handled.
    admissions: u32,
}

/// How far handing out is.
#[derive(Debug)]
struct Begun {
    shared: Rc<SharedFrames>,
    /// Those who do not get all of it, in order.
    excluded: Vec<SessionId>,
    /// The slot that is looked at next.
    next: usize,
}

impl Texts {
    fn new(audience: Audience) -> Texts {
        let (frames, parts, then) = (Vec::new(), Vec::new(), VecDeque::new());
        Texts { audience, frames, parts, begun: None, then, beside_bytes: size_of::<Texts>() }
    }
}

impl FanOut {
    /// Whether there is anything to be handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Bytes of texts whose turn has not come.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// The number of a connection that is authenticated now.
    pub(super) fn admit(&mut self) -> u32 {
        let number = self.admissions;
        self.admissions = number.wrapping_add(1);
        number
    }

    /// Whether a connection was admitted after a text was handled. Both are counted back from now, since the count wraps.
    fn is_newcomer(&self, admitted: u32, part: &Part) -> bool {
        self.admissions.wrapping_sub(admitted) <= self.admissions.wrapping_sub(part.admissions)
    }
}

impl Registry {
    /// Queues a text for every authenticated connection but that of a session.
    pub(super) fn post_to_others(
        &mut self,
        author: Author,
        but: Option<SessionId>,
        sender: Option<&Name>,
        text: &str,
    ) {
        self.post(Audience::All, author, but, sender, text);
    }

    /// Queues a text for every authenticated connection of a name.
    pub(super) fn post_to_name(&mut self, author: Author, to: &Name, sender: Option<&Name>, text: &str) {
        self.post(Audience::Name(to.clone()), author, None, sender, text);
    }

    /// Queues a text for a connection.
    pub(super) fn post_to_one(&mut self, author: Author, to: ConnId, sender: Option<&Name>, text: &str) {
        self.post(Audience::One(to), author, None, sender, text);
    }

    /// Whether something that an author wrote is still to be handed out. What the server says on its own account comes
    /// behind everything.
    pub(super) fn has_posts(&self, author: Author) -> bool {
        let has_posts = |id| self.connections.get(id).is_some_and(Connection::has_posts);
        !self.fan_out.is_empty() && author.is_none_or(has_posts)
    }

    /// Whether so much is queued that no more texts for many should be handled.
    pub(super) fn is_fan_out_full(&self) -> bool {
        self.fan_out.queued_bytes >= self.queue_bytes()
    }

    /// Whether so much is queued that nothing at all should be handled: who comes and goes is told to all, too.
    pub(super) fn is_fan_out_crammed(&self) -> bool {
        self.fan_out.queued_bytes >= 2 * self.queue_bytes()
    }

    fn queue_bytes(&self) -> usize {
        FAN_OUT_QUEUE_BYTES.min(self.config.output_total_bytes / 8)
    }

    /// Hands out a share: looks at up to `most` connections, and says at how many it has looked.
    pub(super) fn hand_out(&mut self, most: usize) -> usize {
        let mut looked = 0;
        while looked < most
            && let Some(mut texts) = self.fan_out.jobs.pop_front()
        {
            let (count, is_done) = self.hand_out_texts(&mut texts, most - looked);
            looked += count;
            if !is_done {
                self.fan_out.jobs.push_front(texts);
                break;
            }
            texts.parts.drain(..).for_each(|part| self.handed_out(part.author));
            while looked < most
                && let Some(then) = texts.then.pop_front()
            {
                looked += 1;
                self.do_then(then);
            }
            if !texts.then.is_empty() {
                self.fan_out.jobs.push_front(texts);
                break;
            }
            self.fan_out.queued_bytes -= texts.beside_bytes;
        }
        if self.fan_out.is_empty() {
            self.fan_out.jobs.shrink_to(JOBS_KEPT);
        }
        looked
    }

    /// Drops all that is still to be handed out. Nobody is served any more who waits for it; whose session a handler has ended
    /// is told so.
    pub(super) fn drop_posts(&mut self) {
        let jobs = std::mem::take(&mut self.fan_out.jobs);
        self.fan_out.leaving.clear();
        self.fan_out.queued_bytes = 0;
        let texts: usize = jobs.iter().map(|texts| texts.parts.len()).sum();
        for then in jobs.into_iter().flat_map(|texts| texts.then) {
            if let Then::End { conn, reason, .. } = then {
                self.bye(conn, &reason, CloseReason::Handler);
            }
        }
        log_event!(Level::Warn, "texts dropped", texts = #texts; "not all had them in time before the stop");
    }

    fn post(
        &mut self,
        audience: Audience,
        author: Author,
        but: Option<SessionId>,
        sender: Option<&Name>,
        text: &str,
    ) {
        let author = self.note_post(author);
        // No reader's limit is reached by what was only gathered; and of what all may hold this is not much, since it is there
        // whoever is cut off.
        let Config { output_limit_bytes, output_total_bytes, .. } = self.config;
        let chunk_bytes = FAN_OUT_CHUNK_BYTES.min(output_limit_bytes / 2).min(output_total_bytes / 8);
        let reply = Reply::Message { sender: sender.map_or("", Name::as_str), text };
        let gathers = |texts: &Texts| {
            // Who reads its own texts is not to read one that it wrote behind a refusal before that.
            let keeps_order = texts.then.is_empty() || (audience == Audience::All && but.is_some());
            texts.begun.is_none()
                && keeps_order
                && texts.audience == audience
                && texts.parts.len() < FAN_OUT_CHUNK_TEXTS
                && texts.frames.len() + text.len() + MESSAGE_EXTRA_BYTES <= chunk_bytes
        };
        if !self.fan_out.jobs.back().is_some_and(gathers) {
            self.fan_out.jobs.push_back(Texts::new(audience));
            self.fan_out.queued_bytes += size_of::<Texts>();
        }
        let admissions = self.fan_out.admissions;
        let Some(texts) = self.fan_out.jobs.back_mut() else { return };
        let before = texts.frames.len();
        reply.encode(&mut texts.frames);
        let end = texts.frames.len();
        texts.parts.push(Part { end, text_bytes: text.len(), author, but, admissions });
        texts.beside_bytes += size_of::<Part>();
        self.fan_out.queued_bytes += end - before + size_of::<Part>();
    }

    /// Counts something that an author has queued; `None` if the author is not served any more.
    fn note_post(&mut self, author: Author) -> Author {
        author.filter(|id| self.connections.get_mut(*id).is_some_and(|connection| connection.note_post()))
    }

    /// Something that an author has queued is handed out. When it was the last, the author is read again.
    fn handed_out(&mut self, author: Author) {
        let Some(id) = author else { return };
        if let Some(connection) = self.connections.get_mut(id)
            && connection.forget_post()
        {
            if connection.may_be_served() {
                self.wake(id);
            }
            self.finish_input(id);
        }
    }

    /// Looks at up to `most` connections; says at how many, and whether all have theirs.
    fn hand_out_texts(&mut self, texts: &mut Texts, most: usize) -> (usize, bool) {
        if texts.begun.is_none() {
            texts.begun = Some(self.begin(texts));
        }
        let Texts { audience, parts, begun: Some(begun), .. } = texts else { return (0, true) };
        if parts.is_empty() {
            // All have theirs; what comes behind is not all done.
            return (0, true);
        }
        if let Audience::One(to) = audience {
            self.hand_to(*to, parts, begun);
            return (1, true);
        }
        let first = begun.next;
        let end = self.connections.used();
        while begun.next < end && begun.next - first < most {
            let Some((id, connection)) = self.connections.at_index(begun.next) else {
                begun.next += 1;
                continue;
            };
            if connection.listed.is_anywhere()
                && connection.outbox.len() + begun.shared.bytes().len() > self.config.output_limit_bytes / 2
                && !connection.is_closing()
            {
                // It is about to be written.
                return (begun.next - first, false);
            }
            begun.next += 1;
            if let Audience::Name(name) = audience
                && !self.carries_name(id, name)
            {
                continue;
            }
            self.hand_to(id, parts, begun);
        }
        (begun.next - first, begun.next >= end)
    }

    fn begin(&mut self, texts: &mut Texts) -> Begun {
        let frames = std::mem::take(&mut texts.frames);
        self.fan_out.queued_bytes -= frames.len();
        let mut excluded: Vec<SessionId> = texts.parts.iter().filter_map(|part| part.but).collect();
        excluded.sort_unstable();
        excluded.dedup();
        Begun { shared: SharedFrames::new(frames, &self.outputs.shared), excluded, next: 0 }
    }

    fn carries_name(&self, id: ConnId, name: &Name) -> bool {
        let session = self.connections.get(id).and_then(Connection::session);
        match session.and_then(|session| self.sessions.session(session)) {
            Some(session) => session.name() == name,
            None => self.fan_out.leaving.iter().any(|(conn, of)| *conn == id && of == name),
        }
    }

    /// Gives a connection those texts that are for it.
    fn hand_to(&mut self, id: ConnId, parts: &[Part], begun: &Begun) {
        let admission = self.connections.get(id).and_then(Connection::admission);
        let Some((session, admitted)) = admission else { return };
        let Some(first) = parts.first() else { return };
        if begun.excluded.binary_search(&session).is_err() && !self.fan_out.is_newcomer(admitted, first) {
            self.note_texts_sent(id, parts.iter());
            return self.append_shared(id, &begun.shared, std::iter::once(0..begun.shared.bytes().len()));
        }
        let is_due = |part: &Part| part.but != Some(session) && !self.fan_out.is_newcomer(admitted, part);
        let due: Vec<&Part> = parts.iter().filter(|part| is_due(part)).collect();
        let starts = std::iter::once(0).chain(parts.iter().map(|part| part.end));
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (start, part) in starts.zip(parts).filter(|(_, part)| is_due(part)) {
            match ranges.last_mut() {
                Some(range) if range.end == start => range.end = part.end,
                _ => ranges.push(start..part.end),
            }
        }
        if !due.is_empty() {
            self.note_texts_sent(id, due.into_iter());
            self.append_shared(id, &begun.shared, ranges.into_iter());
        }
    }

    fn note_texts_sent<'a>(&mut self, id: ConnId, parts: impl ExactSizeIterator<Item = &'a Part>) {
        self.totals.messages_out += parts.len() as u64;
        if let Some(connection) = self.connections.get_mut(id) {
            let traffic = &mut connection.traffic;
            traffic.messages_out = traffic.messages_out.saturating_add(parts.len() as u32);
        }
        if log::log_enabled!(Level::Debug) {
            for part in parts {
                log_message("message sent", id, part.text_bytes);
            }
        }
    }
}
