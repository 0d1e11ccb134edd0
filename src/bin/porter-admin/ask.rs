//! Asking a porter, whichever it is.

use porter::cli::Failure;
use serde_json::{Map, Value};

/// One object of an answer.
pub(crate) type Object = Map<String, Value>;

/// What is done with each.
pub(crate) type Take<'a> = &'a mut dyn FnMut(&Object) -> Result<(), Failure>;

/// A running server, or its files.
pub(crate) trait Porter {
    /// Asks by these lines, and takes what is answered, object by object. Gives the text of the last, which says that it was
    /// done.
    ///
    /// # Errors
    /// [`Failure`] with what the porter says, or why it says nothing.
    fn ask(&mut self, lines: &[String], take: Take<'_>) -> Result<String, Failure>;
}

/// Asks for one object.
///
/// # Errors
/// As for [`Porter::ask`].
pub(crate) fn ask_for_one(porter: &mut dyn Porter, line: String) -> Result<Object, Failure> {
    let mut found = Object::new();
    porter.ask(&[line], &mut |object| {
        found = object.clone();
        Ok(())
    })?;
    Ok(found)
}

/// One object of an answer: `Some` is the text of the last.
///
/// # Errors
/// [`Failure`] with what was not done.
pub(crate) fn last(object: &Object) -> Result<Option<String>, Failure> {
    let text = |key| object.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("done"), text("error")) {
        (_, Some(reason)) => Err(Failure::failed(reason)),
        (done, None) => Ok(done),
    }
}
