//! Lines that a program writes, as they come.

use super::CEILING;
use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};

/// The lines of one or several streams, collected on threads of their own so that the program is never held up.
#[derive(Debug)]
pub(crate) struct Lines {
    incoming: Receiver<String>,
    waiting: Vec<String>,
}

impl Lines {
    pub(crate) fn new() -> (Sender<String>, Lines) {
        let (sender, incoming) = channel();
        (sender, Lines { incoming, waiting: Vec::new() })
    }

    /// Collects from `stream` until it ends; a terminal's end is an error. With `unfinished`, what stands after the
    /// last line end is handed over as well, whenever it grows: a prompt.
    pub(crate) fn collect(mut stream: impl Read + Send + 'static, sender: Sender<String>, unfinished: bool) {
        std::thread::spawn(move || {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..count]);
                while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = bytes.drain(..=end).collect();
                    let text = String::from_utf8_lossy(&line[..end]).into_owned();
                    if sender.send(text.trim_end_matches('\r').to_owned()).is_err() {
                        return;
                    }
                }
                if unfinished && !bytes.is_empty() {
                    let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        });
    }

    /// Waits for a line and takes it out; lines before it that were not asked for stay.
    pub(crate) fn wait_for_line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut seen = 0;
        loop {
            if let Some(at) = self.waiting[seen..].iter().position(|line| wanted(line)) {
                return self.waiting.remove(seen + at);
            }
            seen = self.waiting.len();
            match self.incoming.recv_timeout(CEILING) {
                Ok(line) => self.waiting.push(line),
                Err(error) => panic!("{error}; the lines so far: {:#?}", self.waiting),
            }
        }
    }

    /// Waits for a line and takes it out with all before it.
    pub(crate) fn lines_until(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.wait_for_line(|_| true);
            lines.push(line);
            if lines.last().is_some_and(|line| wanted(line)) {
                return lines;
            }
        }
    }

    /// The lines that nobody took out until now.
    pub(crate) fn lines_so_far(&mut self) -> Vec<String> {
        self.waiting.extend(self.incoming.try_iter());
        std::mem::take(&mut self.waiting)
    }

    /// All lines that nobody took out, once the streams have ended.
    pub(crate) fn wait_for_end(&mut self) -> Vec<String> {
        self.waiting.extend(self.incoming.iter());
        std::mem::take(&mut self.waiting)
    }
}
