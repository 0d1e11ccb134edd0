//! One room at several servers: who is there, and what is said, here and elsewhere.

use super::Engine;
use super::close_reason::{CloseReason, ended};
use super::delivery::Delivery;
use super::registry::Registry;
use super::sessions::MOVED;
use crate::auth::{Name, Session, SessionId};
use crate::handler::Speaker;
use crate::store::{News, Store};
use std::collections::{BTreeSet, HashSet};

/// Who is at any of the servers, this one too, as far as the others say.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Whether it is kept up to date.
    is_known: bool,
    /// Those that have sessions; nothing before anybody has said.
    names: Option<HashSet<Name>>,
    online: BTreeSet<Name>,
    /// Another number whenever those online are others.
    revision: u64,
}

impl Presence {
    /// Whether a name has a session anywhere.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.is_known && self.names.as_ref().is_some_and(|names| names.contains(name))
    }

    /// Whether a name is online anywhere.
    pub(super) fn is_online(&self, name: &Name) -> bool {
        self.is_known && self.online.contains(name)
    }

    /// The names that are online, in the order of their bytes, with the number of this state of them; `None` if that is
    /// not known.
    pub(super) fn online(&self) -> Option<(&BTreeSet<Name>, u64)> {
        self.is_known.then_some((&self.online, self.revision))
    }
}

/// Something that other servers are to hear.
#[derive(Debug)]
pub(super) struct Saying {
    /// Whom; all, if nobody.
    pub(super) to: Option<Name>,
    pub(super) sender: Option<Name>,
    pub(super) text: String,
}

impl<S: Store> Engine<S> {
    /// Has the other servers told what was said here.
    #[inline]
    pub(super) fn publish_sayings(&mut self) {
        if !self.registry.sayings.is_empty() {
            self.say_elsewhere();
        }
    }

    #[cold]
    fn say_elsewhere(&mut self) {
        for Saying { to, sender, text } in std::mem::take(&mut self.registry.sayings) {
            if let Some(directory) = self.store.directory() {
                directory.say(to.as_ref(), sender.as_ref(), &text);
            }
        }
    }

    /// Carries out what happened elsewhere.
    pub(super) fn take_news(&mut self) {
        loop {
            let takes_texts = !self.registry.is_fan_out_full();
            let news = self.store.directory().and_then(|directory| directory.poll_news(takes_texts));
            let Some(news) = news else { return };
            match news {
                News::Moved(session) => self.leave(session, CloseReason::TakenOver, MOVED),
                News::Ended(session, why) => {
                    let (why, reason) = ended(why);
                    self.leave(session, why, reason);
                }
                News::Joined(name) => self.announce_joined(name),
                News::Left(name) => self.announce_left(&name),
                News::Here(name) => self.note_online(name, true),
                News::Gone(name) => self.note_online(name, false),
                News::Present { names, online } => self.take_present(names, online),
                News::Forgiven(origin) => {
                    self.admission.throttle.forgive(origin, self.registry.now);
                }
                News::Cut => self.registry.presence.is_known = false,
                News::Said { sender, text } if self.registry.shares_room => {
                    self.show_said(sender.as_ref(), &text);
                    self.registry.post_to_others(None, None, sender.as_ref(), &text);
                }
                News::SaidTo { to, sender, text } if self.registry.shares_room => {
                    self.registry.post_to_name(None, &to, sender.as_ref(), &text);
                }
                News::Said { .. } | News::SaidTo { .. } => {}
            }
        }
    }

    /// A session is not this server's any more.
    fn leave(&mut self, session: SessionId, why: CloseReason, reason: &str) {
        let connection = self.registry.sessions.session(session).and_then(Session::connection);
        // Before its connection is, so that it does not wait there for somebody to come back.
        self.registry.end_session(session);
        if let Some(conn) = connection {
            self.registry.bye(conn, reason, why);
        }
    }

    fn show_said(&mut self, sender: Option<&Name>, text: &str) {
        if let Some(sender) = sender {
            self.registry.show(sender, text);
        }
    }

    /// Who is there is known anew. Who has come or gone meanwhile is announced, but not at the start.
    fn take_present(&mut self, names: Vec<Name>, online: Vec<Name>) {
        let names: HashSet<Name> = names.into_iter().collect();
        let before = self.registry.presence.names.take();
        let presence = &mut self.registry.presence;
        presence.is_known = true;
        presence.online = online.into_iter().collect();
        presence.revision += 1;
        match before {
            None => presence.names = Some(names),
            Some(before) => {
                let left: Vec<Name> = before.difference(&names).cloned().collect();
                let joined: Vec<Name> = names.difference(&before).cloned().collect();
                presence.names = Some(before);
                left.iter().for_each(|name| self.announce_left(name));
                joined.into_iter().for_each(|name| self.announce_joined(name));
            }
        }
    }

    fn note_online(&mut self, name: Name, is_online: bool) {
        let presence = &mut self.registry.presence;
        let has_changed =
            if is_online { presence.online.insert(name) } else { presence.online.remove(&name) };
        presence.revision += u64::from(has_changed);
    }

    fn announce_joined(&mut self, name: Name) {
        let names = self.registry.presence.names.get_or_insert_default();
        if names.insert(name.clone()) && self.registry.shares_room && !self.stopping {
            // Its first session may be here, and does not hear of itself.
            let session = self.registry.sessions.of(&name).next().unwrap_or(SessionId::ELSEWHERE);
            let post = &mut Delivery { registry: &mut self.registry, author: None, is_known_elsewhere: true };
            self.handler.joined(Speaker { session, name: &name }, post);
        }
    }

    fn announce_left(&mut self, name: &Name) {
        let names = self.registry.presence.names.get_or_insert_default();
        if names.remove(name) && self.registry.shares_room && !self.stopping {
            let post = &mut Delivery { registry: &mut self.registry, author: None, is_known_elsewhere: true };
            self.handler.left(Speaker { session: SessionId::ELSEWHERE, name }, true, post);
        }
    }
}

impl Registry {
    /// Has the other servers told what is said here, if they have the same room.
    pub(super) fn say_elsewhere(&mut self, to: Option<&Name>, sender: Option<&Name>, text: &str) {
        if self.shares_room {
            let (to, sender, text) = (to.cloned(), sender.cloned(), text.to_owned());
            self.sayings.push(Saying { to, sender, text });
        }
    }
}
