//! Any requests in any order, beside a map of what they come to.

use super::*;
use std::collections::BTreeMap;

/// What is known of a user.
type Known = (PasswordHash, bool);

#[derive(Clone, Debug)]
enum Step {
    Register(u8, u8),
    Rehash(u8, u8),
    Alter(u8, AccountChange),
    Import(Vec<(u8, u8, bool)>),
    Commit,
    /// A batch of which nothing is stored.
    FailedCommit,
    /// All that was acknowledged is there after a crash of the machine.
    Restart,
    Reload,
}

/// Names of which some look like others.
fn named(number: u8) -> Name {
    name(["ann", "Ann", "bob", "b0b", "cid", "dan", "eve", "fay"][usize::from(number % 8)])
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change =
        prop::sample::select(vec![AccountChange::Enable, AccountChange::Disable, AccountChange::Remove]);
    let account = (0..8_u8, any::<u8>(), any::<bool>());
    let step = prop_oneof![
        3 => (0..8_u8, any::<u8>()).prop_map(|(who, password)| Step::Register(who, password)),
        3 => (0..8_u8, any::<u8>()).prop_map(|(who, password)| Step::Rehash(who, password)),
        4 => (0..8_u8, change).prop_map(|(who, change)| Step::Alter(who, change)),
        1 => prop::collection::vec(account, 0..3).prop_map(Step::Import),
        3 => Just(Step::Commit),
        1 => Just(Step::FailedCommit),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
    ];
    prop::collection::vec(step, 0..60)
}

/// What users there are, and what becomes of requests.
#[derive(Default)]
struct Model {
    stored: BTreeMap<Name, Known>,
    /// What the batch that waits makes of them.
    after: BTreeMap<Name, Known>,
    registering: Vec<Name>,
    imports: Vec<(u64, Vec<Account>)>,
    /// Tickets that the batch answers, and those that were refused at once.
    waiting: Vec<u64>,
    refused: Vec<u64>,
}

fn looks_taken<'a>(name: &Name, mut others: impl Iterator<Item = &'a Name>) -> bool {
    let skeleton = |name: &Name| crate::auth::skeleton(name.as_str());
    others.any(|other| skeleton(other) == skeleton(name))
}

impl Model {
    fn register(&mut self, ticket: u64, name: Name, password: PasswordHash) {
        // Whoever is being removed has the name until that is stored.
        if looks_taken(&name, self.stored.keys().chain(&self.registering)) {
            return self.refused.push(ticket);
        }
        self.registering.push(name.clone());
        self.after.insert(name, (password, false));
        self.waiting.push(ticket);
    }

    fn change(&mut self, ticket: u64, name: Name, change: impl FnOnce(Known) -> Option<Known>) {
        let known = self.after.get(&name).filter(|_| !self.registering.contains(&name)).cloned();
        let Some(known) = known else { return self.refused.push(ticket) };
        match change(known) {
            Some(changed) => self.after.insert(name, changed),
            None => self.after.remove(&name),
        };
        self.waiting.push(ticket);
    }

    /// The answers of a commit, in order.
    fn commit(&mut self, is_stored: bool) -> Vec<(u64, bool)> {
        let refused = std::mem::take(&mut self.refused).into_iter().map(|ticket| (ticket, false));
        let done = std::mem::take(&mut self.waiting).into_iter().map(|ticket| (ticket, is_stored));
        let mut answers: Vec<(u64, bool)> = refused.chain(done).collect();
        if is_stored {
            self.stored = self.after.clone();
        }
        self.registering.clear();
        for (ticket, accounts) in std::mem::take(&mut self.imports) {
            let mut with = self.stored.clone();
            let is_good = accounts.into_iter().all(|account| {
                let is_free = !looks_taken(&account.name, with.keys());
                with.insert(account.name, (account.password, account.is_disabled));
                is_free
            });
            // An import of nobody, or of somebody who cannot be taken, needs no disk.
            let is_taken = is_good && (is_stored || with.len() == self.stored.len());
            if is_taken {
                self.stored = with;
            }
            answers.push((ticket, is_taken));
        }
        self.after = self.stored.clone();
        answers
    }

    fn check(&self, store: &DiskStore<FaultyDisk>) {
        for number in 0..8 {
            let name = named(number);
            let expected = match self.stored.get(&name) {
                Some((password, false)) => Lookup::Known(password.clone()),
                Some((password, true)) => Lookup::Disabled(password.clone()),
                None if self.registering.contains(&name) => Lookup::Pending,
                None if looks_taken(&name, self.stored.keys().chain(&self.registering)) => Lookup::LookAlike,
                None => Lookup::Unknown,
            };
            assert_eq!(store.find(&name), expected, "{name}");
        }
        let listed: BTreeMap<Name, Known> = (0..store.accounts_end())
            .filter_map(|number| store.account(number))
            .map(|account| (account.name, (account.password, account.is_disabled)))
            .collect();
        assert_eq!((&listed, store.user_count()), (&self.stored, self.stored.len()));
        assert!((0..store.user_count()).all(|number| store.rounds(number).is_some()));
    }
}

fn play(steps: Vec<Step>) {
    let mut disk = FaultyDisk::new();
    let (mut store, mut model) = (open(&disk), Model::default());
    for (ticket, step) in (0..).zip(steps) {
        match step {
            Step::Register(who, password) => {
                store.register(Ticket(ticket), named(who), hash(password));
                model.register(ticket, named(who), hash(password));
            }
            Step::Rehash(who, password) => {
                store.rehash(Ticket(ticket), named(who), hash(password));
                model.change(ticket, named(who), |(_, is_disabled)| Some((hash(password), is_disabled)));
            }
            Step::Alter(who, change) => {
                assert!(store.alter(Ticket(ticket), named(who), change));
                model.change(ticket, named(who), |(password, _)| match change {
                    AccountChange::Enable => Some((password, false)),
                    AccountChange::Disable => Some((password, true)),
                    AccountChange::Remove => None,
                });
            }
            Step::Import(accounts) => {
                let registered = Stamp::of(time::OffsetDateTime::UNIX_EPOCH);
                let account = |(who, password, is_disabled)| Account {
                    name: named(who),
                    password: hash(password),
                    is_disabled,
                    registered,
                };
                let accounts: Vec<Account> = accounts.into_iter().map(account).collect();
                assert!(store.import(Ticket(ticket), accounts.clone()));
                model.imports.push((ticket, accounts));
            }
            Step::Commit => assert_eq!(answers(&mut store), model.commit(true)),
            Step::FailedCommit => {
                disk.fail(Some(Plan { fault: Fault::NoSpace, from: 0, calls: u64::MAX }));
                assert_eq!(answers(&mut store), model.commit(false));
                disk.fail(None);
            }
            Step::Restart => {
                disk = disk.restarted(true);
                store = open(&disk);
                model = Model { after: model.stored.clone(), stored: model.stored, ..Model::default() };
            }
            // Nobody has touched the file, and who waits goes on waiting.
            Step::Reload => store.reload(),
        }
        model.check(&store);
    }
    assert_eq!(answers(&mut store), model.commit(true));
    model.check(&open(&disk.restarted(true)));
    model.check(&open(&disk.restarted(false)));
}

proptest! {
    #[test]
    fn any_requests_come_to_what_a_map_would_and_a_restart_finds_it(steps in steps()) {
        play(steps);
    }
}
