//! What a stretch of time cost the server and the load generator, and whether they had their processors to themselves.

use crate::machine::{own_processor, own_waiting};
use crate::server::Server;
use std::time::{Duration, Instant};

/// Of its processor.
pub(crate) const LOAD_SHARE: &str = "load generator's share of its processor, %";
/// Ready to run, while other programs ran: of the stretch, for the server or the load generator, whichever waited more.
pub(crate) const WAITED: &str = "waited for a processor, %";

/// Begun, and not yet ended.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    server: &'a Server,
    began: Instant,
    used: Duration,
    waited: Duration,
    own_used: Duration,
    own_waited: Duration,
}

/// What a stretch cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) elapsed: Duration,
    /// Processor time of the server.
    pub(crate) server: Duration,
    own: Duration,
    server_waited: Duration,
    own_waited: Duration,
}

impl<'a> Meter<'a> {
    /// Begins. The server should rest.
    ///
    /// # Errors
    /// If the system does not tell of it.
    pub(crate) fn begin(server: &'a Server) -> Result<Meter<'a>, String> {
        Ok(Meter {
            server,
            used: server.processor()?,
            waited: server.waiting()?,
            own_waited: own_waiting(),
            own_used: own_processor(),
            began: Instant::now(),
        })
    }

    /// Ends.
    ///
    /// # Errors
    /// If the system does not tell of the server.
    pub(crate) fn end(self) -> Result<Stretch, String> {
        let elapsed = self.began.elapsed();
        let own = own_processor().saturating_sub(self.own_used);
        let own_waited = own_waiting().saturating_sub(self.own_waited);
        let server = self.server.processor()?.saturating_sub(self.used);
        let server_waited = self.server.waiting()?.saturating_sub(self.waited);
        Ok(Stretch { elapsed, server, own, server_waited, own_waited })
    }
}

impl Stretch {
    /// Adds what so many messages or clients cost and how many there were a second, and what is to be known of it.
    pub(crate) fn enter(
        &self,
        count: u64,
        [cost, rate]: [&'static str; 2],
        mut add: impl FnMut(&'static str, f64),
    ) {
        add(cost, self.server.as_secs_f64() * 1e6 / count as f64);
        add(rate, count as f64 / self.elapsed.as_secs_f64());
        add(LOAD_SHARE, self.share(self.own) * 100.0);
        add(WAITED, self.waited() * 100.0);
    }

    /// What part of the stretch the server, or the load generator if that waited more, waited for its processor.
    pub(crate) fn waited(&self) -> f64 {
        self.share(self.server_waited.max(self.own_waited))
    }

    /// What parts of the stretch the server ran, and waited for its processor.
    pub(crate) fn server_shares(&self) -> [f64; 2] {
        [self.server, self.server_waited].map(|time| self.share(time))
    }

    fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}
