//! Runs that end before their time: interrupted, or with a server that dies or freezes. Each leaves the figures so far,
//! says that it was cut short and why, and ends with exit code 1.

use super::super::support::{CEILING, cpu_time, eventually, stop};
use super::small::{Manner, listen, serve};
use super::{CHAT, Load, Server, finish, start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

/// Every scenario that would go on for long, and how many logins there are once it is well on its way.
const LONG: [(&str, &[&str], usize); 7] = [
    ("sequential", &["--clients", "10000000"], 20),
    ("sequential", &["--clients", "10000000", "--against-knock", "--users", "3"], 20),
    ("knock", &["--clients", "10000000"], 1),
    ("steady", &["--clients", "3", "--seconds", "600", "--in-flight", "2"], 4),
    ("idle", &["--clients", "20", "--seconds", "600"], 21),
    ("storm", &["--clients", "3", "--seconds", "600", "--logins", "1", "--rate", "8000"], 4),
    ("chat", &["--clients", "20", "--seconds", "600", "--in-flight", "2"], 25),
];

/// What ends a run.
type End = fn(&Server, Pid);

/// A run that is under way, its server, and what it was.
struct Running {
    server: Server,
    load: Load,
    name: String,
}

impl Running {
    /// Starts a load and waits until it is in the middle of it.
    fn start((scenario, flags, logins): (&str, &[&str], usize)) -> Running {
        let server = Server::start(if scenario == "chat" { &CHAT } else { &[] });
        let server_pid = server.pid().as_raw_nonzero().to_string();
        let usual = ["--scenario", scenario, "--json", "--pid", &server_pid];
        let load = start(server.address, &[&usual, flags].concat());
        server.folder.log_lines(&["logged in"], logins);
        if matches!(scenario, "knock" | "steady" | "storm" | "chat") {
            // The first half second of messages is not measured, and a chat begins with 2 s of whispers: whoever has worked for longer since the logins, however
            // long the start took, is past it.
            let middle = cpu_time(load.pid()) + Duration::from_millis(700);
            eventually("the middle", || (cpu_time(load.pid()) > middle).then_some(()));
        }
        Running { server, load, name: format!("{scenario} {flags:?}") }
    }

    /// Waits for its end, and gives its report.
    fn finished(self) -> (String, Value) {
        let name = self.name;
        let (code, stdout, stderr) = finish(self.load.ends());
        assert_eq!((code, stderr.lines().count()), (1, 1), "{name}: {stderr}");
        assert!(stderr.starts_with("porter-load: cut short: "), "{name}: {stderr}");
        let report = serde_json::from_str(&stdout);
        let report = report.unwrap_or_else(|error| panic!("{name}: {error}: {stdout}"));
        (name, report)
    }
}

/// The reports of all long runs that were ended like this, and how long the last took to end.
fn ended(end: End) -> (Vec<(String, Value)>, Duration) {
    let mut running = Vec::new();
    for load in LONG {
        let one = Running::start(load);
        end(&one.server, one.load.pid());
        running.push(one);
    }
    let since = Instant::now();
    let reports = running.into_iter().map(Running::finished).collect();
    (reports, since.elapsed())
}

fn count(report: &Value, latency: &str) -> u64 {
    report[latency]["count"].as_u64().unwrap()
}

/// Whether there are the figures of what it did until then.
fn assert_figures(name: &str, report: &Value) {
    assert!(report["seconds"].as_f64().unwrap() > 0.0, "{name}: {report}");
    assert!(count(report, "connect_us") > 0 || count(report, "message_us") > 0, "{name}: {report}");
}

#[test]
fn a_signal_ends_every_scenario_with_the_figures_so_far() {
    // Some by the one, some by the other.
    let (reports, _) = ended(|_, load| {
        let signal = if load.as_raw_nonzero().get() % 2 == 0 { Signal::INT } else { Signal::TERM };
        kill_process(load, signal).unwrap();
    });
    for (name, report) in reports {
        assert_eq!(report["cut_short"]["kind"], "interrupted", "{name}: {report}");
        assert_eq!(report["failed"], 0, "{name}: {report}");
        assert!(report["server"]["processor_seconds"].is_number(), "{name}: {report}");
        assert_figures(&name, &report);
    }
}

#[test]
fn a_server_that_dies_ends_every_scenario_with_the_figures_so_far() {
    let (reports, _) = ended(|server, _| server.signal(Signal::KILL));
    for (name, report) in reports {
        let kind = report["cut_short"]["kind"].as_str().unwrap();
        assert!(["server_gone", "nobody_left"].contains(&kind), "{name}: {report}");
        assert!(
            report["failed"].as_u64().unwrap() < 100,
            "no client is sent to a server that is gone: {report}"
        );
        let unread = report["server_unread"].is_string();
        assert!(unread || report["server"].is_object(), "{name}: {report}");
        assert_figures(&name, &report);
    }
}

#[test]
fn a_server_that_freezes_ends_every_scenario_and_counts_what_it_left_unanswered() {
    let (reports, took) = ended(|server, _| stop(server.pid()));
    for (name, report) in reports {
        assert_eq!(report["cut_short"]["kind"], "server_silent", "{name}: {report}");
        assert_figures(&name, &report);
        let unfinished: u64 = ["connect_us", "login_us", "message_us"]
            .iter()
            .map(|latency| report[latency]["unfinished"].as_u64().unwrap())
            .sum();
        let most =
            report["message_us"]["max"].as_f64().unwrap().max(report["login_us"]["max"].as_f64().unwrap());
        // One who logs in again and again may have had all answers, and have waited for the close.
        let is_answered = unfinished == 0
            && name.contains("sequential")
            && count(&report, "login_us") > report["clients"].as_u64().unwrap();
        if !name.contains("idle") && !name.contains("knock") && !is_answered {
            assert!(unfinished > 0 && most > 4e6, "{name}: it waited for seconds: {report}");
        }
    }
    assert!(took < CEILING, "{took:?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let Running { server, load, .. } = Running::start(LONG[3]);
    // With messages under way that nobody answers it has something to wait for after the first.
    stop(server.pid());
    let pid = load.pid();
    kill_process(pid, Signal::INT).unwrap();
    eventually("the first has arrived", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap().trim();
        (u64::from_str_radix(pending, 16).unwrap() == 0).then_some(())
    });
    kill_process(pid, Signal::INT).unwrap();
    let (code, stdout, _) = finish(load.ends());
    assert_eq!((code, stdout.as_str()), (130, ""));
}

#[test]
fn reconnecting_to_a_server_that_freezes_dies_or_takes_long_can_be_ended() {
    for (manner, interrupted, kinds) in [
        (Manner::FreezesAtResume, false, &["server_silent"][..]),
        (Manner::DiesAtResume, false, &["nobody_left", "server_gone"]),
        // It answers others, so that it is not frozen.
        (Manner::HashesForever, true, &["interrupted"]),
    ] {
        let (listener, address) = listen();
        let small = serve(
            listener,
            match manner {
                Manner::FreezesAtResume => |_| Manner::FreezesAtResume,
                Manner::DiesAtResume => |_| Manner::DiesAtResume,
                _ => |_| Manner::HashesForever,
            },
        );
        let load = start(address, &["--scenario", "reconnect", "--clients", "5", "--json"]);
        if interrupted {
            eventually("somebody resumes", || small.has_resumes().then_some(()));
            kill_process(load.pid(), Signal::INT).unwrap();
        }
        let (code, stdout, stderr) = finish(load.ends());
        assert_eq!(code, 1, "{stderr}");
        let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout} {stderr}"));
        assert!(kinds.contains(&report["cut_short"]["kind"].as_str().unwrap()), "{report}");
        assert_eq!(
            (&report["reconnect"]["cut_off"], &report["reconnect"]["came_back"]),
            (&5.into(), &0.into())
        );
    }
}

#[test]
fn the_table_and_the_picture_say_that_it_was_cut_short() {
    let server = Server::start(&[]);
    let path = server.folder.path().join("latency.svg");
    let flags =
        ["--scenario", "steady", "--clients", "2", "--seconds", "600", "--plot", path.to_str().unwrap()];
    let load = start(server.address, &flags);
    server.folder.log_lines(&["logged in"], 3);
    kill_process(load.pid(), Signal::TERM).unwrap();
    let (code, stdout, stderr) = finish(load.ends());
    assert_eq!((code, stderr.as_str()), (1, "porter-load: cut short: interrupted by a signal"));
    assert!(stdout.starts_with("CUT SHORT: interrupted"), "{stdout}");
    assert!(fs::read_to_string(path).unwrap().contains("cut short: interrupted"));
}

#[test]
fn nothing_of_a_server_that_never_answers_is_told_soon() {
    let mut loads = Vec::new();
    for manner in [|_| Manner::Mute, |_| Manner::HangsUpAtOnce, |_| Manner::Garbage] as [fn(u64) -> Manner; 3]
    {
        let (listener, address) = listen();
        serve(listener, manner);
        loads.extend(["sequential", "storm"].map(|scenario| start(address, &["--scenario", scenario])));
    }
    for load in loads {
        let (code, stdout, stderr) = finish(load.ends());
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (1, "", 1), "{stderr}");
        assert!(stderr.starts_with("porter-load: cannot begin: "), "{stderr}");
    }
}

#[test]
fn clients_that_stay_notice_that_bye_or_the_close_never_came() {
    let manners: [fn(u64) -> Manner; 2] = [|_| Manner::NoBye, |_| Manner::NoClose];
    let loads = manners.map(|manner| {
        let (listener, address) = listen();
        serve(listener, manner);
        start(address, &["--scenario", "idle", "--clients", "3", "--seconds", "1", "--json"])
    });
    for load in loads {
        let (code, stdout, stderr) = finish(load.ends());
        assert_eq!(code, 1, "{stderr}");
        let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout} {stderr}"));
        assert_eq!(report["failures"]["no_bye"]["count"], 3, "{report}");
    }
}

#[test]
fn figures_are_printed_though_the_picture_cannot_be_written_and_the_other_way_round() {
    let server = Server::start(&[]);
    let (code, stdout, stderr) = finish(start(server.address, &["--clients", "5", "--plot", "/dev/full"]));
    assert!(code == 1 && stdout.contains("clients/s") && stderr.contains("/dev/full"), "{stdout} {stderr}");
    let picture = server.folder.path().join("latency.svg");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_porter-load"));
    command.args(["--port", &server.address.port().to_string(), "--clients", "5", "--plot"]).arg(&picture);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let output = command.stderr(std::process::Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("cannot write the result"), "{stderr}");
    assert!(fs::read_to_string(picture).unwrap().contains("5 visits"));
}
