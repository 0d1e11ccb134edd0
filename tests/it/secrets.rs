//! What a server's memory holds of passwords and tokens when they are no longer needed: nothing.
//!
//! The memory of the real server is searched: for a password, for its first step in HMAC (with which an attacker could
//! guess as well), and for tokens.

use crate::support::{Folder, PASSWORD, Server, Setup, Visitor, frame, stored_password};
use porter::protocol::Wanted;
use rustix::process::Pid;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// A password that nothing else in a process looks like.
const SECRET: &str = "Qx7-unmistakable-Zv9";

/// Where a process has these bytes in its memory, each place with the name of its mapping.
fn places(pid: Pid, wanted: &[u8]) -> Vec<String> {
    let process = format!("/proc/{}", pid.as_raw_nonzero());
    let memory = File::open(format!("{process}/mem")).unwrap();
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    let mut places = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (start, end) = words.next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        if !words.next().unwrap().starts_with('r') {
            continue;
        }
        let name = words.nth(3).unwrap_or("");
        let mut bytes = vec![0; (end - start) as usize];
        // What belongs to the kernel cannot be read so.
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        let found = memchr::memmem::find_iter(&bytes, wanted);
        places.extend(found.map(|at| format!("{name} {:#x}", start + at as u64)));
    }
    places
}

/// What HMAC-MD5 makes of a password before all else: MD5's state after the block of the inner and of the outer key.
fn key_states(password: &str) -> [Vec<u8>; 2] {
    [0x36, 0x5c].map(|pad| {
        let mut block = [pad; 64];
        for (byte, key) in block.iter_mut().zip(password.bytes()) {
            *byte ^= key;
        }
        let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476_u32];
        md5::block_api::compress(&mut state, &[block]);
        state.iter().flat_map(|word| word.to_ne_bytes()).collect()
    })
}

#[track_caller]
fn expect_forgotten(server: &Server) {
    let [inner, outer] = key_states(SECRET);
    for (form, bytes) in [("as typed", SECRET.as_bytes()), ("inner state", &inner), ("outer state", &outer)] {
        assert_eq!(places(server.pid(), bytes), [""; 0], "{form}");
    }
}

/// A server that knows ann, with the secret for her password.
fn server(flags: &[&str]) -> Server {
    let stored = stored_password(SECRET, b"sixteen bytes ok", 1000);
    let folder = Rc::new(Folder::with_users(&[("ann", &stored)]));
    let flags = [flags, &["--penalty", "0", "--max-attempts", "1000", "--log-level", "debug"]].concat();
    Setup::new(&flags).folder(folder).start()
}

fn gone(server: &Server, count: usize) {
    server.folder.log_lines(&["disconnected"], count);
}

/// The search finds what is there: or else it would be no wonder that it finds nothing.
#[test]
fn a_token_is_there_as_long_as_its_session() {
    let server = server(&["--resume-window", "60"]);
    let mut ann = Visitor::arrive(&server);
    ann.log_in("ann", SECRET);
    assert!(!places(server.pid(), &ann.token).is_empty());
    let before = ann.token;
    let mut ann = server.resumed(before);
    assert!(!places(server.pid(), &before).is_empty(), "it is good for another resume");
    ann.expect_echo("the new one has come");
    let token = ann.token;
    ann.exit();
    ann.expect_bye();
    drop(ann);
    gone(&server, 2);
    // What is read next goes over the tokens of messages, which are left where they were read: wiping each would cost more
    // than all else that a message costs.
    let mut stranger = Visitor::arrive(&server);
    stranger.send_raw(&frame(0x01, &[b'x'; 200]));
    stranger.expect_error(1);
    for token in [before, token] {
        assert_eq!(places(server.pid(), &token), [""; 0]);
    }
}

#[test]
fn a_password_behind_the_deciding_frame_or_while_closing() {
    let server = server(&[]);
    let login = frame(0x03, SECRET.as_bytes());
    let mut ann = Visitor::introduced(&server, "ann", Wanted::Login);
    ann.send_raw(&[&frame(0x06, b""), login.as_slice()].concat());
    ann.expect_bye();
    expect_forgotten(&server);
    ann.send_raw(&login);
    drop(ann);
    gone(&server, 1);
    expect_forgotten(&server);
}

#[test]
fn a_password_that_came_in_parts_or_not_whole() {
    let server = server(&[]);
    let login = frame(0x03, SECRET.as_bytes());
    let mut ann = Visitor::introduced(&server, "ann", Wanted::Login);
    for byte in &login {
        ann.send_raw(std::slice::from_ref(byte));
    }
    ann.expect_welcome();
    ann.exit();
    ann.expect_bye();
    drop(ann);
    let mut ann = Visitor::introduced(&server, "ann", Wanted::Login);
    ann.send_raw(&login[..login.len() - 1]);
    ann.reset();
    gone(&server, 2);
    expect_forgotten(&server);
}

/// Passwords of any kind of end, some in a queue that grows, is sorted and is left in the middle.
#[test]
fn passwords_that_are_hashed_at_once() {
    let server = server(&["--login-cache", "0"]);
    let mut all: Vec<_> = (0..40).map(|_| Visitor::introduced(&server, "ann", Wanted::Login)).collect();
    for visitor in &mut all {
        visitor.login(SECRET);
    }
    for (n, visitor) in all.into_iter().enumerate() {
        match n % 3 {
            0 => visitor.reset(),
            1 => visitor.finish_sending(),
            _ => {
                let mut visitor = visitor;
                visitor.expect_welcome();
                visitor.exit();
                visitor.expect_bye();
            }
        }
    }
    gone(&server, 40);
    expect_forgotten(&server);
}

#[test]
fn a_password_that_was_registered_or_wrong() {
    let server = server(&[]);
    let mut carol = Visitor::arrive(&server);
    carol.log_in("carol", SECRET);
    carol.exit();
    carol.expect_bye();
    drop(carol);
    let mut bob = Visitor::arrive(&server);
    bob.log_in("bob", PASSWORD);
    bob.exit();
    bob.expect_bye();
    drop(bob);
    let mut bob = Visitor::introduced(&server, "bob", Wanted::Login);
    bob.login(SECRET);
    bob.expect_error(4);
    drop(bob);
    gone(&server, 3);
    expect_forgotten(&server);
}
