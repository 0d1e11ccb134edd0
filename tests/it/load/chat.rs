//! The scenario `chat`, against the real server or one that does as the test says.

use super::plot::drawn;
use super::scenarios::{measured, short};
use super::table::written;
use super::{CHAT, Server, finish, start};
use porter::load::{self, Plan, Scenario, Timeouts};
use std::time::Duration;

#[test]
fn a_text_is_over_when_its_last_reader_has_it_and_the_next_follows() {
    let server = Server::start(&CHAT);
    for (in_flight, users, size_bytes) in [(1, 1, 64), (16, 3, 1)] {
        let plan = Plan { in_flight, users, size_bytes, ..short(Scenario::Chat, &server) };
        let report = measured(&plan);
        let chat = report.chat.as_ref().unwrap();
        assert_eq!((report.clients, chat.readers, chat.in_flight), (23, 20, Some(in_flight)));
        // More than those that were under way at first. What was under way at the end came to its end, too, and is not
        // among what was delivered in the time that is measured.
        let texts = report.message_us.count;
        assert!(texts > 2 * in_flight as u64 && report.message_us.unfinished == 0, "{report:?}");
        let least = texts.saturating_sub(in_flight as u64) * 20;
        assert!((least..=texts * 20).contains(&chat.deliveries), "{texts} texts, {chat:?}");
        // 0.3 s each.
        for whispers in [chat.whisper_at_rest_us, chat.whisper_us] {
            assert!((29..=31).contains(&whispers.count) && whispers.unfinished == 0, "{whispers:?}");
        }
        assert!(chat.server_ns_per_delivery.unwrap() > 0.0 && chat.deliveries_per_second > 0.0, "{chat:?}");
        let text = written(&report);
        assert!(text.starts_with("chat, 20 readers, ") && text.contains("ns of the server's CPU"), "{text}");
        assert!(text.contains("last reader") && text.contains("whisper at rest"), "{text}");
        assert!(drawn(&report).contains("in a room of 20 readers"));
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_room_is_written_to_by_the_clock_and_encrypted() {
    let server = Server::start(&[&CHAT[..], &["--tls"]].concat());
    let trust = porter::client::tls::Trust::Authority(server.folder.data().join("tls-cert.pem"));
    let plan = Plan {
        protection: porter::client::Protection::Tls(trust),
        rate_per_second: 100.0,
        ..short(Scenario::Chat, &server)
    };
    let report = measured(&plan);
    let chat = report.chat.as_ref().unwrap();
    assert!((29..=31).contains(&report.message_us.count), "{:?}", report.message_us);
    assert_eq!((chat.in_flight, chat.texts_due_per_second), (None, Some(100.0)));
    assert!(report.target.contains("TLS") && written(&report).contains("100 texts/s of 64 bytes"));
}

#[test]
fn texts_that_arrive_after_the_time_that_is_measured_are_not_in_its_rate() {
    // Nobody is to be cut off, however far behind.
    let server = Server::start(&[&CHAT[..], &["--output-limit", "67108864"]].concat());
    let report = measured(&Plan { rate_per_second: 200_000.0, ..short(Scenario::Chat, &server) });
    let chat = report.chat.as_ref().unwrap();
    assert!(report.message_us.count * 20 > chat.deliveries, "it was too much: {report:?}");
    let by_reader = chat.deliveries_per_second / 20.0;
    assert!((report.messages_per_second - by_reader).abs() < 0.01, "{report:?}");
}

#[test]
fn a_server_without_a_room_is_found_out_before_the_run() {
    let server = Server::start(&[]);
    let timeouts = Timeouts { echo: Duration::from_millis(300), ..Timeouts::default() };
    let plan = Plan { timeouts, ..short(Scenario::Chat, &server) };
    let error = load::run(&plan, &mut |_| {}).unwrap_err();
    assert!(error.reason.contains("--mode chat"), "{error}");
    let flags = ["--scenario", "chat", "--rate", "1", "--in-flight", "1"];
    let (code, _, stderr) = finish(start(server.address, &flags));
    assert!(code == 2 && stderr.contains("--rate and --in-flight"), "{stderr}");
}
