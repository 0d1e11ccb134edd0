//! What guards the way in: the hash queue, how fast it hashes, the cache, the throttle, and who waits for the store.

use super::accounts::AccountWork;
use super::answers::CommandId;
use super::fetches::Fetch;
use super::hash_times::HashTimes;
use super::{Config, ConnId};
use crate::Moment;
use crate::auth::decoys::Decoys;
use crate::auth::hash_queue::{HashQueue, Job, JobId};
use crate::auth::login_cache::LoginCache;
use crate::auth::{Name, Origin, Password, PasswordHash, SessionId, Throttle};
use crate::store::Ticket;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// What a hash is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A new user's password.
    Register { conn: ConnId, name: Name },
    /// To be compared with what is stored; with nothing, for a name that nobody has.
    Login {
        conn: ConnId,
        name: Name,
        stored: Option<PasswordHash>,
        /// It is not to be charged any more: the cache knew another password, so it was when it came, or its address is
        /// exempt.
        is_charged: bool,
        /// The password as the profile has it, which was wrong: now it is tried as it was typed, for it may be one that was
        /// hashed so before there was a profile. It is one guess, and charged once, when the first was wrong.
        prepared: Option<Password>,
        /// The session goes on, and this is to be its user's next password.
        change: Option<Box<NewPassword>>,
    },
    /// A user's next password.
    NewPassword(Box<PasswordChange>),
    /// A password that was right, under today's number of rounds.
    Rehash {
        name: Name,
        /// The record that it was right for.
        replaces: PasswordHash,
    },
}

/// What the store was asked to keep.
#[derive(Debug)]
pub(super) enum Storing {
    /// A new user; the password is wanted for the cache.
    Registration { conn: ConnId, name: Name, password: Password, hash: PasswordHash },
    /// A known user's new hash of the same password.
    Rehash { name: Name },
    /// A known user's next password.
    NewPassword(HashedChange),
    /// A new user of whoever administers them.
    NewUser { command: CommandId, name: Name },
    /// What was done to a known user's account.
    Account { command: CommandId, name: Name, work: AccountWork },
    /// So many new users, all or none.
    Import { command: CommandId, count: usize },
}

/// A change of a user's record that waits until the one before it is stored.
#[derive(Debug)]
pub(super) enum WaitingChange {
    /// A user's own.
    Password(HashedChange),
    Command(CommandId, AccountWork),
}

/// What a session's user wants for a password.
#[derive(Debug)]
pub(super) struct NewPassword {
    pub(super) session: SessionId,
    pub(super) password: Password,
}

/// A change of a password whose old one was right.
#[derive(Debug)]
pub(super) struct PasswordChange {
    pub(super) conn: ConnId,
    pub(super) session: SessionId,
    pub(super) name: Name,
    pub(super) old: Password,
    /// The record that it was right for.
    pub(super) verified: PasswordHash,
}

/// The same, when the new one is hashed; it is wanted for the cache.
#[derive(Debug)]
pub(super) struct HashedChange {
    pub(super) change: Box<PasswordChange>,
    pub(super) new: Password,
    pub(super) hash: PasswordHash,
}

/// A login that waits for the registration of its name to be stored.
#[derive(Debug)]
pub(super) struct EarlyLogin {
    pub(super) conn: ConnId,
    pub(super) password: Password,
}

/// Everything between a password and a session.
pub(super) struct Admission {
    pub(super) hashing: HashQueue<Purpose>,
    pub(super) hash_rate: HashRate,
    pub(super) hash_times: HashTimes,
    pub(super) cache: LoginCache,
    pub(super) throttle: Throttle,
    pub(super) decoys: Decoys,
    pub(super) storing: HashMap<Ticket, Storing>,
    /// What the store was asked to fetch from elsewhere.
    pub(super) fetching: HashMap<Ticket, Fetch>,
    pub(super) early_logins: HashMap<Name, Vec<EarlyLogin>>,
    /// Users whose new hash is queued, hashed or stored.
    pub(super) rehashing: HashSet<Name>,
    /// Users a change of whose record is at the store, and further ones that wait for that.
    pub(super) changing: HashMap<Name, Vec<WaitingChange>>,
    /// The hashes that connections with a session wait for.
    pub(super) change_jobs: HashMap<ConnId, JobId>,
    next_ticket: u64,
}

impl Admission {
    pub(super) fn new(config: &Config, cache_key: &[u8; 32], decoy_key: &[u8; 16]) -> Admission {
        Admission {
            hashing: HashQueue::new(config.hash_lane_costs.clone()),
            hash_rate: HashRate::new(config.hash_rounds_per_second),
            hash_times: HashTimes::default(),
            cache: LoginCache::new(cache_key, config.login_cache),
            throttle: Throttle::new(config.penalty),
            decoys: Decoys::new(decoy_key),
            storing: HashMap::new(),
            fetching: HashMap::new(),
            early_logins: HashMap::new(),
            rehashing: HashSet::new(),
            changing: HashMap::new(),
            change_jobs: HashMap::new(),
            next_ticket: 0,
        }
    }

    /// The settings are others from now on.
    pub(super) fn set_config(&mut self, config: &Config) {
        self.cache.set_lifetime(config.login_cache);
        self.throttle.set_penalty(config.penalty);
    }

    /// How long a hash that this origin hands in now would wait for its start.
    pub(super) fn wait(&self, origin: Origin, is_exempt: bool, now: Moment) -> Duration {
        let charges_left = || self.throttle.charges_left(origin, now);
        let at_once = if is_exempt { u32::MAX } else { charges_left().unwrap_or(u32::MAX) };
        self.hash_rate.duration(self.hashing.lone_rounds_ahead(origin, at_once.max(1) as usize))
    }

    /// Whether the password is the one that was verified lately for this record; `None` if none was. That it is another one
    /// gives away as much as a hash would, so that is charged here, whatever becomes of the connection next.
    pub(super) fn recognises(
        &mut self,
        charged: Option<Origin>,
        name: &Name,
        stored: &PasswordHash,
        password: &Password,
        now: Moment,
    ) -> Option<bool> {
        let recognised = self.cache.recognises(name, stored, password, now);
        if let (Some(false), Some(origin)) = (recognised, charged) {
            self.charge_wrong_password(origin, now);
        }
        recognised
    }

    /// The job whose turn it is. A login that its origin could not afford if those under way were all wrong waits until
    /// they are done: else guesses would be free if only they came at once. They are not held against it otherwise, or
    /// those who log in together would throttle each other.
    pub(super) fn take_next_job(&mut self, now: Moment) -> Option<(JobId, Job<Purpose>)> {
        let Admission { hashing, throttle, .. } = self;
        hashing.take_next(|hashing, origin| {
            let logins = || hashing.started_of(origin).filter(|job| job.purpose.is_login());
            let unproven = logins().filter(|job| job.purpose.is_unproven()).count();
            let affordable =
                || throttle.charges_left(origin, now).is_none_or(|left| left as usize > unproven);
            logins().next().is_none() || affordable()
        })
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    pub(super) fn ticket(&mut self, storing: Storing) -> Ticket {
        let ticket = self.next_ticket();
        self.storing.insert(ticket, storing);
        ticket
    }

    /// A login that waited for its name to be stored has left.
    pub(super) fn forget_early_login(&mut self, conn: ConnId, name: &Name) {
        if let Some(early) = self.early_logins.get_mut(name) {
            early.retain(|login| login.conn != conn);
            if early.is_empty() {
                self.early_logins.remove(name);
            }
        }
    }

    /// Drops a hash that nobody waits for any more. A login that had begun is charged.
    pub(super) fn abandon(&mut self, job: JobId, now: Moment) {
        if let Some(Job { origin, purpose, .. }) = self.hashing.cancel(job)
            && purpose.is_unproven()
        {
            self.charge_wrong_password(origin, now);
        }
    }
}

impl Purpose {
    fn is_login(&self) -> bool {
        matches!(self, Purpose::Login { .. })
    }

    /// Whether a connection waits for it.
    pub(super) fn is_waited_for(&self) -> bool {
        !matches!(self, Purpose::Rehash { .. })
    }

    /// Whether a password may yet prove wrong that is not charged.
    fn is_unproven(&self) -> bool {
        matches!(self, Purpose::Login { is_charged: false, .. })
    }
}

/// How fast hashing really goes, other work included.
#[derive(Debug)]
pub(super) struct HashRate {
    rounds_per_second: u64,
    since: Moment,
    rounds: u64,
}

/// Shorter measurements say more about the moment than about the machine.
const HASH_RATE_WINDOW: Duration = Duration::from_millis(250);

impl HashRate {
    pub(super) fn new(rounds_per_second: u64) -> HashRate {
        HashRate { rounds_per_second: rounds_per_second.max(1), since: Moment::START, rounds: 0 }
    }

    /// Hashing begins after a time without any.
    pub(super) fn begin(&mut self, now: Moment) {
        self.since = now;
        self.rounds = 0;
    }

    pub(super) fn record(&mut self, rounds: u32, now: Moment) {
        self.rounds += u64::from(rounds);
        let elapsed = now.since(self.since);
        if elapsed >= HASH_RATE_WINDOW {
            let measured = u128::from(self.rounds) * 1_000_000_000 / elapsed.as_nanos();
            // One long sync, or a process that was stopped, must not make a queue of seconds look like one of hours.
            let least = (self.rounds_per_second / 2).max(1);
            self.rounds_per_second = u64::try_from(measured).unwrap_or(u64::MAX).max(least);
            self.begin(now);
        }
    }

    fn duration(&self, rounds: u64) -> Duration {
        Duration::from_nanos(
            u64::try_from(u128::from(rounds) * 1_000_000_000 / u128::from(self.rounds_per_second))
                .unwrap_or(u64::MAX),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_what_is_measured() {
        let mut hash_rate = HashRate::new(1000);
        assert_eq!(hash_rate.duration(500), Duration::from_millis(500));
        let start = Moment::START + Duration::from_secs(5);
        hash_rate.begin(start);
        hash_rate.record(50, start + Duration::from_millis(100));
        assert_eq!(hash_rate.duration(500), Duration::from_millis(500));
        hash_rate.record(150, start + Duration::from_millis(250));
        assert_eq!(hash_rate.duration(400), Duration::from_millis(500));
    }

    /// The server was stopped for an hour, or waited for a slow disk, between a login and its first rounds.
    #[test]
    fn one_long_pause_does_not_make_every_wait_hopeless() {
        let mut hash_rate = HashRate::new(1000);
        hash_rate.begin(Moment::START);
        let mut now = Moment::START + Duration::from_secs(3600);
        hash_rate.record(1, now);
        assert_eq!(hash_rate.duration(500), Duration::from_secs(1));
        for _ in 0..4 {
            now = now + HASH_RATE_WINDOW;
            hash_rate.record(25, now);
        }
        assert_eq!(hash_rate.duration(500), Duration::from_secs(5), "one that lasts is believed");
    }
}
