//! Commands, from wherever they come: each is begun here.

use super::answers::{CommandId, Listing};
use super::delivery::Delivery;
use super::fetches::is_somebodys;
use super::tasks::Report;
use super::{Engine, accounts::AccountWork};
use crate::Moment;
use crate::auth::{Name, Origin};
use crate::command::{Answer, Command, Line, LineError, TABLE};
use crate::limits::TOKEN_BYTES;
use crate::store::{AccountChange, EndReason, Store};
use log::Level;

impl<S: Store> Engine<S> {
    /// Somebody who may ask for everything asks for something. What it comes to is to be [polled](Engine::poll_answer).
    pub fn handle_command(&mut self, command: Command, now: Moment) -> CommandId {
        self.registry.now = now;
        let id = self.begin_command(command, usize::MAX);
        self.apply_changes();
        id
    }

    /// Reads a line that asks for something, as [`Line`] does, with the names that are known here.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn parse_line(&self, line: &str) -> Result<Line, LineError> {
        Line::parse(line, |name| self.is_known(name))
    }

    /// A command that asks for files to be read again, which is for whoever has files: it is to be
    /// [answered](Engine::handle_reloaded).
    #[inline]
    pub fn poll_reload(&mut self) -> Option<CommandId> {
        self.registry.reloads.pop()
    }

    /// Files were read again, and this came of it: each with whether it failed.
    pub fn handle_reloaded(&mut self, id: CommandId, report: impl IntoIterator<Item = (String, bool)>) {
        let mut failures = 0;
        for (line, has_failed) in report {
            failures += usize::from(has_failed);
            self.registry.answers.push(id, Answer::Text(line));
        }
        match failures {
            0 => self.registry.answers.done(id, "reloaded"),
            _ => self.registry.answers.failed(id, "not all was reloaded; what failed stays as it was"),
        }
    }

    pub(super) fn is_known(&self, name: &Name) -> bool {
        self.registry.sessions.has_any(name) || is_somebodys(&self.store.find(name))
    }

    /// `users` is how many a list may have.
    pub(super) fn begin_command(&mut self, command: Command, users: usize) -> CommandId {
        let id = self.registry.answers.begin();
        let answers = &mut self.registry.answers;
        match command {
            Command::Help => {
                let width = TABLE.iter().map(|spec| spec.usage().len()).max().unwrap_or(0);
                for spec in TABLE {
                    let line = format!("{:width$}  {}", spec.usage(), spec.help);
                    answers.push(id, Answer::Text(line));
                }
                answers.done(id, "");
            }
            Command::Who => self.list_who_is_here(id),
            Command::Stats => {
                let figures = self.figures(self.registry.now);
                self.registry.answers.push(id, Answer::Figures(figures));
                self.registry.answers.done(id, "");
            }
            Command::Policy => {
                let config = &self.registry.config;
                let (hash_rounds, min_password_characters) =
                    (config.hash_rounds, config.min_password_characters);
                answers.push(id, Answer::Policy { hash_rounds, min_password_characters });
                answers.done(id, "");
            }
            Command::Kick(name) => {
                let report = Report::Kick(id, name.clone());
                self.end_everywhere(&name, EndReason::Kicked, report);
            }
            Command::Say(text) => self.say_as_console(id, &text),
            Command::Throttled => self.list_debts(id),
            Command::Forgive(address) => {
                let origin = Origin::of(address);
                let owed = self.admission.throttle.forgive(origin, self.registry.now);
                self.store.forgive(origin);
                log_event!(Level::Info, "forgiven", peer = %origin, owed = #owed.as_millis() as f64 / 1_000.0);
                answers.done(id, format!("{origin} owed {} s", owed.as_secs_f64().ceil()));
            }
            Command::Reload => self.registry.reloads.push(id),
            Command::Stop => {
                self.quit_asked = true;
                answers.done(id, "stopping");
            }
            Command::ListUsers if !self.store.lists_accounts() => self.refer_elsewhere(id, "users list"),
            Command::ExportUsers if !self.store.lists_accounts() => self.refer_elsewhere(id, "users export"),
            Command::ListUsers => answers.list(id, Listing::users(users)),
            Command::ExportUsers => answers.list(id, Listing::Records { next: 0 }),
            Command::ShowUser(name) => self.show_user(id, name),
            Command::AddUser(name, hash) => self.add_user(id, name, hash),
            Command::SetPassword(name, hash) => self.work_on_account(id, name, AccountWork::Password(hash)),
            Command::DisableUser(name) => {
                self.work_on_account(id, name, AccountWork::Change(AccountChange::Disable))
            }
            Command::EnableUser(name) => {
                self.work_on_account(id, name, AccountWork::Change(AccountChange::Enable))
            }
            Command::RemoveUser(name) => {
                self.work_on_account(id, name, AccountWork::Change(AccountChange::Remove))
            }
            Command::ImportUsers(accounts) => self.import_users(id, accounts),
        }
        id
    }

    /// A server does not look through all users of a store that it shares; whoever wants them asks that store.
    pub(super) fn refer_elsewhere(&mut self, id: CommandId, words: &str) {
        let place = self.store.place().unwrap_or_else(|| "URL".to_owned());
        let text = format!(
            "the users are in a shared store, which no server lists: porter-admin --store {place} {words}"
        );
        self.registry.answers.failed(id, text);
    }

    /// What a client may write at most. No client need take more from anybody.
    pub(super) fn text_bytes_most(&self) -> usize {
        self.registry.config.max_frame_bytes as usize - TOKEN_BYTES - 1
    }

    /// What the handler has to say to that is for whoever has asked, not for the console.
    fn say_as_console(&mut self, id: CommandId, text: &str) {
        let most = self.text_bytes_most();
        if text.len() > most {
            let text = format!("not sent: {} bytes where --max-frame leaves {most}", text.len());
            return self.registry.answers.failed(id, text);
        }
        let before = self.registry.console.len();
        self.handler.console_text(
            text,
            &mut Delivery { registry: &mut self.registry, author: None, is_known_elsewhere: false },
        );
        let notes = self.registry.console.take_behind(before);
        match notes.is_empty() {
            true => self.registry.answers.done(id, ""),
            false => self.registry.answers.failed(id, notes.join("; ")),
        }
    }
}
