//! Echo: each message comes back, from the server.

use super::{Context, Handler, Speaker};

/// Sends every text back to who wrote it.
#[derive(Debug, Default)]
pub struct Echo;

impl Handler for Echo {
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        context.send(from.session, None, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Notes;
    use super::*;

    #[test]
    fn a_message_comes_back_to_its_writer_alone() {
        let mut notes = Notes::default();
        let ann = notes.login("ann");
        notes.login("bob");
        assert_eq!(notes.say(&mut Echo, ann, "hi"), ["ann <- server: hi"]);
    }
}
