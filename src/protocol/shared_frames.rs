//! Frames that many connections are sent: encoded once, and counted as long as somebody holds them.

use std::cell::Cell;
use std::rc::Rc;

/// Whole frames for many, encoded once. Whoever keeps a [`Meter`] of them knows what all that are still held take.
#[derive(Debug)]
pub struct SharedFrames {
    bytes: Vec<u8>,
    meter: Meter,
}

/// Counts the bytes of shared frames that somebody still holds, each once.
#[derive(Clone, Debug, Default)]
pub struct Meter(Rc<Cell<usize>>);

impl Meter {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.0.get()
    }
}

impl SharedFrames {
    /// Frames that the meter counts until the last reference to them is dropped.
    pub fn new(bytes: Vec<u8>, meter: &Meter) -> Rc<SharedFrames> {
        meter.0.set(meter.0.get() + bytes.capacity());
        Rc::new(SharedFrames { bytes, meter: meter.clone() })
    }

    /// Bytes of memory that they take.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The frames.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for SharedFrames {
    fn drop(&mut self) {
        self.meter.0.set(self.meter.0.get() - self.bytes.capacity());
    }
}
