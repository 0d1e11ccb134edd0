//! Scenario `storm`: clients who talk by the clock, beside clients who log in again and again.
//!
//! The talkers' messages have a schedule that does not wait for the server, and each latency counts from when its
//! message should have been sent: a server that stalls for a second is charged for every message of that second, and
//! not only for the one that it was asked to echo.

use super::client_state::Habit;
use super::figures::{Phase, Storm};
use super::gauge::{Stretch, round};
use super::mishap::{Mishap, count_failure, no_poll};
use super::report::{Report, is_limit};
use super::stage::{Stage, seconds_done};
use super::stats::Latency;
use super::timeline::Timeline;
use super::window::Window;
use super::{LoginSort, Plan, Progress};
use crate::Moment;
use std::time::Duration;

/// Messages before the first counted one.
const WARM_UP: Duration = Duration::from_millis(500);
/// Between two looks at how far the run is.
const LOOK: Duration = Duration::from_millis(100);

/// When the talkers send.
struct Schedule {
    start: Moment,
    /// From one message of any of them to the next, in nanoseconds.
    interval: f64,
    talkers: usize,
    sent: u64,
    lateness: Latency,
}

impl Schedule {
    fn new(plan: &Plan, start: Moment) -> Schedule {
        let talkers = plan.places();
        let interval = 1e9 / (plan.rate_per_second * talkers as f64);
        Schedule { start, interval, talkers, sent: 0, lateness: Latency::default() }
    }

    /// When the next message is due.
    fn due(&self) -> Moment {
        self.start + Duration::from_nanos((self.sent as f64 * self.interval) as u64)
    }

    /// Sends all that is due, each talker in turn.
    fn send(&mut self, stage: &mut Stage<'_>) {
        let now = stage.now();
        while self.due() <= now {
            let (due, place) = (self.due(), (self.sent % self.talkers as u64) as usize);
            self.lateness.record(stage.now().since(due));
            stage.hall.say(place, |regulars, out| regulars.send(place, due, out));
            self.sent += 1;
        }
    }
}

/// What the others do, and how many they are.
pub(super) fn others(plan: &Plan) -> (usize, Habit) {
    let habit = match plan.login {
        LoginSort::Full | LoginSort::Cached => Habit::Returns,
        LoginSort::Resume => Habit::Resumes,
    };
    (plan.logins, habit)
}

/// Talks alone, beside logins, and alone again. What a `hash` takes is known if every login is to pay for one.
pub(super) fn storm(
    mut stage: Stage<'_>,
    hash: Option<Duration>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Report, Mishap> {
    let plan = stage.plan;
    stage.admit(watch)?;
    stage.hall.regulars.prepare_messages(1);
    stage.hall.wait_precisely().map_err(|error| no_poll(&error))?;
    let warm = stage.now();
    let mut schedule = Schedule::new(plan, warm);
    let start = warm + WARM_UP;
    let borders = [0, 1, 2, 3].map(|phases| start + plan.span * phases);
    let run = [start, borders[3]];
    stage.hall.regulars.timeline = Some(Timeline::new(start, plan.span * 3));
    for phase in borders.windows(2) {
        stage.hall.regulars.windows.push(Window::new(phase[0], phase[1]));
    }
    let mut ended = borders[3];
    let mut readings = Vec::with_capacity(borders.len());
    for (phase, border) in borders.into_iter().enumerate() {
        talk_until(&mut stage, &mut schedule, border, run, watch)?;
        readings.push(stage.gauge.read());
        if stage.is_cut() {
            ended = ended.min(stage.now());
            continue;
        }
        let visitors = plan.places()..plan.places() + plan.logins;
        stage.hall.reopens_until = if phase == 1 { borders[2] } else { Moment::START };
        for place in visitors {
            match phase {
                1 => stage.hall.admit(place, border, stage.now()),
                2 => stage.hall.break_off(place),
                _ => {}
            }
        }
    }
    let memory_bytes = stage.gauge.server_memory();
    stage.await_echoes()?;
    for window in &mut stage.hall.regulars.windows {
        window.end_at(ended);
    }
    let stretches: Vec<Stretch> = readings.windows(2).map(|pair| pair[1].since(&pair[0])).collect();
    let all = stretches.iter().copied().reduce(Stretch::and).unwrap_or_default();
    let (mut report, regulars) = stage.finish(all, memory_bytes)?;
    let phases: Vec<Phase> = regulars.windows.iter().zip(&stretches).map(figures).collect();
    if let &[before, during, after] = phases.as_slice() {
        report.tester_was_limit |=
            [before, during, after].iter().any(|phase| is_limit(phase.tester_demand()));
        report.storm = Some(Storm {
            login: plan.login,
            logins_at_once: plan.logins,
            hash_us: hash.map(|hash| round(hash.as_secs_f64() * 1e6, 1)),
            rate_per_client: round(plan.rate_per_second, 3),
            before,
            during,
            after,
            lateness_us: schedule.lateness.percentiles(),
        });
    }
    if let (Some(hash), Some(during)) = (hash, regulars.windows.get(1)) {
        find_unhashed(&mut report, hash, &during.latencies.login);
    }
    for (name, window) in ["before", "during", "after"].into_iter().zip(regulars.windows) {
        report.curves.push((name, window.latencies.message));
    }
    report.timeline = regulars.timeline;
    Ok(report)
}

/// Logins that came back in much less time than a hash takes paid for none, whatever the server did before.
fn find_unhashed(report: &mut Report, hash: Duration, logins: &Latency) {
    let quickest = Duration::from_nanos(logins.nanoseconds_at(0.0));
    if logins.count() > 0 && quickest < hash / 4 {
        let reason =
            format!("a login took {quickest:?}, and a hash takes {hash:?}: the server remembers some");
        report.failed += 1;
        count_failure(&mut report.failures, Mishap::new("not_full", reason));
    }
}

fn talk_until(
    stage: &mut Stage<'_>,
    schedule: &mut Schedule,
    until: Moment,
    run: [Moment; 2],
    watch: &mut dyn FnMut(Progress),
) -> Result<(), Mishap> {
    let mut next_look = stage.now();
    loop {
        let now = stage.now();
        if stage.hall.is_to_end() {
            return Ok(());
        }
        if now >= until {
            // What was due by then and is late is sent all the same: leaving it out would flatter the server.
            schedule.send(stage);
            return Ok(());
        }
        if now >= next_look {
            watch(seconds_done(now, run, &stage.hall.regulars));
            next_look = now + LOOK;
        }
        schedule.send(stage);
        stage.hall.turn(schedule.due().min(until)).map_err(|error| no_poll(&error))?;
    }
}

fn figures((window, stretch): (&Window, &Stretch)) -> Phase {
    let (messages, logins) = (&window.latencies.message, &window.latencies.login);
    let length = Stretch { elapsed: window.until.since(window.from), ..*stretch };
    Phase {
        seconds: round(length.elapsed.as_secs_f64(), 3),
        messages_per_second: length.rate(messages.finished() as f64),
        message_us: messages.percentiles(),
        logins_per_second: length.rate(logins.finished() as f64),
        login_us: logins.percentiles(),
        server_processor_share: stretch.server.map(|server| stretch.share(server.used)),
        tester_processor_share: stretch.share(stretch.own.used),
        tester_waited_share: stretch.own.waited.map(|waited| stretch.share(waited)),
    }
}
