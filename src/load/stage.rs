//! What every scenario of regulars begins and ends with: all who stay come in; at the end everybody goes home, and what
//! was measured becomes a report.

use super::client_state::Habit;
use super::gauge::{Gauge, Stretch};
use super::hall::Hall;
use super::mishap::{Failures, Mishap, no_poll};
use super::regulars::Regulars;
use super::report::{Measured, Report};
use super::route::Route;
use super::stats::Latencies;
use super::{Plan, Progress, user_name};
use crate::Moment;
use std::time::Duration;

/// A scenario of regulars on its way.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) gauge: Gauge,
    pub(super) hall: Hall<'a>,
    /// How long users took to be registered.
    pub(super) preparation: Duration,
    /// The server's memory before the first connection.
    pub(super) memory_before_bytes: Option<u64>,
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
        let mut regulars = Regulars::new(plan.size_bytes, plan.pipelined);
        let stays = (0..plan.places()).map(|_| Habit::Stays);
        for (client, habit) in (0..).zip(stays.chain((0..others.0).map(|_| others.1))) {
            regulars.add(user_name(plan, client), habit);
        }
        let hall = Hall::new(route, gauge.clock, plan.patience, &plan.interrupt, regulars)
            .map_err(|error| no_poll(&error))?;
        let memory_before_bytes = gauge.server_memory();
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
            .admit_all(0..self.plan.places(), &mut |regulars| {
                let (done, failed) = (regulars.inside as u64, regulars.failed);
                watch(Progress { counted: "clients inside", done, total, failed });
            })
            .map_err(|error| no_poll(&error))?;
        match self.hall.regulars.failures.iter().next() {
            Some((kind, Failures { reason, .. })) if self.hall.regulars.inside == 0 => {
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
            .turn_until(until, &mut |regulars| watch(seconds_done(clock.now(), [start, end], regulars)))
            .map_err(|error| no_poll(&error))
    }

    /// Waits for the echoes that are still to come, as long as patience lasts.
    pub(super) fn await_echoes(&mut self) -> Result<(), Mishap> {
        self.hall.await_echoes().map_err(|error| no_poll(&error))
    }

    /// Whether the run is cut short.
    pub(super) fn is_cut(&self) -> bool {
        self.hall.cut().is_some()
    }

    /// Sends everybody home and gives the report's common part. What it has measured are its windows.
    pub(super) fn finish(
        mut self,
        stretch: Stretch,
        memory_after_bytes: Option<u64>,
    ) -> Result<(Report, Regulars), Mishap> {
        self.hall.dismiss().map_err(|error| no_poll(&error))?;
        let cut = self.hall.cut();
        let regulars = self.hall.regulars;
        let mut latencies = Latencies::default();
        for window in &regulars.windows {
            latencies.merge(&window.latencies);
        }
        let measured = Measured {
            clients: regulars.len() as u64,
            failed: regulars.failed,
            failures: regulars.failures.clone(),
            latencies,
            preparation: self.preparation,
            stretch,
            memory_bytes: [self.memory_before_bytes, memory_after_bytes],
            cut,
        };
        Ok((Report::new(self.plan, &self.gauge, measured), regulars))
    }
}

/// How far a run is that takes so many seconds.
pub(super) fn seconds_done(now: Moment, [start, end]: [Moment; 2], regulars: &Regulars) -> Progress {
    let (done, total) = (now.since(start).as_secs(), end.since(start).as_secs());
    Progress { counted: "seconds", done, total, failed: regulars.failed }
}
