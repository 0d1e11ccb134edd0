//! What is said to all servers, and what they say: who comes and goes, and the room's texts.
//!
//! A channel carries `MARK WHAT REST`. The store itself has no mark; what a server says comes back to it, and is passed over.

use super::command::Command;
use super::greeting::{refused, text};
use super::pipeline::Reply;
use super::{Asked, SharedStore};
use crate::auth::{Name, Origin};
use crate::store::{Fetched, Found, News, RemoteSession, Ticket};
use std::time::Duration;

/// Where all is said that every server is to hear.
pub(super) const ROOM: &str = "porter:room";
/// Whoever is nobody: the server as a sender.
const NOBODY: &str = "-";

impl SharedStore {
    pub(super) fn take_push(&mut self, push: &[Reply]) {
        let [kind, channel, said] = push else { return };
        let (Some("message"), Some(channel), Some(said)) = (text(kind), text(channel), text(said)) else {
            return;
        };
        if channel != ROOM {
            return self.take_word(said);
        }
        if let Some(news) = self.parse(said) {
            self.carriage.push_news(news);
        }
    }

    fn parse(&self, said: &str) -> Option<News> {
        let (mark, said) = said.split_once(' ')?;
        if mark == self.carriage.owner {
            return None;
        }
        let (what, rest) = said.split_once(' ')?;
        let name = |text: &str| Name::stored(text).ok();
        let sender = |text: &str| if text == NOBODY { Some(None) } else { name(text).map(Some) };
        Some(match what {
            "joined" => News::Joined(name(rest)?),
            "left" => News::Left(name(rest)?),
            "here" => News::Here(name(rest)?),
            "gone" => News::Gone(name(rest)?),
            "forgiven" => News::Forgiven(origin(rest)?),
            "said" => {
                let (from, text) = rest.split_once(' ')?;
                News::Said { sender: sender(from)?, text: text.to_owned() }
            }
            "told" => {
                let (to, rest) = rest.split_once(' ')?;
                let (from, text) = rest.split_once(' ')?;
                News::SaidTo { to: name(to)?, sender: sender(from)?, text: text.to_owned() }
            }
            _ => return None,
        })
    }

    pub(super) fn publish(&mut self, to: Option<&Name>, sender: Option<&Name>, text: &str) {
        // What is said while nobody hears it is not said later.
        if !self.is_ready() {
            return;
        }
        let (owner, sender) = (&self.carriage.owner, sender.map_or(NOBODY, Name::as_str));
        let said = match to {
            None => format!("{owner} said {sender} {text}"),
            Some(to) => format!("{owner} told {to} {sender} {text}"),
        };
        self.pipeline.ask(Command::new(&["PUBLISH", ROOM, &said]), Asked::Noted);
    }

    /// The sessions of other servers.
    pub(super) fn take_sessions(&mut self, ticket: Ticket, reply: &Reply) {
        let session = |reply: &Reply| {
            let Reply::Array { data, .. } = reply else { return None };
            let [name, peer, attached, left] = data.as_slice() else { return None };
            let is_attached = text(attached) == Some("1");
            let left = Duration::from_millis(text(left)?.parse().ok()?);
            Some(RemoteSession {
                name: Name::stored(text(name)?).ok()?,
                peer: text(peer).and_then(|peer| peer.parse().ok()).filter(|_| is_attached),
                resumable: if is_attached { Duration::ZERO } else { left },
            })
        };
        let answer = match reply {
            Reply::Array { data, .. } => Some(Found::Sessions(data.iter().filter_map(session).collect())),
            _ => None,
        };
        self.fetched.push_back(Fetched { ticket, answer });
    }

    /// What everybody owes.
    pub(super) fn take_debts(&mut self, ticket: Ticket, reply: &Reply) {
        let answer = match reply {
            Reply::Array { data, .. } => {
                let owing = data.chunks_exact(2).filter_map(|pair| {
                    let Reply::Number { data: milliseconds, .. } = pair[1] else { return None };
                    let owed = Duration::from_millis(u64::try_from(milliseconds).ok()?);
                    Some((origin(text(&pair[0])?)?, owed))
                });
                self.debts.extend(owing);
                Some(Found::Debts)
            }
            other => {
                let reason = format!("what addresses owe elsewhere is not known: {}", refused(other));
                self.warn(reason, self.now);
                None
            }
        };
        self.fetched.push_back(Fetched { ticket, answer });
    }

    /// Who is here, all at once.
    pub(super) fn take_present(&mut self, reply: &Reply) {
        let sets = if let Reply::Array { data, .. } = reply { data.as_slice() } else { &[] };
        let [Reply::Array { data: names, .. }, Reply::Array { data: online, .. }] = sets else {
            let reason = format!("the shared store does not say who is here: {}", refused(reply));
            return self.warn(reason, self.now);
        };
        let stored = |names: &[Reply]| {
            names.iter().filter_map(text).filter_map(|name| Name::stored(name).ok()).collect()
        };
        self.carriage.push_news(News::Present { names: stored(names), online: stored(online) });
    }
}

/// An origin as it is shown: an address, or for IPv6 a network.
fn origin(shown: &str) -> Option<Origin> {
    let address = shown.split_once('/').map_or(shown, |(address, _)| address);
    Some(Origin::of(address.parse().ok()?))
}
