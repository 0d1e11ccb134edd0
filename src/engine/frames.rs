//! Frames: taken from the bytes that came, judged in the protocol's order, handed on.

use super::close_reason::CloseReason;
use super::connection::Connection;
use super::delivery::Delivery;
use super::events::log_message;
use super::registry::Registry;
use super::{ConnId, Engine};
use crate::Moment;
use crate::auth::{Name, Password, Session, SessionId};
use crate::handler::Speaker;
use crate::limits::{SHARE_FRAMES, TOKEN_BYTES};
use crate::protocol::{BadLength, Code, Inbox, Lent, Request};
use crate::store::Store;
use zeroize::Zeroize;

/// What is kept while a connection's frames are served.
#[derive(Default)]
struct Served {
    /// Of whom the connection carries, once it has been looked for.
    name: Option<Name>,
    messages: u32,
}

impl<S: Store> Engine<S> {
    /// Bytes have come, or none where the [read budget](Engine::read_budget) is
    /// [`ReadBudget::Backlog`](super::ReadBudget::Backlog): a share of the frames that are whole is handled. Bytes are taken
    /// whole, whatever the budget; those that held a password are wiped.
    pub fn handle_bytes(&mut self, id: ConnId, bytes: &mut [u8], now: Moment) {
        self.registry.now = now;
        let count = bytes.len() as u64;
        self.registry.totals.bytes_in += count;
        // Wiped in any case.
        let lent = Lent::new(bytes);
        if let Some(connection) = self.registry.connections.get_mut(id) {
            let is_first = connection.traffic.bytes_in == 0 && count > 0;
            connection.traffic.bytes_in += count;
            let inbox = connection.take_input();
            if is_first {
                self.registry.announce(id);
            }
            if let Some(inbox) = inbox {
                self.serve(id, inbox, lent);
            }
        }
        self.apply_changes();
    }

    /// Handles a connection's share of whole frames: those that waited in its inbox, then those among the lent bytes. What
    /// is left is kept.
    fn serve(&mut self, id: ConnId, mut inbox: Inbox, mut lent: Lent<'_>) {
        let mut frames = 0;
        let mut served = Served::default();
        while frames < SHARE_FRAMES
            && !self.stopping
            && inbox.has_input(&lent)
            && !self.registry.is_fan_out_crammed()
            && let Some(connection) = self.registry.connections.get(id)
            && connection.may_handle_frame()
        {
            match inbox.next_frame(&mut lent, connection.frame_limit_bytes(&self.registry.config)) {
                Ok(Some(body)) if self.must_wait(connection, body) => {
                    let length = body.len();
                    inbox.put_back(&mut lent, length);
                    break;
                }
                Ok(Some(body)) => {
                    frames += 1;
                    self.handle_frame(id, body, &mut served);
                }
                Ok(None) => break,
                // Its refusals come first; the length is there still.
                Err(_) if self.registry.has_posts(Some(id)) => break,
                Err(bad) => self.refuse_length(id, bad),
            }
        }
        let Registry { connections, config, totals, now, .. } = &mut self.registry;
        totals.messages_in += u64::from(served.messages);
        let Some(connection) = connections.get_mut(id) else { return };
        let traffic = &mut connection.traffic;
        traffic.messages_in = traffic.messages_in.saturating_add(served.messages);
        connection.keep_input(inbox, &mut lent, frames, *now);
        if connection.is_finished(config) {
            self.registry.begin_close(id, CloseReason::ClosedByPeer);
        }
    }

    /// Whether a frame has to wait, and all behind it, until more is handed out.
    #[inline]
    fn must_wait(&self, connection: &Connection, body: &[u8]) -> bool {
        if !Request::is_message(body) {
            // Its answers come in order, and none is lost to its end: only texts are taken before those that it wrote are handed
            // out.
            return connection.has_posts();
        }
        // Who has no session has nothing handed out.
        self.registry.is_fan_out_full()
            && connection.session().is_some()
            && (connection.has_posts() || !self.is_for_few(body))
    }

    /// Whether a message is delivered at once, whatever is still to be handed out.
    #[cold]
    fn is_for_few(&self, body: &[u8]) -> bool {
        let Ok(Request::Message { text, .. }) = Request::decode(body) else { return false };
        let Ok(text) = simdutf8::basic::from_utf8(text) else { return false };
        let is_here = |name: &Name| self.registry.is_here(name);
        self.handler.addressee(text, &is_here).is_some_and(|to| !self.registry.is_crowd(&to))
    }

    fn refuse_length(&mut self, id: ConnId, bad: BadLength) {
        let protocol = other_protocol(bad);
        let code = match bad {
            // What stands there is no length: it comes from a proxy that this server is not told to believe.
            BadLength::TooLarge { .. } if protocol == Some(PROXY_HEADER) => Code::Malformed,
            BadLength::Zero => Code::Malformed,
            BadLength::TooLarge { .. } => Code::FrameTooLarge,
        };
        let explanation = match protocol {
            Some(PROXY_HEADER) => {
                "this looks like a PROXY header, which is believed only from --proxy-from".to_owned()
            }
            Some(protocol) => format!("this looks like {protocol}, which is not spoken on this port"),
            None => bad.to_string(),
        };
        self.registry.refuse(id, code, &explanation);
    }

    fn handle_frame(&mut self, id: ConnId, body: &mut [u8], served: &mut Served) {
        let request = match Request::decode(body) {
            Ok(request) => request,
            Err(malformed) => {
                // It may be a password that was too long.
                body.zeroize();
                return self.registry.refuse(id, Code::Malformed, &malformed.to_string());
            }
        };
        let Some(connection) = self.registry.connections.get(id) else { return };
        if !connection.allows(&request) {
            let explanation = format!("{} is not allowed while {}", request.name(), connection.state_name());
            body.zeroize();
            return self.registry.refuse(id, Code::UnexpectedFrame, &explanation);
        }
        let session = connection.session();
        match request {
            Request::Message { token, text } => self.handle_message(id, session, token, text, served),
            request => {
                self.handle_request(id, session, &request);
                // It may have had a password or a token.
                body.zeroize();
            }
        }
    }

    /// Any but a message, and beside the way of one.
    #[inline(never)]
    fn handle_request(&mut self, id: ConnId, session: Option<SessionId>, request: &Request<'_>) {
        match *request {
            Request::Identify(name) => {
                if let Some(name) = self.text(id, name) {
                    self.identify(id, name);
                }
            }
            Request::Register(password) => {
                if let Some(password) = self.text(id, password) {
                    self.register(id, password);
                }
            }
            Request::Login(password) => {
                if self.text(id, password).is_some() {
                    self.log_in(id, Password::new(password));
                }
            }
            Request::Resume(token) => self.resume(id, token),
            Request::Who { token } => {
                if self.own_session(id, session, token).is_some() {
                    self.registry.send_names(id);
                }
            }
            Request::ChangePassword { token, old, new } => self.change_password(id, session, token, old, new),
            Request::Exit => self.registry.bye(id, "bye", CloseReason::Exit),
            Request::Message { .. } => {}
        }
    }

    /// The session that a connection carries, if the token is that session's; any other is refused.
    pub(super) fn own_session(
        &mut self,
        id: ConnId,
        session: Option<SessionId>,
        token: &[u8; TOKEN_BYTES],
    ) -> Option<SessionId> {
        let is_own = |own: &Session| own.token().matches(token);
        let own = session.filter(|session| self.registry.sessions.session(*session).is_some_and(is_own));
        if own.is_none() {
            self.registry.refuse(id, Code::BadToken, "the token is not this session's");
        }
        own
    }

    fn handle_message(
        &mut self,
        id: ConnId,
        session: Option<SessionId>,
        token: &[u8; TOKEN_BYTES],
        text: &[u8],
        served: &mut Served,
    ) {
        let Some(session) = self.own_session(id, session, token) else { return };
        if self.registry.sessions.confirm(session) {
            self.publish_confirmed(session);
        }
        let Some(text) = self.text(id, text) else { return };
        served.messages += 1;
        if served.name.is_none() {
            served.name = self.registry.sessions.session(session).map(|own| own.name().clone());
        }
        let Some(name) = &served.name else { return };
        self.registry.note_text(id, session);
        log_message("message received", id, text.len());
        let from = Speaker { session, name };
        self.handler.message(
            from,
            text,
            &mut Delivery { registry: &mut self.registry, author: Some(id), is_known_elsewhere: false },
        );
    }

    pub(super) fn text<'a>(&mut self, id: ConnId, bytes: &'a [u8]) -> Option<&'a str> {
        let text = simdutf8::basic::from_utf8(bytes).ok();
        if text.is_none() {
            self.registry.refuse(id, Code::Malformed, "text that is not UTF-8");
        }
        text
    }
}

const PROXY_HEADER: &str = "a PROXY header";

/// The protocol whose beginning the four bytes of a header rather are.
fn other_protocol(bad: BadLength) -> Option<&'static str> {
    let BadLength::TooLarge { announced_bytes, .. } = bad else { return None };
    match &announced_bytes.to_be_bytes() {
        [0x16, 0x03, ..] => Some("TLS"),
        b"GET " | b"HEAD" | b"POST" | b"PUT " | b"DELE" | b"CONN" | b"OPTI" | b"TRAC" | b"PATC" | b"PRI " => {
            Some("HTTP")
        }
        b"SSH-" => Some("SSH"),
        b"PROX" | b"\r\n\r\n" => Some(PROXY_HEADER),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::body_length;

    #[test]
    fn other_protocols_are_called_by_their_names() {
        for (beginning, name) in [
            (b"GET ", Some("HTTP")),
            (b"PRI ", Some("HTTP")),
            (b"SSH-", Some("SSH")),
            (b"PROX", Some("a PROXY header")),
            (b"\x16\x03\x01\x02", Some("TLS")),
            (b"\xff\xff\xff\xff", None),
        ] {
            assert_eq!(body_length(*beginning, 65_536).err().and_then(other_protocol), name);
        }
    }
}
