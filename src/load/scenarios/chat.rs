//! The scenario `chat`: whispers by the clock, first alone, then beside texts that all read.

use super::Run;
use crate::Moment;
use crate::load::Plan;
use crate::load::dialect::{Dialect, Role};
use crate::load::metrics::Latency;
use crate::load::report::{Chat, Report};
use crate::load::sampler::{CpuTime, Sample, round};
use crate::load::schedule::Schedule;
use std::time::Duration;

/// Whispers in a chat: enough for a p99, and too few to weigh beside the room.
pub(super) const WHISPERS_PER_SECOND: f64 = 100.0;
/// How long whispers have the server to themselves before the first text, at most.
pub(super) const REST_MOST: Duration = Duration::from_secs(2);

impl<D: Dialect + Clone> Run<'_, D> {
    /// Has a client send by the clock from now on.
    pub(super) fn begin_by_clock(&mut self, role: Role, from: Moment, rate_per_second: f64) {
        let slots = role.slot()..role.slot() + 1;
        self.event_loop.schedules.push(Schedule::new(from, slots, rate_per_second));
    }

    /// Has the writer of a chat write.
    pub(super) fn begin_texts(&mut self, from: Moment) {
        let (plan, writer) = (self.plan, Role::Writer.slot());
        if plan.rate_per_second > 0.0 {
            return self.begin_by_clock(Role::Writer, from, plan.rate_per_second);
        }
        self.event_loop.send(writer, |it, out| it.begin_requests(writer, plan.in_flight, from, out));
    }

    /// Adds to a report how texts and whispers arrived, at rest and in the room.
    pub(super) fn report_chat(
        &mut self,
        report: &mut Report,
        deliveries: u64,
        interval: &Sample,
        send_delay: &Latency,
    ) {
        let Plan { clients: readers, rate_per_second: rate, in_flight, size_bytes, .. } = *self.plan;
        let [rest, measured] = self.metrics().windows.as_slice() else { return };
        let each = |cpu: CpuTime| cpu.used.as_nanos() as f64 / deliveries as f64;
        // Texts by the clock may reach their readers long after the time that is measured.
        let texts = deliveries as f64 / readers as f64;
        report.messages_per_second = interval.rate(texts);
        report.megabytes_per_second = interval.rate(texts * size_bytes as f64 / 1e6);
        report.chat = Some(Chat {
            readers,
            in_flight: (rate == 0.0).then_some(in_flight),
            texts_due_per_second: (rate > 0.0).then_some(rate),
            deliveries,
            deliveries_per_second: interval.rate(deliveries as f64),
            server_ns_per_delivery: interval.server.filter(|_| deliveries > 0).map(|cpu| round(each(cpu), 1)),
            whisper_at_rest_us: rest.latencies.whisper.percentiles(),
            whisper_us: measured.latencies.whisper.percentiles(),
            lateness_us: send_delay.percentiles(),
        });
        report.curves.push(("whisper", measured.latencies.whisper.clone()));
    }
}
