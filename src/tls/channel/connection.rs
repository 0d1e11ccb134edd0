//! The two sides of `rustls` as one, without its buffers: what came is lent to it, and what it has to say is taken at once.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, Error};
use std::ops::Deref;

/// The state of one side: its keys, and of a handshake what it still needs. No bytes that came or are to be sent.
///
/// `rustls` keeps a read buffer of 4 KiB in each connection that has ones of its own, more than all else of an idle one.
pub(super) enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// Bytes that a record is longer than its text, and some to spare for an update of keys before it.
const OVERHEAD_BYTES: usize = 64;

/// What a look at encrypted bytes came to.
enum Step {
    /// There may be more to be done.
    GoesOn,
    /// Text was handed on; with no bytes left there is nothing more to be done.
    HandedOn,
    /// The peer has said that nothing more comes from it.
    Ended,
    /// There is nothing more to be done.
    Waits,
}

/// What became of encrypted bytes.
#[derive(Debug, Default)]
pub(super) struct Processed {
    /// So many are done with; those behind them are to be shown again, with what comes after them.
    pub(super) bytes: usize,
    /// The peer has said that nothing more comes from it.
    pub(super) is_ended: bool,
}

/// Shows bytes to the state of either side.
macro_rules! process {
    ($connection:expr, $records:expr, |$status:ident| $settle:expr) => {
        match $connection {
            Connection::Client(tls) => {
                let $status = tls.process_tls_records($records);
                $settle
            }
            Connection::Server(tls) => {
                let $status = tls.process_tls_records($records);
                $settle
            }
        }
    };
}

impl Deref for Connection {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Connection::Client(tls) => tls,
            Connection::Server(tls) => tls,
        }
    }
}

impl Connection {
    /// Sees to all records that are whole: hands their text on, and appends to `unsent` what there is to answer. They are
    /// deciphered where they lie.
    ///
    /// # Errors
    /// If they are not as they should be. What there is to say about it is in `unsent`.
    pub(super) fn process(
        &mut self,
        records: &mut [u8],
        mut hand_on: impl FnMut(&[u8]),
        unsent: &mut Vec<u8>,
    ) -> Result<Processed, Error> {
        let mut processed = Processed::default();
        loop {
            let rest = &mut records[processed.bytes..];
            let (bytes, step) = process!(self, rest, |status| settle(status, &mut hand_on, unsent));
            processed.bytes += bytes;
            match step {
                Ok(Step::GoesOn) => {}
                Ok(Step::HandedOn) if processed.bytes < records.len() => {}
                Ok(Step::Ended) => processed.is_ended = true,
                Ok(Step::HandedOn | Step::Waits) => return Ok(processed),
                Err(error) => {
                    // The alert about it. As long as some of it is left nothing else is looked at.
                    while self.wants_write() {
                        let _ = process!(self, &mut [], |status| settle(status, &mut hand_on, unsent));
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Appends text to `unsent`, encrypted, or `close_notify` for none. Says whether that could be done: not before the
    /// handshake has come to keys for text. `held` are the bytes that came and are no whole record yet.
    pub(super) fn say(&mut self, text: Option<&[u8]>, held: &mut [u8], unsent: &mut Vec<u8>) -> bool {
        loop {
            if let Some(is_said) = process!(self, held, |status| speak(status, text, unsent)) {
                return is_said;
            }
        }
    }
}

/// Does what a look at bytes asks for, and says how many of them are done with.
fn settle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    hand_on: &mut impl FnMut(&[u8]),
    unsent: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { discard: mut bytes, state } = status;
    let step = state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                bytes += record.discard;
                hand_on(record.payload);
            }
            Ok(Step::HandedOn)
        }
        ConnectionState::EncodeTlsData(mut data) => {
            append(unsent, 0, |into| match data.encode(into) {
                Err(EncodeError::InsufficientSize(needed)) => Err(Some(needed.required_size)),
                outcome => outcome.map_err(|_| None),
            });
            Ok(Step::GoesOn)
        }
        ConnectionState::TransmitTlsData(data) => {
            // It is in `unsent`, from where it is written.
            data.done();
            Ok(Step::GoesOn)
        }
        ConnectionState::PeerClosed => Ok(Step::Ended),
        _ => Ok(Step::Waits),
    });
    (bytes, step)
}

/// Appends text, or `close_notify`, if it is time for it, and says whether that could be done; `None` if something else was to
/// be done before.
fn speak<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    text: Option<&[u8]>,
    unsent: &mut Vec<u8>,
) -> Option<bool> {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            let expected = text.map_or(0, <[u8]>::len) + OVERHEAD_BYTES;
            Some(append(unsent, expected, |into| encrypt(&mut traffic, text, into)))
        }
        state => match settle(UnbufferedStatus { discard: status.discard, state }, &mut |_| {}, unsent).1 {
            Ok(Step::Waits) | Err(_) => Some(false),
            Ok(_) => None,
        },
    }
}

fn encrypt<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    text: Option<&[u8]>,
    into: &mut [u8],
) -> Result<usize, Option<usize>> {
    let outcome = match text {
        Some(text) => traffic.encrypt(text, into),
        None => traffic.queue_close_notify(into),
    };
    outcome.map_err(|error| match error {
        EncryptError::InsufficientSize(needed) => Some(needed.required_size),
        EncryptError::EncryptExhausted => None,
    })
}

/// Lets `write` append bytes: it says how many it has written, or how many it needs room for, or that it cannot.
fn append(
    bytes: &mut Vec<u8>,
    expected: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> bool {
    let before = bytes.len();
    let mut room = expected;
    loop {
        bytes.resize(before + room, 0);
        match write(&mut bytes[before..]) {
            Ok(count) => {
                bytes.truncate(before + count);
                return true;
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => {
                bytes.truncate(before);
                return false;
            }
        }
    }
}
