//! The limit on descriptors, raised as far as it goes.

use crate::limits::{DESCRIPTORS_RESERVED, REFUSALS_AT_ONCE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit so that `wanted` connections fit, and says how many do.
pub(super) fn connections_that_fit(wanted: usize) -> usize {
    let needed = (wanted + REFUSALS_AT_ONCE + DESCRIPTORS_RESERVED) as u64;
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
    fitting(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), wanted)
}

/// Connections that fit into so many descriptors: some are kept for telling others that it is full.
fn fitting(descriptors: u64, wanted: usize) -> usize {
    let free = usize::try_from(descriptors).unwrap_or(usize::MAX).saturating_sub(DESCRIPTORS_RESERVED);
    wanted.min(free - REFUSALS_AT_ONCE.min(free / 8)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_beside_what_else_needs_descriptors() {
        assert_eq!(fitting(20_000, 10_000), 10_000);
        assert_eq!(fitting(1_024, 10_000), 1_024 - 32 - 64);
        assert_eq!(fitting(64, 10_000), 28);
        assert_eq!(fitting(8, 10_000), 1);
    }
}
