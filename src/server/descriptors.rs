//! The limit on descriptors, raised as far as it goes.

use crate::limits::{
    CONTROL_CONNECTIONS, DESCRIPTORS_RESERVED, METRICS_CONNECTIONS, PROXY_HEADERS_LEAST, REFUSALS_AT_ONCE,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections that those of clients must leave room for: of who administers, of who asks for figures, and of proxies that
/// have not said for whom they are when all of the clients' are there.
const BESIDE: usize = CONTROL_CONNECTIONS + METRICS_CONNECTIONS + PROXY_HEADERS_LEAST;

/// Raises the limit so that `wanted` connections fit beside so many sockets that listen, and says how many do.
pub(super) fn connections_that_fit(wanted: usize, listeners: usize) -> usize {
    let needed = (wanted + REFUSALS_AT_ONCE + BESIDE + DESCRIPTORS_RESERVED + listeners) as u64;
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if !enough(limit.current) {
        let beyond = Rlimit { current: Some(needed), maximum: limit.maximum.map(|most| most.max(needed)) };
        if setrlimit(Resource::Nofile, beyond).is_err() {
            // Only root may raise the hard limit; everybody may use it up.
            let up_to = Rlimit { current: limit.maximum, maximum: limit.maximum };
            let _ = setrlimit(Resource::Nofile, up_to);
        }
    }
    fitting(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), wanted, listeners)
}

/// Connections that fit into so many descriptors: some are kept for telling others that it is full, and some for those
/// beside the clients, of few descriptors a part.
fn fitting(descriptors: u64, wanted: usize, listeners: usize) -> usize {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let free = descriptors.saturating_sub(DESCRIPTORS_RESERVED + listeners);
    wanted.min(free - REFUSALS_AT_ONCE.min(free / 8) - BESIDE.min(free / 4)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_beside_what_else_needs_descriptors() {
        assert_eq!(fitting(20_000, 10_000, 1), 10_000);
        assert_eq!(fitting(1_024, 10_000, 1), 1_024 - 32 - 1 - 64 - 48);
        assert_eq!(fitting(1_024, 10_000, 64), 1_024 - 32 - 64 - 64 - 48);
        assert_eq!(fitting(64, 10_000, 1), 31 - 3 - 7);
        assert_eq!(fitting(8, 10_000, 1), 1);
    }
}
