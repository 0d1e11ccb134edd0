//! Scenario `storm`: clients who talk by the clock, beside clients who log in again and again.
//!
//! The talkers' messages have a schedule that does not wait for the server, and each latency counts from when its
//! message should have been sent: a server that stalls for a second is charged for every message of that second, and
//! not only for the one that it was asked to echo.

use super::{Running, WARM_UP, Watch, seconds_done};
use crate::Moment;
use crate::load::Plan;
use crate::load::dialect::Dialect;
use crate::load::error::{LoadError, count_failure};
use crate::load::metrics::{Latency, Timeline, Window};
use crate::load::prepare::HASH_HELD_UP;
use crate::load::report::{Phase, Report, Storm, is_limit};
use crate::load::sampler::{Interval, round};
use std::time::Duration;

/// Between two looks at how far the run is.
const LOOK: Duration = Duration::from_millis(100);

/// The part of the logins that tells whether the server remembers some.
const QUICK: f64 = 0.25;

/// What comes before each border of the run's parts, and after the last.
const PARTS: [&str; 5] = ["warm-up", "before", "during", "after", "end"];

/// When the talkers send.
struct Schedule {
    start: Moment,
    /// From one message of any of them to the next, in nanoseconds.
    interval: f64,
    talkers: usize,
    sent: u64,
    send_delay: Latency,
}

impl Schedule {
    fn new(plan: &Plan, start: Moment) -> Schedule {
        let talkers = plan.places();
        let interval = 1e9 / (plan.rate_per_second * talkers as f64);
        Schedule { start, interval, talkers, sent: 0, send_delay: Latency::default() }
    }

    /// When the next message is due.
    fn due(&self) -> Moment {
        self.start + Duration::from_nanos((self.sent as f64 * self.interval) as u64)
    }

    /// Sends all that is due, each talker in turn.
    fn send<D: Dialect>(&mut self, running: &mut Running<'_, D>) {
        let now = running.now();
        while self.due() <= now {
            let (due, slot) = (self.due(), (self.sent % self.talkers as u64) as usize);
            self.send_delay.record(running.now().since(due));
            running.event_loop.send(slot, |clients, out| clients.send(slot, due, out));
            self.sent += 1;
        }
    }
}

/// Talks alone, beside logins, and alone again.
pub(super) fn storm<D: Dialect>(mut running: Running<'_, D>, watch: Watch<'_>) -> Result<Report, LoadError> {
    let (plan, hash) = (running.plan, running.hash);
    running.admit(watch)?;
    (0..plan.places()).for_each(|slot| running.event_loop.clients.prepare(slot, 1));
    running.event_loop.wait_precisely()?;
    let warm = running.now();
    let mut schedule = Schedule::new(plan, warm);
    let start = warm + WARM_UP;
    let borders = [0, 1, 2, 3].map(|parts| start + plan.span * parts);
    running.metrics().timeline = Some(Timeline::new(start, plan.span * 3));
    running.metrics().windows = borders.windows(2).map(|part| Window::new(part[0], part[1])).collect();
    let (mut ended, mut samples) = (borders[3], Vec::with_capacity(borders.len()));
    for (place, border) in borders.into_iter().enumerate() {
        let run = [start, borders[3]];
        talk_until(&mut running, &mut schedule, border, (PARTS[place], run), watch)?;
        samples.push(running.sampler.sample());
        if running.event_loop.cut().is_some() {
            ended = ended.min(running.now());
            continue;
        }
        watch(seconds_done(PARTS[place + 1], border, run, running.metrics()));
        running.event_loop.returns_until = if place == 1 { borders[2] } else { Moment::START };
        for slot in plan.places()..plan.places() + plan.logins {
            match place {
                1 => {
                    let now = running.now();
                    running.event_loop.admit(slot, border, now);
                }
                2 => running.event_loop.break_off(slot),
                _ => {}
            }
        }
    }
    let memory_bytes = running.sampler.server_memory();
    running.event_loop.await_answers()?;
    running.metrics().windows.iter_mut().for_each(|window| window.end_at(ended));
    let intervals: Vec<Interval> = samples.windows(2).map(|pair| pair[1].since(&pair[0])).collect();
    let all = intervals.iter().copied().reduce(Interval::and).unwrap_or_default();
    let (mut report, metrics) = running.finish(all, memory_bytes)?;
    let parts: Vec<Phase> = metrics.windows.iter().zip(&intervals).map(figures).collect();
    if let &[before, during, after] = parts.as_slice() {
        report.tester_was_limit |= [before, during, after].iter().any(|part| is_limit(part.tester_demand()));
        report.storm = Some(Storm {
            login: plan.login,
            logins_at_once: plan.logins,
            hash_us: hash.map(|hash| round(hash.as_secs_f64() * 1e6, 1)),
            rate_per_client: round(plan.rate_per_second, 3),
            before,
            during,
            after,
            lateness_us: schedule.send_delay.percentiles(),
        });
    }
    if let (Some(hash), Some(during)) = (hash, metrics.windows.get(1)) {
        find_unhashed(&mut report, hash, &during.latencies.login);
    }
    report.curves = PARTS[1..4]
        .iter()
        .copied()
        .zip(metrics.windows)
        .map(|(name, window)| (name, window.latencies.message))
        .collect();
    report.timeline = metrics.timeline;
    Ok(report)
}

/// Logins that came back in much less time than a hash takes paid for none, whatever the server did before. A tester that
/// had to wait for a CPU between sending and looking at its clock may take a few for quicker than they were, so that a
/// quarter of them decides.
fn find_unhashed(report: &mut Report, hash: Duration, logins: &Latency) {
    let quick = Duration::from_nanos(logins.nanoseconds_at(QUICK));
    if logins.count() > 0 && quick < hash / HASH_HELD_UP {
        let reason = format!(
            "a quarter of the logins took {quick:?} at most, and a hash takes {hash:?}: the server remembers some"
        );
        report.failed += 1;
        count_failure(&mut report.failures, LoadError::new("not_full", reason));
    }
}

fn talk_until<D: Dialect>(
    running: &mut Running<'_, D>,
    schedule: &mut Schedule,
    until: Moment,
    (part, run): (&'static str, [Moment; 2]),
    watch: Watch<'_>,
) -> Result<(), LoadError> {
    let mut next_look = running.now();
    loop {
        let now = running.now();
        if running.event_loop.is_to_end() {
            return Ok(());
        }
        if now >= until {
            // What was due by then and is late is sent all the same: leaving it out would flatter the server.
            schedule.send(running);
            return Ok(());
        }
        if now >= next_look {
            watch(seconds_done(part, now, run, running.metrics()));
            next_look = now + LOOK;
        }
        schedule.send(running);
        running.event_loop.turn(schedule.due().min(until))?;
    }
}

fn figures((window, interval): (&Window, &Interval)) -> Phase {
    let (messages, logins) = (&window.latencies.message, &window.latencies.login);
    let length = Interval { elapsed: window.until.since(window.from), ..*interval };
    Phase {
        seconds: round(length.elapsed.as_secs_f64(), 3),
        messages_per_second: length.rate(messages.finished() as f64),
        message_us: messages.percentiles(),
        logins_per_second: length.rate(logins.finished() as f64),
        login_us: logins.percentiles(),
        server_processor_share: interval.server.map(|server| interval.share(server.used)),
        tester_processor_share: interval.share(interval.own.used),
        tester_waited_share: interval.own.waited.map(|waited| interval.share(waited)),
    }
}
