//! Users from a CSV file, all or none.

use crate::Asked;
use crate::ask::Porter;
use crate::passwords::{Policy, policy, salt};
use crate::shared::Shared;
use crate::show::Shown;
use porter::Clock;
use porter::auth::{Password, hash_passwords};
use porter::cli::{self, Failure};
use porter::command::import_line;
use porter::limits::IMPORT_USERS;
use porter::store::{Account, Stamp};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const HEADER: [&str; 3] = ["name", "password", "registered"];
/// Longer than a file of as many users as are imported at once, whatever their names.
const IMPORT_BYTES: u64 = 256 * 1024 * 1024;
/// How often the progress is shown.
const PROGRESS: Duration = Duration::from_millis(200);

/// Users that were read, each with its line.
struct Users {
    /// Names, and times of registration.
    rows: Vec<(String, String)>,
    /// Records' hashes, with `!` before that of one who is disabled.
    hashes: Vec<String>,
    /// Passwords that are to be hashed.
    clear: Vec<Password>,
    /// By name.
    lines: HashMap<String, u64>,
}

/// # Errors
/// [`Failure`] with the line that is bad, or what the porter says; then nobody was imported.
pub(crate) fn import(
    asked: &Asked<'_>,
    is_json: bool,
    shared: Option<&Shared>,
    connect: impl Fn(&[&str]) -> Result<Box<dyn Porter>, Failure>,
) -> Result<(), Failure> {
    let path = asked.path("FILE").unwrap_or(Path::new("-"));
    let is_clear = asked.matches.get_flag("clear");
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let opened = File::open(path);
        Box::new(
            opened
                .map_err(|error| Failure::failed(format_args!("cannot read {}: {error}", path.display())))?,
        )
    };
    // The files are not kept from others while passwords are hashed, which may take hours.
    let mut porter = connect(&["policy"])?;
    let policy = policy(&mut *porter, asked)?;
    let bad = |line: u64, reason: String| {
        Failure::failed(format_args!("{}: line {line}: {reason}; nobody is imported", path.display()))
    };
    let mut users = read(source.take(IMPORT_BYTES), is_clear.then_some(&policy), bad)?;
    // Before hours of hashing, and with the line.
    let known = match shared {
        Some(shared) => others(&users, shared)?,
        None => known(&mut *porter).map_err(|failure| pointed_to(&failure, path))?,
    };
    drop(porter);
    if let Some((name, _)) = users.rows.iter().find(|(name, _)| known.contains(name)) {
        return Err(bad(users.lines[name], format!("there is a user {name} already")));
    }
    if is_clear {
        users.hashes = hash(&users.clear, &policy)?;
    }
    let of_line = |failure: Failure| {
        // It says what of whom, and only here it is known in which line that is.
        let text = failure.to_string();
        let text = text.strip_prefix("nobody is imported: ").unwrap_or(&text);
        let of_name =
            text.split_once(": ").and_then(|(name, reason)| Some((*users.lines.get(name)?, name, reason)));
        match of_name {
            Some((line, name, reason)) => {
                let reason = reason.split(';').next().unwrap_or(reason);
                bad(line, format!("{name}: {reason}"))
            }
            None => failure,
        }
    };
    if let Some(shared) = shared {
        let accounts =
            (0..users.rows.len()).map(|row| import_line(&users.record(row)).map_err(Failure::failed));
        let accounts: Vec<Account> = accounts.collect::<Result<_, _>>()?;
        hold_signals()?;
        shared.add(&accounts).map_err(of_line)?;
        let count = accounts.len();
        let done = format!("imported {count} user{}", if count == 1 { "" } else { "s" });
        return cli::print(&format!("{}\n", Shown::done(is_json, &done)));
    }
    let mut lines = vec![format!("users import {}", users.rows.len())];
    lines.extend((0..users.rows.len()).map(|row| users.record(row)));
    let mut porter = connect(&["users", "import"])?;
    hold_signals()?;
    Shown::new(is_json).show_all(&mut *porter, &lines).map_err(of_line)
}

impl Users {
    /// As the files have it.
    fn record(&self, row: usize) -> String {
        let (name, registered) = &self.rows[row];
        format!("{name},{},{registered}", self.hashes[row])
    }
}

/// Who has a name in the store that is in the file too, and is not there just as in the file: an import that was cut short
/// can be done again.
fn others(users: &Users, shared: &Shared) -> Result<HashSet<String>, Failure> {
    let accounts = shared.accounts()?;
    let there: HashMap<&str, &Account> =
        accounts.iter().map(|account| (account.name.as_str(), account)).collect();
    let is_other = |row: usize| {
        let found = there.get(users.rows[row].0.as_str());
        let is_same = |found: &&&Account| {
            users.clear.is_empty() && import_line(&users.record(row)).is_ok_and(|account| account == ***found)
        };
        found.is_some_and(|found| !is_same(&found))
    };
    let others = (0..users.rows.len()).filter(|row| is_other(*row)).map(|row| users.rows[row].0.clone());
    Ok(others.chain(shared.bad_names()).collect())
}

/// A server whose users are elsewhere says where they are listed: it is the same place where they are imported.
fn pointed_to(failure: &Failure, path: &Path) -> Failure {
    let text = failure.to_string();
    match text.strip_suffix("users list") {
        Some(place) => Failure::failed(format_args!("{place}users import {}", path.display())),
        None => Failure::failed(text),
    }
}

/// From now on the first SIGINT or SIGTERM is held: the users are handed over, and whether all of them are there is told in a
/// moment. The second ends the program.
///
/// # Errors
/// [`Failure`] if the system has no room for handlers.
fn hold_signals() -> Result<(), Failure> {
    let is_held = Arc::new(AtomicBool::new(false));
    [SIGINT, SIGTERM]
        .into_iter()
        .try_for_each(|signal| {
            flag::register_conditional_default(signal, Arc::clone(&is_held))?;
            flag::register(signal, Arc::clone(&is_held)).map(drop)
        })
        .map_err(|error| Failure::failed(format_args!("signals cannot be held: {error}; nobody is imported")))
}

/// Who is there already.
fn known(porter: &mut dyn Porter) -> Result<HashSet<String>, Failure> {
    let mut names = HashSet::new();
    porter.ask(&["users list".to_owned()], &mut |object| {
        names.extend(object.get("name").and_then(Value::as_str).map(str::to_owned));
        Ok(())
    })?;
    Ok(names)
}

/// Reads all users. `policy` is for passwords that are clear.
fn read(
    source: impl Read,
    policy: Option<&Policy>,
    bad: impl Fn(u64, String) -> Failure,
) -> Result<Users, Failure> {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let now =
        now.format(&Rfc3339).map_err(|error| Failure::failed(format_args!("the clock is wrong: {error}")))?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source);
    let mut users = Users { rows: Vec::new(), hashes: Vec::new(), clear: Vec::new(), lines: HashMap::new() };
    let mut record = csv::StringRecord::new();
    let mut is_header = true;
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(bad(line, error.to_string())),
        }
        let line = record.position().map_or(line, csv::Position::line);
        if std::mem::take(&mut is_header) {
            if record.iter().map(|field| field.trim_start_matches('\u{feff}')).ne(HEADER) {
                return Err(bad(line, format!("the header is not {}", HEADER.join(","))));
            }
            continue;
        }
        let fields: Vec<&str> = record.iter().collect();
        let [name, password, registered] = fields[..] else {
            return Err(bad(line, format!("it has {} fields and not three", fields.len())));
        };
        if users.rows.len() == IMPORT_USERS {
            return Err(bad(line, format!("at most {IMPORT_USERS} users are imported at once")));
        }
        let name = crate::name(name).map_err(|reason| bad(line, reason))?.to_string();
        if let Some(first) = users.lines.insert(name.clone(), line) {
            return Err(bad(line, format!("{name} is in line {first} already")));
        }
        let registered = if registered.is_empty() { now.as_str() } else { registered };
        registered.parse::<Stamp>().map_err(|error| bad(line, error.to_string()))?;
        match policy {
            Some(policy) => users.clear.push(policy.check(password).map_err(|rule| bad(line, rule))?),
            None => users.hashes.push(password.to_owned()),
        }
        if policy.is_none() {
            let whole = format!("{name},{password},{registered}");
            import_line(&whole).map_err(|error| bad(line, error.to_string()))?;
        }
        users.rows.push((name, registered.to_owned()));
    }
    if reader.position().byte() >= IMPORT_BYTES {
        return Err(bad(reader.position().line(), "the file is longer than 256 MiB".to_owned()));
    }
    if users.rows.is_empty() {
        return Err(Failure::failed("there is nobody to import"));
    }
    Ok(users)
}

/// Hashes side by side, and shows how far that has got. Whoever ends it has changed nothing.
fn hash(clear: &[Password], policy: &Policy) -> Result<Vec<String>, Failure> {
    let mut salted = Vec::with_capacity(clear.len());
    for password in clear {
        salted.push((password.clone(), salt()?));
    }
    let clock = Clock::new();
    let began = clock.now();
    let total = u64::from(policy.hash_rounds) * clear.len() as u64;
    let (done, shown) = (Cell::new(0_u64), Cell::new(began));
    let is_watched = io::stderr().is_terminal();
    let hashes = hash_passwords(&salted, policy.hash_rounds, |rounds| {
        done.set(done.get() + rounds);
        let now = clock.now();
        if is_watched && now.since(shown.get()) >= PROGRESS {
            shown.set(now);
            let share = done.get() as f64 / total.max(1) as f64;
            let left = now.since(began).as_secs_f64() * (1.0 - share) / share;
            let bar = "#".repeat((share * 30.0) as usize);
            let line = format!("\rhashing [{bar:30}] {:3.0} %, {left:.0} s left \x1b[K", share * 100.0);
            // With stderr gone the work is still wanted.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    });
    if is_watched {
        let _ = io::stderr().write_all(b"\r\x1b[K");
    }
    Ok(hashes.iter().map(|hash| hash.to_phc()).collect())
}
