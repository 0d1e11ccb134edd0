//! The load tester: its command line, and what it shows of a report.

mod flags;
mod picture;
mod plot;
mod table;

use flags::Flags;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use picture::Picture;
use porter::cli::{self, Failure};
use porter::load::{self, Plan, Progress, Report, Scenario};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Descriptors are an `int`, and memory is finite.
const CLIENTS_AT_ONCE_MOST: u64 = 1_000_000;

fn main() -> ExitCode {
    cli::run("porter-load", body)
}

fn body(flags: Flags) -> Result<(), Failure> {
    if flags.help_json {
        return print(&json_help());
    }
    if cfg!(debug_assertions) {
        // With stderr gone there is nobody left to warn.
        let _ = writeln!(
            io::stderr(),
            "porter-load: warning: a debug build's figures mean nothing: use `cargo run --release --bin porter-load`"
        );
    }
    let plan = plan(&flags)?;
    let picture = flags.plot.as_deref().map(Picture::open).transpose()?;
    let bar = progress_bar();
    end_at_signals(&plan.interrupt)
        .map_err(|error| Failure::failed(format_args!("cannot watch for signals: {error}")))?;
    let outcome = load::run(&plan, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    // From here on there is nothing left to cut short: a signal ends the program.
    plan.interrupt.store(true, Ordering::Relaxed);
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            picture.into_iter().for_each(Picture::forget);
            return Err(Failure::failed(format_args!("cannot begin: {error}")));
        }
    };
    let text =
        if flags.json { report.json().map_err(Failure::failed)? + "\n" } else { table::written(&report) };
    let printed = print(&text);
    if let Some(picture) = picture {
        picture.draw(&plot::drawn(&report))?;
    }
    printed?;
    judge(&report)
}

/// From now on the first SIGINT or SIGTERM sets `interrupt`, which ends a run with the figures so far, and one that comes
/// when it is set ends the process at once.
fn end_at_signals(interrupt: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order, or the first would be taken for the second.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(interrupt))?;
        flag::register(signal, Arc::clone(interrupt))?;
    }
    Ok(())
}

fn json_help() -> String {
    format!(
        "The keys of the JSON object that --json prints; those in brackets are there only with that flag or scenario:\n\n{}",
        load::SCHEMA
    )
}

fn plan(flags: &Flags) -> Result<Plan, Failure> {
    let scenario = flags.scenario;
    refuse_useless(flags, scenario)?;
    let usual = Plan::canonical(scenario);
    let given = |flag: Option<u32>, usual: usize| flag.map_or(usual, |given| given as usize);
    let clients = flags.clients.unwrap_or(usual.clients);
    let comes_and_goes = matches!(scenario, Scenario::Sequential | Scenario::Knock);
    if !comes_and_goes && clients > CLIENTS_AT_ONCE_MOST {
        return Err(Failure::usage(format_args!(
            "--clients {clients} are too many at once; there can be {CLIENTS_AT_ONCE_MOST}"
        )));
    }
    if scenario == Scenario::Chat && flags.rate.is_some() && flags.in_flight.is_some() {
        return Err(Failure::usage("--rate and --in-flight are two ways to write in chat; give one"));
    }
    let host = &flags.host.host;
    Ok(Plan {
        servers: addresses(host, flags.host.port_or(flags.port, 9090)?)?,
        host: host.clone(),
        protection: flags.protection.clone().protection(),
        clients,
        concurrency: given(flags.concurrency, usual.concurrency),
        users: flags.users,
        messages: flags.messages.unwrap_or(usual.messages),
        size_bytes: flags.size as usize,
        against_knock: flags.against_knock,
        in_flight: given(flags.in_flight, usual.in_flight),
        span: flags.seconds.map_or(usual.span, |seconds| Duration::from_secs(seconds.into())),
        rate_per_second: flags.rate.map_or(usual.rate_per_second, f64::from),
        logins: given(flags.logins, usual.logins),
        login: flags.login.unwrap_or(usual.login),
        pipelined: !flags.no_pipelining,
        pids: flags.pid.clone(),
        ..usual
    })
}

/// A flag that the scenario does not look at was meant for another.
fn refuse_useless(flags: &Flags, scenario: Scenario) -> Result<(), Failure> {
    use Scenario::{Chat, Idle, Knock, Reconnect, Sequential, Steady, Storm};
    let uses: [(&str, bool, &[Scenario]); 9] = [
        ("--concurrency", flags.concurrency.is_some(), &[Sequential, Knock]),
        ("--messages", flags.messages.is_some(), &[Sequential]),
        ("--against-knock", flags.against_knock, &[Sequential]),
        ("--in-flight", flags.in_flight.is_some(), &[Steady, Chat]),
        ("--seconds", flags.seconds.is_some(), &[Steady, Idle, Storm, Chat]),
        ("--rate", flags.rate.is_some(), &[Storm, Chat]),
        ("--logins", flags.logins.is_some(), &[Storm]),
        ("--login", flags.login.is_some(), &[Storm]),
        ("--no-pipelining", flags.no_pipelining, &[Sequential, Steady, Idle, Storm, Reconnect, Chat]),
    ];
    for (flag, given, scenarios) in uses {
        if given && !scenarios.contains(&scenario) {
            let scenario = format!("{scenario:?}").to_lowercase();
            return Err(Failure::usage(format_args!("{flag} means nothing to --scenario {scenario}")));
        }
    }
    Ok(())
}

fn judge(report: &Report) -> Result<(), Failure> {
    if let Some(cut) = &report.cut_short {
        return Err(Failure::failed(format_args!("cut short: {cut}")));
    }
    let Some((_, first)) = report.failures.iter().max_by_key(|(_, failures)| failures.count) else {
        return Ok(());
    };
    let (failed, clients, reason) = (report.failed, report.clients, &first.reason);
    if report.storm.is_some() {
        // There a client can fail more than once.
        return Err(Failure::failed(format_args!("{failed} failures; mostly: {reason}")));
    }
    Err(Failure::failed(format_args!("{failed} of {clients} clients failed; mostly: {reason}")))
}

fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    (host, port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .map_err(|error| Failure::failed(format_args!("--host {host}: {error}")))
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

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style(""))
}

/// How a bar looks that counts this; so many seconds a second would mean nothing.
fn style(counted: &str) -> ProgressStyle {
    let template = match counted {
        "seconds" => "{msg} {wide_bar} {pos}/{len}, {left} s to go",
        _ => "{msg} {wide_bar} {pos}/{len} {rate}, {eta} to go",
    };
    // The templates are constants; with the default style the bar would still be one.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = style.with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
        let _ = write!(text, "{:.0}/s", state.per_sec());
    });
    // The bar's own estimate goes by the speed so far; of seconds it is known.
    style.with_key("left", |state: &ProgressState, text: &mut dyn fmt::Write| {
        let _ = write!(text, "{}", state.len().unwrap_or_default().saturating_sub(state.pos()));
    })
}

fn show(bar: &ProgressBar, progress: Progress) {
    let Progress { counted, done, total, failed, .. } = progress;
    if !bar.message().starts_with(counted) {
        // Another thing to count: another speed, another time to go.
        bar.reset();
        bar.set_style(style(counted));
    }
    bar.set_length(total);
    bar.set_position(done);
    bar.set_message(match failed {
        0 => counted.to_owned(),
        failed => format!("{counted} ({failed} failed)"),
    });
}
