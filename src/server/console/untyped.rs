//! What takes the place of the line editor in a build without programs: there is none, and the terminal edits lines
//! itself.

use super::Entered;
use mio::{Registry, Token};

/// What nobody types.
pub(super) enum Typing {}

impl Typing {
    pub(super) fn begin(_: &Registry, _: Token) -> Option<Typing> {
        None
    }

    pub(super) fn is_editing(&self) -> bool {
        match *self {}
    }

    pub(super) fn feed(&mut self, _: &[u8]) {
        match *self {}
    }

    pub(super) fn next_entered(
        &mut self,
        _: impl Fn(&str) -> Vec<String>,
    ) -> Option<(Entered, Option<String>)> {
        match *self {}
    }

    pub(super) fn erase(&mut self) -> &'static str {
        match *self {}
    }

    pub(super) fn draw(&mut self) -> Option<String> {
        match *self {}
    }

    pub(super) fn end(&mut self) {
        match *self {}
    }

    pub(super) fn take_signals(&mut self) -> bool {
        match *self {}
    }

    pub(super) fn is_asked(&self) -> bool {
        match *self {}
    }

    pub(super) fn act(&mut self) {
        match *self {}
    }
}
