//! Handshakes that are not done.

use super::{await_line, figures, start, value};
use crate::support::eventually;
use crate::tls::Stranger;

/// More begin than may be under way at once, and none goes on: some wait, until all of them leave.
#[test]
fn handshakes_that_wait_are_seen() {
    let (server, address) = start(&["--tls"]);
    let crowd: Vec<Stranger> = (0..100).map(|_| Stranger::says_hello(&server)).collect();
    eventually("handshakes under way and others that wait", || {
        let told = figures(address);
        let pending = |state| value(&told, &format!("porter_handshakes_pending{{state=\"{state}\"}}"));
        (pending("under_way") == 32.0 && pending("waiting") > 0.0).then_some(())
    });
    drop(crowd);
    await_line(address, "porter_handshakes_pending{state=\"waiting\"} 0.0");
    await_line(address, "porter_handshakes_pending{state=\"under_way\"} 0.0");
    assert_eq!(value(&figures(address), "porter_handshakes_total"), 0.0);
}
