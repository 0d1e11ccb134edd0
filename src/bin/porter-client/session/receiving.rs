//! What comes from the server.

use super::ending::Trouble;
use super::{Link, Session, now};
use crate::display::Display;
use crate::receipts::Receipts;
use crate::tally::Tally;
use porter::client::ClientError;
use porter::protocol::{Code, Reply};

impl Session {
    /// Handles what came from the server, or of the try to reach it.
    pub(super) fn read_link(&mut self) -> Result<(), Trouble> {
        match &mut self.link {
            Link::Away(_) => return Ok(()),
            Link::Connecting(_) => return self.opened(),
            Link::Joining(connection, _) => connection.read()?,
            Link::Up(connection, _) => {
                connection.read()?;
                self.quiet_since = now();
            }
        }
        loop {
            match &mut self.link {
                Link::Up(connection, _) => match connection.next_reply()? {
                    Some(reply) => show_reply(reply, &mut self.display, &mut self.receipts, &mut self.tally)?,
                    None => return Ok(()),
                },
                Link::Joining(connection, dialogue) => {
                    let Some(reply) = connection.next_reply()? else { return Ok(()) };
                    self.greeting_due = None;
                    let next = dialogue.handle(reply)?;
                    self.answer(next)?;
                }
                Link::Away(_) | Link::Connecting(_) => return Ok(()),
            }
        }
    }
}

/// Shows what the server says within a session.
fn show_reply(
    reply: Reply<'_>,
    display: &mut Display,
    receipts: &mut Receipts,
    tally: &mut Tally,
) -> Result<(), Trouble> {
    match reply {
        Reply::Message { sender, text } => {
            if sender.is_empty() {
                receipts.server_said(text);
            }
            display.receipt("received", text.len(), None);
            display.show(sender, text);
            Ok(())
        }
        Reply::Names { online, names } => {
            if receipts.who_answered() {
                display.answer(&roll(online as usize, names));
            }
            Ok(())
        }
        Reply::Bye(reason) => Err(Trouble::Server(ClientError::Bye(reason.to_owned()))),
        Reply::Error { code, explanation } => {
            let refused = ClientError::Refused { code, explanation: explanation.to_owned() };
            if code >= Code::Malformed.number() {
                return Err(Trouble::Server(refused));
            }
            tally.refused += 1;
            display.warn(refused);
            Ok(())
        }
        other => Err(Trouble::Server(ClientError::unexpected(other.name(), "Message"))),
    }
}

/// Who is online, on one line; not all of their names may have fitted the server's frame.
fn roll(online: usize, names: &str) -> String {
    let names: Vec<&str> = names.lines().collect();
    let more = match online.saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{online} online: {}{more}", names.join(", "))
}
