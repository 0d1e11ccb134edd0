//! What the flags come to: the engine's settings, and whether the server encrypts.

use crate::flags::{Flags, Registration};
use porter::cli::Failure;
use porter::engine::Config;
use porter::limits;
#[cfg(feature = "tls")]
use porter::server::CertificateFiles;
use porter::server::Encryption;
use std::net::IpAddr;

pub(crate) fn config(flags: &Flags) -> Result<Config, Failure> {
    let least = limits::output_limit_least_bytes(flags.max_frame);
    if let Some(given) = flags.output_limit.filter(|given| *given < least) {
        let max_frame = flags.max_frame;
        return Err(Failure::usage(format_args!(
            "--output-limit {given} is too small for --max-frame {max_frame}; it must be at least {least}"
        )));
    }
    let output_limit_bytes = flags.output_limit.unwrap_or(limits::OUTPUT_LIMIT_BYTES_DEFAULT.max(least));
    if let Some(given) = flags.output_total.filter(|given| *given < output_limit_bytes) {
        return Err(Failure::usage(format_args!(
            "--output-total {given} is too small; one connection alone may have {output_limit_bytes} (--output-limit)"
        )));
    }
    Ok(Config {
        max_frame_bytes: flags.max_frame,
        output_limit_bytes,
        output_total_bytes: flags
            .output_total
            .unwrap_or(limits::OUTPUT_TOTAL_BYTES_DEFAULT.max(output_limit_bytes)),
        registration_open: flags.registration == Registration::Open,
        hash_rounds: flags.hash_rounds,
        hash_wait: flags.hash_wait,
        login_cache: flags.login_cache,
        penalty: flags.penalty,
        min_password_characters: flags.min_password,
        max_attempts: flags.max_attempts,
        chat_rate: flags.chat_rate,
        max_connections: flags.max_connections as usize,
        max_strangers: flags.max_strangers as usize,
        login_timeout: flags.login_timeout,
        idle_timeout: Some(flags.idle_timeout).filter(|timeout| !timeout.is_zero()),
        resume_window: flags.resume_window,
        ..Config::default()
    })
}

/// On a loopback address plain TCP unless something else is asked for; on any other TLS, unless it is turned off.
#[cfg(feature = "tls")]
pub(crate) fn encryption(flags: &Flags, host: IpAddr) -> Result<Encryption, Failure> {
    let files = flags.tls_cert.clone().zip(flags.tls_key.clone());
    Ok(match files {
        Some((certificate, key)) => Encryption::Certificate(CertificateFiles { certificate, key }),
        None if flags.tls => Encryption::OwnCertificate,
        None if flags.plaintext || is_loopback(host) => Encryption::Plaintext,
        None => Encryption::OwnCertificate,
    })
}

#[cfg(not(feature = "tls"))]
pub(crate) fn encryption(flags: &Flags, host: IpAddr) -> Result<Encryption, Failure> {
    if flags.plaintext || is_loopback(host) {
        return Ok(Encryption::Plaintext);
    }
    Err(Failure::usage(format_args!(
        "this porter-server was built without encryption; to listen on {host} all the same give --plaintext"
    )))
}

pub(crate) fn is_loopback(host: IpAddr) -> bool {
    host.to_canonical().is_loopback()
}
