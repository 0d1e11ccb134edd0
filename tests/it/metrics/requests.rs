//! What is a request, and what it is answered with.

use super::{answer, ask, connect, expect_status, figures, get, start};
use std::io::{ErrorKind, Write};

#[test]
fn a_request_may_come_in_single_bytes_and_anything_else_is_refused() {
    let (_server, address) = start(&[]);
    let mut stream = connect(address);
    for byte in b"GET /health HTTP/1.1\r\nHost: porter\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let ok = answer(stream);
    assert!(ok.starts_with("HTTP/1.1 200 OK\r\n") && ok.ends_with("\r\n\r\nok\n"), "{ok}");
    assert!(ok.contains("\r\nConnection: close\r\n") && ok.contains("\r\nContent-Length: 3\r\n"), "{ok}");
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b", 405),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        ("GET /metrics\r\n\r\n", 400),
        ("\x16\x03\x01\r\n\r\n", 400),
    ] {
        let said = ask(address, request);
        expect_status(&said, status);
        assert_eq!(said.contains("\r\nAllow: GET, HEAD\r\n"), status == 405, "{said}");
    }
}

/// As scrapers, health checks, proxies and people ask.
#[test]
fn requests_have_many_forms() {
    let (_server, address) = start(&[]);
    for request in [
        "GET /metrics?collect[]=all HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /metrics HTTP/1.0\r\n\r\n",
        "GET http://porter.example:9091/metrics HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /metrics HTTP/1.1\nhost: a\n\n",
        "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nAccept-Encoding: gzip\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let said = ask(address, request);
        expect_status(&said, 200);
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{request}: {said}");
        assert!(
            said.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")
        );
        assert!(said.ends_with("# EOF\n") && said.contains("\r\nConnection: close\r\n"), "{said}");
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    }
    let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_status(&head, 200);
    assert!(head.ends_with("\r\n\r\n") && !head.contains("Content-Length: 0"), "{head}");
}

/// 8 KiB without an end are waited with, one byte more is too much, and whoever goes on sending hears of it.
#[test]
fn a_head_beyond_eight_kibibytes_is_too_large() {
    let (_server, address) = start(&[]);
    let begun = |bytes: usize| {
        let request = "GET /metrics HTTP/1.1\r\nHost: a\r\nx: ";
        format!("{request}{}", "x".repeat(bytes - request.len()))
    };
    let mut stream = connect(address);
    stream.write_all(begun(8 * 1024).as_bytes()).unwrap();
    // It came before, so it has been looked at.
    figures(address);
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    stream.write_all(b"x").unwrap();
    expect_status(&answer(stream), 431);
    expect_status(&ask(address, &begun(400 * 1024)), 431);
    expect_status(&get(address, &format!("/{}", "x".repeat(9 * 1024))), 431);
    let whole = format!("{}\r\n\r\n", begun(8 * 1024 - 4));
    expect_status(&ask(address, &whole), 200);
}
