//! Scenario `reconnect`: all clients lose their connections at once, and come back with their tokens.

use super::Progress;
use super::figures::Back;
use super::gauge::round;
use super::mishap::{Mishap, no_poll};
use super::report::Report;
use super::stage::Stage;
use super::window::Window;
use crate::Moment;

/// Clients that connect again before those who did are heard: nobody's answer shall wait for the last to connect.
const CONNECTING_BETWEEN_TURNS: usize = 16;

/// All clients are cut off at once, and all come back at once with their tokens.
pub(super) fn reconnect(mut stage: Stage<'_>, watch: &mut dyn FnMut(Progress)) -> Result<Report, Mishap> {
    stage.admit(watch)?;
    let cut_off = stage.hall.regulars.inside;
    let began = stage.gauge.read();
    let cut = stage.now();
    stage.hall.regulars.windows.push(Window::new(cut, Moment::NEVER));
    let places: Vec<usize> = (0..stage.plan.places()).filter(|place| stage.hall.is_inside(*place)).collect();
    for place in &places {
        stage.hall.break_off(*place);
    }
    for some in places.chunks(CONNECTING_BETWEEN_TURNS) {
        for place in some {
            stage.hall.admit(*place, cut, stage.now());
        }
        stage.hall.turn(cut).map_err(|error| no_poll(&error))?;
    }
    stage
        .hall
        .admit_all(0..0, &mut |regulars| {
            let (done, total) = (regulars.inside as u64, cut_off as u64);
            watch(Progress { counted: "clients back", done, total, failed: regulars.failed });
        })
        .map_err(|error| no_poll(&error))?;
    // Where not one came back there was no measurement to speak of.
    stage.hall.is_to_end();
    let stretch = stage.gauge.read().since(&began);
    let memory_bytes = stage.gauge.server_memory();
    let (mut report, regulars) = stage.finish(stretch, memory_bytes)?;
    if let Some(window) = regulars.windows.first() {
        report.reconnect = Some(Back {
            cut_off,
            came_back: window.absence.finished(),
            all_back_seconds: round(window.absence.nanoseconds_at(1.0) as f64 / 1e9, 6),
            back_us: window.absence.percentiles(),
        });
        report.curves.push(("back", window.absence.clone()));
    }
    Ok(report)
}
