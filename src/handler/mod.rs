//! What a message does.
//!
//! The engine brings a [`Handler`] every text that came under the right token, and everything a handler may do stands
//! in [`Context`]. The three modes of the server are three handlers; a program that uses the library brings its own.
//!
//! This module must not know about connections or frames, and has no clock.

mod chat;
mod echo;
mod operator;

pub use chat::Chat;
pub use echo::Echo;
pub use operator::Operator;

use crate::auth::{Name, SessionId};
use crate::protocol::Code;
use std::net::SocketAddr;
use std::time::Duration;

/// Who wrote.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    /// Under which session.
    pub session: SessionId,
    /// Under which name.
    pub name: &'a Name,
}

/// Decides what a message does.
///
/// # An error of the application's own
///
/// A text that the application refuses is answered by [`Context::refuse`] with [`Code::BadAddress`] (as it stands it means
/// nothing here) or [`Code::NoSuchRecipient`] (what it is for is not here), whichever is nearer, and an explanation of the
/// application's own. These two are errors of a message: the connection and the session go on, and clients keep them apart
/// from the answers to what they asked beside it. The other codes say what became of a login, of a new password or of the
/// connection, and clients act on them. What clients are to tell apart beyond that belongs into the explanation, or into an
/// ordinary text.
///
/// ```
/// use porter::handler::{Context, Handler, Speaker};
/// use porter::protocol::Code;
/// use std::collections::HashMap;
///
/// /// Answers a key with its value.
/// struct Values(HashMap<String, String>);
///
/// impl Handler for Values {
///     fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
///         let Some(key) = text.strip_prefix("get ") else {
///             return context.refuse(from.session, Code::BadAddress, "only `get KEY` is known here");
///         };
///         match self.0.get(key) {
///             Some(value) => _ = context.send(from.session, None, value),
///             None => context.refuse(from.session, Code::NoSuchRecipient, &format!("{key}: no such key")),
///         }
///     }
/// }
/// ```
pub trait Handler {
    /// A text came from somebody who may speak.
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context);

    /// Whether what one writes goes to many. Then a session that writes faster than
    /// [the chat rate](crate::limits::CHAT_RATE_DEFAULT) allows is read more slowly: else one could fill the output of all.
    fn fans_out(&self) -> bool {
        false
    }

    /// To whose sessions alone a text goes, if the text says so; `is_here` says whether a name has a session. With very much
    /// to be handed out to many, a text for all waits until there is room, and one for a few is handled at once.
    fn addressee(&self, text: &str, is_here: &dyn Fn(&Name) -> bool) -> Option<Name> {
        let _ = (text, is_here);
        None
    }

    /// A name has its first session.
    fn joined(&mut self, who: Speaker<'_>, context: &mut dyn Context) {
        let _ = (who, context);
    }

    /// A session has ended; `last` if its name has none now.
    fn left(&mut self, who: Speaker<'_>, last: bool, context: &mut dyn Context) {
        let _ = (who, last, context);
    }

    /// The person at the console typed a text that is neither a command nor addressed to anybody.
    fn console_text(&mut self, text: &str, context: &mut dyn Context) {
        let _ = text;
        context.notice(
            "nobody takes plain text in this mode; @name text writes to one, /help lists the commands",
        );
    }

    /// The time has come that [`set_timer`](Context::set_timer) was given.
    fn timer(&mut self, context: &mut dyn Context) {
        let _ = context;
    }

    /// Somebody has called [`ServerHandle::wake`](crate::server::ServerHandle::wake): what this handler has from elsewhere
    /// can be sent.
    fn woken(&mut self, context: &mut dyn Context) {
        let _ = context;
    }
}

/// What a handler can do. A sender of `None` is the server itself.
pub trait Context {
    /// Sends a text to one session; false if it has ended or its connection is lost.
    fn send(&mut self, to: SessionId, sender: Option<&Name>, text: &str) -> bool;

    /// Whether a name has a session.
    fn is_here(&self, name: &Name) -> bool;

    /// Sends a text to every connected session of a name, and says to how many; of a crowd, to how many at least.
    fn send_to_name(&mut self, to: &Name, sender: Option<&Name>, text: &str) -> usize;

    /// Sends a text to every connected session but one.
    fn send_to_others(&mut self, but: Option<SessionId>, sender: Option<&Name>, text: &str);

    /// Answers the speaker's message with an error of the [application's own](Handler#an-error-of-the-applications-own); its
    /// code must be one that leaves the connection open.
    fn refuse(&mut self, to: SessionId, code: Code, explanation: &str);

    /// The address that a session's client has; `None` if the session has ended or its connection is lost.
    fn peer(&self, of: SessionId) -> Option<SocketAddr>;

    /// Ends a session: its client is told Bye with this reason, and does not come back by itself.
    fn end(&mut self, session: SessionId, reason: &str);

    /// Has [`Handler::timer`] called after this time, once, instead of when it was last asked for.
    fn set_timer(&mut self, after: Duration);

    /// Shows a client's message on the console.
    fn show(&mut self, sender: &Name, text: &str);

    /// Tells the person at the console something.
    fn notice(&mut self, text: &str);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::auth::{Sessions, Token};
    use crate::slots::Key;

    /// Notes what a handler does, a line each.
    #[derive(Default)]
    pub(crate) struct Notes {
        pub(crate) lines: Vec<String>,
        pub(crate) sessions: Sessions,
    }

    impl Notes {
        pub(crate) fn login(&mut self, name: &str) -> SessionId {
            let serial = self.sessions.len() as u8;
            let conn = Key::unpack((u64::from(serial) + 1) << 32).unwrap();
            self.sessions.open(Name::new(name).unwrap(), Token::new([serial; 16]), conn)
        }

        pub(crate) fn taken(&mut self) -> Vec<String> {
            std::mem::take(&mut self.lines)
        }

        /// Lets a session's user say something.
        pub(crate) fn say(
            &mut self,
            handler: &mut dyn Handler,
            session: SessionId,
            text: &str,
        ) -> Vec<String> {
            let name = self.name(session);
            handler.message(Speaker { session, name: &name }, text, self);
            self.taken()
        }

        fn name(&self, session: SessionId) -> Name {
            self.sessions.session(session).map(|session| session.name().clone()).unwrap()
        }

        fn note(&mut self, to: &str, sender: Option<&Name>, text: &str) {
            self.lines.push(format!("{to} <- {}: {text}", sender.map_or("server", Name::as_str)));
        }
    }

    impl Context for Notes {
        fn send(&mut self, to: SessionId, sender: Option<&Name>, text: &str) -> bool {
            let Some(session) = self.sessions.session(to) else { return false };
            let to = session.name().to_string();
            self.note(&to, sender, text);
            true
        }

        fn is_here(&self, name: &Name) -> bool {
            self.sessions.has_any(name)
        }

        fn send_to_name(&mut self, to: &Name, sender: Option<&Name>, text: &str) -> usize {
            let sessions: Vec<_> = self.sessions.of(to).collect();
            sessions.iter().filter(|id| self.send(**id, sender, text)).count()
        }

        fn send_to_others(&mut self, but: Option<SessionId>, sender: Option<&Name>, text: &str) {
            let others: Vec<_> =
                self.sessions.iter().map(|(id, _)| id).filter(|id| Some(*id) != but).collect();
            for id in others {
                self.send(id, sender, text);
            }
        }

        fn refuse(&mut self, to: SessionId, code: Code, _: &str) {
            let name = self.name(to);
            self.lines.push(format!("{name} <- {code}"));
        }

        fn peer(&self, _: SessionId) -> Option<SocketAddr> {
            None
        }

        fn end(&mut self, session: SessionId, reason: &str) {
            let name = self.name(session);
            self.lines.push(format!("{name} ended: {reason}"));
        }

        fn set_timer(&mut self, after: Duration) {
            self.lines.push(format!("timer in {after:?}"));
        }

        fn show(&mut self, sender: &Name, text: &str) {
            self.lines.push(format!("console <- {sender}: {text}"));
        }

        fn notice(&mut self, text: &str) {
            self.lines.push(format!("console <- {text}"));
        }
    }
}
