//! What the flags come to: the engine's settings, and whether the server encrypts.

use crate::flags::{Flags, Format, Registration};
use porter::cli::{Failure, Given, Source};
use porter::engine::Config;
use porter::limits;
#[cfg(feature = "tls")]
use porter::server::CertificateFiles;
use porter::server::{Encryption, LogDestination, LogFormat, LogOptions, StoreConnector, StoreTrust};
use porter::store::Durability;
use std::net::IpAddr;

/// The engine's settings.
///
/// # Errors
/// [`Failure`], about the flag that does not go with another.
pub(crate) fn config(given: &Given<Flags>) -> Result<Config, Failure> {
    let flags = &given.flags;
    let least = limits::output_limit_least_bytes(flags.max_frame);
    if let Some(limit) = flags.output_limit.filter(|limit| *limit < least) {
        let max_frame = flags.max_frame;
        let reason = format!("{limit} is too small for --max-frame {max_frame}; it must be at least {least}");
        return Err(given.fault("output-limit", &reason));
    }
    let output_limit_bytes = flags.output_limit.unwrap_or(limits::OUTPUT_LIMIT_BYTES_DEFAULT.max(least));
    if let Some(total) = flags.output_total.filter(|total| *total < output_limit_bytes) {
        let reason = format!(
            "{total} is too small; one connection alone may have {output_limit_bytes} (--output-limit)"
        );
        return Err(given.fault("output-total", &reason));
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
        exempt: flags.exempt.clone(),
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

/// How the store that several servers share is connected to, if there is one.
///
/// # Errors
/// [`Failure`], about the flag that is wrong or does not go with another.
pub(crate) fn store_connector(given: &Given<Flags>) -> Result<Option<StoreConnector>, Failure> {
    let trust = store_trust(&given.flags);
    match &given.flags.store {
        Some(address) => {
            let connector = StoreConnector::new(address.clone(), &trust);
            connector.map(Some).map_err(|error| given.fault(error.flag, &error.reason))
        }
        None => {
            // A file that --check-config has written has every flag.
            let is_given = given.source("store-durability") == Some(&Source::CommandLine)
                || given.flags.store_durability != Durability::default();
            if let Some(flag) = trust.first_given() {
                return Err(given.fault(flag, "it is for a shared store: give --store rediss://HOST"));
            }
            if is_given {
                let reason = "it is for a shared store: give --store redis://HOST";
                return Err(given.fault("store-durability", reason));
            }
            Ok(None)
        }
    }
}

#[cfg(feature = "tls")]
fn store_trust(flags: &Flags) -> StoreTrust {
    let mut trust = StoreTrust::default();
    trust.authority = flags.store_ca.clone();
    trust.fingerprint = flags.store_fingerprint;
    trust.certificate = flags.store_cert.clone();
    trust.key = flags.store_key.clone();
    trust
}

#[cfg(not(feature = "tls"))]
fn store_trust(_: &Flags) -> StoreTrust {
    StoreTrust::default()
}

/// How the server logs.
pub(crate) fn log_options(flags: &Flags) -> LogOptions {
    LogOptions {
        destination: match flags.log_file.as_os_str() == "-" {
            true => LogDestination::Stderr,
            false => LogDestination::File(flags.log_file.clone()),
        },
        format: match flags.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        },
        level: flags.log_level,
        journal_stream: std::env::var("JOURNAL_STREAM").ok(),
    }
}

/// On loopback addresses plain TCP unless something else is asked for; with any other among them TLS, unless it is turned off.
#[cfg(feature = "tls")]
pub(crate) fn encryption(flags: &Flags, hosts: &[IpAddr]) -> Result<Encryption, Failure> {
    Ok(match certificate_files(flags) {
        Some(files) => Encryption::Certificate(files),
        None if !flags.tls && (flags.plaintext || open_host(hosts).is_none()) => Encryption::Plaintext,
        None if flags.store.is_some() => {
            return Err(Failure::usage(
                "--store with encryption needs --tls-cert and --tls-key: clients must find one certificate at all servers",
            ));
        }
        None => Encryption::OwnCertificate,
    })
}

/// The operator's certificate, if one is given.
#[cfg(feature = "tls")]
pub(crate) fn certificate_files(flags: &Flags) -> Option<CertificateFiles> {
    let (certificate, key) = flags.tls_cert.clone().zip(flags.tls_key.clone())?;
    Some(CertificateFiles { certificate, key })
}

#[cfg(not(feature = "tls"))]
pub(crate) fn encryption(flags: &Flags, hosts: &[IpAddr]) -> Result<Encryption, Failure> {
    let host = match open_host(hosts) {
        Some(host) if !flags.plaintext => host,
        _ => return Ok(Encryption::Plaintext),
    };
    Err(Failure::usage(format_args!(
        "this porter-server was built without encryption; to listen on {host} all the same give --plaintext"
    )))
}

/// The first of these addresses that is not this machine's own alone. With one, all connections are encrypted.
pub(crate) fn open_host(hosts: &[IpAddr]) -> Option<IpAddr> {
    hosts.iter().copied().find(|host| !host.to_canonical().is_loopback())
}

#[cfg(target_os = "linux")]
pub(crate) fn shares_port(flags: &Flags) -> bool {
    flags.share_port
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn shares_port(_: &Flags) -> bool {
    false
}

/// A warning about hashes that are soon guessed.
pub(crate) fn cheap_hashes(rounds: u32) -> Option<String> {
    let least = limits::HASH_ROUNDS_WEAK;
    (rounds < least)
        .then(|| format!("--hash-rounds {rounds} makes stolen hashes cheap to guess; use at least {least}"))
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use clap::Parser;

    /// One way for the whole server: a single address that others can reach has all connections encrypted.
    #[test]
    fn any_address_that_others_can_reach_has_all_encrypted() {
        for (flags, hosts, is_plain) in [
            (&[][..], &["127.0.0.1", "::1"][..], true),
            (&[], &["::ffff:127.0.0.1"], true),
            (&[], &["127.0.0.1", "192.0.2.1"], false),
            (&[], &["::"], false),
            (&["--plaintext"], &["127.0.0.1", "192.0.2.1"], true),
            (&["--tls"], &["127.0.0.1"], false),
        ] {
            let given = Flags::try_parse_from([&["porter-server"], flags].concat()).ok();
            let hosts: Option<Vec<IpAddr>> = hosts.iter().map(|host| host.parse().ok()).collect();
            let found = given.zip(hosts).and_then(|(given, hosts)| encryption(&given, &hosts).ok());
            let found = found.map(|found| matches!(found, Encryption::Plaintext));
            assert_eq!(found, Some(is_plain), "{flags:?}");
        }
    }
}
