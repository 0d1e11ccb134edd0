//! A model of the part of Redis that porter uses: keys, scripts, channels and RESP3, in memory and by the world's clock.
//!
//! The scripts are porter's own, run by the Lua that Redis has: only the commands are modelled. A differential test beside
//! the real processes compares the two, command by command.

mod commands;
mod data;
mod reply;
mod scripts;

pub(crate) use data::{Data, Value};
pub(crate) use reply::Reply;

use scripts::Scripts;
use std::cell::RefCell;
use std::rc::Rc;

/// One server.
pub(crate) struct Redis {
    data: Rc<RefCell<Data>>,
    scripts: Scripts,
}

impl Redis {
    /// An empty one; its clock stands at 0.
    pub(crate) fn new() -> Redis {
        let data = Rc::new(RefCell::new(Data::default()));
        Redis { scripts: Scripts::new(Rc::clone(&data)), data }
    }

    /// Milliseconds since 1970, from now on.
    pub(crate) fn set_time(&mut self, milliseconds: u64) {
        self.data.borrow_mut().set_time(milliseconds);
    }

    /// Carries out a command.
    pub(crate) fn run(&mut self, command: &[String]) -> Reply {
        if command[0] == "EVAL" {
            let keys: usize = command[2].parse().unwrap();
            let (keys, arguments) = command[3..].split_at(keys);
            return self.scripts.eval(&command[1], keys, arguments);
        }
        commands::run(&mut self.data.borrow_mut(), command)
    }

    /// What was published since the last call, each with its channel, in order.
    pub(crate) fn take_published(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.data.borrow_mut().published)
    }

    /// All that is kept, to look at.
    pub(crate) fn data(&self) -> Data {
        self.data.borrow().clone()
    }
}
