//! A running server, asked over its control socket; and finding out whether there is one.

use crate::ask::{Object, Porter, Take, last};
use crate::files::Files;
use crate::question::say;
use porter::Clock;
use porter::cli::Failure;
use porter::command::TABLE;
use porter::server::{CONTROL_FILE, connect_control};
use porter::store::{OpenError, holder_of};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the files are waited for while another porter-admin has them.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// How long a server that has them may take to make its socket: one that starts with a million users makes it in one second.
const START_WAIT: Duration = Duration::from_secs(10);
/// After which it is said for what.
const LOCK_NOTICE: Duration = Duration::from_secs(2);
/// Between two looks at the lock, of which nothing tells that it is free.
const LOCK_LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// After which it is said that a server has not answered yet.
const ANSWER_NOTICE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
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
    let began = clock.now();
    let socket = data.join(CONTROL_FILE);
    let is_for_files = TABLE.iter().any(|spec| spec.words == words && spec.is_for_files);
    let mut is_reported = false;
    loop {
        match connect_control(data) {
            Ok(stream) => return Server::new(stream).map(|server| Box::new(server) as Box<dyn Porter>),
            Err(error) => refused(&socket, &error)?,
        }
        // Who has misspelt it is not to find a second set of users later, made in passing.
        if !data.is_dir() {
            let directory = data.display();
            return Err(Failure::failed(format_args!(
                "there is no directory {directory}; --data names the server's; a new one is made by porter-server \
                 --data {directory}, or by mkdir"
            )));
        }
        if !is_for_files {
            return Err(unanswered(data, &socket));
        }
        match Files::open(data, clock) {
            Ok(files) => return Ok(Box::new(files)),
            // Another porter-admin is done in a moment; a server that starts makes its socket in one.
            Err(OpenError::Locked { directory, holder }) => {
                let (is_admin, waited) = (is_admin(holder.as_deref()), clock.now().since(began));
                if waited >= LOCK_WAIT && is_admin {
                    return Err(Failure::failed(OpenError::Locked { directory, holder }));
                }
                if !is_admin && (waited >= START_WAIT || is_something_else(&socket)) {
                    return Err(unanswered(data, &socket));
                }
                if !is_reported && waited >= LOCK_NOTICE {
                    let holder = holder.as_deref().unwrap_or("of which nothing is known");
                    let directory = data.display();
                    say(&format!(
                        "porter-admin: waiting for {directory}, which another process ({holder}) has\n"
                    ));
                    is_reported = true;
                }
                let _ = poll(&mut [], Some(&LOCK_LOOK));
            }
            Err(error) => return Err(Failure::failed(error)),
        }
    }
}

/// Whether nobody answers there; all else that may have kept somebody from asking is an error.
fn refused(socket: &Path, error: &io::Error) -> Result<(), Failure> {
    let way_out = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return Ok(()),
        io::ErrorKind::PermissionDenied => "; it is for the server's own user and root",
        _ => "",
    };
    Err(Failure::failed(format_args!("cannot reach {}: {error}{way_out}", socket.display())))
}

/// Why nobody answers, and what to do about it.
fn unanswered(data: &Path, socket: &Path) -> Failure {
    let (directory, place) = (data.display(), socket.display());
    // What a porter-admin has, no server has.
    let Some(holder) = holder_of(data).filter(|holder| !is_admin(Some(holder))) else {
        return Failure::failed(format_args!(
            "no server runs on {directory}; start porter-server --data there"
        ));
    };
    match is_something_else(socket) {
        true => Failure::failed(format_args!(
            "another process ({holder}) has {directory}, but {place} is no socket: move it away, and send that process \
             SIGHUP, which makes the socket again"
        )),
        false => Failure::failed(format_args!(
            "another process ({holder}) has {directory}, but does not answer at {place}: if it is not just starting, send \
             it SIGHUP, which makes the socket again"
        )),
    }
}

fn is_admin(holder: Option<&str>) -> bool {
    holder.is_some_and(|holder| holder.ends_with(", porter-admin"))
}

/// Whether something has the socket's name at which nobody will ever answer.
fn is_something_else(socket: &Path) -> bool {
    std::fs::metadata(socket).is_ok_and(|found| !found.file_type().is_socket())
}

/// # Errors
/// [`Failure`] if there is a line end in it: what is behind that would be another command.
pub(crate) fn one_line(text: &str) -> Result<(), Failure> {
    match text.contains(['\n', '\r']) {
        true => Err(Failure::usage("an argument has a line end in it, and nothing was done")),
        false => Ok(()),
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

    /// Says that there is no answer yet, if there is none for long.
    fn await_answer(&self, is_reported: &mut bool) {
        if *is_reported || !self.answers.buffer().is_empty() {
            return;
        }
        let mut ports = [PollFd::new(self.answers.get_ref(), PollFlags::IN)];
        if poll(&mut ports, Some(&ANSWER_NOTICE)) == Ok(0) {
            *is_reported = true;
            say("porter-admin: waiting for the server to answer\n");
        }
    }
}

impl Porter for Server {
    fn ask(&mut self, lines: &[String], take: Take<'_>) -> Result<String, Failure> {
        let lost = |error: &dyn std::fmt::Display| {
            Failure::failed(format_args!(
                "the server has not answered: {error}; whether it was done is not known"
            ))
        };
        lines.iter().try_for_each(|line| one_line(line))?;
        // If it has refused already, that is what it is to be read.
        let sent = lines
            .iter()
            .try_for_each(|line| writeln!(self.requests, "{line}"))
            .and_then(|()| self.requests.flush());
        let (mut line, mut is_reported) = (String::new(), false);
        loop {
            line.clear();
            self.await_answer(&mut is_reported);
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
