//! Chat: what one writes all others read.

use super::{Context, Handler, Speaker};
use crate::auth::{Name, addressed, is_meant_for_one};
use crate::protocol::Code;

/// A room of many. `@name text` goes to one, and what begins with `@` and is no such text to nobody; the server announces who comes and goes; the console takes part.
#[derive(Debug, Default)]
pub struct Chat;

const BAD_ADDRESS: &str =
    "sent to nobody: what begins with @ is for one, and must be @NAME, one space, and the text";

impl Handler for Chat {
    fn fans_out(&self) -> bool {
        true
    }

    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        let address = addressed(text, |name| context.is_here(name));
        if address.is_none() && is_meant_for_one(text) {
            // A slip must not make private words public.
            return context.refuse(from.session, Code::BadAddress, BAD_ADDRESS);
        }
        context.show(from.name, text);
        match address {
            // Delivered unchanged, prefix and all, so that the reader sees that it was for them alone.
            Some((to, _)) => {
                if context.send_to_name(&to, Some(from.name), text) == 0 {
                    context.refuse(from.session, Code::NoSuchRecipient, &format!("{to} is not online"));
                }
            }
            None => context.send_to_others(Some(from.session), Some(from.name), text),
        }
    }

    fn addressee(&self, text: &str, is_here: &dyn Fn(&Name) -> bool) -> Option<Name> {
        addressed(text, is_here).map(|(to, _)| to)
    }

    fn joined(&mut self, who: Speaker<'_>, context: &mut dyn Context) {
        context.send_to_others(Some(who.session), None, &format!("{} joined", who.name));
    }

    fn left(&mut self, who: Speaker<'_>, last: bool, context: &mut dyn Context) {
        if last {
            context.send_to_others(None, None, &format!("{} left", who.name));
        }
    }

    fn console_text(&mut self, text: &str, context: &mut dyn Context) {
        context.send_to_others(None, None, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Notes;
    use super::*;

    #[test]
    fn others_read_under_the_writers_name() {
        let mut notes = Notes::default();
        let ann = notes.login("ann");
        notes.login("bob");
        notes.login("ann");
        let read = notes.say(&mut Chat, ann, "hi");
        assert_eq!(read, ["console <- ann: hi", "bob <- ann: hi", "ann <- ann: hi"]);
    }

    #[test]
    fn a_direct_message_goes_to_every_session_of_the_name_unchanged() {
        let mut notes = Notes::default();
        let ann = notes.login("ann");
        notes.login("bob");
        notes.login("bob");
        assert_eq!(
            notes.say(&mut Chat, ann, "@bob psst")[1..],
            ["bob <- ann: @bob psst", "bob <- ann: @bob psst"]
        );
        assert_eq!(notes.say(&mut Chat, ann, "@carol psst")[1..], ["ann <- NoSuchRecipient"]);
    }

    #[test]
    fn a_slip_in_an_address_is_shown_to_nobody() {
        let mut notes = Notes::default();
        let ann = notes.login("ann");
        notes.login("bob");
        for text in [
            "@server psst",
            "@bob",
            " @bob x",
            "@bob, x",
            "@bob\tx",
            "@bob\u{a0}x",
            "@@bob x",
            "@ bob x",
            "@",
        ] {
            assert_eq!(notes.say(&mut Chat, ann, text), ["ann <- BadAddress"], "{text:?}");
        }
    }

    #[test]
    fn comings_and_goings_are_announced_to_the_others() {
        let mut notes = Notes::default();
        let ann = notes.login("ann");
        let bob = notes.login("bob");
        let name = crate::auth::Name::new("bob").unwrap();
        let who = Speaker { session: bob, name: &name };
        Chat.joined(who, &mut notes);
        assert_eq!(notes.taken(), ["ann <- server: bob joined"]);
        notes.sessions.end(bob);
        Chat.left(who, false, &mut notes);
        assert!(notes.taken().is_empty());
        Chat.left(who, true, &mut notes);
        assert_eq!(notes.taken(), ["ann <- server: bob left"]);
        Chat.console_text("tea?", &mut notes);
        assert_eq!(notes.taken(), ["ann <- server: tea?"]);
        let _ = ann;
    }
}
