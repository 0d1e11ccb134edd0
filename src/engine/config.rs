//! What an operator may set.

use crate::auth::LaneCosts;
use crate::limits::{self, MAX_FRAME_BYTES_LEAST, MAX_FRAME_BYTES_MOST};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;
use thiserror::Error;

/// The engine's settings. `Config::default()` is what the server's flags default to.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest frame body accepted after login, 2 048 to 16 777 216.
    pub max_frame_bytes: u32,
    /// Most output that may wait for one connection, at least
    /// [`output_limit_least_bytes`](limits::output_limit_least_bytes) of `max_frame_bytes`.
    pub output_limit_bytes: usize,
    /// Most memory that the waiting output of all connections may take, at least `output_limit_bytes`; beyond it those
    /// with the most waiting are cut off as slow consumers.
    pub output_total_bytes: usize,
    /// Whether an unknown name may register.
    pub registration_open: bool,
    /// PBKDF2 rounds of new hashes.
    pub hash_rounds: u32,
    /// Longest wait for a hash to start.
    pub hash_wait: Duration,
    /// How fast this machine does one hash, in rounds a second: the first guess for waits, corrected as hashing goes on.
    pub hash_rounds_per_second: u64,
    /// What hashes side by side cost on this machine: how many advance together follows from it.
    pub hash_lane_costs: LaneCosts,
    /// How long a verified password is recognised; zero for never.
    pub login_cache: Duration,
    /// Debt of an origin for each login that was wrong, or left before its hash was done; zero for none.
    pub penalty: Duration,
    /// Networks of which no address has debts: what comes from there is neither charged nor refused for them.
    pub exempt: Vec<IpNet>,
    /// Fewest characters of a new password.
    pub min_password_characters: u32,
    /// Wrong passwords, and registrations, in one connection.
    pub max_attempts: u32,
    /// Texts a second of each session, beyond bursts of [`CHAT_BURST`](limits::CHAT_BURST), where the handler
    /// [fans out](crate::handler::Handler::fans_out); 0 for any number.
    pub chat_rate: u32,
    /// Connections at once, and lost sessions at once.
    pub max_connections: usize,
    /// Connections at once that are not logged in; more than `max_connections` is no limit.
    pub max_strangers: usize,
    /// From accept until authenticated.
    pub login_timeout: Duration,
    /// Longest time without a whole frame once authenticated; `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a lost session can be resumed; zero if it ends with its connection.
    pub resume_window: Duration,
}

/// Which setting is out of its bounds, and what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `max_frame_bytes` is this.
    #[error("max_frame_bytes is {0}; it must be from {MAX_FRAME_BYTES_LEAST} to {MAX_FRAME_BYTES_MOST}")]
    Frame(u32),
    /// `output_limit_bytes` is too small for frames that long.
    #[error("output_limit_bytes is {output}; with max_frame_bytes {frame} it must be at least {least}")]
    Output {
        /// `output_limit_bytes`
        output: usize,
        /// `max_frame_bytes`
        frame: u32,
        /// What it must be at least.
        least: usize,
    },
    /// `output_total_bytes` is less than one connection may have.
    #[error("output_total_bytes is {total}; it must be at least output_limit_bytes, which is {output}")]
    OutputTotal {
        /// `output_total_bytes`
        total: usize,
        /// `output_limit_bytes`
        output: usize,
    },
}

impl Config {
    /// Whether no penalty is put on an address.
    pub fn exempts(&self, address: IpAddr) -> bool {
        !self.exempt.is_empty() && {
            let address = address.to_canonical();
            self.exempt.iter().any(|network| network.contains(&address))
        }
    }

    /// Whether the bounds on frames and output go with one another.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let (frame, output, total) = (self.max_frame_bytes, self.output_limit_bytes, self.output_total_bytes);
        let least = limits::output_limit_least_bytes(frame);
        if !(MAX_FRAME_BYTES_LEAST..=MAX_FRAME_BYTES_MOST).contains(&frame) {
            Err(ConfigError::Frame(frame))
        } else if output < least {
            Err(ConfigError::Output { output, frame, least })
        } else if total < output {
            Err(ConfigError::OutputTotal { total, output })
        } else {
            Ok(())
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_frame_bytes: limits::MAX_FRAME_BYTES_DEFAULT,
            output_limit_bytes: limits::OUTPUT_LIMIT_BYTES_DEFAULT,
            output_total_bytes: limits::OUTPUT_TOTAL_BYTES_DEFAULT,
            registration_open: true,
            hash_rounds: limits::HASH_ROUNDS_DEFAULT,
            hash_wait: limits::HASH_WAIT_DEFAULT,
            hash_rounds_per_second: 5_000_000,
            hash_lane_costs: LaneCosts::default(),
            login_cache: limits::LOGIN_CACHE_DEFAULT,
            penalty: limits::PENALTY_DEFAULT,
            exempt: Vec::new(),
            min_password_characters: limits::MIN_PASSWORD_CHARACTERS_DEFAULT,
            max_attempts: limits::MAX_ATTEMPTS_DEFAULT,
            chat_rate: limits::CHAT_RATE_DEFAULT,
            max_connections: limits::MAX_CONNECTIONS_DEFAULT,
            max_strangers: limits::MAX_STRANGERS_DEFAULT,
            login_timeout: limits::LOGIN_TIMEOUT_DEFAULT,
            idle_timeout: None,
            resume_window: limits::RESUME_WINDOW_DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_do_not_go_with_one_another_are_told() {
        let (least, most) = (limits::MAX_FRAME_BYTES_LEAST, limits::MAX_FRAME_BYTES_MOST);
        let with = |max_frame_bytes, output_limit_bytes, output_total_bytes| Config {
            max_frame_bytes,
            output_limit_bytes,
            output_total_bytes,
            ..Config::default()
        };
        for frame in [least, most] {
            let output = limits::output_limit_least_bytes(frame);
            assert_eq!(with(frame, output, output).check(), Ok(()));
            assert_eq!(
                with(frame, output - 1, output).check(),
                Err(ConfigError::Output { output: output - 1, frame, least: output })
            );
            assert_eq!(
                with(frame, output, output - 1).check(),
                Err(ConfigError::OutputTotal { total: output - 1, output })
            );
        }
        for frame in [0, 16, least - 1, most + 1] {
            assert_eq!(with(frame, usize::MAX, usize::MAX).check(), Err(ConfigError::Frame(frame)));
        }
        assert_eq!(Config::default().check(), Ok(()));
    }
}
