//! What a login costs with a name that nobody has: as much as with somebody's.
//!
//! Users may have passwords of different costs, since `--hash-rounds` has changed. If all names that nobody has cost the
//! same, every other cost would tell of a user. So each of them costs what one user's does, always the same user's.

use super::Name;
use super::derivation::keyed;
use hmac::{Hmac, Mac};
use md5::Md5;

/// Chooses the user that a name takes after, by a hash under a key made at start.
pub(crate) struct Decoys {
    keyed: Hmac<Md5>,
}

impl Decoys {
    pub(crate) fn new(key: &[u8; 16]) -> Decoys {
        Decoys { keyed: keyed(key) }
    }

    /// The number of the user that a name takes after, of so many users; `None` if there are none.
    ///
    /// When one more comes, only those names change over to it that must, or a change of cost would tell which names
    /// nobody has. This is the jump consistent hash of Lamping and Veach.
    pub(crate) fn number(&self, name: &Name, users: usize) -> Option<usize> {
        let mut mac = self.keyed.clone();
        mac.update(name.as_str().as_bytes());
        let digest: [u8; 16] = mac.finalize().into_bytes().into();
        let [mut state, _] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|n| digest[at + n])));
        let (mut number, mut next) = (None, 0_u64);
        while next < users as u64 {
            number = Some(next as usize);
            state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
            let fraction = ((state >> 33) + 1) as f64 / (1_u64 << 31) as f64;
            next = ((next + 1) as f64 / fraction) as u64;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> impl Iterator<Item = Name> {
        (0..2_000).map(|n| Name::new(&format!("nobody{n}")).unwrap())
    }

    #[test]
    fn names_are_spread_over_all_users_and_stay_with_theirs() {
        let decoys = Decoys::new(&[7; 16]);
        assert_eq!(decoys.number(&Name::new("ann").unwrap(), 0), None);
        let mut counts = [0; 10];
        for name in names() {
            let number = decoys.number(&name, 10).unwrap();
            counts[number] += 1;
            assert_eq!(decoys.number(&name, 10), Some(number));
            let later = decoys.number(&name, 11).unwrap();
            assert!(later == number || later == 10, "{name} goes from {number} to {later}");
        }
        assert!(counts.iter().all(|count| (120..280).contains(count)), "{counts:?}");
    }

    #[test]
    fn another_key_chooses_others() {
        let [one, other] = [[7; 16], [8; 16]].map(|key| Decoys::new(&key));
        let same =
            names().filter(|name| one.number(name, 1_000_000) == other.number(name, 1_000_000)).count();
        assert!(same < 3, "{same}");
    }
}
