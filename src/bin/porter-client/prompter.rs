//! Who answers the server's questions: the command line first, then a person at a terminal, if there is one.
//!
//! An answer is kept until the login is done, so that nothing is asked twice if a new connection is needed meanwhile.
//! This module must not know the terminal, nor what is sent.

use crate::display::{Display, failed};
use porter::auth::Name;
use porter::cli::Failure;
use porter::limits::{MIN_PASSWORD_CHARACTERS_DEFAULT, PASSWORD_BYTES, STRANGER_FRAME_BYTES};
use zeroize::Zeroizing;

pub(crate) struct Prompter {
    name: Option<String>,
    given_password: Option<Zeroizing<String>>,
    given_is_used: bool,
    typed_password: Option<Zeroizing<String>>,
    can_be_asked: bool,
    /// The server has refused a new password, and said why.
    knows_rule: bool,
    question: Option<Question>,
}

/// What was asked and is not answered yet.
enum Question {
    Trust {
        server: String,
        key: String,
    },
    Name {
        likely: Option<Name>,
    },
    Password,
    NewPassword,
    /// The new password once more, which was this.
    SamePassword(Zeroizing<String>),
}

/// What came of an answer.
pub(crate) enum Answer {
    /// Something is still to be asked.
    NotYet,
    /// What was wanted is known now.
    Known,
    /// This server is the one that is wanted.
    Trusted { server: String, key: String },
}

impl Prompter {
    /// Takes what the command line gave.
    ///
    /// # Errors
    /// [`Failure`] if something is missing and nobody is there to ask, or cannot be sent at all.
    pub(crate) fn new(
        name: Option<String>,
        password: Option<Zeroizing<String>>,
        can_be_asked: bool,
    ) -> Result<Prompter, Failure> {
        if !can_be_asked && (name.is_none() || password.is_none()) {
            return Err(Failure::usage(
                "without a terminal nobody can be asked: give --name, and --password-file or PORTER_PASSWORD",
            ));
        }
        if password.as_ref().is_some_and(|password| password.len() > PASSWORD_BYTES) {
            return Err(Failure::failed(format_args!("a password has at most {PASSWORD_BYTES} bytes")));
        }
        if name.as_ref().is_some_and(|name| !is_sendable(name)) {
            return Err(Failure::failed("the name is longer than any name may be"));
        }
        Ok(Prompter {
            name,
            given_password: password,
            given_is_used: false,
            typed_password: None,
            can_be_asked,
            knows_rule: false,
            question: None,
        })
    }

    /// The name that was settled.
    pub(crate) fn settled_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// A new dialogue begins, in which a password that was given by the command line may serve again.
    pub(crate) fn is_met_again(&mut self) {
        self.given_is_used = false;
    }

    /// The login is done: what was typed for it has served.
    pub(crate) fn is_in(&mut self) {
        self.typed_password = None;
        self.question = None;
    }

    /// Asks whether a server that is met for the first time is the one that is wanted.
    pub(crate) fn ask_trust(
        &mut self,
        server: String,
        fingerprint: &str,
        key: String,
        display: &mut Display,
    ) {
        display.warn(format_args!("{server} is not known yet; the fingerprint of its certificate is"));
        // On a line of its own, below the one that the server shows, it is compared at a glance.
        display.warn(fingerprint);
        self.question = Some(Question::Trust { server, key });
    }

    /// Who is there, if that is known; otherwise it is asked, with `likely` as the default.
    ///
    /// # Errors
    /// [`Failure`] if the last answer was refused and nobody can be asked.
    pub(crate) fn name(
        &mut self,
        likely: Option<Name>,
        refusal: Option<&str>,
        display: &mut Display,
    ) -> Result<Option<&str>, Failure> {
        self.show_refusal(refusal, "the name", display)?;
        if refusal.is_some() {
            self.name = None;
            self.typed_password = None;
        }
        if self.name.is_none() {
            self.question.get_or_insert(Question::Name { likely });
        }
        Ok(self.name.as_deref())
    }

    /// The password, if it is known; otherwise it is asked, a new one twice.
    ///
    /// # Errors
    /// [`Failure`] if the last one was refused and nobody can be asked.
    pub(crate) fn password(
        &mut self,
        is_new: bool,
        refusal: Option<&str>,
        display: &mut Display,
    ) -> Result<Option<Zeroizing<String>>, Failure> {
        self.show_refusal(refusal, if is_new { "the new password" } else { "the password" }, display)?;
        if refusal.is_some() {
            self.typed_password = None;
            self.knows_rule |= is_new;
        }
        if let Some(typed) = &self.typed_password {
            return Ok(Some(typed.clone()));
        }
        // Once in a dialogue: the same one again would be refused again.
        let is_used = std::mem::replace(&mut self.given_is_used, true);
        if let Some(given) = self.given_password.clone().filter(|_| !is_used) {
            return Ok(Some(given));
        }
        if !self.can_be_asked {
            return Err(failed(
                "the password that was given has been used, and nobody can be asked for another",
            ));
        }
        self.question.get_or_insert(if is_new { Question::NewPassword } else { Question::Password });
        Ok(None)
    }

    /// Whether an answer is waited for.
    pub(crate) fn is_asked(&self) -> bool {
        self.question.is_some()
    }

    /// What to ask, and whether the answer is to be hidden.
    pub(crate) fn prompt(&self) -> Option<(String, bool)> {
        let name = self.settled_name();
        Some(match self.question.as_ref()? {
            Question::Trust { .. } => ("Is that what its operator says? (yes/no) ".to_owned(), false),
            Question::Name { likely: None } => ("Name: ".to_owned(), false),
            Question::Name { likely: Some(likely) } => (format!("Name [{likely}]: "), false),
            Question::Password => (format!("Password for {name}: "), true),
            Question::NewPassword => {
                (format!("Choose a password for {name}{}: ", self.password_rule()), true)
            }
            Question::SamePassword(_) => ("The same password again: ".to_owned(), true),
        })
    }

    /// What servers want of a new password, unless this one has just said itself what it wants.
    fn password_rule(&self) -> String {
        if self.knows_rule {
            return String::new();
        }
        format!(" (at least {MIN_PASSWORD_CHARACTERS_DEFAULT} characters)")
    }

    /// Takes what was typed; `None` is a line that was too long to be an answer.
    ///
    /// # Errors
    /// [`Failure`] if the server is not trusted.
    pub(crate) fn answer(
        &mut self,
        line: Option<Zeroizing<String>>,
        display: &mut Display,
    ) -> Result<Answer, Failure> {
        let Some(question) = self.question.take() else { return Ok(Answer::NotYet) };
        let line = line.unwrap_or_else(|| Zeroizing::new("x".repeat(STRANGER_FRAME_BYTES as usize)));
        match self.judge(question, line)? {
            Ok(answer) => Ok(answer),
            Err((question, complaint)) => {
                self.question = Some(question);
                if !complaint.is_empty() {
                    display.warn(complaint);
                }
                Ok(Answer::NotYet)
            }
        }
    }

    /// What came of it, or what to ask next and what to say before.
    fn judge(
        &mut self,
        question: Question,
        line: Zeroizing<String>,
    ) -> Result<Result<Answer, (Question, String)>, Failure> {
        Ok(match question {
            Question::Trust { server, key } => match line.trim() {
                "yes" => Ok(Answer::Trusted { server, key }),
                "no" => return Err(failed(format_args!("{server} is not trusted"))),
                _ => Err((Question::Trust { server, key }, "type yes or no".to_owned())),
            },
            Question::Name { likely } => match (line.trim(), &likely) {
                ("", None) => Err((Question::Name { likely }, "a name cannot be empty".to_owned())),
                ("", Some(name)) => {
                    self.name = Some(name.to_string());
                    Ok(Answer::Known)
                }
                (name, _) if !is_sendable(name) => {
                    Err((Question::Name { likely }, "that is longer than any name may be".to_owned()))
                }
                (name, _) => {
                    self.name = Some(name.to_owned());
                    Ok(Answer::Known)
                }
            },
            Question::SamePassword(first) if *first != *line => {
                Err((Question::NewPassword, "the two passwords differ".to_owned()))
            }
            Question::SamePassword(_) => {
                self.typed_password = Some(line);
                Ok(Answer::Known)
            }
            question if line.is_empty() => Err((question, String::new())),
            question if line.len() > PASSWORD_BYTES => {
                Err((question, format!("a password has at most {PASSWORD_BYTES} bytes")))
            }
            Question::NewPassword => Err((Question::SamePassword(line), String::new())),
            Question::Password => {
                self.typed_password = Some(line);
                Ok(Answer::Known)
            }
        })
    }

    /// Says why an answer was refused; without a terminal that is the end.
    fn show_refusal(&self, refusal: Option<&str>, what: &str, display: &mut Display) -> Result<(), Failure> {
        let Some(reason) = refusal else { return Ok(()) };
        let text = format!("the server refused {what}: {reason}");
        if !self.can_be_asked {
            return Err(failed(text));
        }
        display.warn(text);
        Ok(())
    }
}

/// Whether a name fits the frame in which a server takes one.
fn is_sendable(name: &str) -> bool {
    name.len() < STRANGER_FRAME_BYTES as usize
}
