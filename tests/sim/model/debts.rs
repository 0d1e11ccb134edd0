//! What an origin owes at most, and at least: when a hash starts is the server's choice.

use porter::Moment;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

const TOLERATED: Duration = Duration::from_secs(15);
/// Near the most that can be owed, what is taken back may be more than was charged.
const NEARLY_MOST: Duration = Duration::from_secs(400);

pub(crate) struct Debts {
    penalty: Duration,
    most: BTreeMap<IpAddr, Moment>,
    least: BTreeMap<IpAddr, Moment>,
}

impl Debts {
    pub(crate) fn new(penalty: Duration) -> Debts {
        Debts { penalty, most: BTreeMap::new(), least: BTreeMap::new() }
    }

    /// A hash was done, and the password was wrong. It was started at some moment from `since` on.
    pub(crate) fn guessed(&mut self, address: IpAddr, since: Moment, now: Moment) {
        self.maybe_guessed(address, now);
        let least = self.least.entry(origin(address)).or_default();
        *least = ((*least).max(since) + self.penalty).min(now + NEARLY_MOST);
    }

    /// A hash was started, perhaps, and its client has gone.
    pub(crate) fn maybe_guessed(&mut self, address: IpAddr, now: Moment) {
        let most = self.most.entry(origin(address)).or_default();
        *most = (*most).max(now) + self.penalty;
    }

    pub(crate) fn may_refuse(&self, address: IpAddr, now: Moment, under_way: usize) -> bool {
        let most = self.most.get(&origin(address)).copied().unwrap_or_default().max(now);
        !self.penalty.is_zero() && (most + self.penalty * under_way as u32).since(now) > TOLERATED
    }

    pub(crate) fn must_refuse(&self, address: IpAddr, now: Moment) -> bool {
        let least = self.least.get(&origin(address)).copied().unwrap_or_default();
        least.since(now) > TOLERATED
    }
}

/// An IPv4 address, mapped ones too, or an IPv6 /64.
pub(crate) fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        v4 => v4,
    }
}
