//! The load tester's command line.

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use porter::cli::{self, Failure};
use porter::load::{self, Plan, Progress, Report};
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Sends virtual clients to a porter server in echo mode and measures what they see.
///
/// Each client connects, logs in, sends messages and checks each against its
/// echo, exits, and waits for the server's close. The users load-1, load-2 ...
/// are registered on first use, before the clock starts, with a password that
/// everybody can know: use it on test servers only.
/// Progress goes to stderr, the result to stdout; the exit code is 1 if any
/// client failed.
#[derive(Debug, Parser)]
#[command(name = "porter-load", version, verbatim_doc_comment)]
struct Flags {
    /// Address or name of the server
    #[arg(long, value_name = "H", default_value = "127.0.0.1")]
    host: String,
    /// Port of the server
    #[arg(long, value_name = "P", default_value_t = 9090, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Clients in all
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    clients: u64,
    /// Clients at once
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    concurrency: u32,
    /// Users that the clients take turns to be
    #[arg(long, value_name = "U", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,
    /// Messages of each client
    #[arg(long, value_name = "M", default_value_t = 1)]
    messages: u32,
    /// Bytes of text in each message
    #[arg(long, value_name = "BYTES", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=load::SIZE_BYTES_MOST as i64))]
    size: u32,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Write a picture of the latencies
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    cli::run("porter-load", body)
}

fn body(flags: Flags) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        // With stderr gone there is nobody left to warn.
        let _ = writeln!(
            io::stderr(),
            "porter-load: warning: a debug build's figures mean nothing: use `cargo run --release --bin porter-load`"
        );
    }
    let plan = Plan {
        servers: addresses(&flags.host, flags.port)?,
        clients: flags.clients,
        concurrency: flags.concurrency as usize,
        users: flags.users,
        messages: flags.messages,
        size_bytes: flags.size as usize,
        ..Plan::default()
    };
    let picture = flags.plot.as_ref().map(open_picture).transpose()?;
    let bar = progress_bar(flags.json);
    let outcome = load::run(&plan, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let report = outcome.map_err(|mishap| Failure::failed(format_args!("cannot begin: {mishap}")))?;
    let text = if flags.json { report.json().map_err(Failure::failed)? + "\n" } else { report.table() };
    print(&text)?;
    if let (Some(mut file), Some(path)) = (picture, &flags.plot) {
        file.write_all(report.plot().as_bytes()).map_err(|error| unwritable(path, &error))?;
    }
    verdict(&report)
}

fn verdict(report: &Report) -> Result<(), Failure> {
    let Some((_, first)) = report.failures.iter().max_by_key(|(_, failures)| failures.count) else {
        return Ok(());
    };
    let (failed, clients, reason) = (report.failed, report.clients, &first.reason);
    Err(Failure::failed(format_args!("{failed} of {clients} clients failed; mostly: {reason}")))
}

fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host, port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .map_err(|error| Failure::failed(format_args!("--host {host}: {error}")))
}

/// Opened before the run: a wrong path shall not cost an hour's figures.
fn open_picture(path: &PathBuf) -> Result<File, Failure> {
    File::create(path).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format_args!("cannot write the picture {}: {error}", path.display()))
}

/// Whoever reads may stop early, as `head` does: that is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format_args!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

fn progress_bar(json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let template = "{msg} {wide_bar} {pos}/{len} {rate}, {eta} to go";
    // The template is a constant; with the default style the bar would still be one.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
        let _ = write!(text, "{:.0}/s", state.per_sec());
    }))
}

fn show(bar: &ProgressBar, progress: Progress) {
    let Progress { preparing, done, total, failed } = progress;
    let counted = if preparing { "users" } else { "clients" };
    if !bar.message().starts_with(counted) {
        // The first clients come after the last user: another speed, another time to go.
        bar.reset();
    }
    bar.set_message(match failed {
        0 => counted.to_owned(),
        failed => format!("{counted} ({failed} failed)"),
    });
    bar.set_length(total);
    bar.set_position(done);
}
