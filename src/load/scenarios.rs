//! The scenarios: what clients of a load do, when, and what is measured of it.

use super::client::{Clients, Policy, State};
use super::connection::Connector;
use super::dialect::Dialect;
use super::error::{LoadError, first_failure};
use super::event_loop::EventLoop;
use super::metrics::{Metrics, Timeline, Window};
use super::report::{AgainstKnock, Back, Idle, Measured, Report};
use super::sampler::{Sample, Sampler, round};
use super::schedule::Schedule;
use super::visits::Visits;
use super::{LoginSort, Plan, Progress, Scenario, storm};
use crate::Moment;
use std::time::Duration;

/// Blocks of each kind when two take turns, at least: enough for a median that one disturbance does not move.
const BLOCKS: u64 = 5;
/// The most clients of a block, so that a run that is cut short has some blocks to show.
const BLOCK_MOST: u64 = 1_000;
/// Messages of the first moments are not counted: buffers grow, caches fill.
const WARM_UP: Duration = Duration::from_millis(500);
const WARM_UP_PART: &str = "warm-up";
/// Clients on their way in at once while everybody enters: a full-cost login takes its time, and the server refuses
/// those who would wait too long.
const ENTERING: usize = 8;

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

type Watch<'w> = &'w mut dyn FnMut(Progress);

/// Does what the plan says. Where it takes turns with visits that only `knock`, that is how they speak.
pub(super) fn run<D: Dialect + Clone>(
    setup: Setup<'_>,
    dialect: D,
    knock: Option<D>,
    watch: Watch<'_>,
) -> Result<Report, LoadError> {
    match setup.plan.scenario {
        Scenario::Sequential | Scenario::Knock => sequential(setup, &dialect, knock.as_ref(), watch),
        Scenario::Steady | Scenario::Idle | Scenario::Storm => stay(Running::new(setup, dialect)?, watch),
        Scenario::Reconnect => reconnect(Running::new(setup, dialect)?, watch),
    }
}

/// All clients, one after another or so many at a time; where they take turns with others that only `knock`, in blocks.
fn sequential<D: Dialect + Clone>(
    setup: Setup<'_>,
    dialect: &D,
    knock: Option<&D>,
    watch: Watch<'_>,
) -> Result<Report, LoadError> {
    let Setup { plan, sampler, connector, preparation, .. } = setup;
    let total = plan.clients;
    let memory_before = sampler.server_memory();
    let (mut measured, mut blocks) = (Measured { preparation, ..Measured::default() }, Vec::new());
    while measured.clients < total && measured.cut.is_none() {
        let left = total - measured.clients;
        let count = if knock.is_some() { total.div_ceil(BLOCKS).min(BLOCK_MOST).min(left) } else { left };
        let mut block = |dialect: &D, first, watch: &mut dyn FnMut(&Metrics)| {
            let (dialect, messages, at_once) = (dialect.clone(), plan.messages.into(), plan.places());
            let timeouts = plan.timeouts;
            let visits =
                Visits { dialect, first, count, messages, at_once, stops_at_failure: false, timeouts };
            visits.make(connector, plan, &sampler, watch)
        };
        let mut knocks = None;
        if let Some(knock) = knock {
            let block = block(knock, measured.clients, &mut |_| {})?;
            measured.metrics.add_failures(block.metrics);
            knocks = Some(block.interval);
            measured.cut = block.cut;
            if measured.cut.is_some() {
                break;
            }
        }
        let (before, failed) = (measured.clients, measured.metrics.failed);
        let block = block(dialect, before, &mut |metrics| {
            let (done, failed) = (before + metrics.visits, failed + metrics.failed);
            watch(Progress { part: "measured", counted: "clients", done, total, failed });
        })?;
        if let (Some(knocks), None) = (knocks, block.cut) {
            blocks.push(Pair { visits: block.interval, knocks, clients: count });
        }
        measured.cut = block.cut;
        measured.clients += block.metrics.visits;
        measured.interval = if before == 0 { block.interval } else { measured.interval.and(block.interval) };
        measured.metrics.add(block.metrics);
    }
    measured.memory_bytes = [memory_before, sampler.server_memory()];
    let mut report = Report::new(plan, &sampler, connector.server, &measured);
    report.against_knock = (!blocks.is_empty()).then(|| compared(&blocks));
    Ok(report)
}

/// A block of visits, the block of knocks before it, and how many there were in each.
struct Pair {
    visits: Sample,
    knocks: Sample,
    clients: u64,
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

/// A run that is under way, in which clients stay.
struct Running<'a, D: Dialect> {
    plan: &'a Plan,
    sampler: Sampler,
    event_loop: EventLoop<'a, D>,
    preparation: Duration,
    hash: Option<Duration>,
    /// The server's memory before the first connection.
    memory_before: Option<u64>,
}

impl<'a, D: Dialect> Running<'a, D> {
    fn new(setup: Setup<'a>, dialect: D) -> Result<Running<'a, D>, LoadError> {
        let Setup { plan, sampler, connector, preparation, hash } = setup;
        let mut clients = Clients::new(dialect, plan.size_bytes, 0);
        clients.add(plan.places(), Policy::Stays);
        let logins = if plan.scenario == Scenario::Storm { plan.logins } else { 0 };
        let resumes = plan.login == LoginSort::Resume;
        clients.add(logins, if resumes { Policy::Resumes } else { Policy::Returns });
        let event_loop = EventLoop::new(connector, sampler.clock, plan.timeouts, &plan.interrupt, clients)?;
        let memory_before = sampler.server_memory();
        Ok(Running { plan, sampler, event_loop, preparation, hash, memory_before })
    }

    fn clients(&mut self) -> &mut Clients<D> {
        &mut self.event_loop.clients
    }

    /// Lets in all who stay.
    ///
    /// # Errors
    /// [`LoadError`] if not one of them got in.
    fn admit(&mut self, watch: Watch<'_>) -> Result<(), LoadError> {
        self.event_loop.entering_most = ENTERING;
        self.event_loop.enter(0..self.plan.places(), None);
        self.await_entering(("entering", "clients inside"), self.plan.clients, watch)?;
        self.event_loop.entering_most = usize::MAX;
        let (total, clients) = (self.plan.clients, self.clients());
        watch(inside("inside", "clients inside", total, clients));
        match first_failure(&clients.metrics.failures) {
            Some(error) if clients.inside == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// Turns until nobody is on the way in any more.
    fn await_entering(
        &mut self,
        (part, counted): (&'static str, &'static str),
        total: u64,
        watch: Watch<'_>,
    ) -> Result<(), LoadError> {
        let mut look = |clients: &Clients<D>| watch(inside(part, counted, total, clients));
        let goes_on = |it: &mut EventLoop<'_, D>| it.is_entering() && it.cut().is_none();
        self.event_loop.turn_while(Moment::NEVER, &mut look, goes_on)
    }

    /// Has those who are there send as the scenario wants it, and what they do measured by the parts of the run.
    fn begin_messages(&mut self, parts: &[Part]) -> Result<(), LoadError> {
        let Plan { scenario, in_flight, rate_per_second, .. } = *self.plan;
        let places = self.plan.places();
        let (begin, [start, end]) = (parts[0].from, span(parts));
        if scenario == Scenario::Idle || self.event_loop.cut().is_some() {
            // How they come in is what is measured; and to a server that is gone nobody sends.
            return Ok(());
        }
        let has_requests_before = scenario == Scenario::Steady;
        let window = |part: &Part| Window { has_requests_before, ..Window::new(part.from, part.until) };
        self.clients().metrics.windows = measured(parts).map(window).collect();
        if scenario == Scenario::Storm {
            self.clients().metrics.timeline = Some(Timeline::new(start, end.since(start)));
            return self.event_loop.begin_schedule(Schedule::new(begin, places, rate_per_second));
        }
        self.clients().talks_until = end;
        for slot in 0..places {
            let first = |clients: &mut Clients<D>, out: &mut Vec<u8>| {
                clients.begin_requests(slot, in_flight, begin, out);
            };
            self.event_loop.send(slot, first);
        }
        Ok(())
    }

    /// Goes through the parts of the run, and gives what passed in each that is measured.
    fn measure(&mut self, parts: &[Part], watch: Watch<'_>) -> Result<Vec<Sample>, LoadError> {
        let (sampler, run, mut samples) = (self.sampler, span(parts), Vec::new());
        for Part { name, from, until } in parts.iter().copied() {
            if name != WARM_UP_PART {
                samples.push(sampler.sample());
            }
            if self.event_loop.cut().is_some() {
                continue;
            }
            let logins = self.plan.places()..self.event_loop.clients.all.len();
            match name {
                "during" => {
                    self.event_loop.returns_until = until;
                    self.event_loop.enter(logins, Some(from));
                }
                "after" => {
                    self.event_loop.stop_returns();
                    logins.for_each(|slot| self.event_loop.break_off(slot));
                }
                _ => {}
            }
            let mut look = |clients: &Clients<D>| {
                watch(seconds_done(name, sampler.clock.now(), run, &clients.metrics));
            };
            self.event_loop.turn_while(until, &mut look, |it| !it.is_to_end())?;
        }
        samples.push(sampler.sample());
        watch(seconds_done("end", run[1], run, &self.event_loop.clients.metrics));
        Ok(samples.windows(2).map(|pair| pair[1].since(&pair[0])).collect())
    }

    /// Sends everybody home and gives the report's common part, with what was measured. What it has measured are its windows.
    fn finish(mut self, interval: Sample, memory_after: Option<u64>) -> Result<(Report, Metrics), LoadError> {
        self.event_loop.dismiss()?;
        let measured = Measured {
            clients: self.event_loop.clients.all.len() as u64,
            preparation: self.preparation,
            interval,
            memory_bytes: [self.memory_before, memory_after],
            cut: self.event_loop.cut(),
            metrics: self.event_loop.clients.metrics,
        };
        let server = self.event_loop.connector.server;
        Ok((Report::new(self.plan, &self.sampler, server, &measured), measured.metrics))
    }
}

/// How many are inside.
fn inside<D: Dialect>(
    part: &'static str,
    counted: &'static str,
    total: u64,
    clients: &Clients<D>,
) -> Progress {
    Progress { part, counted, done: clients.inside as u64, total, failed: clients.metrics.failed }
}

/// A part of a run by the clock.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    from: Moment,
    until: Moment,
}

fn parts(plan: &Plan, begin: Moment) -> Vec<Part> {
    let names: &[&'static str] = match plan.scenario {
        Scenario::Storm => &[WARM_UP_PART, "before", "during", "after"],
        Scenario::Steady => &[WARM_UP_PART, "measured"],
        _ => &["measured"],
    };
    let mut from = begin;
    let part = |name: &&'static str| {
        let span = if *name == WARM_UP_PART { WARM_UP.min(plan.span) } else { plan.span };
        let part = Part { name, from, until: from + span };
        from = part.until;
        part
    };
    names.iter().map(part).collect()
}

fn measured(parts: &[Part]) -> impl Iterator<Item = &Part> {
    parts.iter().filter(|part| part.name != WARM_UP_PART)
}

/// From the beginning of the first part that is measured to the end of the last.
fn span(parts: &[Part]) -> [Moment; 2] {
    let from = measured(parts).next().map_or(Moment::START, |part| part.from);
    [from, parts.last().map_or(from, |part| part.until)]
}

/// All clients come in and stay for some seconds: silent, each with so many messages in flight, or sending by the clock,
/// alone, beside logins and alone again.
fn stay<D: Dialect>(mut running: Running<'_, D>, watch: Watch<'_>) -> Result<Report, LoadError> {
    let (plan, sampler, hash) = (running.plan, running.sampler, running.hash);
    let is_idle = plan.scenario == Scenario::Idle;
    if is_idle {
        running.clients().metrics = Metrics::unbounded();
    }
    let began = sampler.sample();
    running.admit(watch)?;
    let entered = sampler.sample().since(&began);
    if !is_idle {
        (0..plan.places()).for_each(|slot| running.clients().prepare(slot, plan.in_flight));
    }
    let parts = parts(plan, sampler.clock.now());
    running.begin_messages(&parts)?;
    let intervals = running.measure(&parts, watch)?;
    let all = intervals.iter().copied().reduce(Sample::and).unwrap_or_default();
    let send_delay = running.event_loop.end_schedule();
    let ended = running.event_loop.cut().map_or(Moment::NEVER, |_| sampler.clock.now());
    let memory_bytes = [running.memory_before, sampler.server_memory()];
    let held = running.clients().inside;
    running.event_loop.await_answers()?;
    running.clients().metrics.windows.iter_mut().for_each(|window| window.end_at(ended));
    let (mut report, metrics) = running.finish(if is_idle { entered } else { all }, memory_bytes[1])?;
    match plan.scenario {
        Scenario::Steady => report.in_flight = Some(plan.in_flight),
        Scenario::Idle => report.idle = Some(Idle::new(held, &all, memory_bytes)),
        _ => storm::add(&mut report, plan, (metrics, send_delay), &intervals, hash),
    }
    Ok(report)
}

/// How far a run is that takes so many seconds.
fn seconds_done(part: &'static str, now: Moment, run: [Moment; 2], metrics: &Metrics) -> Progress {
    let (done, total) = (now.since(run[0]).as_secs(), run[1].since(run[0]).as_secs());
    Progress { part, counted: "seconds", done, total, failed: metrics.failed }
}

/// All clients are cut off at once, and all come back at once with their tokens.
fn reconnect<D: Dialect>(mut running: Running<'_, D>, watch: Watch<'_>) -> Result<Report, LoadError> {
    running.admit(watch)?;
    let sampler = running.sampler;
    let (cut_off, began, cut) = (running.clients().inside, sampler.sample(), sampler.clock.now());
    running.clients().metrics.windows.push(Window::new(cut, Moment::NEVER));
    let is_inside = |slot: &usize| running.event_loop.clients.all[*slot].state == State::Inside;
    let slots: Vec<usize> = (0..running.plan.places()).filter(is_inside).collect();
    slots.iter().for_each(|slot| running.event_loop.break_off(*slot));
    running.event_loop.enter(slots, Some(cut));
    running.await_entering(("measured", "clients back"), cut_off as u64, watch)?;
    // Where not one came back there was no measurement to speak of.
    running.event_loop.is_to_end();
    let interval = sampler.sample().since(&began);
    let memory_bytes = sampler.server_memory();
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
