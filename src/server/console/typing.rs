//! The line that the person at the terminal types, in the line editor; and the signals of whoever has the terminal beside
//! the server: the shell, and the window.
//!
//! This module must not know where what it gives is written.

use super::Entered;
use crate::editor::{
    Editor, Row, Terminal, Typed, act_as_default, is_dumb, is_ignored, stop_if_somebody_can_continue,
};
use crate::limits::CONSOLE_LINE_BYTES;
use crate::server::stream::is_ready;
use log::Level;
use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::stdio::stdin;
use signal_hook::consts::{SIGCONT, SIGQUIT, SIGTSTP, SIGWINCH};
use signal_hook::flag;
use signal_hook_mio::v1_0::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(super) struct Typing {
    terminal: Terminal,
    editor: Editor,
    row: Row,
    signals: Signals,
    /// The signal by which this process is to be stopped or ended, once the terminal is as it was.
    asked: Option<i32>,
    /// No more lines are edited; the signals are still there to be acted on.
    is_over: bool,
}

impl Typing {
    /// Nothing where stdin is no terminal on which a line can be edited.
    pub(super) fn begin(registry: &Registry, token: Token) -> Option<Typing> {
        let terminal = Terminal::at_stdin().filter(|_| !is_dumb())?;
        match watched_signals(registry, token) {
            Ok(signals) => Some(Typing {
                terminal,
                editor: Editor::new(CONSOLE_LINE_BYTES),
                row: Row::default(),
                signals,
                asked: None,
                is_over: false,
            }),
            Err(error) => {
                log_event!(Level::Warn, "console lines not edited", reason = ?error; "signals cannot be waited for");
                None
            }
        }
    }

    /// Whether what is typed is for the editor, and nobody else shows it.
    pub(super) fn is_editing(&self) -> bool {
        !self.is_over
    }

    /// Takes what was typed.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.editor.feed(bytes);
    }

    /// What came of it next, and the line that is to stay on the screen if one is done. What a line that is begun may go
    /// on as is asked for by it.
    pub(super) fn next_entered(
        &mut self,
        completions: impl Fn(&str) -> Vec<String>,
    ) -> Option<(Entered, Option<String>)> {
        while !self.is_over {
            return Some(match self.editor.next_typed()? {
                Typed::Line(line) => {
                    let row = self.row.leave(&mut self.editor, &line);
                    (Entered::Line(line.to_string()), Some(row))
                }
                Typed::TooLong => (Entered::TooLong, Some(self.row.leave(&mut self.editor, ""))),
                Typed::End => (Entered::End, None),
                Typed::Suspend => {
                    // It comes back as a signal, as to all others whom the shell started with the server.
                    stop_if_somebody_can_continue();
                    continue;
                }
                Typed::Tab => {
                    let texts = completions(self.editor.begun());
                    if self.editor.complete(texts.iter().map(String::as_str)) || texts.len() < 2 {
                        continue;
                    }
                    (Entered::Choice(texts), None)
                }
            });
        }
        None
    }

    /// What takes the row away.
    pub(super) fn erase(&mut self) -> &'static str {
        self.row.erase()
    }

    /// Where the row was there is something else now.
    fn lose_row(&mut self) {
        self.row = Row::default();
    }

    /// What makes the row be there as it should, if it is not. The terminal's keys are taken for that: the first time,
    /// and whenever somebody else has had it.
    pub(super) fn draw(&mut self) -> Option<String> {
        if self.is_over || !self.terminal.is_foreground() {
            return None;
        }
        // A line, or the end of the input, is read first as the terminal has it: it would not be the same afterwards.
        if !self.terminal.has_keys() && !is_ready(stdin(), PollFlags::IN) {
            self.terminal.take_keys();
        }
        if !self.terminal.has_keys() {
            return None;
        }
        self.row.draw(&mut self.editor, self.terminal.columns())
    }

    /// The terminal is as it was before, for good.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.terminal.give_back();
    }

    /// Notices what signals ask for. Says whether the row is to be drawn anew.
    pub(super) fn take_signals(&mut self) -> bool {
        let came: Vec<i32> = self.signals.pending().collect();
        if came.contains(&SIGQUIT) {
            self.asked = Some(SIGQUIT);
        } else if came.contains(&SIGTSTP) && !came.contains(&SIGCONT) {
            self.asked = Some(SIGTSTP);
        }
        if self.terminal.is_foreground() {
            // Whoever continued the process may have set the terminal.
            if self.terminal.has_keys() {
                self.terminal.take_keys();
            }
            return true;
        }
        self.terminal.give_back();
        // Where it was there is somebody else's now.
        self.lose_row();
        false
    }

    /// Whether the process is to be stopped or ended by a signal.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Has the signal do that.
    pub(super) fn act(&mut self) {
        self.terminal.give_back();
        if let Some(signal) = self.asked.take() {
            act_as_default(signal);
        }
    }
}

/// SIGQUIT ends the process as ever, but not with the terminal as the editor needs it; a second one does so at once.
fn watched_signals(registry: &Registry, token: Token) -> io::Result<Signals> {
    let watched = [SIGTSTP, SIGCONT, SIGWINCH, SIGQUIT].into_iter().filter(|signal| !is_ignored(*signal));
    if !is_ignored(SIGQUIT) {
        let is_ending = Arc::new(AtomicBool::new(false));
        flag::register_conditional_default(SIGQUIT, Arc::clone(&is_ending))?;
        flag::register(SIGQUIT, is_ending)?;
    }
    let mut signals = Signals::new(watched)?;
    registry.register(&mut signals, token, Interest::READABLE)?;
    Ok(signals)
}
