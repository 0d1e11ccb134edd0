//! The scenarios in which clients stay: `steady`, `idle` and `reconnect`; `storm` has a module of its own.
//!
//! Each lets everybody in, does what it is there for between two readings of the clocks, and sends everybody home.

use super::cast::{Cast, Habit, Window};
use super::figures::{Back, Idle};
use super::gauge::{Gauge, round};
use super::hall::Hall;
use super::report::{Measured, Report};
use super::route::Route;
use super::stats::{Failures, Mishap};
use super::{Plan, Progress, no_poll, user_name};
use crate::Moment;
use std::time::Duration;

/// Messages of the first moments are not counted: buffers grow, caches fill.
const WARM_UP: Duration = Duration::from_millis(500);

/// Clients that connect again before those who did are heard: nobody's answer shall wait for the last to connect.
const CONNECTING_BETWEEN_TURNS: usize = 16;

/// What every scenario here begins with.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) gauge: Gauge,
    pub(super) hall: Hall<'a>,
    /// How long users took to be registered.
    pub(super) preparation: Duration,
    /// The server's memory before the first connection.
    pub(super) memory_before_bytes: u64,
}

impl<'a> Stage<'a> {
    /// A hall for those who stay, and after them those with another habit.
    pub(super) fn new(
        plan: &'a Plan,
        gauge: Gauge,
        route: &'a mut Route,
        preparation: Duration,
        others: (usize, Habit),
    ) -> Result<Stage<'a>, Mishap> {
        let mut cast = Cast::new(plan.size_bytes);
        let stays = (0..plan.places()).map(|_| Habit::Stays);
        for (client, habit) in (0..).zip(stays.chain((0..others.0).map(|_| others.1))) {
            cast.add(user_name(plan, client), habit);
        }
        let hall = Hall::new(route, gauge.clock, plan.patience, cast).map_err(|error| no_poll(&error))?;
        let memory_before_bytes = gauge.server.memory_bytes()?.unwrap_or_default();
        Ok(Stage { plan, gauge, hall, preparation, memory_before_bytes })
    }

    pub(super) fn now(&self) -> Moment {
        self.gauge.clock.now()
    }

    /// Lets in all who stay.
    ///
    /// # Errors
    /// [`Mishap`] if not one of them got in.
    pub(super) fn admit(&mut self, watch: &mut dyn FnMut(Progress)) -> Result<(), Mishap> {
        let total = self.plan.clients;
        self.hall
            .admit_all(0..self.plan.places(), &mut |cast| {
                let (done, failed) = (cast.inside as u64, cast.failed);
                watch(Progress { counted: "clients inside", done, total, failed });
            })
            .map_err(|error| no_poll(&error))?;
        match self.hall.cast.failures.iter().next() {
            Some((kind, Failures { reason, .. })) if self.hall.cast.inside == 0 => {
                Err(Mishap::new(kind.clone(), reason.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Turns until that moment, of a run that began then and ends at `end`.
    pub(super) fn turn_until(
        &mut self,
        until: Moment,
        [start, end]: [Moment; 2],
        watch: &mut dyn FnMut(Progress),
    ) -> Result<(), Mishap> {
        let clock = self.gauge.clock;
        self.hall
            .turn_until(until, &mut |cast| watch(seconds_done(clock.now(), [start, end], cast)))
            .map_err(|error| no_poll(&error))
    }

    /// Waits for the echoes that are still to come, as long as patience lasts.
    pub(super) fn await_echoes(&mut self) -> Result<(), Mishap> {
        let end = self.now() + self.plan.patience.echo;
        while self.hall.cast.messages_waiting > 0 && self.now() < end {
            self.hall.turn(end).map_err(|error| no_poll(&error))?;
        }
        Ok(())
    }

    /// Sends everybody home and gives the report's common part. What it has measured are its windows.
    pub(super) fn finish(
        mut self,
        stretch: super::gauge::Stretch,
        memory_after_bytes: u64,
    ) -> Result<(Report, Cast), Mishap> {
        self.hall.dismiss().map_err(|error| no_poll(&error))?;
        let cast = self.hall.cast;
        let mut latencies = super::Latencies::default();
        for window in &cast.windows {
            latencies.merge(&window.latencies);
        }
        let measured = Measured {
            clients: cast.len() as u64,
            failed: cast.failed,
            failures: cast.failures.clone(),
            latencies,
            preparation: self.preparation,
            stretch,
            memory_bytes: (self.memory_before_bytes, memory_after_bytes),
        };
        Ok((Report::new(self.plan, measured), cast))
    }
}

/// How far a run is that takes so many seconds.
pub(super) fn seconds_done(now: Moment, [start, end]: [Moment; 2], cast: &Cast) -> Progress {
    let (done, total) = (now.since(start).as_secs(), end.since(start).as_secs());
    Progress { counted: "seconds", done, total, failed: cast.failed }
}

/// Each client keeps so many messages in flight for some seconds.
pub(super) fn steady(mut stage: Stage<'_>, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    let plan = stage.plan;
    stage.admit(watch)?;
    stage.hall.cast.prepare_messages(plan.in_flight);
    let start = stage.now();
    let from = start + WARM_UP.min(plan.span);
    let end = from + plan.span;
    stage.hall.cast.talks_until = end;
    stage.hall.cast.windows.push(Window::new(from, end));
    for place in 0..plan.places() {
        stage.hall.say(place, |cast, out| {
            for _ in 0..plan.in_flight {
                cast.send(place, start, out);
            }
        });
    }
    stage.turn_until(from, [start, end], watch)?;
    let began = stage.gauge.read()?;
    stage.turn_until(end, [start, end], watch)?;
    let stretch = stage.gauge.read()?.since(&began);
    let memory_bytes = stage.gauge.server.memory_bytes()?.unwrap_or_default();
    stage.await_echoes()?;
    let (mut report, _) = stage.finish(stretch, memory_bytes)?;
    report.in_flight = Some(plan.in_flight);
    Ok(report)
}

/// All clients come in and stay, silent, for some seconds.
pub(super) fn idle(mut stage: Stage<'_>, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    let plan = stage.plan;
    stage.hall.cast.windows.push(Window::new(stage.now(), Moment::NEVER));
    let began = stage.gauge.read()?;
    stage.admit(watch)?;
    let all_in = stage.gauge.read()?;
    let start = stage.now();
    let end = start + plan.span;
    stage.turn_until(end, [start, end], watch)?;
    let held = stage.gauge.read()?.since(&all_in);
    let memory_bytes = stage.gauge.server.memory_bytes()?;
    let inside = stage.hall.cast.inside;
    let memory_before_bytes = stage.memory_before_bytes;
    let (mut report, _) = stage.finish(all_in.since(&began), memory_bytes.unwrap_or_default())?;
    let grown = memory_bytes.map(|after| after as f64 - memory_before_bytes as f64);
    report.idle = Some(Idle {
        held: inside,
        held_seconds: round(held.elapsed.as_secs_f64(), 3),
        memory_per_connection_bytes: grown.map(|grown| round(grown / inside.max(1) as f64, 1)),
        server_processor_share: held
            .server_processor
            .map(|used| round(used.as_secs_f64() / held.elapsed.as_secs_f64().max(1e-9), 5)),
    });
    Ok(report)
}

/// All clients are cut off at once, and all come back at once with their tokens.
pub(super) fn reconnect(mut stage: Stage<'_>, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    stage.admit(watch)?;
    let cut_off = stage.hall.cast.inside;
    let began = stage.gauge.read()?;
    let cut = stage.now();
    stage.hall.cast.windows.push(Window::new(cut, Moment::NEVER));
    let places: Vec<usize> = (0..stage.plan.places()).filter(|place| stage.hall.is_inside(*place)).collect();
    for place in &places {
        stage.hall.cut(*place);
    }
    for some in places.chunks(CONNECTING_BETWEEN_TURNS) {
        for place in some {
            stage.hall.admit(*place, cut);
        }
        stage.hall.turn(cut).map_err(|error| no_poll(&error))?;
    }
    stage
        .hall
        .admit_all(0..0, &mut |cast| {
            let (done, total) = (cast.inside as u64, cut_off as u64);
            watch(Progress { counted: "clients back", done, total, failed: cast.failed });
        })
        .map_err(|error| no_poll(&error))?;
    let stretch = stage.gauge.read()?.since(&began);
    let memory_bytes = stage.gauge.server.memory_bytes()?.unwrap_or_default();
    let (mut report, cast) = stage.finish(stretch, memory_bytes)?;
    if let Some(window) = cast.windows.first() {
        report.reconnect = Some(Back {
            cut_off,
            came_back: window.absence.count(),
            all_back_seconds: round(window.absence.nanoseconds_at(1.0) as f64 / 1e9, 6),
            back_us: window.absence.percentiles(),
        });
        report.curves.push(("back", window.absence.clone()));
    }
    Ok(report)
}
