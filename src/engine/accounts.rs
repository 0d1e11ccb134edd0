//! Accounts, changed by whoever may: acknowledged when it is on stable storage, and of effect from then on, for those who
//! are here too.

use super::Engine;
use super::admission::{Storing, WaitingChange};
use super::answers::CommandId;
use super::fetches::Fetch;
use super::tasks::Report;
use crate::auth::{Name, PasswordHash};
use crate::command::Answer;
use crate::store::{Account, AccountChange, Became, EndReason, Failure, Lookup, Store};
use log::Level;

/// What is done to a known user's account.
#[derive(Clone, Debug)]
pub(super) enum AccountWork {
    /// This is what the password is checked by from now on.
    Password(PasswordHash),
    Change(AccountChange),
}

const UNSUPPORTED: &str = "the store of this server cannot do that";

impl<S: Store> Engine<S> {
    pub(super) fn show_user(&mut self, id: CommandId, name: Name) {
        match self.store.find(&name) {
            Lookup::Elsewhere => self.fetch(&name.clone(), Fetch::ShowUser { command: id, name }),
            found => self.show_found_user(id, &name, found),
        }
    }

    pub(super) fn show_found_user(&mut self, id: CommandId, name: &Name, found: Lookup) {
        let answers = &mut self.registry.answers;
        match found {
            Lookup::Known(hash) | Lookup::Disabled(hash) => {
                answers.push(id, Answer::Hash(hash));
                answers.done(id, "");
            }
            _ => answers.failed(id, no_user(name)),
        }
    }

    pub(super) fn add_user(&mut self, id: CommandId, name: Name, hash: PasswordHash) {
        let refusal = match self.store.find(&name) {
            Lookup::Known(_) | Lookup::Disabled(_) => format!("there is a user {name} already"),
            Lookup::Pending => format!("{name} is being registered"),
            Lookup::LookAlike => format!("{name} looks like the name of a user"),
            Lookup::Unknown | Lookup::Elsewhere => {
                let ticket = self.admission.ticket(Storing::NewUser { command: id, name: name.clone() });
                return self.store.register(ticket, name, hash);
            }
        };
        self.registry.answers.failed(id, refusal);
    }

    pub(super) fn finish_new_user(&mut self, id: CommandId, name: &Name, stored: Result<(), Failure>) {
        match stored {
            Ok(()) => {
                log_event!(Level::Info, "registered", name = %name, by = %"admin");
                self.end_sessions_before(name);
                self.registry.answers.done(id, format!("added {name}"));
            }
            Err(reason) => self.registry.answers.failed(id, format!("{name} is not added: {reason}")),
        }
        self.judge_early_logins(name);
    }

    /// One request of a name is at the store at a time: when that is done the others are judged again.
    pub(super) fn work_on_account(&mut self, id: CommandId, name: Name, work: AccountWork) {
        if let Some(waiting) = self.admission.changing.get_mut(&name) {
            return waiting.push(WaitingChange::Command(id, work));
        }
        let is_disabled = match self.store.find(&name) {
            Lookup::Known(_) => Some(false),
            Lookup::Disabled(_) => Some(true),
            Lookup::Elsewhere => None,
            Lookup::Pending => {
                return self.registry.answers.failed(id, format!("{name} is being registered; try again"));
            }
            Lookup::Unknown | Lookup::LookAlike => return self.registry.answers.failed(id, no_user(&name)),
        };
        match (&work, is_disabled) {
            (AccountWork::Change(AccountChange::Enable), Some(false)) => {
                return self.registry.answers.done(id, format!("{name} is enabled already"));
            }
            (AccountWork::Change(AccountChange::Disable), Some(true)) => {
                return self.registry.answers.done(id, format!("{name} is disabled already"));
            }
            _ => {}
        }
        let storing = Storing::Account { command: id, name: name.clone(), work: work.clone() };
        let ticket = self.admission.ticket(storing);
        let is_taken = match work {
            AccountWork::Password(hash) => {
                self.store.rehash(ticket, name.clone(), hash);
                true
            }
            AccountWork::Change(change) => self.store.alter(ticket, name.clone(), change),
        };
        if is_taken {
            self.admission.changing.insert(name, Vec::new());
        } else {
            self.admission.storing.remove(&ticket);
            self.registry.answers.failed(id, UNSUPPORTED);
        }
    }

    pub(super) fn finish_account(
        &mut self,
        id: CommandId,
        name: Name,
        work: &AccountWork,
        stored: Result<(), Failure>,
    ) {
        match stored {
            Ok(()) => self.apply_account_work(id, &name, work),
            Err(Failure::Away) => {
                self.end_if_done(&name, work);
                let reason = self.store.excuse();
                let unknown =
                    format!("whether {name} is as before is not known: {reason}; look, and try again");
                self.registry.answers.failed(id, unknown);
            }
            Err(Failure::Unknown) => self.registry.answers.failed(id, no_user(&name)),
            Err(reason) => self.registry.answers.failed(id, format!("{name} is as before: {reason}")),
        }
        self.judge_waiting_changes(&name);
    }

    /// It is not known whether this is stored. If it is, who came in by the record before goes when that is found out.
    fn end_if_done(&mut self, name: &Name, work: &AccountWork) {
        let (became, why) = match work {
            AccountWork::Password(hash) => (Became::Password(hash), EndReason::PasswordChanged),
            AccountWork::Change(AccountChange::Disable) => (Became::Disabled, EndReason::Disabled),
            AccountWork::Change(AccountChange::Remove) => (Became::Removed, EndReason::Removed),
            AccountWork::Change(AccountChange::Enable) => return,
        };
        self.end_if(name, became, why);
    }

    /// What was known of the record before is known no more, and who came in by it goes.
    fn apply_account_work(&mut self, id: CommandId, name: &Name, work: &AccountWork) {
        let (done, why) = match work {
            AccountWork::Password(_) => ("has another password", EndReason::PasswordChanged),
            AccountWork::Change(AccountChange::Disable) => ("is disabled", EndReason::Disabled),
            AccountWork::Change(AccountChange::Remove) => ("is removed", EndReason::Removed),
            AccountWork::Change(AccountChange::Enable) => {
                log_event!(Level::Info, "account changed", name = %name; "is enabled");
                return self.registry.answers.done(id, format!("{name} is enabled"));
            }
        };
        log_event!(Level::Info, "account changed", name = %name; done);
        self.admission.cache.forget(name);
        self.end_everywhere(name, why, Report::Account(id, format!("{name} {done}")));
    }

    pub(super) fn import_users(&mut self, id: CommandId, accounts: Vec<Account>) {
        let count = accounts.len();
        let ticket = self.admission.ticket(Storing::Import { command: id, count });
        if !self.store.import(ticket, accounts) {
            self.admission.storing.remove(&ticket);
            match self.store.place() {
                Some(_) => self.refer_elsewhere(id, "users import FILE"),
                None => self.registry.answers.failed(id, UNSUPPORTED),
            }
        }
    }

    pub(super) fn finish_import(&mut self, id: CommandId, count: usize, stored: Result<(), Failure>) {
        match stored {
            Ok(()) => {
                log_event!(Level::Info, "imported", users = #count);
                self.registry
                    .answers
                    .done(id, format!("imported {count} user{}", if count == 1 { "" } else { "s" }));
            }
            Err(reason) => self.registry.answers.failed(id, format!("nobody is imported: {reason}")),
        }
    }
}

fn no_user(name: &Name) -> String {
    format!("there is no user {name}")
}
