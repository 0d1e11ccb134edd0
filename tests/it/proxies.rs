//! Behind proxies: whose address counts, and what becomes of connections that do not say for whom they are.

use crate::support::{
    Folder, PASSWORD, Said, Server, Setup, Visitor, allow_many_descriptors, frame, left_out,
};
use porter::protocol::Wanted;
use rustix::process::Signal;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

/// The first bytes of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// A health check's header.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

pub(crate) fn v1(client: &str) -> Vec<u8> {
    let client: SocketAddr = client.parse().unwrap();
    let (family, to) = if client.is_ipv4() { ("TCP4", "192.0.2.1") } else { ("TCP6", "2001:db8::1") };
    format!("PROXY {family} {} {to} {} 9090\r\n", client.ip(), client.port()).into_bytes()
}

pub(crate) fn v2(client: &str, extensions: &[u8]) -> Vec<u8> {
    let client: SocketAddr = client.parse().unwrap();
    let (family, addresses) = match client {
        SocketAddr::V4(v4) => (0x11, [&v4.ip().octets()[..], &[192, 0, 2, 1]].concat()),
        SocketAddr::V6(v6) => (0x21, [v6.ip().octets(), [1; 16]].concat()),
    };
    let rest = [&addresses, &client.port().to_be_bytes()[..], &[35, 130], extensions].concat();
    [SIGNATURE, &[0x21, family], &(rest.len() as u16).to_be_bytes(), &rest].concat()
}

/// A server that believes proxies on loopback.
fn believing(flags: &[&str]) -> Server {
    Server::start(&[&["--proxy-from", "127.0.0.1,::1/128"], flags].concat())
}

/// Connects with a header, and is greeted.
fn behind(server: &Server, header: &[u8]) -> (Visitor, String) {
    let mut visitor = Visitor::connect(server);
    visitor.send_raw(header);
    let last_name = visitor.expect_hello();
    (visitor, last_name)
}

/// The client's address is the one that is greeted and logged, and the proxy's is logged beside it.
#[test]
fn the_header_says_who_the_client_is() {
    let server = believing(&[]);
    let known = |header: &[u8], name: &str| {
        let (mut visitor, last_name) = behind(&server, header);
        assert_eq!(last_name, "", "{name}");
        visitor.log_in(name, PASSWORD);
        visitor.exit();
        visitor.expect_bye();
        let proxy = visitor.stream.local_addr().unwrap();
        let (_, last_name) = behind(&server, header);
        assert_eq!(last_name, name);
        proxy
    };
    for (client, name) in [("203.0.113.7:4711", "ann"), ("[2001:db8::7]:4712", "bob")] {
        let proxy = known(&v1(client), name);
        server.folder.log_line(&[" connected ", &format!("peer={client} proxy={proxy}")]);
        server.folder.log_line(&[" logged in ", &format!("peer={client} name={name}")]);
    }
    known(&v2("203.0.113.8:1", b""), "cem");
    known(&v2("[2001:db8:1::7]:1", &[&[4, 1, 225][..], &[0; 481]].concat()), "dora");
    known(&v1("[::ffff:203.0.113.9]:1"), "eva");
    server.folder.log_line(&[" connected ", "peer=203.0.113.9:1 "]);
}

/// What a header does not tell is taken from the socket.
#[test]
fn a_client_whose_address_is_not_told_has_the_proxys() {
    let server = believing(&[]);
    let untold = [SIGNATURE, &[0x21, 0x00, 0, 3], b"abc"].concat();
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ffff::1 x 1\r\n", &untold] {
        let (visitor, _) = behind(&server, header);
        let own = visitor.stream.local_addr().unwrap();
        server.folder.log_line(&[" connected ", &format!("peer={own} proxy={own}")]);
    }
}

/// Cut in any place, with the first frame in the same packet as the end.
#[test]
fn a_header_may_come_in_any_pieces() {
    let server = believing(&["--max-strangers", "100000"]);
    let identify = frame(0x01, b"nobody");
    for header in [v1("203.0.113.7:4711"), v2("[2001:db8::7]:4711", b""), v2("203.0.113.7:1", &[4, 0, 1, 0])]
    {
        let visitors: Vec<Visitor> = (0..=header.len())
            .map(|cut| {
                let mut visitor = Visitor::connect(&server);
                visitor.send_raw(&header[..cut]);
                visitor
            })
            .collect();
        for (cut, mut visitor) in visitors.into_iter().enumerate() {
            visitor.send_raw(&[&header[cut..], &identify].concat());
            visitor.expect_hello();
            visitor.expect(Said::Wanted(Wanted::Register));
        }
        let mut visitor = Visitor::connect(&server);
        for byte in [&header[..], &identify].concat() {
            visitor.send_raw(&[byte]);
        }
        visitor.expect_hello();
        visitor.expect(Said::Wanted(Wanted::Register));
    }
}

/// What is no header, or only a part of one, is told so and closed.
#[test]
fn without_a_valid_header_it_is_malformed() {
    let server = believing(&[]);
    let too_long = v2("203.0.113.7:1", &[4; 600]);
    for (number, wrong) in [
        &frame(0x01, b"ann")[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 9090\n",
        &[&b"PROXY UNKNOWN "[..], &[b'x'; 93]].concat(),
        &too_long[..16],
        &too_long,
        &[SIGNATURE, b"\x21\x11\x00\x04abcd"].concat(),
        &[SIGNATURE, b"\x11"].concat()[..12],
    ]
    .into_iter()
    .enumerate()
    {
        let mut visitor = Visitor::connect(&server);
        visitor.send_raw(wrong);
        if number == 8 {
            visitor.finish_sending();
        }
        let explanation = visitor.expect_last_error(100);
        assert!(explanation.contains("PROXY header"), "{explanation}");
        let from = format!("peer={}", visitor.stream.local_addr().unwrap());
        server.folder.log_line(&[" refused ", &from, "why=Malformed"]);
        assert!(!server.folder.log_text().contains(&format!("connected conn={number} {from}")));
    }
    let (mut visitor, _) = behind(&server, &v1("203.0.113.7:1"));
    visitor.log_in("ann", PASSWORD);
}

/// From elsewhere a header is not believed: it is no frame.
#[test]
fn from_elsewhere_a_header_is_malformed() {
    let server = Server::start(&["--proxy-from", "127.0.0.9"]);
    for header in [v1("203.0.113.7:4711"), v2("203.0.113.7:4711", b""), LOCAL.to_vec()] {
        let mut visitor = Visitor::arrive(&server);
        visitor.send_raw(&header);
        assert!(visitor.expect_last_error(100).contains("--proxy-from"));
        let mut believed = Visitor::connect_from("127.0.0.9", &server);
        believed.send_raw(&v1("203.0.113.7:4711"));
        believed.expect_hello();
    }
}

/// Whoever sends no header is told after the login timeout, and whoever leaves before that is no event.
#[test]
fn a_header_is_not_waited_for_for_ever() {
    let server = believing(&["--login-timeout", "1"]);
    drop(Visitor::connect(&server));
    let mut silent = Visitor::connect(&server);
    let mut slow = Visitor::connect(&server);
    slow.send_raw(b"PROXY TCP4 203.0");
    assert!(silent.expect_last_error(107).contains("PROXY header"));
    slow.expect_last_error(107);
    assert!(!server.folder.log_text().contains(" connected "));
}

/// A health check is no client: it is not greeted, counted or logged, and stays until its proxy has seen enough.
#[test]
fn a_health_check_is_no_client() {
    let server = believing(&["--login-timeout", "3", "--max-strangers", "1", "--max-connections", "1"]);
    let mut checks: Vec<Visitor> = (0..8).map(|_| Visitor::connect(&server)).collect();
    for (number, check) in checks.iter_mut().enumerate() {
        let (first, rest) = LOCAL.split_at(number * 2);
        check.send_raw(first);
        check.send_raw(rest);
    }
    // One that came, and has gone, in one packet.
    let gone = Visitor::connect(&server);
    gone.finish_sending();
    let (mut visitor, _) = behind(&server, &v1("203.0.113.7:1"));
    visitor.log_in("ann", PASSWORD);
    for check in &checks {
        assert!(check.nothing_yet());
    }
    checks[0].finish_sending();
    checks[0].expect_closed();
    checks[1].expect_closed();
    visitor.expect_echo("still here");
    assert_eq!(server.folder.log_lines(&[" connected "], 1).len(), 1);
    assert!(!server.folder.log_text().contains("refused"));
}

/// Six hundred connections of a proxy that never send their header keep nobody out: neither its clients nor others.
#[test]
fn silence_from_a_proxy_keeps_nobody_out() {
    allow_many_descriptors();
    let server =
        Server::start(&["--proxy-from", "127.0.0.9", "--max-connections", "100", "--max-strangers", "4"]);
    let mut silent: Vec<Visitor> = (0..600).map(|_| Visitor::connect_from("127.0.0.9", &server)).collect();
    let mut direct = Visitor::logged_in(&server, "ann");
    let mut client = Visitor::connect_from("127.0.0.9", &server);
    client.send_raw(&v1("203.0.113.7:1"));
    client.expect_hello();
    client.log_in("bob", PASSWORD);
    // The oldest made room.
    silent[0].expect_last_error(107);
    client.expect_echo("hi");
    direct.expect_echo("hi");
}

/// Limits by address are the clients', not the proxy's.
#[test]
fn limits_and_penalties_are_the_clients() {
    let server = believing(&["--max-strangers", "3", "--registration", "closed"]);
    let crowd: Vec<(Visitor, String)> =
        (0..3).map(|port| behind(&server, &v1(&format!("203.0.113.7:{}", 1000 + port)))).collect();
    let (mut other, _) = behind(&server, &v1("203.0.113.8:1"));
    let mut crowd = crowd.into_iter();
    crowd.next().unwrap().0.expect_last_error(106);
    other.identify("ann");
    other.expect(Said::Wanted(Wanted::Login));
    drop(crowd);
    for guess in 0..5 {
        let (mut guesser, _) = behind(&server, &v2("203.0.113.9:1", b""));
        guesser.identify("ann");
        guesser.expect(Said::Wanted(Wanted::Login));
        guesser.login("guess");
        guesser.expect_error(if guess < 4 { 4 } else { 105 });
    }
    other.login("guess");
    other.expect_error(4);
}

/// Who may be a proxy can change while the server runs.
#[test]
fn proxies_can_change() {
    let folder = Rc::new(Folder::new());
    let path = folder.path().join("porter.toml");
    fs::write(&path, "").unwrap();
    let server = Setup::new(&["--config", path.to_str().unwrap()]).folder(Rc::clone(&folder)).start();
    let mut early = Visitor::arrive(&server);
    fs::write(&path, "proxy-from = ['127.0.0.0/8', '::1']").unwrap();
    server.signal(Signal::HUP);
    folder.log_line(&["proxy-from is [\"127.0.0.0/8\", \"::1\"]; it was not set"]);
    let (mut visitor, _) = behind(&server, &v1("203.0.113.7:1"));
    visitor.log_in("ann", PASSWORD);
    early.log_in("bob", PASSWORD);
}

/// haproxy, with this in its configuration's backend; it listens on the socket that it gets as its standard input.
struct Haproxy {
    child: Child,
    address: SocketAddr,
}

impl Haproxy {
    /// `None`, and a loud word, where it is not installed.
    fn start(folder: &Folder, server: &str) -> Option<Haproxy> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let path = folder.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n mode tcp\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n\
             frontend in\n bind fd@0\n default_backend out\nbackend out\n server porter {server}\n"
        );
        fs::write(&path, text).unwrap();
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(path).stdin(Stdio::from(OwnedFd::from(listener)));
        match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => Some(Haproxy { child, address }),
            Err(error) => {
                left_out("haproxy in front of the server", "haproxy", &error);
                None
            }
        }
    }

    fn connect_from(&self, source: &str) -> Visitor {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let source: SocketAddr = format!("{source}:0").parse().unwrap();
        socket.bind(&source.into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Visitor::of(TcpStream::from(socket))
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Behind the real haproxy clients keep their addresses, with either version, and its health checks are no clients.
#[test]
fn behind_haproxy_clients_keep_their_addresses() {
    let server = Server::start(&["--proxy-from", "127.0.0.1", "--log-level", "debug"]);
    for (version, name) in [("send-proxy-v2", "ann"), ("send-proxy", "bob")] {
        let port = server.address.port();
        let check = "check check-send-proxy inter 100ms fall 100";
        let Some(haproxy) = Haproxy::start(&server.folder, &format!("127.0.0.1:{port} {version} {check}"))
        else {
            return;
        };
        let mut visitor = haproxy.connect_from("127.0.0.2").greeted();
        visitor.log_in(name, PASSWORD);
        visitor.expect_echo("through");
        let client = visitor.stream.local_addr().unwrap();
        server.folder.log_line(&["INFO connected", &format!("peer={client} proxy=127.0.0.1:")]);
        let mut again = haproxy.connect_from("127.0.0.2");
        assert_eq!(again.expect_hello(), name);
        let mut other = haproxy.connect_from("127.0.0.3");
        assert_eq!(other.expect_hello(), "", "nobody has logged in from there");
        if version == "send-proxy-v2" {
            server.folder.log_lines(&["DEBUG health check proxy=127.0.0.1:"], 3);
        }
    }
    let log = server.folder.log_text();
    let clients = log.lines().filter(|line| line.contains(" connected ")).count();
    assert!(!log.contains("refused") && clients <= 6, "{log}");
}
