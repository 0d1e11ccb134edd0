//! Commands that are under way, and what they are answered with. An answer that is long is made as it is taken.

use super::Engine;
use super::registry::Registry;
use crate::auth::{Name, Origin};
use crate::command::Answer;
use crate::limits::{SHARE_LISTED, SHARE_VISITS};
use crate::store::{Stamp, Store};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What is said behind a list that was to be of all servers, and is of one.
pub(super) const ALONE: &str =
    "that is of this server alone: the others cannot be asked by way of the shared store now";

/// Names a command that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(u64);

/// Every command whose last answer was not taken.
#[derive(Default)]
pub(super) struct Answers {
    running: BTreeMap<CommandId, Running>,
    next: u64,
    /// Those that the person at the console has typed.
    typed: VecDeque<CommandId>,
}

#[derive(Default)]
struct Running {
    ready: VecDeque<Answer>,
    listing: Option<Listing>,
}

/// How far a list has got.
pub(super) enum Listing {
    /// Users, in the order of their numbers, behind a look at when all were last seen; at most so many.
    Users { seen: HashMap<Name, Stamp>, unseen: Option<usize>, next: usize, left: usize },
    /// Users as records.
    Records { next: usize },
    /// What addresses owe, by their last charges; perhaps at this server alone.
    Debts { after: Option<(u64, Origin)>, is_alone: bool },
}

impl Listing {
    pub(super) fn users(most: usize) -> Listing {
        Listing::Users { seen: HashMap::new(), unseen: Some(0), next: 0, left: most }
    }
}

impl Answers {
    pub(super) fn begin(&mut self) -> CommandId {
        let id = CommandId(self.next);
        self.next += 1;
        self.running.insert(id, Running::default());
        id
    }

    /// Says something to whoever has asked, if it still waits for that.
    pub(super) fn push(&mut self, id: CommandId, answer: Answer) {
        if let Some(running) = self.running.get_mut(&id) {
            running.ready.push_back(answer);
        }
    }

    pub(super) fn done(&mut self, id: CommandId, text: impl Into<String>) {
        self.push(id, Answer::Done(text.into()));
    }

    pub(super) fn failed(&mut self, id: CommandId, text: impl Into<String>) {
        self.push(id, Answer::Failed(text.into()));
    }

    pub(super) fn list(&mut self, id: CommandId, listing: Listing) {
        if let Some(running) = self.running.get_mut(&id) {
            running.listing = Some(listing);
        }
    }

    pub(super) fn cancel(&mut self, id: CommandId) {
        self.running.remove(&id);
    }

    /// From now on its answers are lines of the console.
    pub(super) fn show(&mut self, id: CommandId) {
        self.typed.push_back(id);
    }

    /// Whether there is something to be taken, or worked on.
    pub(super) fn has(&self, id: CommandId) -> bool {
        self.running.get(&id).is_some_and(|running| !running.ready.is_empty() || running.listing.is_some())
    }

    /// Whether the console waits for an answer.
    pub(super) fn has_typed(&self) -> bool {
        !self.typed.is_empty()
    }

    /// Whether a list is to be gone on with for the console.
    pub(super) fn is_listing_for_console(&self) -> bool {
        self.typed.iter().any(|id| self.running.get(id).is_some_and(|running| running.listing.is_some()))
    }
}

impl<S: Store> Engine<S> {
    /// The next piece of a command's answer. After the [last](Answer::is_last) the command is forgotten.
    pub fn poll_answer(&mut self, id: CommandId) -> Option<Answer> {
        let running = self.registry.answers.running.get_mut(&id)?;
        if running.ready.is_empty()
            && let Some(listing) = running.listing.take()
        {
            self.go_on_listing(id, listing);
        }
        let answer = self.registry.answers.running.get_mut(&id)?.ready.pop_front()?;
        if answer.is_last() {
            self.registry.answers.cancel(id);
        }
        Some(answer)
    }

    /// Whether a command has an answer to be [polled](Engine::poll_answer), or needs to be polled to get one.
    pub fn has_answer(&self, id: CommandId) -> bool {
        self.registry.answers.has(id)
    }

    /// Nobody waits for the answer any more. What was asked for goes on.
    pub fn cancel_command(&mut self, id: CommandId) {
        self.registry.answers.cancel(id);
    }

    /// Has the console's next lines ready, of commands whose answers came later.
    pub(super) fn show_answers(&mut self) {
        for _ in 0..self.registry.answers.typed.len() {
            let Some(id) = self.registry.answers.typed.pop_front() else { return };
            while let Some(answer) = self.poll_answer(id) {
                self.registry.show_answer(&answer);
            }
            if self.registry.answers.running.contains_key(&id) {
                self.registry.answers.show(id);
            }
        }
    }

    /// Makes a share of a list.
    fn go_on_listing(&mut self, id: CommandId, mut listing: Listing) {
        let mut ready = VecDeque::new();
        let mut end = Answer::Done(String::new());
        let is_over = match &mut listing {
            Listing::Users { seen, unseen: unseen @ Some(_), .. } => {
                *unseen = unseen.and_then(|from| self.store.note_last_seen(from, SHARE_VISITS, seen));
                false
            }
            Listing::Users { seen, next, left, .. } => {
                self.each_account(next, |account| {
                    if *left > 0 {
                        // Before that somebody else had the name.
                        let seen =
                            seen.get(&account.name).copied().filter(|seen| *seen >= account.registered);
                        ready.push_back(Answer::User { account, seen });
                    }
                    *left = left.saturating_sub(1);
                });
                let is_cut = *left == 0 && *next < self.store.accounts_end();
                if is_cut {
                    ready.push_back(Answer::Text("and more: porter-admin users list".to_owned()));
                }
                is_cut || *next >= self.store.accounts_end()
            }
            Listing::Records { next } => {
                self.each_account(next, |account| ready.push_back(Answer::Record(account)));
                *next >= self.store.accounts_end()
            }
            Listing::Debts { after, is_alone } => {
                if *is_alone {
                    end = Answer::Failed(ALONE.to_owned());
                }
                let throttle = &self.admission.throttle;
                let mut is_over = true;
                for (key, owed) in throttle.debts(*after, self.registry.now).take(SHARE_LISTED) {
                    *after = Some(key);
                    is_over = false;
                    if !owed.is_zero() {
                        ready.push_back(Answer::Debt { origin: key.1.to_string(), owed });
                    }
                }
                is_over
            }
        };
        let Some(running) = self.registry.answers.running.get_mut(&id) else { return };
        running.ready = ready;
        if is_over {
            running.ready.push_back(end);
        } else {
            running.listing = Some(listing);
        }
    }

    fn each_account(&self, next: &mut usize, mut take: impl FnMut(crate::store::Account)) {
        let end = self.store.accounts_end().min(*next + SHARE_LISTED);
        (*next..end).filter_map(|number| self.store.account(number)).for_each(&mut take);
        *next = end;
    }
}

impl Registry {
    /// Shows an answer at the console, a line each; an empty one is none.
    fn show_answer(&mut self, answer: &Answer) {
        let text = answer.to_string();
        text.lines().filter(|line| !line.is_empty()).for_each(|line| self.console.push(line.to_owned()));
    }
}
