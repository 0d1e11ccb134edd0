//! What must hold when all is well again.

use super::redis::{Data, Value};
use super::world::{SERVERS, World};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl World {
    /// What the store keeps is what the servers carry, and nothing is left of what is over.
    pub(super) fn check_directory(&mut self) {
        // Leases of those who are gone, and windows of those who were lost.
        self.pass(Duration::from_secs(100));
        for place in 0..SERVERS {
            assert!(self.is_linked(place), "server {place} has not come back to its store");
        }
        let left: Vec<&str> = self
            .clients
            .iter()
            .filter(|client| !client.before.is_empty())
            .map(|client| client.name)
            .collect();
        assert!(left.is_empty(), "connections that were taken over are still there: {left:?}");
        let data = self.store.redis.data();
        let mut carried = BTreeMap::new();
        for client in self.clients.iter().filter(|client| client.is_in()) {
            let (Some(conn), Some(session)) = (&client.conn, client.session) else { continue };
            let mark = self.servers[conn.server].as_ref().unwrap().mark.clone();
            carried.insert(hash(&session.token), (client.name, mark));
        }
        let names: BTreeSet<String> = carried.values().map(|(name, _)| (*name).to_owned()).collect();
        let mut tokens = BTreeMap::new();
        let mut by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut kept = BTreeMap::new();
        for id in data.keys("porter:session:") {
            let Some(Value::Hash(fields)) = data.get(&format!("porter:session:{id}")) else { panic!("{id}") };
            if fields["owner"] == "!" {
                assert!(data.expires_in(&format!("porter:session:{id}")).is_some(), "{id} has no end");
                continue;
            }
            let (name, token) = (&fields["name"], &fields["hash"]);
            kept.insert(token.clone(), (name.as_str(), fields["owner"].clone()));
            assert_eq!(
                fields["attached"], "1",
                "{name}: {fields:?} has no connection, and its window is over"
            );
            by_name.entry(name.clone()).or_default().insert(id.to_owned());
            for token in [token, &fields["previous"]].into_iter().filter(|token| !token.is_empty()) {
                tokens.insert(token.clone(), id.to_owned());
            }
        }
        assert_eq!(kept, carried, "what is kept, and what clients have");
        let found: BTreeMap<String, String> = data
            .keys("porter:token:")
            .into_iter()
            .map(|token| (token.to_owned(), text(&data, &format!("porter:token:{token}"))))
            .collect();
        assert_eq!(found, tokens, "tokens that are kept, and those of sessions");
        self.check_presence(&data, &names, &by_name);
    }

    fn check_presence(
        &self,
        data: &Data,
        names: &BTreeSet<String>,
        by_name: &BTreeMap<String, BTreeSet<String>>,
    ) {
        let found: BTreeMap<String, BTreeSet<String>> = data
            .keys("porter:sessions:")
            .into_iter()
            .map(|name| (name.to_owned(), members(data, &format!("porter:sessions:{name}"))))
            .collect();
        assert_eq!(found, *by_name, "sessions by name");
        assert_eq!(members(data, "porter:names"), *names, "names that have sessions");
        let attached = match data.get("porter:attached") {
            Some(Value::Hash(fields)) => {
                fields.iter().map(|(name, count)| (name.clone(), count.parse().unwrap())).collect()
            }
            _ => BTreeMap::new(),
        };
        let expected: BTreeMap<String, usize> =
            by_name.iter().map(|(name, sessions)| (name.clone(), sessions.len())).collect();
        assert_eq!(attached, expected, "connections by name");
        for client in self.clients.iter().filter(|client| client.is_in()) {
            for (name, is_here) in &client.conn.as_ref().unwrap().here {
                assert_eq!(*is_here, names.contains(name), "{} was told last of {name}", client.name);
            }
        }
    }

    /// Whoever has left is not let back in by a token, whatever the store could not be told at that moment.
    pub(super) fn check_ends(&mut self) {
        let left: Vec<usize> = self
            .clients
            .iter()
            .filter(|client| client.conn.is_none() && client.session.is_none() && client.left.is_some())
            .map(|client| client.number)
            .collect();
        for number in left {
            self.clients[number].try_what_is_left();
            self.connect(number);
            self.pass(Duration::from_secs(1));
            let client = &self.clients[number];
            let is_back = client.is_in() && client.session.is_some_and(|session| session.may_be_over);
            assert!(!is_back, "{} is back", client.name);
        }
    }

    /// One room: what anybody says everybody else hears, once.
    pub(super) fn check_room(&mut self) {
        let speakers: Vec<usize> =
            self.clients.iter().filter(|client| client.is_in()).map(|client| client.number).collect();
        for speaker in &speakers {
            let said = self.clients[*speaker].say(None);
            self.pass(Duration::from_secs(1));
            for reader in self.clients.iter().filter(|client| client.is_in() && client.number != *speaker) {
                let is_understood = reader.conn.as_ref().unwrap().heard.contains(&said);
                assert!(
                    is_understood,
                    "{} at server {} has not heard {said:?}",
                    reader.name,
                    reader.conn.as_ref().unwrap().server
                );
            }
            assert!(self.clients[*speaker].is_in());
        }
    }

    /// Whoever was told that a name is theirs has it.
    pub(super) fn check_users(&mut self) {
        let users: Vec<usize> =
            self.clients.iter().filter(|client| client.is_registered).map(|client| client.number).collect();
        for number in users {
            if let Some(conn) = self.clients[number].lose(self.now) {
                conn.pipe.borrow_mut().tear();
                self.clients[number].before.push(conn);
            }
            self.clients[number].session = None;
            self.connect(number);
            self.pass(Duration::from_secs(2));
            assert!(self.clients[number].is_in(), "{} is not let in", self.clients[number].name);
        }
    }
}

/// What others may read of a token.
fn hash(token: &[u8; 16]) -> String {
    Sha256::digest(token)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(data: &Data, key: &str) -> String {
    match data.get(key) {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{key} is {other:?}"),
    }
}

fn members(data: &Data, key: &str) -> BTreeSet<String> {
    match data.get(key) {
        Some(Value::Set(members)) => members.clone(),
        None => BTreeSet::new(),
        other => panic!("{key} is {other:?}"),
    }
}
