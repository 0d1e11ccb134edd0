//! Commands as the store takes them: arrays of strings.

use super::keys::BIRTH;
use std::io::Write;
use zeroize::Zeroize;

/// One command with its arguments. Passwords' hashes and tokens may be among them, so it is wiped.
#[derive(Clone, Debug, Default)]
pub(super) struct Command {
    count: usize,
    /// The arguments, each with its length before it.
    arguments: Vec<u8>,
    /// The last argument is until when it may be carried out.
    has_deadline: bool,
}

impl Command {
    /// A command of these words.
    pub(super) fn new(words: &[&str]) -> Command {
        words.iter().fold(Command::default(), |command, word| command.with(word.as_bytes()))
    }

    /// A script with its keys; its arguments are to follow. It is sent whole, so that there is nothing that a server which
    /// was restarted could have forgotten (ioredis 1438).
    pub(super) fn script(text: &str, keys: &[&str]) -> Command {
        let count = keys.len().to_string();
        keys.iter().fold(Command::new(&["EVAL", text, &count]), |command, key| command.with(key.as_bytes()))
    }

    /// A script that begins by looking whether the store is still the one with this birth, and whether it is still asked. Its
    /// other arguments are to follow.
    pub(super) fn guarded(text: &str, keys: &[&str], birth: &str) -> Command {
        let keys: Vec<&str> = std::iter::once(BIRTH).chain(keys.iter().copied()).collect();
        let mut command = Command::script(text, &keys).with(birth.as_bytes());
        command.has_deadline = true;
        command
    }

    /// One argument more.
    pub(super) fn with(mut self, argument: &[u8]) -> Command {
        self.count += 1;
        // Writing to memory does not fail.
        let _ = write!(self.arguments, "${}\r\n", argument.len());
        self.arguments.extend_from_slice(argument);
        self.arguments.extend_from_slice(b"\r\n");
        self
    }

    /// Appends it as it is sent. By the store's clock, in milliseconds since 1970, it may be carried out `until` then, if the
    /// store looks.
    pub(super) fn encode(&self, until: Option<i64>, output: &mut Vec<u8>) {
        let _ = write!(output, "*{}\r\n", self.count + usize::from(self.has_deadline));
        output.extend_from_slice(&self.arguments);
        if self.has_deadline {
            let until = until.map_or(String::new(), |until| until.to_string());
            let _ = write!(output, "${}\r\n{until}\r\n", until.len());
        }
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        self.arguments.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut output = Vec::new();
        Command::new(&["GET"]).with("ä".as_bytes()).encode(Some(9), &mut output);
        Command::script("return 1", &["a"]).with(b"").encode(None, &mut output);
        let expected = "*2\r\n$3\r\nGET\r\n$2\r\nä\r\n*5\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n1\r\n$1\r\na\r\n$0\r\n\r\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }
}
