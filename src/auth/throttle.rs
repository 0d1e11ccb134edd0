//! Guessing is slowed before it costs anything: debt by address.

use crate::Moment;
use crate::limits::{DEBT_MOST, DEBT_TOLERATED, DEBTORS};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Bound;
use std::time::Duration;

/// Whom a stranger's behaviour is put down to: an IPv4 address (mapped ones too), or an IPv6 /64, which is what one
/// subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(IpAddr);

impl Origin {
    /// The origin of an address.
    pub fn of(address: IpAddr) -> Origin {
        match address.to_canonical() {
            IpAddr::V6(v6) => Origin(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()),
            v4 => Origin(v4),
        }
    }
}

/// In one piece: `IpAddr` hands its kind and its length to the hasher too, and origins are looked up several times a visit.
impl Hash for Origin {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(match self.0 {
            IpAddr::V4(v4) => v4.to_bits().into(),
            IpAddr::V6(network) => (network.to_bits() >> 64) as u64,
        });
    }
}

/// The address, or the network with its prefix's length.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// What each origin owes.
///
/// A leaky bucket for each origin: every login that was wrong, or was given up before anybody knew, adds a penalty, and
/// time alone pays it off, so it is kept as the moment at which it will be gone. No single charge is ever taken back: one
/// that was paid off by then would take somebody else's guess along.
#[derive(Debug)]
pub struct Throttle {
    penalty: Duration,
    debtors: HashMap<Origin, Debt>,
    /// By the last charge, so that the oldest can go first.
    by_age: BTreeSet<(u64, Origin)>,
    charges: u64,
    /// Charged since anybody has asked.
    charged: Vec<Origin>,
}

#[derive(Debug)]
struct Debt {
    paid_off: Moment,
    charge: u64,
}

impl Throttle {
    /// `penalty` is the debt of one wrong login; zero turns the throttle off.
    pub fn new(penalty: Duration) -> Throttle {
        Throttle {
            penalty,
            debtors: HashMap::new(),
            by_age: BTreeSet::new(),
            charges: 0,
            charged: Vec::new(),
        }
    }

    /// The penalty is another from now on. Without one nobody owes anything.
    pub fn set_penalty(&mut self, penalty: Duration) {
        self.penalty = penalty;
        if penalty.is_zero() {
            self.debtors.clear();
            self.by_age.clear();
        }
    }

    /// How long this origin has to wait before it is served again; `None` if it is welcome.
    pub fn wait(&self, origin: Origin, now: Moment) -> Option<Duration> {
        self.wait_but(origin, 0, now)
    }

    /// The same, if this many charges of those that it has were not counted.
    pub fn wait_but(&self, origin: Origin, charges: u32, now: Moment) -> Option<Duration> {
        let owed = self.owed(origin, now).saturating_sub(self.penalty.saturating_mul(charges));
        owed.checked_sub(DEBT_TOLERATED).filter(|wait| !wait.is_zero())
    }

    /// What this origin owes.
    pub fn owed(&self, origin: Origin, now: Moment) -> Duration {
        self.debtors.get(&origin).map_or(Duration::ZERO, |debt| debt.paid_off.since(now))
    }

    /// How many charges more, one after the other, find this origin welcome; `None` for any number.
    pub fn charges_left(&self, origin: Origin, now: Moment) -> Option<u32> {
        let Some(spare) = DEBT_TOLERATED.checked_sub(self.owed(origin, now)) else { return Some(0) };
        let charges = spare.as_nanos().checked_div(self.penalty.as_nanos())?;
        Some(u32::try_from(charges).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// A login of this origin was wrong, or will never be known to have been right.
    pub fn charge(&mut self, origin: Origin, now: Moment) {
        if !self.penalty.is_zero() {
            self.owe(origin, self.owed(origin, now) + self.penalty, now);
            self.charged.push(origin);
        }
    }

    /// What this origin owes is known from elsewhere too: it counts if it is more.
    pub(crate) fn raise(&mut self, origin: Origin, owed: Duration, now: Moment) {
        if !self.penalty.is_zero() && owed > self.owed(origin, now) {
            self.owe(origin, owed, now);
        }
    }

    /// An origin that was charged since the last call.
    #[inline]
    pub(crate) fn poll_charged(&mut self) -> Option<Origin> {
        self.charged.pop()
    }

    fn owe(&mut self, origin: Origin, owed: Duration, now: Moment) {
        self.forget_paid_off(now);
        self.charges += 1;
        let charge = self.charges;
        let debt = self.debtors.entry(origin).or_insert(Debt { paid_off: now, charge });
        self.by_age.remove(&(debt.charge, origin));
        debt.charge = charge;
        debt.paid_off = now + owed.min(DEBT_MOST);
        self.by_age.insert((charge, origin));
        if self.debtors.len() > DEBTORS {
            self.forget_oldest();
        }
    }

    /// Takes back all that an origin owes, and says how much it was.
    pub fn forgive(&mut self, origin: Origin, now: Moment) -> Duration {
        let Some(debt) = self.debtors.remove(&origin) else { return Duration::ZERO };
        self.by_age.remove(&(debt.charge, origin));
        debt.paid_off.since(now)
    }

    /// What each origin owes whose last charge is a later one than this, in the order of their last charges.
    pub(crate) fn debts(
        &self,
        after: Option<(u64, Origin)>,
        now: Moment,
    ) -> impl Iterator<Item = ((u64, Origin), Duration)> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_age.range((after, Bound::Unbounded)).map(move |key| (*key, self.owed(key.1, now)))
    }

    /// Origins remembered.
    pub fn len(&self) -> usize {
        self.debtors.len()
    }

    /// Whether nobody owes anything.
    pub fn is_empty(&self) -> bool {
        self.debtors.is_empty()
    }

    fn forget_paid_off(&mut self, now: Moment) {
        while let Some((_, origin)) = self.by_age.first()
            && self.debtors.get(origin).is_none_or(|debt| debt.paid_off <= now)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, origin)) = self.by_age.pop_first() {
            self.debtors.remove(&origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PENALTY: Duration = Duration::from_secs(5);

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().unwrap())
    }

    #[test]
    fn an_origin_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(origin("::ffff:192.0.2.7"), origin("192.0.2.7"));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_ne!(origin("192.0.2.7"), origin("192.0.2.8"));
    }

    #[test]
    fn debt_grows_by_charges_and_is_paid_off_by_time() {
        let mut throttle = Throttle::new(PENALTY);
        let (guesser, start) = (origin("192.0.2.7"), Moment::START);
        for _ in 0..3 {
            throttle.charge(guesser, start);
            assert_eq!(throttle.wait(guesser, start), None);
        }
        throttle.charge(guesser, start);
        assert_eq!(throttle.wait(guesser, start), Some(PENALTY));
        assert_eq!(throttle.wait(guesser, start + Duration::from_secs(4)), Some(Duration::from_secs(1)));
        assert_eq!(throttle.wait(guesser, start + PENALTY), None);
        assert_eq!(throttle.wait(origin("192.0.2.8"), start), None);
        for _ in 0..1000 {
            throttle.charge(guesser, start);
        }
        assert_eq!(throttle.wait(guesser, start), Some(DEBT_MOST - DEBT_TOLERATED));
    }

    #[test]
    fn charges_are_left_until_one_more_would_find_an_origin_unwelcome() {
        let mut throttle = Throttle::new(PENALTY);
        let (user, start) = (origin("192.0.2.7"), Moment::START);
        for left in [4, 3, 2, 1] {
            assert_eq!(throttle.charges_left(user, start), Some(left));
            throttle.charge(user, start);
        }
        assert_eq!(throttle.charges_left(user, start), Some(0));
        assert_eq!(throttle.wait(user, start), Some(PENALTY));
        assert_eq!(throttle.wait_but(user, 1, start), None);
        throttle.charge(user, start);
        assert_eq!(throttle.wait_but(user, 1, start), Some(PENALTY));
        assert_eq!(throttle.wait_but(user, 9, start), None);
        assert_eq!(throttle.owed(user, start + PENALTY), 4 * PENALTY);
    }

    #[test]
    fn debts_are_told_in_the_order_of_their_last_charges() {
        let mut throttle = Throttle::new(PENALTY);
        let (one, other, start) = (origin("192.0.2.7"), origin("192.0.2.8"), Moment::START);
        [one, other, one].into_iter().for_each(|guesser| throttle.charge(guesser, start));
        let told = |after| throttle.debts(after, start).map(|((_, origin), owed)| (origin, owed)).collect();
        let all: Vec<(Origin, Duration)> = told(None);
        assert_eq!(all, [(other, PENALTY), (one, 2 * PENALTY)]);
        let first = throttle.debts(None, start).next().map(|(key, _)| key);
        assert_eq!(told(first), all[1..]);
    }

    #[test]
    fn no_penalty_is_no_throttle() {
        let mut throttle = Throttle::new(Duration::ZERO);
        assert_eq!(throttle.charges_left(origin("192.0.2.7"), Moment::START), None);
        for _ in 0..100 {
            throttle.charge(origin("192.0.2.7"), Moment::START);
        }
        assert!(throttle.is_empty());
    }

    #[test]
    fn another_penalty_counts_from_now_on_and_none_forgives_everybody() {
        let mut throttle = Throttle::new(PENALTY);
        let (guesser, start) = (origin("192.0.2.7"), Moment::START);
        throttle.charge(guesser, start);
        assert!(!throttle.is_empty());
        throttle.set_penalty(2 * PENALTY);
        assert_eq!(throttle.owed(guesser, start), PENALTY, "what was charged is owed");
        throttle.charge(guesser, start);
        assert_eq!(throttle.owed(guesser, start), 3 * PENALTY);
        throttle.set_penalty(Duration::ZERO);
        assert!(throttle.is_empty() && throttle.by_age.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_debt_goes_first() {
        let mut throttle = Throttle::new(PENALTY);
        let numbered = |n: u32| Origin::of(std::net::Ipv4Addr::from_bits(n).into());
        for _ in 0..4 {
            for n in 0..=DEBTORS as u32 {
                throttle.charge(numbered(n), Moment::START);
            }
        }
        assert_eq!(throttle.len(), DEBTORS);
        assert_eq!(throttle.by_age.len(), DEBTORS);
        assert!(throttle.wait(numbered(0), Moment::START).is_none());
        // What is paid off goes by itself.
        throttle.charge(numbered(0), Moment::START + DEBT_MOST);
        assert_eq!(throttle.len(), 1);
    }
}
