//! One who writes in chat as fast as the network goes, and those beside.

use crate::support::{Said, Server, Visitor, frame, uninterrupted};
use socket2::Socket;
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// Writes as much as the socket takes, until it has taken nothing for a while; says how much it took.
fn flood(flooder: &mut Visitor, most: usize) -> usize {
    let text = flooder.message_frame(&[b'f'; 1_000]).repeat(64);
    flooder.stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut taken = 0;
    while taken < most {
        // In step with the frames: what was taken in part is gone on with.
        match uninterrupted(|| flooder.stream.write(&text[taken % text.len()..])) {
            Ok(count) => taken += count,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => break,
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

/// The story: one flooder in chat made slow consumers of all who did not read as fast, again and again.
#[test]
fn an_ordinary_client_beside_a_flooder_is_not_cut_off() {
    let server = Server::start(&["--mode", "chat", "--max-frame", "2048", "--output-limit", "200000"]);
    let mut ordinary = Visitor::connect_narrow(&server).greeted();
    ordinary.log_in("ann", crate::support::PASSWORD);
    let mut flooder = Visitor::arrive(&server);
    Socket::from(flooder.stream.try_clone().unwrap()).set_send_buffer_size(65_536).unwrap();
    flooder.log_in("bob", crate::support::PASSWORD);
    let most = 64 << 20;
    assert!(flood(&mut flooder, most) < most, "it is read as fast as it writes");
    // It has read nothing meanwhile. All that was taken is there, in order, and it can answer.
    ordinary.expect(Said::message("", "bob joined"));
    let flooded = Said::message("bob", &"f".repeat(1_000));
    for _ in 0..100 {
        ordinary.expect(flooded.clone());
    }
    ordinary.message("@ann to myself");
    loop {
        match ordinary.next() {
            said if said == flooded => {}
            said => break assert_eq!(said, Said::message("ann", "@ann to myself")),
        }
    }
}

/// What was sent faster than the rate, and the Exit behind it, comes in its time.
#[test]
fn nothing_of_a_long_text_is_dropped() {
    let server = Server::start(&["--mode", "chat", "--chat-rate", "500"]);
    let mut reader = Visitor::logged_in(&server, "ann");
    let mut writer = Visitor::logged_in(&server, "bob");
    reader.expect(Said::message("", "bob joined"));
    let texts: Vec<String> = (0..350).map(|n| format!("line {n}")).collect();
    let mut bytes: Vec<u8> = texts.iter().flat_map(|text| writer.message_frame(text.as_bytes())).collect();
    bytes.extend(frame(0x06, &[]));
    writer.send_raw(&bytes);
    writer.finish_sending();
    for text in &texts {
        reader.expect(Said::message("bob", text));
    }
    reader.expect(Said::message("", "bob left"));
    writer.expect_bye();
}
