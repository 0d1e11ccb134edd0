//! Row `storm`: clients who talk by the clock, beside clients who log in again and again.
//!
//! The talkers' messages have a schedule that does not wait for the server, and each latency counts from when its
//! message was due: a server that stalls for a second is charged for every message of that second. The load generator
//! does not sleep meanwhile, so that its own waking up is not measured.

use crate::crowd::Crowd;
use crate::ledger::Ledger;
use crate::link::Errand;
use crate::meter::{Meter, WAITED};
use crate::peers::{FULL_COST_USERS, MOSQUITTO_ROUNDS, Peer, Stable, full_cost_name};
use std::time::{Duration, Instant};

/// A storm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storm {
    pub(crate) peer: Peer,
    /// What a login costs, as tables call it.
    pub(crate) login: &'static str,
    /// Of each talker.
    messages_per_second: f64,
    span: Duration,
    /// Each login is of another user, whom the server has not seen.
    is_full_cost: bool,
}

pub(crate) const TALKERS: usize = 50;
pub(crate) const LOGINS: usize = 8;
const FEW: f64 = 2.0;
const MANY: f64 = 200.0;

/// Those that are measured.
pub(crate) const STORMS: [Storm; 7] = [
    storm(Peer::Porter, "remembered (HMAC-MD5)", MANY),
    storm(Peer::Redis, "one SHA-256", MANY),
    storm(Peer::Mosquitto(MOSQUITTO_ROUNDS), "101 rounds of PBKDF2-SHA-512", MANY),
    storm(Peer::Blocking, "one MD5", MANY),
    Storm {
        span: Duration::from_secs(8),
        is_full_cost: true,
        ..storm(Peer::Porter, "3 100 000 rounds of PBKDF2-MD5", MANY)
    },
    storm(Peer::Mosquitto(100_000), "100 000 rounds, 2 messages/s each", FEW),
    storm(Peer::Mosquitto(100_000), "100 000 rounds of PBKDF2-SHA-512", MANY),
];

/// Milliseconds.
pub(crate) const REST_P50: &str = "echo at rest, p50 ms";
pub(crate) const REST_P99: &str = "echo at rest, p99 ms";
pub(crate) const STORM_P50: &str = "echo in the storm, p50 ms";
pub(crate) const STORM_P99: &str = "echo in the storm, p99 ms";
pub(crate) const RATE: &str = "logins/s";
/// Of what the hash alone would allow with the processor time that the talkers leave.
pub(crate) const HASH_SHARE: &str = "share of what the hash alone allows";
/// How late the load generator itself was in sending, p99.
pub(crate) const LATENESS: &str = "sent late, p99 ms";

const WARM_UP: Duration = Duration::from_millis(300);
const REST: Duration = Duration::from_millis(1_000);
/// After the storm, for echoes that are still to come.
const DRAIN: Duration = Duration::from_secs(5);

const fn storm(peer: Peer, login: &'static str, messages_per_second: f64) -> Storm {
    Storm { peer, login, messages_per_second, span: Duration::from_millis(2_000), is_full_cost: false }
}

/// What is measured of a part of the run.
#[derive(Debug, Default)]
struct Window {
    /// Of messages that were due in it.
    latencies: Vec<Duration>,
    lateness: Vec<Duration>,
}

/// A run, as far as it is.
struct Run<'a> {
    storm: &'a Storm,
    crowd: Crowd,
    /// When the talkers began, and how many messages were sent since.
    began: Instant,
    sent: u64,
    /// Where visitors are, and how many came.
    visitors: std::ops::Range<usize>,
    visits: usize,
}

/// One turn of a storm.
///
/// # Errors
/// If the peer fails.
pub(crate) fn turn(stable: &Stable, storm: &Storm, ledger: &mut Ledger) -> Result<(), String> {
    let server = stable.start(storm.peer)?;
    let mut crowd = Crowd::new(server.dialect, server.address)?;
    let meter = Meter::begin(&server)?;
    crowd.admit(1)?;
    let hash = meter.end()?.server;
    crowd.admit(TALKERS - 1)?;
    let first = crowd.add_places(LOGINS);
    let visitors = first..first + LOGINS;
    let mut run = Run { storm, crowd, began: Instant::now(), sent: 0, visitors, visits: 0 };
    run.talk(Instant::now() + WARM_UP, None, &mut Window::default())?;

    let (mut rest, meter) = (Window::default(), Meter::begin(&server)?);
    run.talk(Instant::now() + REST, None, &mut rest)?;
    let resting = meter.end()?;

    let meter = Meter::begin(&server)?;
    let (mut storming, mut logins, began) = (Window::default(), Vec::new(), Instant::now());
    for place in run.visitors.clone() {
        run.visit(place)?;
    }
    run.talk(began + storm.span, Some(&mut logins), &mut storming)?;
    let stormed = meter.end()?;
    run.drain(&mut storming)?;

    // Up to the last that came to its end: what was begun after it is no login yet.
    let span = logins.last().map_or(storm.span, |last| last.saturating_duration_since(began));
    let rate = logins.len() as f64 / span.as_secs_f64();
    let mut add = |measure, figure| ledger.add(storm.login, storm.peer.name(), measure, figure);
    add(WAITED, stormed.waited() * 100.0);
    add(LATENESS, milliseconds(&mut storming.lateness, 0.99));
    add(REST_P50, milliseconds(&mut rest.latencies, 0.5));
    add(REST_P99, milliseconds(&mut rest.latencies, 0.99));
    add(STORM_P50, milliseconds(&mut storming.latencies, 0.5));
    add(STORM_P99, milliseconds(&mut storming.latencies, 0.99));
    add(RATE, rate);
    if storm.is_full_cost {
        // What other programs took is no more the server's to use than what the talkers take.
        let ([talk, _], [_, waited]) = (resting.server_shares(), stormed.server_shares());
        let left = 1.0 - talk - waited;
        add(HASH_SHARE, rate * hash.as_secs_f64() / left);
    }
    Ok(())
}

impl Run<'_> {
    /// Talks until then, and notes when logins succeed, if there are any; visitors who have left come again.
    fn talk(
        &mut self,
        until: Instant,
        mut logins: Option<&mut Vec<Instant>>,
        window: &mut Window,
    ) -> Result<(), String> {
        let mut left = Vec::new();
        loop {
            let now = Instant::now();
            let due = self.due();
            if due <= now && due < until {
                window.lateness.push(now - due);
                self.crowd.ask_at((self.sent % TALKERS as u64) as usize, due)?;
                self.sent += 1;
                continue;
            }
            if now >= until && due >= until {
                return Ok(());
            }
            self.crowd.turn(Some(Duration::ZERO), |place, link, news, _| {
                let now = Instant::now();
                for due in link.due.drain(..news.echoes as usize) {
                    window.latencies.push(now.saturating_duration_since(due));
                }
                if let Some(logins) = logins.as_mut().filter(|_| news.admitted) {
                    logins.push(now);
                }
                if news.closed {
                    left.push(place);
                }
                Ok(())
            })?;
            for place in left.drain(..) {
                self.visit(place)?;
            }
        }
    }

    /// Waits for the echoes that are still to come. One that does not come has taken as long as it was waited for.
    fn drain(&mut self, window: &mut Window) -> Result<(), String> {
        let end = Instant::now() + DRAIN;
        while self.crowd.waits_for() > 0 && Instant::now() < end {
            self.crowd.turn(Some(Duration::ZERO), |_, link, news, _| {
                let now = Instant::now();
                for due in link.due.drain(..news.echoes as usize) {
                    window.latencies.push(now.saturating_duration_since(due));
                }
                Ok(())
            })?;
        }
        window.latencies.extend(self.crowd.overdue().map(|due| end.saturating_duration_since(due)));
        Ok(())
    }

    /// A visitor comes.
    fn visit(&mut self, place: usize) -> Result<(), String> {
        let name = match self.storm.is_full_cost {
            true if self.visits == FULL_COST_USERS => return Err("too few users for this storm".to_owned()),
            true => full_cost_name(self.visits),
            false => crate::dialect::NAME.to_owned(),
        };
        self.visits += 1;
        self.crowd.open(place, &name, Errand::LogIn)
    }

    /// When the next message is due; each talker in turn.
    fn due(&self) -> Instant {
        let rate = self.storm.messages_per_second * TALKERS as f64;
        self.began + Duration::from_secs_f64(self.sent as f64 / rate)
    }
}

fn milliseconds(durations: &mut [Duration], quantile: f64) -> f64 {
    durations.sort_unstable();
    let last = durations.len().saturating_sub(1);
    let place = (durations.len() as f64 * quantile) as usize;
    durations.get(place.min(last)).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}
