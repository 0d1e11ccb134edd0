//! What an origin owes. It is known but for those who leave while their password waits for its hash: when that starts is
//! the server's choice, and only a hash that has started is charged.

use porter::Moment;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

const TOLERATED: Duration = Duration::from_secs(15);
const MOST: Duration = Duration::from_secs(600);

pub(crate) struct ThrottleModel {
    penalty: Duration,
    /// When it is paid off at the latest, and at the earliest.
    most: BTreeMap<IpAddr, Moment>,
    least: BTreeMap<IpAddr, Moment>,
}

impl ThrottleModel {
    pub(crate) fn new(penalty: Duration) -> ThrottleModel {
        ThrottleModel { penalty, most: BTreeMap::new(), least: BTreeMap::new() }
    }

    /// A login was judged, and the password was wrong; or its client has left after its hash was started.
    pub(crate) fn guessed(&mut self, address: IpAddr, now: Moment) {
        self.maybe_guessed(address, now);
        let least = self.least.entry(origin(address)).or_default();
        *least = ((*least).max(now) + self.penalty).min(now + MOST);
    }

    /// A hash was started, perhaps, and its client has gone.
    pub(crate) fn maybe_guessed(&mut self, address: IpAddr, now: Moment) {
        let most = self.most.entry(origin(address)).or_default();
        *most = ((*most).max(now) + self.penalty).min(now + MOST);
    }

    pub(crate) fn may_refuse(&self, address: IpAddr, now: Moment) -> bool {
        owed(&self.most, address, now) > TOLERATED
    }

    pub(crate) fn must_refuse(&self, address: IpAddr, now: Moment) -> bool {
        owed(&self.least, address, now) > TOLERATED
    }

    /// What the server says that an address owes.
    pub(crate) fn check(&self, address: IpAddr, now: Moment, said: Duration) {
        let (least, most) = (owed(&self.least, address, now), owed(&self.most, address, now));
        assert!(said >= least, "a guess from {address} was free: it owes {said:?} of at least {least:?}");
        assert!(said <= most, "{address} owes {said:?}, which is more than {most:?}");
    }
}

fn owed(paid_off: &BTreeMap<IpAddr, Moment>, address: IpAddr, now: Moment) -> Duration {
    paid_off.get(&origin(address)).map_or(Duration::ZERO, |paid_off| paid_off.since(now))
}

/// An IPv4 address, mapped ones too, or an IPv6 /64.
pub(crate) fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        v4 => v4,
    }
}
