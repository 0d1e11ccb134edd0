//! The honest client: messages at set times, whatever becomes of those before them.

use crate::host::{Guest, frame};
use hdrhistogram::Histogram;
use porter::protocol::{FrameRead, Reply};
use std::io::Write;
use std::time::{Duration, Instant};

/// Between two messages: 500 a second.
const PACE: Duration = Duration::from_millis(2);

/// What the echoes of one stretch took, in microseconds, each from the moment at which its message was due.
pub(crate) struct Echoes(Histogram<u64>);

impl Echoes {
    /// A quantile, in milliseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// p50, p99 and the longest, in milliseconds.
    pub(crate) fn shown(&self) -> String {
        let [median, late, longest] = [0.5, 0.99, 1.0].map(|quantile| self.quantile(quantile));
        format!("{median:.2} / {late:.2} / {longest:.2}")
    }
}

/// Sends messages for a while, each when it is due, and checks that all come back, whole and in order.
pub(crate) fn converse(guest: &mut Guest, span: Duration) -> Echoes {
    let mut source = guest.stream.try_clone().unwrap();
    let token = guest.token;
    let count = (span.as_micros() / PACE.as_micros()) as u32;
    let begin = Instant::now();
    let mut echoes = Histogram::new(3).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..count {
                std::thread::sleep((begin + PACE * n).saturating_duration_since(Instant::now()));
                let text = n.to_string();
                source.write_all(&frame(0x05, &[&token, text.as_bytes()].concat())).unwrap();
            }
        });
        for n in 0..count {
            let body =
                guest.stream.read_frame(u32::MAX).unwrap().expect("the honest client is not sent away");
            let took = (begin + PACE * n).elapsed();
            assert_eq!(Reply::decode(&body), Ok(Reply::Message { sender: "", text: &n.to_string() }));
            echoes.record(took.as_micros() as u64).unwrap();
        }
    });
    Echoes(echoes)
}
