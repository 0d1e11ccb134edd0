//! Scenario `steady`: each client keeps so many messages in flight for some seconds.

use super::Progress;
use super::mishap::Mishap;
use super::report::Report;
use super::stage::Stage;
use super::window::Window;
use std::time::Duration;

/// Messages of the first moments are not counted: buffers grow, caches fill.
const WARM_UP: Duration = Duration::from_millis(500);

/// Each client keeps so many messages in flight for some seconds.
pub(super) fn steady(mut stage: Stage<'_>, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    let plan = stage.plan;
    stage.admit(watch)?;
    stage.hall.regulars.prepare_messages(plan.in_flight);
    let start = stage.now();
    let from = start + WARM_UP.min(plan.span);
    let end = from + plan.span;
    stage.hall.regulars.talks_until = end;
    stage.hall.regulars.windows.push(Window::of_messages_in_turn(from, end));
    let talkers = if stage.is_cut() { 0 } else { plan.places() };
    for place in 0..talkers {
        stage.hall.say(place, |regulars, out| {
            for _ in 0..plan.in_flight {
                regulars.send(place, start, out);
            }
        });
    }
    stage.turn_until(from, [start, end], watch)?;
    let began = stage.gauge.read();
    stage.turn_until(end, [start, end], watch)?;
    let stretch = stage.gauge.read().since(&began);
    let memory_bytes = stage.gauge.server_memory();
    stage.await_echoes()?;
    let (mut report, _) = stage.finish(stretch, memory_bytes)?;
    report.in_flight = Some(plan.in_flight);
    Ok(report)
}
