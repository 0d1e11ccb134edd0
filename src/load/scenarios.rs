//! The scenarios: what clients of a load do, when, and what is measured of it.

mod storm;

use super::client::{Clients, Policy, State};
use super::connector::Connector;
use super::dialect::Dialect;
use super::error::{Failures, LoadError};
use super::event_loop::EventLoop;
use super::metrics::{Metrics, Window};
use super::report::{AgainstKnock, Back, Idle, Measured, Report};
use super::sampler::{Interval, Sampler, round};
use super::{LoginSort, Plan, Progress, Scenario};
use crate::Moment;
use std::time::Duration;

/// Blocks of each kind when two take turns, at least: enough for a median that one disturbance does not move.
const BLOCKS: u64 = 5;
/// The most clients of a block, so that a run that is cut short has some blocks to tell of.
const BLOCK_MOST: u64 = 1_000;
/// Messages of the first moments are not counted: buffers grow, caches fill.
const WARM_UP: Duration = Duration::from_millis(500);
/// Clients that connect again before the answers to those who did are taken: none shall wait for the last to connect.
const CONNECTING_BETWEEN_TURNS: usize = 16;

/// What a run begins with.
pub(super) struct Setup<'a> {
    pub(super) plan: &'a Plan,
    pub(super) sampler: Sampler,
    pub(super) connector: &'a mut Connector,
    /// How long users took to be registered.
    pub(super) preparation: Duration,
    /// What a login takes that pays for a hash, where each is to.
    pub(super) hash: Option<Duration>,
}

/// A run that is under way, in which clients stay.
struct Running<'a, D: Dialect> {
    plan: &'a Plan,
    sampler: Sampler,
    event_loop: EventLoop<'a, D>,
    preparation: Duration,
    hash: Option<Duration>,
    /// The server's memory before the first connection.
    memory_before_bytes: Option<u64>,
}

type Watch<'w> = &'w mut dyn FnMut(Progress);

/// Does what the plan says. Where it takes turns with visits that only `knock`, that is how they speak.
pub(super) fn run<D: Dialect + Clone>(
    setup: Setup<'_>,
    dialect: D,
    knock: Option<D>,
    watch: Watch<'_>,
) -> Result<Report, LoadError> {
    let plan = setup.plan;
    let mut clients = Clients::new(dialect.clone(), plan.size_bytes, 0);
    clients.add(plan.places(), Policy::Stays);
    match plan.scenario {
        Scenario::Sequential | Scenario::Knock => sequential(setup, &dialect, knock.as_ref(), watch),
        Scenario::Steady => steady(Running::new(setup, clients)?, watch),
        Scenario::Idle => idle(Running::new(setup, clients)?, watch),
        Scenario::Reconnect => reconnect(Running::new(setup, clients)?, watch),
        Scenario::Storm => {
            let resumes = plan.login == LoginSort::Resume;
            clients.add(plan.logins, if resumes { Policy::Resumes } else { Policy::Returns });
            storm::storm(Running::new(setup, clients)?, watch)
        }
    }
}

/// A block of visits, the block of knocks before it, and how many there were in each.
struct Pair {
    visits: Interval,
    knocks: Interval,
    clients: u64,
}

/// All clients, one after another or so many at a time.
fn sequential<D: Dialect + Clone>(
    mut setup: Setup<'_>,
    dialect: &D,
    knock: Option<&D>,
    watch: Watch<'_>,
) -> Result<Report, LoadError> {
    let (plan, sampler, total) = (setup.plan, setup.sampler, setup.plan.clients);
    let memory_before = sampler.server_memory();
    let mut measured = Measured { preparation: setup.preparation, ..Measured::default() };
    let mut blocks = Vec::new();
    while measured.clients < total && measured.cut.is_none() {
        let left = total - measured.clients;
        let length = if knock.is_some() { total.div_ceil(BLOCKS).min(BLOCK_MOST).min(left) } else { left };
        let mut knocks = None;
        if let Some(knock) = knock {
            let (metrics, interval) = block(&mut setup, knock, length, &mut measured, &mut |_| {})?;
            measured.add_failures(metrics);
            knocks = Some(interval);
            if measured.cut.is_some() {
                break;
            }
        }
        let (before, failed) = (measured.clients, measured.failed);
        let (metrics, interval) = block(&mut setup, dialect, length, &mut measured, &mut |metrics| {
            let (done, failed) = (before + metrics.visits, failed + metrics.failed);
            watch(Progress { part: "measured", counted: "clients", done, total, failed });
        })?;
        if let (Some(knocks), None) = (knocks, measured.cut) {
            blocks.push(Pair { visits: interval, knocks, clients: length });
        }
        measured.clients += metrics.visits;
        measured.latencies.merge(&metrics.latencies());
        measured.interval = if before == 0 { interval } else { measured.interval.and(interval) };
        measured.add_failures(metrics);
    }
    measured.memory_bytes = [memory_before, sampler.server_memory()];
    let mut report = Report::new(plan, &sampler, setup.connector.server(), measured);
    report.against_knock = (!blocks.is_empty()).then(|| compared(&blocks));
    Ok(report)
}

fn block<D: Dialect + Clone>(
    setup: &mut Setup<'_>,
    dialect: &D,
    visits: u64,
    measured: &mut Measured,
    watch: &mut dyn FnMut(&Metrics),
) -> Result<(Metrics, Interval), LoadError> {
    let (plan, sampler) = (setup.plan, setup.sampler);
    let mut clients = Clients::new(dialect.clone(), plan.size_bytes, plan.messages.into());
    clients.metrics = Metrics::unbounded();
    clients.begin_numbers_at(measured.clients);
    clients.add(plan.places(), Policy::Returns);
    let mut event_loop =
        EventLoop::new(setup.connector, sampler.clock, plan.timeouts, &plan.interrupt, clients)?;
    let began = sampler.sample();
    event_loop.visit(visits, false, &mut |clients| watch(&clients.metrics))?;
    let interval = sampler.sample().since(&began);
    measured.cut = measured.cut.or(event_loop.cut());
    Ok((event_loop.clients.metrics, interval))
}

fn compared(blocks: &[Pair]) -> AgainstKnock {
    let median = |figure: &dyn Fn(&Pair) -> Option<Duration>| {
        let each = |pair: &Pair| Some(figure(pair)?.as_secs_f64() * 1e6 / pair.clients.max(1) as f64);
        let mut figures: Vec<f64> = blocks.iter().filter_map(each).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).map(|figure| round(*figure, 2))
    };
    let ratio = |client: f64, knock: f64| (knock > 0.0).then(|| round(client / knock, 3));
    let us_per_client = median(&|pair| Some(pair.visits.elapsed)).unwrap_or_default();
    let us_per_knock = median(&|pair| Some(pair.knocks.elapsed)).unwrap_or_default();
    let server_us_per_client = median(&|pair| pair.visits.server.map(|server| server.used));
    let server_us_per_knock = median(&|pair| pair.knocks.server.map(|server| server.used));
    AgainstKnock {
        blocks: blocks.len(),
        us_per_client,
        us_per_knock,
        ratio: ratio(us_per_client, us_per_knock).unwrap_or_default(),
        server_us_per_client,
        server_us_per_knock,
        server_ratio: server_us_per_client.zip(server_us_per_knock).and_then(|(a, b)| ratio(a, b)),
    }
}

impl<'a, D: Dialect> Running<'a, D> {
    fn new(setup: Setup<'a>, clients: Clients<D>) -> Result<Running<'a, D>, LoadError> {
        let Setup { plan, sampler, connector, preparation, hash } = setup;
        let event_loop = EventLoop::new(connector, sampler.clock, plan.timeouts, &plan.interrupt, clients)?;
        let memory_before_bytes = sampler.server_memory();
        Ok(Running { plan, sampler, event_loop, preparation, hash, memory_before_bytes })
    }

    fn now(&self) -> Moment {
        self.sampler.clock.now()
    }

    fn metrics(&mut self) -> &mut Metrics {
        &mut self.event_loop.clients.metrics
    }

    /// Lets in all who stay.
    ///
    /// # Errors
    /// [`LoadError`] if not one of them got in.
    fn admit(&mut self, watch: Watch<'_>) -> Result<(), LoadError> {
        let total = self.plan.clients;
        self.event_loop.admit_all(0..self.plan.places(), &mut |clients| {
            let (done, failed) = (clients.inside as u64, clients.metrics.failed);
            watch(Progress { part: "entering", counted: "clients inside", done, total, failed });
        })?;
        let clients = &self.event_loop.clients;
        let (done, failed) = (clients.inside as u64, clients.metrics.failed);
        watch(Progress { part: "inside", counted: "clients inside", done, total, failed });
        match clients.metrics.failures.iter().next() {
            Some((kind, Failures { reason, .. })) if clients.inside == 0 => {
                Err(LoadError::new(kind.clone(), reason.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Turns until that moment of a `part` of a run that began then and ends at `end`.
    fn turn_until(
        &mut self,
        until: Moment,
        part: &'static str,
        [start, end]: [Moment; 2],
        watch: Watch<'_>,
    ) -> Result<(), LoadError> {
        let clock = self.sampler.clock;
        self.event_loop.turn_until(until, &mut |clients| {
            watch(seconds_done(part, clock.now(), [start, end], &clients.metrics));
        })
    }

    /// Sends everybody home and gives the report's common part. What it has measured are its windows.
    fn finish(
        mut self,
        interval: Interval,
        memory_after_bytes: Option<u64>,
    ) -> Result<(Report, Metrics), LoadError> {
        self.event_loop.dismiss()?;
        let cut = self.event_loop.cut();
        let server = self.event_loop.server();
        let clients = self.event_loop.clients;
        let measured = Measured {
            clients: clients.len() as u64,
            failed: clients.metrics.failed,
            failures: clients.metrics.failures.clone(),
            latencies: clients.metrics.latencies(),
            preparation: self.preparation,
            interval,
            memory_bytes: [self.memory_before_bytes, memory_after_bytes],
            cut,
        };
        Ok((Report::new(self.plan, &self.sampler, server, measured), clients.metrics))
    }
}

/// How far a run is that takes so many seconds.
fn seconds_done(part: &'static str, now: Moment, run: [Moment; 2], metrics: &Metrics) -> Progress {
    let (done, total) = (now.since(run[0]).as_secs(), run[1].since(run[0]).as_secs());
    Progress { part, counted: "seconds", done, total, failed: metrics.failed }
}

/// Each client keeps so many messages in flight for some seconds.
fn steady<D: Dialect>(mut running: Running<'_, D>, watch: Watch<'_>) -> Result<Report, LoadError> {
    let plan = running.plan;
    running.admit(watch)?;
    let places = if running.event_loop.cut().is_some() { 0 } else { plan.places() };
    (0..places).for_each(|slot| running.event_loop.clients.prepare(slot, plan.in_flight));
    let start = running.now();
    let from = start + WARM_UP.min(plan.span);
    let run = [start, from + plan.span];
    running.event_loop.clients.talks_until = run[1];
    running.metrics().windows.push(Window { has_requests_before: true, ..Window::new(from, run[1]) });
    for slot in 0..places {
        let first = |clients: &mut Clients<D>, out: &mut Vec<u8>| {
            clients.begin_requests(slot, plan.in_flight, start, out);
        };
        running.event_loop.send(slot, first);
    }
    running.turn_until(from, "warm-up", run, watch)?;
    watch(seconds_done("measured", from, run, running.metrics()));
    let began = running.sampler.sample();
    running.turn_until(run[1], "measured", run, watch)?;
    let interval = running.sampler.sample().since(&began);
    watch(seconds_done("end", run[1], run, running.metrics()));
    let memory_bytes = running.sampler.server_memory();
    running.event_loop.await_answers()?;
    let (mut report, _) = running.finish(interval, memory_bytes)?;
    report.in_flight = Some(plan.in_flight);
    Ok(report)
}

/// All clients come in and stay, silent, for some seconds.
fn idle<D: Dialect>(mut running: Running<'_, D>, watch: Watch<'_>) -> Result<Report, LoadError> {
    let plan = running.plan;
    *running.metrics() = Metrics::unbounded();
    let began = running.sampler.sample();
    running.admit(watch)?;
    let all_in = running.sampler.sample();
    let start = running.now();
    let end = start + plan.span;
    running.turn_until(end, "measured", [start, end], watch)?;
    let held = running.sampler.sample().since(&all_in);
    let memory_bytes = running.sampler.server_memory();
    let inside = running.event_loop.clients.inside;
    let memory_before_bytes = running.memory_before_bytes;
    let (mut report, _) = running.finish(all_in.since(&began), memory_bytes)?;
    let grown = memory_bytes.zip(memory_before_bytes).map(|(after, before)| after as f64 - before as f64);
    let share = |cpu: Duration| round(cpu.as_secs_f64() / held.elapsed.as_secs_f64().max(1e-9), 5);
    report.idle = Some(Idle {
        held: inside,
        held_seconds: round(held.elapsed.as_secs_f64(), 3),
        memory_per_connection_bytes: grown.map(|grown| round(grown / inside.max(1) as f64, 1)),
        server_processor_share: held.server.map(|server| share(server.used)),
    });
    Ok(report)
}

/// All clients are cut off at once, and all come back at once with their tokens.
fn reconnect<D: Dialect>(mut running: Running<'_, D>, watch: Watch<'_>) -> Result<Report, LoadError> {
    running.admit(watch)?;
    let cut_off = running.event_loop.clients.inside;
    let began = running.sampler.sample();
    let cut = running.now();
    running.metrics().windows.push(Window::new(cut, Moment::NEVER));
    let is_inside = |slot: &usize| running.event_loop.clients.state(*slot) == State::Inside;
    let slots: Vec<usize> = (0..running.plan.places()).filter(is_inside).collect();
    slots.iter().for_each(|slot| running.event_loop.break_off(*slot));
    for some in slots.chunks(CONNECTING_BETWEEN_TURNS) {
        for slot in some {
            let now = running.now();
            running.event_loop.admit(*slot, cut, now);
        }
        running.event_loop.turn(cut)?;
    }
    running.event_loop.admit_all(0..0, &mut |clients| {
        let (done, total) = (clients.inside as u64, cut_off as u64);
        let failed = clients.metrics.failed;
        watch(Progress { part: "measured", counted: "clients back", done, total, failed });
    })?;
    // Where not one came back there was no measurement to speak of.
    running.event_loop.is_to_end();
    let interval = running.sampler.sample().since(&began);
    let memory_bytes = running.sampler.server_memory();
    let (mut report, _) = running.finish(interval, memory_bytes)?;
    let resume = report.latencies.resume.clone();
    report.reconnect = Some(Back {
        cut_off,
        came_back: resume.finished(),
        all_back_seconds: round(resume.nanoseconds_at(1.0) as f64 / 1e9, 6),
        back_us: resume.percentiles(),
    });
    report.curves.push(("back", resume));
    Ok(report)
}
