//! A running server, asked over its control socket; and finding out whether there is one.

use crate::ask::{Object, Porter, Take, last};
use crate::files::Files;
use porter::Clock;
use porter::cli::Failure;
use porter::command::TABLE;
use porter::server::CONTROL_FILE;
use porter::store::OpenError;
use rustix::event::{Timespec, poll};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the files are waited for while another porter-admin has them.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// Between two looks at the lock, of which nothing tells that it is free.
const LOCK_LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How long a server may be silent: the longest of its turns is one that stores many users.
const ANSWER_WAIT: Duration = Duration::from_secs(120);

struct Server {
    requests: BufWriter<UnixStream>,
    answers: BufReader<UnixStream>,
}

/// The server that has a data directory, or else its files, as far as the command can be carried out on those.
///
/// # Errors
/// [`Failure`] if there is neither, or another process has the files for long.
pub(crate) fn connect(data: &Path, words: &[&str]) -> Result<Box<dyn Porter>, Failure> {
    let clock = Clock::new();
    let until = clock.now() + LOCK_WAIT;
    let socket = data.join(CONTROL_FILE);
    let is_for_files = TABLE.iter().any(|spec| spec.words == words && spec.is_for_files);
    loop {
        let refusal = match UnixStream::connect(&socket) {
            Ok(stream) => return Server::new(stream).map(|server| Box::new(server) as Box<dyn Porter>),
            Err(error) => error,
        };
        let is_absent = matches!(refusal.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        if !is_absent {
            return Err(Failure::failed(format_args!("cannot reach {}: {refusal}", socket.display())));
        }
        // A first user, too, makes the directory; whoever lists those of another has misspelt it.
        if !data.is_dir() && !matches!(words, ["users", "add" | "import"] | ["policy"]) {
            let text = format!("there is no directory {}; --data names the server's", data.display());
            return Err(Failure::failed(text));
        }
        if !is_for_files {
            let text = format!("no server runs on {}; start porter-server --data there", data.display());
            return Err(Failure::failed(text));
        }
        match Files::open(data, clock) {
            Ok(files) => return Ok(Box::new(files)),
            Err(OpenError::Locked { .. }) if clock.now() < until => {
                // Another porter-admin is done in a moment; a server that starts makes its socket in one.
                let _ = poll(&mut [], Some(&LOCK_LOOK));
            }
            Err(error @ OpenError::Locked { .. }) => {
                let text = format!("{error}; nothing answers at {}", socket.display());
                return Err(Failure::failed(text));
            }
            Err(error) => return Err(Failure::failed(error)),
        }
    }
}

impl Server {
    fn new(stream: UnixStream) -> Result<Server, Failure> {
        let failed = |error: io::Error| Failure::failed(format_args!("cannot reach the server: {error}"));
        stream.set_read_timeout(Some(ANSWER_WAIT)).map_err(failed)?;
        stream.set_write_timeout(Some(ANSWER_WAIT)).map_err(failed)?;
        let requests = BufWriter::new(stream.try_clone().map_err(failed)?);
        Ok(Server { requests, answers: BufReader::new(stream) })
    }
}

impl Porter for Server {
    fn ask(&mut self, lines: &[String], take: Take<'_>) -> Result<String, Failure> {
        let lost = |error: &dyn std::fmt::Display| {
            Failure::failed(format_args!(
                "the server has not answered: {error}; whether it was done is not known"
            ))
        };
        // What is behind a line end would be another command.
        if lines.iter().any(|line| line.contains(['\n', '\r'])) {
            return Err(Failure::usage("an argument has a line end in it, and nothing was done"));
        }
        // If it has refused already, that is what it is to be read.
        let sent = lines
            .iter()
            .try_for_each(|line| writeln!(self.requests, "{line}"))
            .and_then(|()| self.requests.flush());
        let mut line = String::new();
        loop {
            line.clear();
            let count = self.answers.read_line(&mut line).map_err(|error| lost(&error))?;
            if count == 0 {
                let gone = io::Error::from(io::ErrorKind::ConnectionReset);
                return Err(lost(sent.as_ref().err().unwrap_or(&gone)));
            }
            let object: Object = serde_json::from_str(&line).map_err(|error| lost(&error))?;
            match last(&object)? {
                Some(done) => return Ok(done),
                None => take(&object)?,
            }
        }
    }
}
