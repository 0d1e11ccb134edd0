//! The dialogue from the server's Hello to its Welcome, as a machine that is fed replies and says what to do next.
//!
//! It serves the first login and the return after a lost connection alike. It must not know sockets, terminals or
//! where answers come from.

use porter::auth::{Name, Token};
use porter::client::{Asked, ClientError, Handshake, Step};
use porter::protocol::{Code, Reply, Request, Wanted};
use zeroize::Zeroizing;

/// What the dialogue needs, or came to.
pub(crate) enum Next {
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

pub(crate) struct Dialogue {
    handshake: Handshake,
    token: Option<Token>,
    name_is_settled: bool,
    likely: Option<Name>,
    refusal: Option<String>,
    /// The new password that Register went out with.
    chosen: Option<Zeroizing<String>>,
}

impl Dialogue {
    /// A new conversation.
    pub(crate) fn fresh() -> Dialogue {
        Dialogue {
            handshake: Handshake::new(),
            token: None,
            name_is_settled: false,
            likely: None,
            refusal: None,
            chosen: None,
        }
    }

    /// Back to a session whose connection was lost, under a settled name.
    pub(crate) fn returning(token: Token) -> Dialogue {
        Dialogue { token: Some(token), name_is_settled: true, ..Dialogue::fresh() }
    }

    /// A request goes out.
    pub(crate) fn handle_request(&mut self, request: &Request<'_>) {
        self.handshake.handle_request(request);
    }

    /// The new password goes out with Register: the login that follows uses it.
    pub(crate) fn registers(&mut self, password: &Zeroizing<String>) {
        self.chosen = Some(password.clone());
    }

    /// Whether the answer that is due needs a hash.
    pub(crate) fn needs_hash(&self) -> bool {
        self.handshake.needs_hash()
    }

    /// What to do after a reply.
    ///
    /// # Errors
    /// What ends the conversation: a refusal from code 100 on, a Bye, a reply that is not due.
    pub(crate) fn handle(&mut self, reply: Reply<'_>) -> Result<Next, ClientError> {
        match self.handshake.handle_reply(reply)? {
            Step::Hello { last_name } => {
                self.likely = Name::stored(last_name).ok();
                Ok(self.token.take().map_or_else(|| self.identify(), Next::Resume))
            }
            Step::PasswordWanted(wanted) => Ok(self.wanted(wanted)),
            Step::Refused { asked, code, explanation } => self.refused(asked, code, explanation),
            Step::Welcome { token, greeting, resumed } => {
                Ok(Next::Welcome { token, greeting: greeting.to_owned(), resumed })
            }
        }
    }

    fn identify(&mut self) -> Next {
        self.chosen = None;
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
        match (wanted, self.chosen.take()) {
            (Wanted::Login, Some(password)) => Next::Login(password),
            (Wanted::Login, None) => Next::Password { refusal: None },
            (Wanted::Register, _) => Next::NewPassword { refusal: None },
        }
    }

    fn refused(&mut self, asked: Asked, code: u16, explanation: &str) -> Result<Next, ClientError> {
        let refusal = Some(explanation.to_owned());
        match (asked, Code::from_number(code)) {
            (Asked::Resume, Some(Code::NoSuchSession)) => Ok(self.identify()),
            // After Register: meanwhile somebody registered a name that looks like this one.
            (Asked::Identify | Asked::Register, Some(Code::BadName)) => {
                self.refusal = refusal;
                Ok(self.identify())
            }
            (Asked::Register, Some(Code::WeakPassword | Code::StorageFailed)) => {
                Ok(Next::NewPassword { refusal })
            }
            (Asked::Register, Some(Code::NameTaken)) => {
                self.refusal = refusal;
                Ok(Next::Reply)
            }
            (Asked::Login, Some(Code::WrongPassword)) => Ok(Next::Password { refusal }),
            _ => Err(ClientError::Refused { code, explanation: explanation.to_owned() }),
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
        replies.iter().map(|reply| handled(dialogue, *reply).unwrap()).last().unwrap()
    }

    /// What is to be done after a reply, and is done, with the answers of somebody.
    fn handled(dialogue: &mut Dialogue, reply: Reply<'_>) -> Result<Next, ClientError> {
        let next = dialogue.handle(reply)?;
        match &next {
            Next::Name { .. } | Next::Identify => dialogue.handle_request(&Request::Identify(b"ann")),
            Next::Password { .. } | Next::Login(_) => dialogue.handle_request(&Request::Login(b"theirs")),
            Next::Resume(token) => dialogue.handle_request(&Request::Resume(token.expose())),
            Next::NewPassword { .. } | Next::Reply | Next::Welcome { .. } => {}
        }
        Ok(next)
    }

    fn register(dialogue: &mut Dialogue, password: &str) {
        dialogue.registers(&Zeroizing::new(password.into()));
        dialogue.handle_request(&Request::Register(password.as_bytes()));
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
        register(&mut dialogue, "weak");
        let refused = after(&mut dialogue, &[error(Code::WeakPassword)]);
        assert!(matches!(refused, Next::NewPassword { refusal: Some(_) }));
        register(&mut dialogue, "open sesame");
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
        register(&mut dialogue, "open sesame");
        assert!(matches!(after(&mut dialogue, &[error(Code::NameTaken)]), Next::Reply));
        let next = after(&mut dialogue, &[Reply::PasswordWanted(Wanted::Login)]);
        assert!(matches!(next, Next::Name { refusal: Some(_), .. }));
    }

    #[test]
    fn a_name_that_looks_like_one_that_was_taken_meanwhile_is_asked_for_again() {
        let mut dialogue = Dialogue::fresh();
        after(&mut dialogue, &[HELLO, Reply::PasswordWanted(Wanted::Register)]);
        register(&mut dialogue, "open sesame");
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
                handled(&mut dialogue, *reply).unwrap();
            }
            handled(&mut dialogue, *last).err().unwrap()
        };
        assert!(matches!(ends(&[WELCOME]), ClientError::Violation(_)));
        assert!(matches!(ends(&[HELLO, WELCOME]), ClientError::Violation(_)));
        assert!(matches!(ends(&[Reply::Hello { version: 2, last_name: "" }]), ClientError::Violation(_)));
        assert!(matches!(ends(&[HELLO, Reply::Bye("full")]), ClientError::Bye(_)));
        assert!(matches!(ends(&[error(Code::Busy)]), ClientError::Refused { code: 106, .. }));
        assert!(matches!(ends(&[HELLO, error(Code::WrongPassword)]), ClientError::Refused { code: 4, .. }));
    }
}
