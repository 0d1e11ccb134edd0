//! A store that several servers share, worked on without any of them.

use crate::Asked;
use crate::files::Files;
use crate::show::Shown;
use porter::Clock;
use porter::cli::{self, Failure};
use porter::command::TABLE;
use porter::engine::Entropy;
use porter::server::{OsEntropy, StoreConnector, StoreTrust, WaitingLink, connect_store};
use porter::store::{
    Account, AnyStore, DirectStore, DiskStore, Durability, OsDisk, SharedStore, Store, StoreAddress, Ticket,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The store that was named, whom to trust there, and what it must promise.
#[derive(Clone)]
pub(crate) struct Shared {
    address: StoreAddress,
    trust: StoreTrust,
    durability: Durability,
}

impl Shared {
    /// # Errors
    /// [`Failure`], if something is said of a store that is not named.
    pub(crate) fn of(asked: &Asked<'_>) -> Result<Option<Shared>, Failure> {
        let trust = trust(asked);
        let Some(address) = asked.matches.get_one::<StoreAddress>("store").cloned() else {
            return match trust.first_given() {
                Some(flag) => Err(Failure::usage(format_args!(
                    "--{flag}: it is for a shared store: give --store rediss://HOST"
                ))),
                None => Ok(None),
            };
        };
        let durability = asked.matches.get_one("store-durability").copied().unwrap_or_default();
        Ok(Some(Shared { address, trust, durability }))
    }

    fn connector(&self) -> Result<StoreConnector, Failure> {
        StoreConnector::new(self.address.clone(), &self.trust).map_err(Failure::usage)
    }

    fn direct(&self) -> Result<DirectStore, Failure> {
        connect_store(&self.connector()?, self.durability).map_err(Failure::failed)
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
        let mark = random()?;
        let places = connector.look_up().map_err(Failure::failed)?;
        let store = SharedStore::new(self.address.clone(), places, &direct, mark, Duration::ZERO);
        let mut store = store.map_err(Failure::failed)?;
        if matches!(words, ["users", "list" | "export"]) {
            store.take_accounts(&mut direct).map_err(Failure::failed)?;
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

fn random<const COUNT: usize>() -> Result<[u8; COUNT], Failure> {
    let mut bytes = [0; COUNT];
    OsEntropy::new().fill(&mut bytes).map_err(|error| Failure::failed(error.0))?;
    Ok(bytes)
}

/// `store init`, `store import`, `store export`.
///
/// # Errors
/// [`Failure`], with what was not done.
pub(crate) fn administer(asked: &Asked<'_>, data: &Path, is_json: bool) -> Result<(), Failure> {
    let shared =
        Shared::of(asked)?.ok_or_else(|| Failure::usage("--store names the shared store: it is missing"))?;
    let done = match asked.words[..] {
        ["store", "init"] => {
            shared.direct()?.init(random()?).map_err(Failure::failed)?;
            format!("{} is porter's now; servers may use it", shared.address)
        }
        ["store", "import"] => import(&shared, data)?,
        _ => export(&shared, data)?,
    };
    cli::print(&format!("{}\n", Shown::done(is_json, &done)))
}

/// From the files to the store: all of it is compared with what is there afterwards.
fn import(shared: &Shared, data: &Path) -> Result<String, Failure> {
    let (_store, accounts) = files(data)?;
    let mut direct = shared.direct()?;
    let there = by_name(direct.accounts().map_err(Failure::failed)?);
    // Nobody is changed who is there already; the same record again is what an import that was cut short left.
    if let Some(account) =
        accounts.values().find(|account| there.get(&account.name).is_some_and(|found| found != *account))
    {
        return Err(Failure::failed(format_args!(
            "{} has another {}: nobody is imported; remove one of the two",
            shared.address, account.name
        )));
    }
    let all: Vec<Account> = accounts.values().cloned().collect();
    let refused = direct.import(&all).map_err(Failure::failed)?;
    if let Some(name) = refused.first() {
        return Err(Failure::failed(format_args!(
            "{name} was registered there meanwhile; do it again to see who else"
        )));
    }
    let there = by_name(direct.accounts().map_err(Failure::failed)?);
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

/// From the store to the files, all or nobody.
fn export(shared: &Shared, data: &Path) -> Result<String, Failure> {
    let there = by_name(shared.direct()?.accounts().map_err(Failure::failed)?);
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
