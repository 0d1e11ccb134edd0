//! Why a shared store cannot be used, or has not done what it was asked for.

use super::StoreAddress;
use super::greeting::not_initialised;
use thiserror::Error;

/// Why a shared store cannot be used, or has not done what it was asked for. One line, with the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Its host has no address.
    #[error("{0}")]
    NoAddress(String),
    /// Nothing answers where it should be.
    #[error("the shared store {address} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        address: StoreAddress,
        /// What the network said.
        reason: String,
    },
    /// It is not one that porter can use.
    #[error("the shared store {address} cannot be used: {reason}")]
    Unusable {
        /// Which.
        address: StoreAddress,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody has initialised it as porter's.
    #[error("the shared store {0}: {}", not_initialised(.0))]
    NotInitialised(StoreAddress),
    /// It was initialised before.
    #[error("{0} is initialised already; nothing is changed")]
    Initialised(StoreAddress),
    /// It did not answer, or refused.
    #[error("the shared store {address}: {reason}")]
    Failed {
        /// Which.
        address: StoreAddress,
        /// What it said.
        reason: String,
    },
    /// Users cannot be added as they are: the first of them, and why.
    #[error("{0}")]
    BadUser(String),
}
