//! A password that was verified lately is recognised without the slow hash.

use super::derivation::keyed;
use super::{Name, Password, PasswordHash};
use crate::Moment;
use crate::limits::{LOGIN_CACHE_ENTRIES, SALT_BYTES};
use hmac::{Hmac, Mac};
use md5::Md5;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

type Digest = [u8; 16];

/// Remembers, in memory only, an HMAC of each password that was verified lately, under a key made at start.
///
/// The HMAC is over the name, the stored record and the password, so that an entry is worth nothing for another
/// user, nor after the record has changed. It lasts for a fixed time from when the password was verified in full,
/// not prolonged by hits.
pub(crate) struct LoginCache {
    keyed: Hmac<Md5>,
    lifetime: Duration,
    entries: HashMap<Name, Entry>,
    /// In the order of expiry. An entry that was made anew stands here twice; only the moment that it has counts.
    expiries: VecDeque<(Moment, Name)>,
}

struct Entry {
    digest: Digest,
    /// Of the record that the password was verified for. Every record has a salt of its own.
    salt: [u8; SALT_BYTES],
    expires: Moment,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.digest.zeroize();
    }
}

impl LoginCache {
    /// A lifetime of zero turns the cache off.
    pub(crate) fn new(key: &[u8; 32], lifetime: Duration) -> LoginCache {
        LoginCache { keyed: keyed(key), lifetime, entries: HashMap::new(), expiries: VecDeque::new() }
    }

    /// The lifetime is another from now on. If it is shorter nothing is remembered any more: what was verified before would
    /// be recognised for longer than is wanted.
    pub(crate) fn set_lifetime(&mut self, lifetime: Duration) {
        if lifetime < std::mem::replace(&mut self.lifetime, lifetime) {
            self.entries.clear();
            self.expiries.clear();
        }
    }

    /// This password was verified in full just now.
    pub(crate) fn remember(&mut self, name: &Name, stored: &PasswordHash, password: &Password, now: Moment) {
        if self.lifetime.is_zero() {
            return;
        }
        let expires = now + self.lifetime;
        let digest = self.digest(name, stored, password);
        self.entries.insert(name.clone(), Entry { digest, salt: stored.salt, expires });
        self.expiries.push_back((expires, name.clone()));
        while self.expiries.len() > LOGIN_CACHE_ENTRIES {
            self.forget_first();
        }
    }

    /// Whether this is the password that was verified lately for this record; `None` if none was.
    pub(crate) fn recognises(
        &self,
        name: &Name,
        stored: &PasswordHash,
        password: &Password,
        now: Moment,
    ) -> Option<bool> {
        let is_of_record = |entry: &&Entry| now < entry.expires && entry.salt == stored.salt;
        let entry = self.entries.get(name).filter(is_of_record)?;
        Some(self.digest(name, stored, password).ct_eq(&entry.digest).into())
    }

    /// Whose passwords it knows.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.entries.keys()
    }

    /// The user's record has changed.
    pub(crate) fn forget(&mut self, name: &Name) {
        self.entries.remove(name);
    }

    /// Drops what has expired.
    pub(crate) fn expire(&mut self, now: Moment) {
        while self.next_expiry().is_some_and(|expires| expires <= now) {
            self.forget_first();
        }
    }

    /// When [`expire`](LoginCache::expire) has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Moment> {
        self.expiries.front().map(|(expires, _)| *expires)
    }

    fn forget_first(&mut self) {
        if let Some((expires, name)) = self.expiries.pop_front()
            && self.entries.get(&name).is_some_and(|entry| entry.expires == expires)
        {
            self.entries.remove(&name);
        }
    }

    fn digest(&self, name: &Name, stored: &PasswordHash, password: &Password) -> Digest {
        let mut mac = self.keyed.clone();
        // Names have at most 64 bytes, and salt and hash a fixed size, so the parts cannot be confused.
        mac.update(&[name.as_str().len() as u8]);
        mac.update(name.as_str().as_bytes());
        mac.update(&stored.rounds.to_be_bytes());
        mac.update(&stored.salt);
        mac.update(&stored.hash);
        mac.update(password.expose());
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(600);
    const STORED: PasswordHash = PasswordHash { rounds: 1000, salt: [1; 16], hash: [2; 16] };

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn cache() -> LoginCache {
        LoginCache::new(&[9; 32], LIFETIME)
    }

    #[test]
    fn only_the_same_password_for_the_same_record_of_the_same_name_is_recognised() {
        let mut cache = cache();
        let password = Password::new(b"open sesame");
        cache.remember(&name("ann"), &STORED, &password, Moment::START);
        let recognises = |name: &Name, stored: &PasswordHash, password: &[u8]| {
            cache.recognises(name, stored, &Password::new(password), Moment::START)
        };
        assert_eq!(recognises(&name("ann"), &STORED, b"open sesame"), Some(true));
        assert_eq!(recognises(&name("ann"), &STORED, b"open sesamf"), Some(false));
        assert_eq!(recognises(&name("bob"), &STORED, b"open sesame"), None);
        let dearer = PasswordHash { rounds: 1001, ..STORED };
        assert_eq!(recognises(&name("ann"), &dearer, b"open sesame"), Some(false));
        let salted = PasswordHash { salt: [3; 16], ..STORED };
        assert_eq!(
            recognises(&name("ann"), &salted, b"open sesame"),
            None,
            "nothing is known of that record"
        );
    }

    #[test]
    fn an_entry_expires_and_leaves_nothing() {
        let mut cache = cache();
        let password = Password::new(b"open sesame");
        cache.remember(&name("ann"), &STORED, &password, Moment::START);
        let end = Moment::START + LIFETIME;
        assert_eq!(cache.next_expiry(), Some(end));
        assert_eq!(cache.recognises(&name("ann"), &STORED, &password, end), None);
        cache.remember(&name("ann"), &STORED, &password, Moment::START + Duration::from_secs(1));
        cache.expire(end);
        let again = cache.recognises(&name("ann"), &STORED, &password, end);
        assert_eq!(again, Some(true), "verified anew a second later");
        cache.expire(end + LIFETIME);
        assert!(cache.entries.is_empty() && cache.expiries.is_empty());
    }

    #[test]
    fn the_cache_is_bounded_and_can_be_turned_off() {
        let mut cache = cache();
        let password = Password::new(b"open sesame");
        for n in 0..LOGIN_CACHE_ENTRIES + 1 {
            cache.remember(&name(&format!("u{n}")), &STORED, &password, Moment::START);
        }
        assert_eq!(cache.entries.len(), LOGIN_CACHE_ENTRIES);
        assert!(!cache.entries.contains_key("u0"));
        let mut off = LoginCache::new(&[9; 32], Duration::ZERO);
        off.remember(&name("ann"), &STORED, &password, Moment::START);
        assert!(off.entries.is_empty());
    }
}
