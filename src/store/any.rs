//! Either store: a program that learns only at its start which one it is to use has one kind of server for both.

use super::{
    Account, AccountChange, Completion, Directory, DiskStore, Fetched, Link, LinkFigures, Lookup, Notice,
    OsDisk, SharedStore, Stamp, Store, SyncFigures, Ticket,
};
use crate::Moment;
use crate::auth::{Name, Origin, PasswordHash};
use std::net::IpAddr;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

/// Users in a data directory of its own, or in a store that several servers share.
pub enum AnyStore {
    /// In files.
    Files(Box<DiskStore<OsDisk>>),
    /// In Redis or Valkey.
    Shared(Box<SharedStore>),
}

/// The same call to whichever it is.
macro_rules! either {
    ($store:expr, $it:ident => $call:expr) => {
        match $store {
            AnyStore::Files($it) => $call,
            AnyStore::Shared($it) => $call,
        }
    };
}

impl Store for AnyStore {
    fn find(&self, name: &Name) -> Lookup {
        either!(self, it => it.find(name))
    }

    fn fetch(&mut self, ticket: Ticket, name: &Name) {
        either!(self, it => it.fetch(ticket, name))
    }

    fn fetch_visitor(&mut self, ticket: Ticket, address: IpAddr) -> bool {
        either!(self, it => it.fetch_visitor(ticket, address))
    }

    fn poll_fetched(&mut self) -> Option<Fetched> {
        either!(self, it => it.poll_fetched())
    }

    fn user_count(&self) -> usize {
        either!(self, it => it.user_count())
    }

    fn rounds(&self, number: usize) -> Option<u32> {
        either!(self, it => it.rounds(number))
    }

    fn account(&self, number: usize) -> Option<Account> {
        either!(self, it => it.account(number))
    }

    fn lists_accounts(&self) -> bool {
        either!(self, it => it.lists_accounts())
    }

    fn accounts_end(&self) -> usize {
        either!(self, it => it.accounts_end())
    }

    fn names_that_begin(
        &self,
        text: &str,
        numbers: Range<usize>,
        take: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) {
        either!(self, it => it.names_that_begin(text, numbers, take));
    }

    fn visit(&self, number: usize) -> Option<(Name, Stamp)> {
        either!(self, it => it.visit(number))
    }

    fn visits_end(&self) -> usize {
        either!(self, it => it.visits_end())
    }

    fn sync_figures(&self) -> SyncFigures {
        either!(self, it => Store::sync_figures(&**it))
    }

    fn place(&self) -> Option<String> {
        either!(self, it => it.place())
    }

    fn link_figures(&self) -> Option<LinkFigures> {
        either!(self, it => it.link_figures())
    }

    fn trouble(&self, now: Moment) -> Option<&str> {
        either!(self, it => it.trouble(now))
    }

    fn excuse(&self) -> &'static str {
        either!(self, it => Store::excuse(&**it))
    }

    fn figures(&self) -> Vec<String> {
        either!(self, it => it.figures())
    }

    fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        either!(self, it => it.register(ticket, name, password))
    }

    fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        either!(self, it => it.rehash(ticket, name, password))
    }

    fn replace(&mut self, ticket: Ticket, name: Name, password: PasswordHash, replaces: &PasswordHash) {
        either!(self, it => it.replace(ticket, name, password, replaces))
    }

    fn alter(&mut self, ticket: Ticket, name: Name, change: AccountChange) -> bool {
        either!(self, it => it.alter(ticket, name, change))
    }

    fn import(&mut self, ticket: Ticket, accounts: Vec<Account>) -> bool {
        either!(self, it => it.import(ticket, accounts))
    }

    fn reload(&mut self) {
        either!(self, it => it.reload())
    }

    #[inline]
    fn next_commit(&self) -> Option<Moment> {
        either!(self, it => it.next_commit())
    }

    fn commit(&mut self, now: Moment) {
        either!(self, it => it.commit(now))
    }

    fn close(&mut self) {
        either!(self, it => it.close())
    }

    fn poll_notice(&mut self) -> Option<Notice> {
        either!(self, it => it.poll_notice())
    }

    fn fetch_debt(&mut self, origin: Origin) {
        either!(self, it => it.fetch_debt(origin))
    }

    fn charge(&mut self, origin: Origin, penalty: Duration) {
        either!(self, it => it.charge(origin, penalty))
    }

    fn forgive(&mut self, origin: Origin) {
        either!(self, it => it.forgive(origin))
    }

    fn poll_debt(&mut self) -> Option<(Origin, Duration)> {
        either!(self, it => it.poll_debt())
    }

    fn directory(&mut self) -> Option<&mut dyn Directory> {
        either!(self, it => it.directory())
    }

    fn is_idle(&self) -> bool {
        either!(self, it => it.is_idle())
    }

    #[inline]
    fn link(&mut self) -> Option<&mut dyn Link> {
        either!(self, it => it.link())
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        either!(self, it => it.poll_completion())
    }

    fn last_visitor(&self, address: IpAddr) -> Option<Name> {
        either!(self, it => it.last_visitor(address))
    }

    fn note_visitor(&mut self, address: IpAddr, name: &Name) {
        either!(self, it => it.note_visitor(address, name))
    }
}
