//! A store that several servers share, worked on without any of them.

use crate::Asked;
use crate::files::Files;
use crate::show::Shown;
use clap::parser::ValueSource;
use porter::Clock;
use porter::cli::{self, Failure};
use porter::command::TABLE;
use porter::engine::Entropy;
use porter::server::{OsEntropy, StoreConnector, StoreTrust, WaitingLink, connect_store};
use porter::store::{
    Account, AnyStore, BadRecord, DirectStore, DiskStore, Durability, OsDisk, SharedStore, Store,
    StoreAddress, StoredUsers, Ticket, check_new,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What a server with its users in files has in any case.
const USERS_FILE: &str = "users.csv";

/// The store that was named, whom to trust there, and what it must promise.
#[derive(Clone)]
pub(crate) struct Shared {
    address: StoreAddress,
    trust: StoreTrust,
    durability: Durability,
    /// What was found there that is no user, each said once.
    bad: RefCell<Vec<BadRecord>>,
}

impl Shared {
    /// # Errors
    /// [`Failure`], if something is said of a store that is not named.
    pub(crate) fn of(asked: &Asked<'_>) -> Result<Option<Shared>, Failure> {
        let trust = trust(asked);
        let Some(address) = asked.matches.get_one::<StoreAddress>("store").cloned() else {
            if let Some(flag) = trust.first_given() {
                return Err(Failure::usage(format_args!(
                    "--{flag}: it is for a shared store: give --store rediss://HOST"
                )));
            }
            if asked.matches.value_source("store-durability") == Some(ValueSource::CommandLine) {
                return Err(Failure::usage(
                    "--store-durability: it is for a shared store: give --store redis://HOST",
                ));
            }
            return Ok(None);
        };
        let durability = asked.matches.get_one("store-durability").copied().unwrap_or_default();
        Ok(Some(Shared { address, trust, durability, bad: RefCell::default() }))
    }

    fn connector(&self) -> Result<StoreConnector, Failure> {
        StoreConnector::new(self.address.clone(), &self.trust).map_err(Failure::usage)
    }

    fn direct(&self) -> Result<DirectStore, Failure> {
        connect_store(&self.connector()?, self.durability).map_err(Failure::failed)
    }

    /// All users there. What is none is said on stderr.
    fn stored(&self, direct: &mut DirectStore) -> Result<Vec<Account>, Failure> {
        let StoredUsers { accounts, bad } = direct.users().map_err(Failure::failed)?;
        let mut shown = self.bad.borrow_mut();
        for record in bad {
            if !shown.contains(&record) {
                eprintln!("porter-admin: {}: {record}", self.address);
                shown.push(record);
            }
        }
        Ok(accounts)
    }

    /// Whether all that was found there was a user.
    ///
    /// # Errors
    /// [`Failure`], with the way out.
    pub(crate) fn check_found(&self) -> Result<(), Failure> {
        match self.bad.borrow().len() {
            0 => Ok(()),
            count => Err(Failure::failed(format_args!(
                "{count} of the keys for users in {} {}: mend or remove what is there (redis-cli DEL KEY)",
                self.address,
                if count == 1 { "has none" } else { "have none" },
            ))),
        }
    }

    /// Adds users, all of them unless one of them cannot be; who is there just so is added.
    ///
    /// # Errors
    /// [`Failure`], which names the first who cannot be, as the files do; or says what has come of it.
    pub(crate) fn add(&self, accounts: &[Account]) -> Result<(), Failure> {
        let mut direct = self.writable()?;
        let there = self.stored(&mut direct)?;
        let new = check_new(&there, accounts).map_err(Failure::failed)?;
        let refused = direct.import(&new).map_err(|reason| {
            Failure::failed(format_args!(
                "{reason}; the first of them may be imported: users list shows them"
            ))
        })?;
        match refused.first() {
            None => Ok(()),
            Some(name) => Err(Failure::failed(format_args!(
                "{name} is there meanwhile, and {} of {} are imported: users list shows them",
                new.len() - refused.len(),
                accounts.len()
            ))),
        }
    }

    /// Names under which there is something else than a user, as far as it was looked for.
    pub(crate) fn bad_names(&self) -> Vec<String> {
        self.bad.borrow().iter().filter_map(|bad| Some(bad.name.as_ref()?.to_string())).collect()
    }

    /// All users there.
    ///
    /// # Errors
    /// [`Failure`], if the store cannot be used.
    pub(crate) fn accounts(&self) -> Result<Vec<Account>, Failure> {
        self.stored(&mut self.direct()?)
    }

    /// The same, for something that is written there: whoever writes is told what may become of it.
    fn writable(&self) -> Result<DirectStore, Failure> {
        let direct = self.direct()?;
        warn(&direct);
        Ok(direct)
    }

    /// The users there, as the files of a server are worked on.
    ///
    /// # Errors
    /// [`Failure`], if the store cannot be used, or the command is not about users.
    pub(crate) fn users(&self, words: &[&str]) -> Result<Files, Failure> {
        if !TABLE.iter().any(|spec| spec.words == words && spec.is_for_files) {
            return Err(Failure::failed(format_args!(
                "{} is asked of a server: give --data with its directory, without --store",
                words.join(" ")
            )));
        }
        let connector = self.connector()?;
        let mut direct = connect_store(&connector, self.durability).map_err(Failure::failed)?;
        if !matches!(words, ["users", "list" | "export" | "verify"]) {
            warn(&direct);
        }
        let mark = random()?;
        let places = connector.look_up().map_err(Failure::failed)?;
        let store = SharedStore::new(self.address.clone(), places, &direct, mark, Duration::ZERO);
        let mut store = store.map_err(Failure::failed)?;
        if matches!(words, ["users", "list" | "export"]) {
            store.take_accounts(self.stored(&mut direct)?);
        }
        drop(direct);
        let mut waiting = WaitingLink::new(&connector);
        let clock = Clock::new();
        let carry = move |store: &mut AnyStore| {
            if let Some(link) = store.link() {
                waiting.exchange(link, clock);
            }
            store.commit(clock.now());
        };
        Files::new(AnyStore::Shared(Box::new(store)), clock, Box::new(carry)).map_err(Failure::failed)
    }
}

#[cfg(feature = "tls")]
fn trust(asked: &Asked<'_>) -> StoreTrust {
    let mut trust = StoreTrust::default();
    let path = |name| asked.path(name).map(Path::to_owned);
    trust.fingerprint = asked.matches.get_one("store-fingerprint").copied();
    (trust.authority, trust.certificate, trust.key) =
        (path("store-ca"), path("store-cert"), path("store-key"));
    trust
}

#[cfg(not(feature = "tls"))]
fn trust(_: &Asked<'_>) -> StoreTrust {
    StoreTrust::default()
}

fn warn(direct: &DirectStore) {
    direct.cautions().iter().for_each(|caution| eprintln!("porter-admin: warning: {caution}"));
}

fn random<const COUNT: usize>() -> Result<[u8; COUNT], Failure> {
    let mut bytes = [0; COUNT];
    OsEntropy::new().fill(&mut bytes).map_err(|error| Failure::failed(error.0))?;
    Ok(bytes)
}

/// `store init`, `store import`, `store export`.
///
/// # Errors
/// [`Failure`], with what was not done.
pub(crate) fn administer(
    shared: Option<&Shared>,
    asked: &Asked<'_>,
    data: &Path,
    is_json: bool,
) -> Result<(), Failure> {
    let shared = shared.ok_or_else(|| Failure::usage("--store names the shared store: it is missing"))?;
    let done = match asked.words[..] {
        ["store", "init"] => init(shared)?,
        ["store", "import"] => import(shared, data)?,
        _ => export(shared, data)?,
    };
    cli::print(&format!("{}\n", Shown::done(is_json, &done)))
}

fn init(shared: &Shared) -> Result<String, Failure> {
    let mut direct = shared.writable()?;
    // Whoever empties a store, or brings an old one back, may have left them.
    let left = direct.count_users().map_err(Failure::failed)?;
    direct.init(random()?).map_err(Failure::failed)?;
    let done = format!("{} is porter's now; servers may use it", shared.address);
    Ok(match left {
        0 => done,
        left => format!(
            "{done}. It has keys of {left} user{} from before, who can log in as they could then: users list shows them, users \
             remove removes one",
            if left == 1 { "" } else { "s" }
        ),
    })
}

/// From the files to the store: all of it is compared with what is there afterwards.
fn import(shared: &Shared, data: &Path) -> Result<String, Failure> {
    check_has_users(data)?;
    let (_store, accounts) = files(data)?;
    let mut direct = shared.writable()?;
    let there = by_name(shared.stored(&mut direct)?);
    check_nobody_differs(shared, &accounts, &there)?;
    let all: Vec<Account> = accounts.values().cloned().collect();
    let refused = direct.import(&all).map_err(|reason| {
        Failure::failed(format_args!("{reason}; some may be there by now: the same again adds the others"))
    })?;
    if let Some(name) = refused.first() {
        return Err(Failure::failed(format_args!(
            "{name} was registered there meanwhile; do it again to see who else"
        )));
    }
    let there = shared.stored(&mut direct)?;
    direct.note_look_alikes(&there).map_err(Failure::failed)?;
    let there = by_name(there);
    match all.iter().find(|account| there.get(&account.name) != Some(account)) {
        None => Ok(format!("{} users of {} are in {}", all.len(), data.display(), shared.address)),
        Some(account) => Err(Failure::failed(format_args!(
            "{} is not in {} as it is in {}: something else is at work there",
            account.name,
            shared.address,
            data.display()
        ))),
    }
}

/// Nothing is made in a directory whose name may be misspelt.
fn check_has_users(data: &Path) -> Result<(), Failure> {
    let file = data.join(USERS_FILE);
    std::fs::metadata(&file).map(drop).map_err(|error| {
        Failure::failed(format_args!(
            "nobody is imported: {}: {error}; --data names the directory of a server with its users in files",
            file.display()
        ))
    })
}

/// Nobody is changed who is there already; the same record again is what an import that was cut short left.
fn check_nobody_differs(shared: &Shared, accounts: &Accounts, there: &Accounts) -> Result<(), Failure> {
    let bad = shared.bad.borrow();
    let unreadable = bad.iter().filter_map(|bad| bad.name.as_ref());
    let differs = |account: &&Account| there.get(&account.name).is_some_and(|found| found != *account);
    let differing = accounts.values().filter(differs).map(|account| &account.name);
    match unreadable.filter(|name| accounts.contains_key(*name)).chain(differing).next() {
        None => Ok(()),
        Some(name) => Err(Failure::failed(format_args!(
            "{} has another {name}: nobody is imported; remove one of the two",
            shared.address
        ))),
    }
}

/// From the store to the files, all or nobody.
fn export(shared: &Shared, data: &Path) -> Result<String, Failure> {
    let there = by_name(shared.stored(&mut shared.direct()?)?);
    let (mut store, here) = files(data)?;
    if let Some(account) = here.values().find(|account| there.get(&account.name) != Some(account)) {
        return Err(Failure::failed(format_args!(
            "{} has a user {} that {} has not, or not so: nobody is exported; give an empty --data",
            data.display(),
            account.name,
            shared.address
        )));
    }
    let new: Vec<Account> =
        there.values().filter(|account| !here.contains_key(&account.name)).cloned().collect();
    let ticket = Ticket(0);
    store.import(ticket, new);
    store.close();
    let stored = store.poll_completion().map(|completion| completion.outcome);
    if let Some(Err(failure)) = stored {
        return Err(Failure::failed(format_args!("nobody is exported: {failure}")));
    }
    drop(store);
    let (_store, here) = files(data)?;
    match here == there {
        true => Ok(format!("{} users of {} are in {}", here.len(), shared.address, data.display())),
        false => Err(Failure::failed(format_args!("{} has other users than were written", data.display()))),
    }
}

type Accounts = BTreeMap<porter::auth::Name, Account>;

fn files(data: &Path) -> Result<(DiskStore<OsDisk>, Accounts), Failure> {
    let disk = OsDisk::open(data, Clock::new()).map_err(Failure::failed)?;
    let (store, repairs) = DiskStore::open(disk).map_err(Failure::failed)?;
    repairs.iter().for_each(|repair| eprintln!("porter-admin: repaired {repair}"));
    let accounts = (0..store.accounts_end()).filter_map(|number| store.account(number)).collect();
    Ok((store, by_name(accounts)))
}

fn by_name(accounts: Vec<Account>) -> Accounts {
    accounts.into_iter().map(|account| (account.name.clone(), account)).collect()
}
