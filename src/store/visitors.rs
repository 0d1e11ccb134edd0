//! Who was last seen at which address, in memory: bounded, the address that was seen longest ago goes first.

use super::stamp::Stamp;
use crate::auth::Name;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

struct Visit {
    name: Name,
    seen: Stamp,
    order: u64,
    /// Where its address stands in `numbered`.
    number: usize,
}

/// The last visitors of at most so many addresses.
pub(super) struct Visitors {
    most: usize,
    visits: HashMap<IpAddr, Visit>,
    /// Addresses in the order in which they were seen; keys only grow, so both ends are a few steps away.
    orders: BTreeMap<u64, IpAddr>,
    /// The orders of those whose name or day is not in the file yet.
    unwritten: BTreeSet<u64>,
    next_order: u64,
    /// All addresses, so that each can be asked for by its number.
    numbered: Vec<IpAddr>,
}

impl Visitors {
    pub(super) fn new(most: usize) -> Visitors {
        Visitors {
            most,
            visits: HashMap::new(),
            orders: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            next_order: 0,
            numbered: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.visits.len()
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<&Name> {
        self.visits.get(&address).map(|visit| &visit.name)
    }

    /// Notes a visit; if its name or day differs from the last, it is to be written.
    pub(super) fn note(&mut self, address: IpAddr, name: Name, seen: Stamp) {
        let order = self.next_order;
        self.next_order += 1;
        let (changed, number) = match self.visits.get(&address) {
            None => {
                self.numbered.push(address);
                (true, self.numbered.len() - 1)
            }
            Some(last) => {
                self.orders.remove(&last.order);
                // Both must be asked: what waited under the old order waits under the new one.
                let waited = self.unwritten.remove(&last.order);
                (waited || last.name != name || last.seen.day() != seen.day(), last.number)
            }
        };
        self.visits.insert(address, Visit { name, seen, order, number });
        self.orders.insert(order, address);
        if changed {
            self.unwritten.insert(order);
        }
        if self.visits.len() > self.most
            && let Some((oldest, address)) = self.orders.pop_first()
        {
            self.unwritten.remove(&oldest);
            self.forget(address);
        }
    }

    /// Takes a visit out; the last of the numbered ones gets its number.
    fn forget(&mut self, address: IpAddr) {
        let Some(Visit { number, .. }) = self.visits.remove(&address) else { return };
        self.numbered.swap_remove(number);
        if let Some(moved) = self.numbered.get(number).and_then(|address| self.visits.get_mut(address)) {
            moved.number = number;
        }
    }

    /// Who was seen at some address, and when. The numbers go from 0 up to [`len`](Visitors::len), and hold until the next
    /// visit.
    pub(super) fn by_number(&self, number: usize) -> Option<(&Name, Stamp)> {
        let address = self.numbered.get(number)?;
        self.visits.get(address).map(|visit| (&visit.name, visit.seen))
    }

    pub(super) fn unwritten_count(&self) -> usize {
        self.unwritten.len()
    }

    /// All that is to be written is.
    pub(super) fn written(&mut self) {
        self.unwritten.clear();
    }

    /// What is to be written, in the order in which it was seen.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = (IpAddr, &Name, Stamp)> {
        self.unwritten.iter().filter_map(|order| self.visit(*self.orders.get(order)?))
    }

    /// All visitors, in the order in which they were seen.
    pub(super) fn all(&self) -> impl Iterator<Item = (IpAddr, &Name, Stamp)> {
        self.orders.values().filter_map(|address| self.visit(*address))
    }

    fn visit(&self, address: IpAddr) -> Option<(IpAddr, &Name, Stamp)> {
        self.visits.get(&address).map(|visit| (address, &visit.name, visit.seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn the_one_seen_longest_ago_goes_first() {
        let seen = Stamp::parse("2026-07-20T10:15:00Z").unwrap();
        let mut visitors = Visitors::new(3);
        for number in [1, 2, 3, 1, 4] {
            visitors.note(address(number), name("ann"), seen);
        }
        let left = |visitors: &Visitors| visitors.all().map(|(address, ..)| address).collect::<Vec<_>>();
        assert_eq!(left(&visitors), [address(3), address(1), address(4)]);
        assert_eq!(visitors.find(address(2)), None);
        assert_eq!(visitors.unwritten().count(), 3);
        assert_eq!(visitors.orders.len(), 3);
    }

    #[test]
    fn every_visit_has_a_number_whoever_has_gone() {
        let mut visitors = Visitors::new(4);
        for step in 0..30_u8 {
            // Some come again, some push others out, from all places.
            let seen = Stamp::parse(&format!("2026-07-20T10:15:{step:02}Z")).unwrap();
            visitors.note(address(step * 7 % 11), name(&format!("user{step}")), seen);
            let mut numbered: Vec<Stamp> =
                (0..visitors.len()).map(|number| visitors.by_number(number).unwrap().1).collect();
            numbered.sort();
            assert_eq!(numbered, visitors.all().map(|(.., seen)| seen).collect::<Vec<_>>());
            assert_eq!(visitors.by_number(visitors.len()), None);
        }
    }

    #[test]
    fn only_a_new_name_or_day_is_to_be_written() {
        let seen = |text| Stamp::parse(text).unwrap();
        let mut visitors = Visitors::new(3);
        let mut writes = |text, stamp| {
            visitors.note(address(1), name(text), seen(stamp));
            let count = visitors.unwritten_count();
            visitors.written();
            count
        };
        assert_eq!(writes("ann", "2026-07-20T10:15:00Z"), 1);
        assert_eq!(writes("ann", "2026-07-20T23:59:59Z"), 0);
        assert_eq!(writes("bob", "2026-07-20T23:59:59Z"), 1);
        assert_eq!(writes("bob", "2026-07-21T00:00:00Z"), 1);
    }

    #[test]
    fn what_waits_to_be_written_waits_on_after_another_visit() {
        let seen = Stamp::parse("2026-07-20T10:15:00Z").unwrap();
        let mut visitors = Visitors::new(3);
        visitors.note(address(1), name("ann"), seen);
        visitors.note(address(1), name("ann"), seen);
        assert_eq!(visitors.unwritten().count(), 1);
    }
}
