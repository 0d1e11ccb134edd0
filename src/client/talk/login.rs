//! The dialogue from the server's Hello to its Welcome, as a machine that is fed replies and says what to do next.
//!
//! It serves the first login and the return after a lost connection alike. It must not know sockets, terminals or
//! where answers come from.

use crate::auth::{Name, Token};
use crate::client::{ClientError, greeted};
use crate::protocol::{Code, Reply, Wanted};
use zeroize::Zeroizing;

/// What the dialogue needs, or came to.
pub(super) enum Next {
    /// A name; `likely` is who logged in last from here.
    Name { likely: Option<Name>, refusal: Option<String> },
    /// A new password for a new name.
    NewPassword { refusal: Option<String> },
    /// The password of a known name.
    Password { refusal: Option<String> },
    /// Send Identify with the name that was settled before.
    Identify,
    /// Send Resume with this token.
    Resume(Token),
    /// Send Login with this password, which was just registered.
    Login(Zeroizing<String>),
    /// Nothing: another reply is to come.
    Reply,
    /// Logged in, or resumed.
    Welcome { token: Token, greeting: String, resumed: bool },
}

/// What the next reply should be an answer to.
enum Stage {
    Hello,
    Resume,
    Identify,
    Register(Zeroizing<String>),
    Login,
}

pub(super) struct Dialogue {
    stage: Stage,
    token: Option<Token>,
    name_is_settled: bool,
    likely: Option<Name>,
    refusal: Option<String>,
}

impl Dialogue {
    /// A new conversation.
    pub(super) fn fresh() -> Dialogue {
        Dialogue { stage: Stage::Hello, token: None, name_is_settled: false, likely: None, refusal: None }
    }

    /// Back to a session whose connection was lost, under a settled name.
    pub(super) fn returning(token: Token) -> Dialogue {
        Dialogue { token: Some(token), name_is_settled: true, ..Dialogue::fresh() }
    }

    /// Notes the new password that goes out with Register: the login that follows uses it.
    pub(super) fn registers(&mut self, password: &Zeroizing<String>) {
        self.stage = Stage::Register(password.clone());
    }

    /// Whether the answer that is due needs a hash.
    pub(super) fn needs_hash(&self) -> bool {
        matches!(self.stage, Stage::Register(_) | Stage::Login)
    }

    /// What to do after a reply.
    ///
    /// # Errors
    /// What ends the conversation: a refusal from code 100 on, a Bye, a reply that is not due.
    pub(super) fn handle(&mut self, reply: Reply<'_>) -> Result<Next, ClientError> {
        match (&self.stage, reply) {
            (Stage::Hello, Reply::Hello { version, last_name }) => {
                greeted(version)?;
                self.likely = Name::stored(last_name).ok();
                match self.token.take() {
                    Some(token) => {
                        self.stage = Stage::Resume;
                        Ok(Next::Resume(token))
                    }
                    None => Ok(self.identify()),
                }
            }
            (Stage::Resume | Stage::Login, Reply::Welcome { token, greeting }) => {
                let resumed = matches!(self.stage, Stage::Resume);
                Ok(Next::Welcome { token: Token::new(*token), greeting: greeting.to_owned(), resumed })
            }
            (Stage::Identify | Stage::Register(_), Reply::PasswordWanted(wanted)) => Ok(self.wanted(wanted)),
            (_, Reply::Error { code, explanation }) => self.refused(code, explanation),
            (_, Reply::Bye(reason)) => Err(ClientError::Bye(reason.to_owned())),
            (stage, reply) => Err(ClientError::unexpected(reply.name(), stage.due())),
        }
    }

    fn identify(&mut self) -> Next {
        self.stage = Stage::Identify;
        if self.name_is_settled && self.refusal.is_none() {
            return Next::Identify;
        }
        Next::Name { likely: self.likely.clone(), refusal: self.refusal.take() }
    }

    fn wanted(&mut self, wanted: Wanted) -> Next {
        if self.refusal.is_some() {
            // The name was just lost to somebody else: their password is not ours to give.
            return self.identify();
        }
        match (wanted, std::mem::replace(&mut self.stage, Stage::Login)) {
            (Wanted::Login, Stage::Register(password)) => Next::Login(password),
            (Wanted::Login, _) => Next::Password { refusal: None },
            (Wanted::Register, _) => Next::NewPassword { refusal: None },
        }
    }

    fn refused(&mut self, code: u16, explanation: &str) -> Result<Next, ClientError> {
        let refusal = Some(explanation.to_owned());
        match (&self.stage, Code::from_number(code)) {
            (Stage::Resume, Some(Code::NoSuchSession)) => Ok(self.identify()),
            // After Register: meanwhile somebody registered a name that looks like this one.
            (Stage::Identify | Stage::Register(_), Some(Code::BadName)) => {
                self.refusal = refusal;
                Ok(self.identify())
            }
            (Stage::Register(_), Some(Code::WeakPassword | Code::StorageFailed)) => {
                Ok(Next::NewPassword { refusal })
            }
            (Stage::Register(_), Some(Code::NameTaken)) => {
                self.refusal = refusal;
                Ok(Next::Reply)
            }
            (Stage::Login, Some(Code::WrongPassword)) => Ok(Next::Password { refusal }),
            _ => Err(ClientError::Refused { code, explanation: explanation.to_owned() }),
        }
    }
}

impl Stage {
    fn due(&self) -> &'static str {
        match self {
            Stage::Hello => "Hello",
            Stage::Resume | Stage::Login => "Welcome",
            Stage::Identify | Stage::Register(_) => "PasswordWanted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Reply<'_> = Reply::Hello { version: 1, last_name: "ann" };
    const WELCOME: Reply<'_> = Reply::Welcome { token: &[7; 16], greeting: "Hello, ann" };

    fn error(code: Code) -> Reply<'static> {
        Reply::Error { code: code.number(), explanation: "no" }
    }

    fn after(dialogue: &mut Dialogue, replies: &[Reply<'_>]) -> Next {
        replies.iter().map(|reply| dialogue.handle(*reply).unwrap()).last().unwrap()
    }

    #[test]
    fn a_new_name_is_registered_and_logged_in_with_the_same_password() {
        let mut dialogue = Dialogue::fresh();
        let Next::Name { likely: Some(likely), refusal: None } = after(&mut dialogue, &[HELLO]) else {
            panic!()
        };
        assert_eq!(likely.as_str(), "ann");
        let wanted = Reply::PasswordWanted(Wanted::Register);
        assert!(matches!(after(&mut dialogue, &[wanted]), Next::NewPassword { refusal: None }));
        dialogue.registers(&Zeroizing::new("weak".into()));
        let refused = after(&mut dialogue, &[error(Code::WeakPassword)]);
        assert!(matches!(refused, Next::NewPassword { refusal: Some(_) }));
        dialogue.registers(&Zeroizing::new("open sesame".into()));
        let Next::Login(password) = after(&mut dialogue, &[Reply::PasswordWanted(Wanted::Login)]) else {
            panic!()
        };
        assert_eq!(*password, "open sesame");
        let Next::Welcome { token, resumed: false, .. } = after(&mut dialogue, &[WELCOME]) else { panic!() };
        assert!(token.matches(&[7; 16]));
    }

    #[test]
    fn refusals_below_100_are_asked_about_again() {
        let mut dialogue = Dialogue::fresh();
        let refused = after(&mut dialogue, &[HELLO, error(Code::BadName)]);
        assert!(matches!(refused, Next::Name { refusal: Some(_), .. }));
        let login = Reply::PasswordWanted(Wanted::Login);
        let refused = after(&mut dialogue, &[login, error(Code::WrongPassword)]);
        assert!(matches!(refused, Next::Password { refusal: Some(_) }));
    }

    #[test]
    fn a_name_lost_to_another_is_asked_for_again_and_their_login_is_not_tried() {
        let mut dialogue = Dialogue::fresh();
        after(&mut dialogue, &[HELLO, Reply::PasswordWanted(Wanted::Register)]);
        dialogue.registers(&Zeroizing::new("open sesame".into()));
        assert!(matches!(after(&mut dialogue, &[error(Code::NameTaken)]), Next::Reply));
        let next = after(&mut dialogue, &[Reply::PasswordWanted(Wanted::Login)]);
        assert!(matches!(next, Next::Name { refusal: Some(_), .. }));
    }

    #[test]
    fn a_name_that_looks_like_one_that_was_taken_meanwhile_is_asked_for_again() {
        let mut dialogue = Dialogue::fresh();
        after(&mut dialogue, &[HELLO, Reply::PasswordWanted(Wanted::Register)]);
        dialogue.registers(&Zeroizing::new("open sesame".into()));
        let refused = after(&mut dialogue, &[error(Code::BadName)]);
        assert!(matches!(refused, Next::Name { refusal: Some(_), .. }));
        let wanted = after(&mut dialogue, &[Reply::PasswordWanted(Wanted::Register)]);
        assert!(matches!(wanted, Next::NewPassword { refusal: None }));
    }

    #[test]
    fn a_return_presents_the_token_and_logs_in_if_the_session_is_gone() {
        let mut dialogue = Dialogue::returning(Token::new([3; 16]));
        let Next::Resume(token) = after(&mut dialogue, &[HELLO]) else { panic!() };
        assert!(token.matches(&[3; 16]));
        assert!(matches!(after(&mut dialogue, &[WELCOME]), Next::Welcome { resumed: true, .. }));

        let mut dialogue = Dialogue::returning(Token::new([3; 16]));
        assert!(matches!(after(&mut dialogue, &[HELLO, error(Code::NoSuchSession)]), Next::Identify));
        let login = Reply::PasswordWanted(Wanted::Login);
        assert!(matches!(after(&mut dialogue, &[login]), Next::Password { refusal: None }));
        assert!(matches!(after(&mut dialogue, &[WELCOME]), Next::Welcome { resumed: false, .. }));
    }

    #[test]
    fn what_is_not_due_ends_the_dialogue() {
        let ends = |replies: &[Reply<'_>]| {
            let mut dialogue = Dialogue::fresh();
            let (last, before) = replies.split_last().unwrap();
            for reply in before {
                dialogue.handle(*reply).unwrap();
            }
            dialogue.handle(*last).err().unwrap()
        };
        assert!(matches!(ends(&[WELCOME]), ClientError::Violation(_)));
        assert!(matches!(ends(&[HELLO, WELCOME]), ClientError::Violation(_)));
        assert!(matches!(ends(&[Reply::Hello { version: 2, last_name: "" }]), ClientError::Violation(_)));
        assert!(matches!(ends(&[HELLO, Reply::Bye("full")]), ClientError::Bye(_)));
        assert!(matches!(ends(&[error(Code::Busy)]), ClientError::Refused { code: 106, .. }));
        assert!(matches!(ends(&[HELLO, error(Code::WrongPassword)]), ClientError::Refused { code: 4, .. }));
    }
}
