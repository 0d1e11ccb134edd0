//! A store that is known by its name, and moves.

use super::sessions::is_served;
use super::{log_in, register};
use crate::support::{Folder, PASSWORD, Redis, Setup, eventually, left_out};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::rc::Rc;

/// Runs a program that has a file of its own for `/etc/hosts`, which nobody else sees.
const OWN_HOSTS: &str =
    r#"exec unshare --mount sh -c 'mount --bind hosts /etc/hosts && exec "$0" "$@"' "$0" "$@""#;

/// Nobody restarts the servers of a store whose name leads elsewhere now.
#[test]
fn a_store_that_moves_is_found_by_its_name() {
    let Some(mut redis) = Redis::start() else { return };
    let folder = Rc::new(Folder::new());
    let hosts = folder.path().join("hosts");
    // What a name leads to is written over in its place: the file is the one that is mounted.
    let name = |place: SocketAddr| {
        fs::write(&hosts, format!("127.0.0.1 localhost\n{} store.test\n", place.ip())).unwrap();
    };
    name(redis.address());
    let mut probe = Command::new("sh");
    probe.args(["-c", OWN_HOSTS, "true"]).current_dir(folder.path());
    match probe.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return left_out("a store that moves", "util-linux, as root", &said);
        }
        Err(error) => return left_out("a store that moves", "util-linux, as root", &error),
    }
    let setup = Setup::new(&["--store", "redis://store.test", "--penalty", "0"]);
    let one = setup.folder(folder.clone()).wrapper(OWN_HOSTS).start();
    let mut ann = register(&one, "ann");
    for last in [1, 2] {
        redis.kill();
        let [a, b, c, _] = match redis.address() {
            SocketAddr::V4(place) => place.ip().octets(),
            SocketAddr::V6(_) => unreachable!("the store's own is an IPv4 address"),
        };
        let elsewhere = SocketAddr::new(Ipv4Addr::new(a, b, c.wrapping_add(97) | 1, last).into(), 6379);
        redis.restart_at(elsewhere);
        // It cannot be looked up for a while, and then it is elsewhere.
        fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
        ann.expect_echo("still here");
        eventually("it is said that the name is unknown", || {
            let log = fs::read_to_string(one.folder.log()).unwrap();
            (log.matches("shared store cannot be looked up").count() == last as usize).then_some(())
        });
        name(elsewhere);
        eventually("the store is found", || is_served(&one).then_some(()));
        log_in(&one, "ann", PASSWORD).expect_welcome();
        ann.expect_echo("still here");
        let log = fs::read_to_string(one.folder.log()).unwrap();
        assert!(log.contains(&format!("shared store has other addresses addrs=\"{elsewhere}\"")), "{log}");
    }
}
