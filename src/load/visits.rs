//! Visits: clients that connect, log in, send and leave, one after another or so many at a time.

use super::client::{Clients, Policy};
use super::connection::Connector;
use super::dialect::Dialect;
use super::error::{LoadError, first_failure};
use super::event_loop::EventLoop;
use super::metrics::Metrics;
use super::sampler::{Sample, Sampler};
use super::watchdog::Cut;
use super::{Plan, Timeouts};
use crate::Moment;

/// So many visits.
#[derive(Clone, Copy)]
pub(super) struct Visits<D> {
    pub(super) dialect: D,
    /// The number of the first client.
    pub(super) first: u64,
    pub(super) count: u64,
    /// Of each client.
    pub(super) messages: u64,
    pub(super) at_once: usize,
    pub(super) stops_at_failure: bool,
    pub(super) timeouts: Timeouts,
}

/// What came of them.
pub(super) struct Visited {
    pub(super) metrics: Metrics,
    pub(super) interval: Sample,
    pub(super) cut: Option<Cut>,
}

impl Visited {
    /// Why they were not all made, or not as they should have been.
    pub(super) fn error(&self) -> Option<LoadError> {
        first_failure(&self.metrics.failures).or(self.cut.map(Cut::error))
    }
}

impl<D: Dialect> Visits<D> {
    /// Makes them, until all came to their end or the run is cut short.
    pub(super) fn make(
        self,
        connector: &mut Connector,
        plan: &Plan,
        sampler: &Sampler,
        watch: &mut dyn FnMut(&Metrics),
    ) -> Result<Visited, LoadError> {
        let mut clients = Clients::new(self.dialect, plan.size_bytes, self.messages);
        clients.metrics = Metrics::unbounded();
        clients.next_number = self.first;
        clients.add(self.at_once, Policy::Returns);
        let mut event_loop =
            EventLoop::new(connector, sampler.clock, self.timeouts, &plan.interrupt, clients)?;
        let began = sampler.sample();
        let at_first = self.count.min(self.at_once as u64);
        event_loop.enter(0..at_first as usize, None);
        (event_loop.visits_left, event_loop.returns_until) = (self.count - at_first, Moment::NEVER);
        event_loop.retries_at_once = true;
        event_loop.turn_while(Moment::NEVER, &mut |clients| watch(&clients.metrics), |it| {
            let Metrics { visits, failed, .. } = it.clients.metrics;
            visits < self.count && it.cut().is_none() && !(self.stops_at_failure && failed > 0)
        })?;
        event_loop.give_up_all();
        let (interval, cut) = (sampler.sample().since(&began), event_loop.cut());
        let metrics = event_loop.clients.metrics;
        watch(&metrics);
        Ok(Visited { metrics, interval, cut })
    }
}
