//! Where the server listens: at several addresses, by name, beside others.

use crate::support::{Folder, Said, Server, Setup, Visitor, eventually, stop};
use rustix::process::Signal;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

/// All addresses that the server says it listens at: the first line's, and those of `more` further lines.
fn addresses(server: &mut Server, more: usize) -> Vec<SocketAddr> {
    let further = (0..more).map(|_| {
        let line = server.stdout.wait_for_line(|_| true);
        line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).parse().unwrap()
    });
    [server.address].into_iter().chain(further.collect::<Vec<_>>()).collect()
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

/// Each address is said, in the order in which they were given, and each is served.
#[test]
fn several_addresses() {
    let first = if has_ipv6() { "[::1]:0" } else { "127.0.0.2:0" };
    let mut server = Server::start(&["--listen", first, "--listen", "127.0.0.1:0", "--mode", "chat"]);
    let addresses = addresses(&mut server, 1);
    assert_eq!(addresses[1].ip().to_string(), "127.0.0.1");
    let mut ann = Visitor::logged_in_at(addresses[0], "ann");
    let mut bob = Visitor::logged_in_at(addresses[1], "bob");
    ann.expect(Said::message("", "bob joined"));
    bob.message("hi from IPv4");
    ann.expect(Said::message("bob", "hi from IPv4"));
    for address in addresses {
        server.folder.log_line(&["INFO listening", &format!("addr={address}")]);
    }
    server.terminate();
}

/// A server that stops tells those as well who have connected and were not accepted yet, whatever they have sent.
#[test]
fn whoever_waits_to_be_accepted_is_told_of_a_stop() {
    let mut server = Server::start(&[]);
    stop(server.pid());
    let mut crowd: Vec<Visitor> = (0..20).map(|_| Visitor::connect(&server)).collect();
    crowd.iter_mut().step_by(2).for_each(|visitor| visitor.identify("ann"));
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for mut visitor in crowd {
        visitor.expect_hello();
        visitor.expect_bye();
    }
    assert_eq!(server.exit_code(), Some(0));
}

/// A name stands for all its addresses.
#[test]
fn a_name_is_all_its_addresses() {
    let known: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs("localhost:0").unwrap().collect();
    let here = |address: &SocketAddr| TcpListener::bind(address).is_ok();
    let mut expected: Vec<_> = known.into_iter().filter(here).map(|address| address.ip()).collect();
    expected.sort();
    expected.dedup();
    let mut server = Server::start(&["--listen", "localhost:0"]);
    let found: Vec<_> =
        addresses(&mut server, expected.len() - 1).iter().map(|address| address.ip()).collect();
    assert_eq!(found, expected);
}

/// A busy address is an error that names it: nothing is looked for, and the others are no consolation.
#[test]
fn a_busy_address_is_an_error() {
    let server = Server::start(&[]);
    let busy = server.address.to_string();
    let reason = Setup::new(&["--listen", "127.0.0.1:0", "--listen", &busy]).refused(1);
    assert!(reason.contains(&busy) && reason.contains("--listen"), "{reason}");
}

/// Nor can it listen at an address that is none of this machine's.
#[cfg(feature = "tls")]
#[test]
fn another_machines_address_is_an_error() {
    let reason = Setup::new(&["--listen", "127.0.0.1:0", "--listen", "192.0.2.1:0"]).refused(1);
    assert!(reason.contains("192.0.2.1:0") && reason.contains("--listen"), "{reason}");
}

#[test]
fn what_is_no_address_is_refused() {
    for flags in [
        &["--listen", ""][..],
        &["--listen", "127.0.0.1:x"],
        &["--listen", "127.0.0.1:65536"],
        &["--listen", "[::1"],
        &["--listen", "*x"],
        &["--listen", "no-such-host.invalid:9090"],
        &["--listen", "127.0.0.1:0", "--host", "127.0.0.1"],
        &["--listen", "127.0.0.1:0", "--port", "9090"],
        &["--listen", "127.0.0.1:0", "--strict-port"],
        &["--proxy-from", "10.0.0.0/33"],
        &["--proxy-from", "10.0.0.1,"],
        &["--exempt", "anybody"],
    ] {
        let reason = Setup::new(flags).refused(2);
        assert!(reason.contains(flags[0]), "{reason}");
    }
}

/// Two servers at one port share those who connect; one that does not say so is kept out.
#[cfg(target_os = "linux")]
#[test]
fn two_servers_share_a_port() {
    let first = Server::start(&["--listen", "127.0.0.1:0", "--share-port"]);
    let address = first.address.to_string();
    let folder = Rc::new(Folder::new());
    let flags = ["--listen", &address, "--share-port"];
    let second = Setup::new(&flags).folder(Rc::clone(&folder)).start();
    assert_eq!(second.address, first.address);
    let reason = Setup::new(&["--listen", &address]).refused(1);
    assert!(reason.contains(&address), "{reason}");
    let has_one = |server: &Server| server.folder.log_text().contains(" connected ");
    eventually("a connection at each", || {
        let mut visitor = Visitor::arrive(&first);
        visitor.exit();
        visitor.expect_bye();
        (has_one(&first) && has_one(&second)).then_some(())
    });
    drop(first);
    // Whoever comes now finds the other.
    Visitor::logged_in(&second, "ann").expect_echo("hi");
}
