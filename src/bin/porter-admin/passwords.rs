//! Passwords: asked for, checked against the rules, hashed here, so that none is sent.

use crate::Asked;
use crate::ask::{Porter, ask_for_one};
use crate::password_file::password_from_file;
use crate::question::{ask, say};
use porter::auth::{Password, PasswordHash, hash_passwords};
use porter::cli::Failure;
use porter::engine::{Entropy, EntropyError};
use porter::limits::SALT_BYTES;
use porter::server::OsEntropy;
use serde_json::Value;
use std::path::Path;
use zeroize::Zeroizing;

/// What new passwords have to keep to.
pub(crate) struct Policy {
    pub(crate) hash_rounds: u32,
    min_characters: u32,
}

/// What the server wants of passwords, unless a flag says something else.
///
/// # Errors
/// [`Failure`] if it does not say.
pub(crate) fn policy(porter: &mut dyn Porter, asked: &Asked<'_>) -> Result<Policy, Failure> {
    let object = ask_for_one(porter, "policy".to_owned())?;
    let number =
        |key: &str| object.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let (Some(rounds), Some(min_characters)) = (number("hash_rounds"), number("min_password_characters"))
    else {
        return Err(Failure::failed("the server does not say what passwords have to keep to"));
    };
    let hash_rounds = asked.matches.get_one::<u32>("hash-rounds").copied().unwrap_or(rounds);
    Ok(Policy { hash_rounds, min_characters })
}

impl Policy {
    /// # Errors
    /// The rule that a password breaks.
    pub(crate) fn check(&self, text: &str) -> Result<Password, String> {
        Password::chosen(text, self.min_characters).map_err(|rule| rule.to_string())
    }

    /// # Errors
    /// [`Failure`] if the system has no random bytes.
    pub(crate) fn hash(&self, password: &Password) -> Result<PasswordHash, Failure> {
        let hashes = hash_passwords(&[(password.clone(), salt()?)], self.hash_rounds, |_| {});
        hashes.into_iter().next().ok_or_else(|| Failure::failed("the password was not hashed"))
    }
}

/// # Errors
/// [`Failure`] if the system has no random bytes.
pub(crate) fn salt() -> Result<[u8; SALT_BYTES], Failure> {
    let mut salt = [0; SALT_BYTES];
    let filled = OsEntropy::new().fill(&mut salt);
    filled.map_err(|EntropyError(reason)| {
        Failure::failed(format_args!("no random bytes from the system: {reason}"))
    })?;
    Ok(salt)
}

/// A new password from a file, or typed twice.
///
/// # Errors
/// [`Failure`] if there is none, or it breaks a rule.
pub(crate) fn new_password(name: &str, policy: &Policy, file: Option<&Path>) -> Result<Password, Failure> {
    if let Some(given) = from_file(file)? {
        return policy.check(&given).map_err(Failure::failed);
    }
    loop {
        let least = policy.min_characters;
        let first = ask(&format!("New password for {name} (at least {least} characters): "))?;
        let password = match policy.check(&first) {
            Ok(password) => password,
            Err(rule) => {
                say(&format!("{rule}\n"));
                continue;
            }
        };
        if *ask("The same password again: ")? == *first {
            return Ok(password);
        }
        say("these are two different passwords\n");
    }
}

/// Whether a password is a user's.
///
/// # Errors
/// [`Failure`] if it is not, or there is no such user.
pub(crate) fn verify(porter: &mut dyn Porter, name: &str, file: Option<&Path>) -> Result<(), Failure> {
    let object = ask_for_one(porter, format!("users verify {name}"))?;
    let phc = object.get("password").and_then(Value::as_str).unwrap_or_default();
    let hash = PasswordHash::from_phc(phc).map_err(Failure::failed)?;
    let typed = match from_file(file)? {
        Some(given) => given,
        None => ask(&format!("Password for {name}: "))?,
    };
    if hash.is_of(&Password::new(typed.as_bytes())) {
        return Ok(());
    }
    Err(Failure::failed("the password is wrong"))
}

fn from_file(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, Failure> {
    Ok(file.map(password_from_file).transpose()?.flatten())
}
