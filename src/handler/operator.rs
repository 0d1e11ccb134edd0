//! Operator: the person at the server's console answers.

use super::{Context, Handler, Speaker};
use crate::auth::{Name, SessionId};

/// Shows what clients write, and sends what is typed to whoever wrote last.
///
/// "Whoever" is a session: it outlives a lost connection that is resumed, and another login of the same name is
/// somebody else.
#[derive(Debug, Default)]
pub struct Operator {
    wrote_last: Option<(SessionId, Name)>,
    announces: bool,
}

impl Operator {
    /// One that also tells the console who comes and goes.
    pub fn announcing() -> Operator {
        Operator { announces: true, ..Operator::default() }
    }
}

impl Handler for Operator {
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        self.wrote_last = Some((from.session, from.name.clone()));
        context.show(from.name, text);
    }

    fn joined(&mut self, who: Speaker<'_>, context: &mut dyn Context) {
        if self.announces {
            context.notice(&format!("({} joined)", who.name));
        }
    }

    fn left(&mut self, who: Speaker<'_>, last: bool, context: &mut dyn Context) {
        if self.wrote_last.take_if(|(session, _)| *session == who.session).is_some() {
            context.notice(&format!("{} has gone; the next to write will be answered", who.name));
        } else if self.announces && last {
            context.notice(&format!("({} left)", who.name));
        }
    }

    fn console_text(&mut self, text: &str, context: &mut dyn Context) {
        match &self.wrote_last {
            None => context.notice("not sent: there is nobody to answer; @name text writes to one"),
            Some((session, name)) if !context.send(*session, None, text) => {
                context.notice(&format!("not sent: the connection of {name} is lost; it may be resumed"));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Notes;
    use super::*;

    #[test]
    fn a_typed_line_goes_to_whoever_wrote_last() {
        let mut notes = Notes::default();
        let (ann, bob) = (notes.login("ann"), notes.login("bob"));
        let mut operator = Operator::default();
        operator.console_text("hello?", &mut notes);
        assert_eq!(notes.taken().len(), 1, "the operator is told that there is nobody");
        assert_eq!(notes.say(&mut operator, ann, "one"), ["console <- ann: one"]);
        notes.say(&mut operator, bob, "two");
        operator.console_text("yes", &mut notes);
        assert_eq!(notes.taken(), ["bob <- server: yes"]);
    }

    #[test]
    fn who_comes_and_goes_is_announced_where_that_is_wanted() {
        let mut notes = Notes::default();
        let ann = notes.login("ann");
        let name = Name::new("ann").unwrap();
        let who = Speaker { session: ann, name: &name };
        for (mut operator, told) in [(Operator::announcing(), true), (Operator::default(), false)] {
            operator.joined(who, &mut notes);
            operator.left(who, false, &mut notes);
            operator.left(who, true, &mut notes);
            let lines = ["console <- (ann joined)", "console <- (ann left)"];
            assert_eq!(notes.taken(), if told { &lines[..] } else { &[] });
        }
    }

    #[test]
    fn the_operator_is_told_when_whoever_wrote_last_has_gone() {
        let mut notes = Notes::default();
        let (ann, again) = (notes.login("ann"), notes.login("ann"));
        let mut operator = Operator::default();
        notes.say(&mut operator, ann, "one");
        let name = Name::new("ann").unwrap();
        operator.left(Speaker { session: again, name: &name }, false, &mut notes);
        assert!(notes.taken().is_empty(), "another session of the name");
        operator.left(Speaker { session: ann, name: &name }, false, &mut notes);
        assert_eq!(notes.taken().len(), 1);
        operator.console_text("still there?", &mut notes);
        assert!(notes.taken()[0].contains("not sent"));
    }
}
