//! Scenario `idle`: clients that are there and say nothing, and what that costs the server.

use super::Progress;
use super::figures::Idle;
use super::gauge::round;
use super::mishap::Mishap;
use super::report::Report;
use super::stage::Stage;
use super::window::Window;
use crate::Moment;

/// All clients come in and stay, silent, for some seconds.
pub(super) fn idle(mut stage: Stage<'_>, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    let plan = stage.plan;
    stage.hall.regulars.windows.push(Window::new(stage.now(), Moment::NEVER));
    let began = stage.gauge.read();
    stage.admit(watch)?;
    let all_in = stage.gauge.read();
    let start = stage.now();
    let end = start + plan.span;
    stage.turn_until(end, [start, end], watch)?;
    let held = stage.gauge.read().since(&all_in);
    let memory_bytes = stage.gauge.server_memory();
    let inside = stage.hall.regulars.inside;
    let memory_before_bytes = stage.memory_before_bytes;
    let (mut report, _) = stage.finish(all_in.since(&began), memory_bytes)?;
    let grown = memory_bytes.zip(memory_before_bytes).map(|(after, before)| after as f64 - before as f64);
    report.idle = Some(Idle {
        held: inside,
        held_seconds: round(held.elapsed.as_secs_f64(), 3),
        memory_per_connection_bytes: grown.map(|grown| round(grown / inside.max(1) as f64, 1)),
        server_processor_share: held
            .server
            .map(|server| round(server.used.as_secs_f64() / held.elapsed.as_secs_f64().max(1e-9), 5)),
    });
    Ok(report)
}
