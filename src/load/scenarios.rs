//! The scenarios: what clients of a load do, when, and what is measured of it.

mod chat;

use super::client::{Clients, Policy, State};
use super::connection::Connector;
use super::dialect::{Dialect, Role};
use super::error::{LoadError, first_failure};
use super::event_loop::EventLoop;
use super::metrics::{Latency, Metrics, Timeline, Window};
use super::report::{AgainstKnock, Back, Idle, Pair, Phase, Report, Storm};
use super::sampler::{Sample, Sampler, round};
use super::schedule::Schedule;
use super::{LoginSort, Part, Plan, Progress, Scenario, prepare};
use crate::Moment;
use std::net::SocketAddr;
use std::time::Duration;

/// Blocks of each kind when two take turns, at least: enough for a median that one disturbance does not move.
const BLOCKS: u64 = 5;
/// The most clients of a block, so that a run that is cut short has some blocks to show.
const BLOCK_MOST: u64 = 1_000;
/// Messages of the first moments are not counted: buffers grow, caches fill.
const WARM_UP: Duration = Duration::from_millis(500);
/// Clients on their way in at once while everybody enters: a full-cost login takes its time, and the server refuses
/// those who would wait too long.
pub(super) const ENTERING: usize = 8;
/// A run that is under way.
pub(super) struct Run<'a, D: Dialect> {
    pub(super) plan: &'a Plan,
    pub(super) sampler: Sampler<'a>,
    pub(super) event_loop: EventLoop<D>,
    /// How long users took to be registered.
    pub(super) preparation: Duration,
    /// What a login takes that pays for a hash, where each is to.
    pub(super) hash: Option<Duration>,
    /// The server's memory before the first connection that is measured.
    pub(super) memory_before: Option<u64>,
}

type Watch<'w> = &'w mut dyn FnMut(Progress);

/// Clients that connect, log in, send and leave, one after another or so many at a time.
#[derive(Clone, Copy)]
pub(super) struct Visits<D> {
    pub(super) dialect: D,
    pub(super) first: u64,
    pub(super) count: u64,
    /// Of each client.
    pub(super) messages: u64,
    pub(super) at_once: usize,
    pub(super) stops_at_failure: bool,
}

impl<'a, D: Dialect + Clone> Run<'a, D> {
    /// A run at this server, where nobody has come yet.
    pub(super) fn new(
        plan: &'a Plan,
        sampler: Sampler<'a>,
        server: SocketAddr,
        dialect: D,
    ) -> Result<Run<'a, D>, LoadError> {
        let clients = Clients::new(dialect, plan.size_bytes, 0);
        let connector = Connector::settled(plan, server)?;
        let event_loop = EventLoop::new(connector, sampler.clock, plan, clients)?;
        Ok(Run { plan, sampler, event_loop, preparation: Duration::ZERO, hash: None, memory_before: None })
    }

    /// Does what the plan says. Where it takes turns with visits that only `knock`, that is how they speak.
    pub(super) fn go(mut self, dialect: D, knock: Option<D>, watch: Watch<'_>) -> Result<Report, LoadError> {
        self.memory_before = self.sampler.server_memory();
        if let Scenario::Sequential | Scenario::Knock = self.plan.scenario {
            return self.sequential(&dialect, knock.as_ref(), watch);
        }
        let mut clients = Clients::new(dialect, self.plan.size_bytes, 0);
        clients.add(self.plan.places(), Policy::Stays);
        if self.plan.scenario == Scenario::Chat {
            clients.chat();
            self.event_loop.put_whispers_first()?;
        }
        if self.plan.scenario == Scenario::Storm {
            let resumes = self.plan.login == LoginSort::Resume;
            clients.add(self.plan.logins, if resumes { Policy::Resumes } else { Policy::Returns });
        }
        self.event_loop.replace(clients, None);
        if self.plan.scenario == Scenario::Reconnect { self.reconnect(watch) } else { self.stay(watch) }
    }

    fn metrics(&mut self) -> &mut Metrics {
        &mut self.event_loop.clients.metrics
    }

    fn is_cut(&self) -> bool {
        self.event_loop.watchdog.cut.is_some()
    }

    /// Has visits made until all came to their end or the run is cut short, and gives what came of them.
    pub(super) fn visit(
        &mut self,
        visits: Visits<D>,
        watch: &mut dyn FnMut(&Metrics),
    ) -> Result<(Metrics, Sample), LoadError> {
        let Visits { dialect, first, count, messages, at_once, stops_at_failure } = visits;
        let slots = usize::try_from(count).unwrap_or(usize::MAX).min(at_once);
        let mut clients = Clients::new(dialect, self.plan.size_bytes, messages);
        clients.metrics.windows.push(Window::of_all());
        clients.next_number = first;
        clients.add(slots, Policy::Returns);
        let (began, event_loop) = (self.sampler.sample(), &mut self.event_loop);
        event_loop.replace(clients, Some(count - slots as u64));
        event_loop.enter(0..slots, None);
        event_loop.turn_while(Moment::NEVER, &mut |clients| watch(&clients.metrics), |it| {
            let Metrics { visits, failed, .. } = it.clients.metrics;
            visits < count && it.watchdog.cut.is_none() && !(stops_at_failure && failed > 0)
        })?;
        event_loop.give_up(0..slots);
        let metrics = std::mem::take(&mut event_loop.clients.metrics);
        watch(&metrics);
        Ok((metrics, self.sampler.sample().since(began)))
    }

    /// All clients, one after another or so many at a time; where they take turns with others that only `knock`, in blocks.
    fn sequential(mut self, dialect: &D, knock: Option<&D>, watch: Watch<'_>) -> Result<Report, LoadError> {
        let (plan, total) = (self.plan, self.plan.clients);
        let most = if knock.is_some() { total.div_ceil(BLOCKS).min(BLOCK_MOST) } else { total };
        let (mut sum, mut intervals, mut pairs) = (Metrics::default(), Vec::new(), Vec::new());
        while sum.visits < total && !self.is_cut() {
            let (first, clients) = (sum.visits, most.min(total - sum.visits));
            let visits = |dialect: &D| {
                let (dialect, messages, at_once) = (dialect.clone(), plan.messages.into(), plan.places());
                Visits { dialect, first, count: clients, messages, at_once, stops_at_failure: false }
            };
            let mut knocks = None;
            if let Some(knock) = knock {
                let (metrics, interval) = self.visit(visits(knock), &mut |_| {})?;
                sum.add_failures(metrics);
                if self.is_cut() {
                    break;
                }
                knocks = Some(interval);
            }
            let failed = sum.failed;
            let (metrics, interval) = self.visit(visits(dialect), &mut |metrics| {
                let (done, failed) = (first + metrics.visits, failed + metrics.failed);
                watch(Progress { part: Part::Measured, counted: "clients", done, total, failed });
            })?;
            if !self.is_cut() {
                pairs.extend(knocks.map(|knocks| Pair { visits: interval, knocks, clients }));
            }
            intervals.push(interval);
            sum.add(metrics);
        }
        let (visits, memory_after) = (sum.visits, self.sampler.server_memory());
        *self.metrics() = sum;
        let all = intervals.into_iter().reduce(Sample::and).unwrap_or_default();
        let mut report = Report::new(&self, visits, &all, memory_after);
        report.against_knock = (!pairs.is_empty()).then(|| AgainstKnock::new(&pairs));
        Ok(report)
    }

    /// Lets in all who stay, of whom one at least must get in.
    fn admit(&mut self, watch: Watch<'_>) -> Result<(), LoadError> {
        self.event_loop.entering_most = ENTERING;
        self.event_loop.enter(0..self.plan.places(), None);
        let total = self.plan.places() as u64;
        self.await_entering((Part::Entering, "clients inside"), total, watch)?;
        self.event_loop.entering_most = usize::MAX;
        let clients = &self.event_loop.clients;
        watch(inside((Part::Inside, "clients inside"), total, clients));
        match first_failure(&clients.metrics.failures) {
            Some(error) if clients.inside == 0 => Err(error),
            _ => Ok(()),
        }
    }

    fn await_entering(&mut self, words: Words, total: u64, watch: Watch<'_>) -> Result<(), LoadError> {
        let mut look = |clients: &Clients<D>| watch(inside(words, total, clients));
        let goes_on = |it: &mut EventLoop<D>| it.is_entering() && it.watchdog.cut.is_none();
        self.event_loop.turn_while(Moment::NEVER, &mut look, goes_on)
    }

    /// All clients come in and stay for some seconds: silent, each with so many messages in flight, or sending by the clock,
    /// alone, beside logins and alone again, or reading what one writes.
    fn stay(mut self, watch: Watch<'_>) -> Result<Report, LoadError> {
        let (plan, sampler) = (self.plan, self.sampler);
        let is_idle = plan.scenario == Scenario::Idle;
        if is_idle {
            // How they come in is what is measured.
            self.metrics().windows.push(Window::of_all());
        }
        let began = sampler.sample();
        self.admit(watch)?;
        let entered = sampler.sample().since(began);
        if plan.scenario == Scenario::Chat {
            self.event_loop.clients.begin_chat(plan.in_flight);
        } else if !is_idle {
            (0..plan.places()).for_each(|slot| self.event_loop.clients.prepare(slot, plan.in_flight));
        }
        let begin = sampler.clock.now();
        let (first, run) = self.begin_windows(begin);
        self.begin_messages(begin, run);
        let all = self.measure(first, run, watch)?;
        let deliveries = self.event_loop.clients.deliveries;
        let send_delay = self.event_loop.end_schedules();
        let ended = if self.is_cut() { sampler.clock.now() } else { Moment::NEVER };
        let (memory_after, held) = (sampler.server_memory(), self.event_loop.clients.inside);
        self.event_loop.await_answers()?;
        self.metrics().windows.iter_mut().for_each(|window| window.end_at(ended));
        let interval = match plan.scenario {
            Scenario::Idle => entered,
            Scenario::Chat => self.metrics().windows.last().map_or(all, |window| window.used),
            _ => all,
        };
        let mut report = self.finish(&interval, memory_after)?;
        match plan.scenario {
            Scenario::Steady => report.in_flight = Some(plan.in_flight),
            Scenario::Idle => report.idle = Some(Idle::new(held, &all, [self.memory_before, memory_after])),
            Scenario::Chat => self.report_chat(&mut report, deliveries, &interval, &send_delay),
            _ => self.report_storm(&mut report, &send_delay),
        }
        Ok(report)
    }

    /// The parts of the run that are measured begin now, or after a warm-up. Gives the place of the first, and the moments
    /// between which they lie.
    fn begin_windows(&mut self, now: Moment) -> (usize, [Moment; 2]) {
        let Plan { scenario, span, .. } = *self.plan;
        let from = if scenario == Scenario::Idle { now } else { now + WARM_UP.min(span) };
        let parts: &[_] = match scenario {
            Scenario::Storm => &[Part::Before, Part::During, Part::After],
            Scenario::Chat => &[Part::Rest, Part::Measured],
            _ => &[Part::Measured],
        };
        let has_requests_before = scenario == Scenario::Steady;
        let (windows, mut until) = (&mut self.metrics().windows, from);
        let first = windows.len();
        for part in parts {
            let length = if *part == Part::Rest { span.min(chat::REST_MOST) } else { span };
            let window = Window::new(*part, until, until + length);
            until = window.until;
            windows.push(Window { has_requests_before, ..window });
        }
        (first, [from, until])
    }

    /// Has those who are there send as the scenario wants it. To a server that is gone nobody sends.
    fn begin_messages(&mut self, begin: Moment, [from, until]: [Moment; 2]) {
        let (plan, places) = (self.plan, self.plan.places());
        match plan.scenario {
            _ if self.is_cut() => {}
            Scenario::Storm => {
                self.metrics().timeline = Some(Timeline::new(from, until.since(from)));
                self.event_loop.schedules.push(Schedule::new(begin, 0..places, plan.rate_per_second));
            }
            Scenario::Chat => {
                self.event_loop.clients.talks_until = until;
                self.begin_by_clock(Role::Whisperer, begin, chat::WHISPERS_PER_SECOND);
            }
            Scenario::Steady => {
                self.event_loop.clients.talks_until = until;
                for slot in 0..places {
                    let in_flight = plan.in_flight;
                    self.event_loop.send(slot, |it, out| it.begin_requests(slot, in_flight, begin, out));
                }
            }
            _ => {}
        }
    }

    /// Goes through the parts of the run from the first that is measured on, and gives what passed in all of them.
    fn measure(&mut self, first: usize, run: [Moment; 2], watch: Watch<'_>) -> Result<Sample, LoadError> {
        if self.plan.scenario != Scenario::Idle {
            self.turn_until((Part::WarmUp, run[0]), run, watch)?;
        }
        let began = self.sampler.sample();
        let mut before = began;
        for place in first..self.metrics().windows.len() {
            let Window { part, from, until, .. } = self.metrics().windows[place];
            let logins = self.plan.places()..self.event_loop.clients.all.len();
            match part {
                _ if self.is_cut() => {}
                Part::Measured if self.plan.scenario == Scenario::Chat => self.begin_texts(from),
                Part::During => {
                    self.event_loop.returns_until = until;
                    self.event_loop.enter(logins, Some(from));
                }
                Part::After => {
                    self.event_loop.stop_returns();
                    self.event_loop.give_up(logins.clone());
                    logins.for_each(|slot| self.event_loop.break_off(slot));
                }
                _ => {}
            }
            self.turn_until((part, until), run, watch)?;
            let now = self.sampler.sample();
            self.metrics().windows[place].used = now.since(before);
            before = now;
        }
        watch(seconds_done(Part::End, run[1], run, self.metrics()));
        Ok(before.since(began))
    }

    /// Turns until a part's end, unless the run is to end before.
    fn turn_until(
        &mut self,
        (part, end): (Part, Moment),
        run: [Moment; 2],
        watch: Watch<'_>,
    ) -> Result<(), LoadError> {
        if self.is_cut() {
            return Ok(());
        }
        let clock = self.sampler.clock;
        let mut look = |clients: &Clients<D>| watch(seconds_done(part, clock.now(), run, &clients.metrics));
        self.event_loop.turn_while(end, &mut look, |it| !it.is_to_end())
    }

    /// Sends everybody home and gives the report's common part.
    fn finish(&mut self, interval: &Sample, memory_after: Option<u64>) -> Result<Report, LoadError> {
        self.event_loop.dismiss()?;
        Ok(Report::new(self, self.event_loop.clients.all.len() as u64, interval, memory_after))
    }

    /// Adds to a report what was measured in each part of a storm, and by how much messages left late.
    fn report_storm(&mut self, report: &mut Report, send_delay: &Latency) {
        let metrics = std::mem::take(self.metrics());
        let [before, during, after] = metrics.windows.as_slice() else { return };
        report.storm = Some(Storm {
            login: self.plan.login,
            hash_us: self.hash.map(|hash| round(hash.as_secs_f64() * 1e6, 1)),
            logins_at_once: self.plan.logins,
            rate_per_client: round(self.plan.rate_per_second, 3),
            before: Phase::new(before),
            during: Phase::new(during),
            after: Phase::new(after),
            lateness_us: send_delay.percentiles(),
        });
        report.tester_was_limit |= metrics.windows.iter().any(|window| window.used.shows_limit());
        if let Some(hash) = self.hash {
            prepare::find_unhashed(report, hash, &during.latencies.login);
        }
        let message = |window: Window| (window.part.name(), window.latencies.message);
        report.curves = metrics.windows.into_iter().map(message).collect();
        report.timeline = metrics.timeline;
    }

    /// All clients are cut off at once, and all come back at once with their tokens.
    fn reconnect(mut self, watch: Watch<'_>) -> Result<Report, LoadError> {
        self.admit(watch)?;
        let sampler = self.sampler;
        let (cut_off, began, cut) = (self.event_loop.clients.inside, sampler.sample(), sampler.clock.now());
        self.metrics().windows.push(Window::new(Part::Measured, cut, Moment::NEVER));
        let is_inside = |slot: &usize| self.event_loop.clients.all[*slot].state == State::Inside;
        let slots: Vec<usize> = (0..self.plan.places()).filter(is_inside).collect();
        slots.iter().for_each(|slot| self.event_loop.break_off(*slot));
        self.event_loop.enter(slots, Some(cut));
        self.await_entering((Part::Measured, "clients back"), cut_off as u64, watch)?;
        // Where not one came back there was no measurement to speak of.
        self.event_loop.is_to_end();
        self.event_loop.give_up(0..self.plan.places());
        let interval = sampler.sample().since(began);
        let mut report = self.finish(&interval, sampler.server_memory())?;
        let resume = self.metrics().latencies().resume;
        report.reconnect = Some(Back {
            cut_off,
            came_back: resume.finished(),
            all_back_seconds: round(resume.nanoseconds_at(1.0) as f64 / 1e9, 6),
            back_us: resume.percentiles(),
        });
        report.curves.push(("back", resume));
        Ok(report)
    }
}

/// A part of a run, and what is counted in it.
type Words = (Part, &'static str);

fn inside<D: Dialect>((part, counted): Words, total: u64, clients: &Clients<D>) -> Progress {
    Progress { part, counted, done: clients.inside as u64, total, failed: clients.metrics.failed }
}

/// How far a run is that takes so many seconds.
fn seconds_done(part: Part, now: Moment, [from, until]: [Moment; 2], metrics: &Metrics) -> Progress {
    let (done, total) = (now.since(from).as_secs(), until.since(from).as_secs());
    Progress { part, counted: "seconds", done, total, failed: metrics.failed }
}
