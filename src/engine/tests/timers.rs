//! Timers: what a connection's is for, and when it is up.

use super::*;
use crate::engine::timers::Timer;
use crate::limits::{CLOSE_DISCARD, CLOSE_FLUSH};

const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(40);

impl World {
    fn timer(&self, conn: ConnId) -> Option<(Moment, Timer)> {
        let registry = &self.engine.registry;
        registry.connections.get(conn).and_then(|connection| connection.next_timer(&registry.config))
    }

    /// Nothing of a connection's output can be written from now on.
    fn stall(&mut self, conn: ConnId) {
        self.engine.poll_output();
        self.engine.handle_writable(conn, self.now, |_| Written::bytes(0));
    }
}

fn idle_world() -> World {
    World::new(Config { idle_timeout: Some(IDLE), ..config() }, Box::new(Echo))
}

#[test]
fn login_counts_from_the_beginning_and_not_while_the_server_hashes_or_stores() {
    let mut world = world();
    let conn = world.connect();
    let due = world.now + config().login_timeout;
    assert_eq!(world.timer(conn), Some((due, Timer::Login)));
    world.pass(SECOND);
    world.send(conn, Request::Identify(b"ann"));
    assert_eq!(world.timer(conn), Some((due, Timer::Login)), "a frame does not move it on");
    world.send(conn, Request::Register(PASSWORD));
    world.said(conn);
    assert_eq!(world.timer(conn), None);
    world.pass(SECOND * 100);
    world.hash();
    world.store(Ok(()));
    assert_eq!(world.timer(conn), Some((due + SECOND * 100, Timer::Login)));
}

#[test]
fn idle_counts_from_the_last_frame_if_there_is_a_timeout() {
    let mut world = idle_world();
    let (conn, token) = world.log_in("ann");
    world.pass(SECOND);
    world.send(conn, Request::Message { token: &token, text: b"hi" });
    world.said(conn);
    assert_eq!(world.timer(conn), Some((world.now + IDLE, Timer::Idle)));
    // Part of a frame is none.
    world.pass(SECOND);
    world.engine.handle_bytes(conn, &mut [0, 0], world.now);
    assert_eq!(world.timer(conn), Some((world.now - SECOND + IDLE, Timer::Idle)));
    world.engine.registry.config.idle_timeout = None;
    assert_eq!(world.timer(conn), None);
}

#[test]
fn idle_does_not_count_while_the_server_changes_the_password() {
    let mut world = idle_world();
    let (conn, token) = world.log_in("ann");
    world.send(conn, Request::ChangePassword { token: &token, old: PASSWORD, new: b"another password" });
    assert_eq!(world.timer(conn), None);
    world.pass(SECOND * 100);
    world.hash();
    world.store(Ok(()));
    assert_eq!(world.timer(conn), Some((world.now + IDLE, Timer::Idle)));
}

/// Whether it is logged in or waits for a password makes no difference to that.
#[test]
fn a_stall_counts_from_when_nothing_could_be_written() {
    let mut world = world();
    let (member, token) = world.log_in("ann");
    let waiting = world.connect();
    world.send(member, Request::Message { token: &token, text: b"hi" });
    world.pass(SECOND);
    assert_eq!(world.timer(member), None, "nobody has tried to write it");
    world.send(waiting, Request::Identify(b"bob"));
    world.send(waiting, Request::Register(PASSWORD));
    for conn in [member, waiting] {
        world.stall(conn);
        assert_eq!(world.timer(conn), Some((world.now + OUTPUT_STALL, Timer::Stall)));
    }
}

#[test]
fn the_timer_that_is_up_first_is_the_next() {
    let mut world = idle_world();
    let (conn, token) = world.log_in("ann");
    world.send(conn, Request::Message { token: &token, text: b"hi" });
    let idle_due = world.now + IDLE;
    world.pass(IDLE - OUTPUT_STALL);
    // Both are up at once: that its time is up counts.
    world.stall(conn);
    assert_eq!(world.timer(conn), Some((idle_due, Timer::Idle)));
    world.send(conn, Request::Message { token: &token, text: b"hi" });
    assert_eq!(world.timer(conn), Some((idle_due, Timer::Stall)));
    world.pass(OUTPUT_STALL);
    world.expect_error(conn, Code::SlowConsumer);
}

#[test]
fn a_closing_connection_is_flushed_then_discarded_then_closed() {
    let mut world = idle_world();
    let (conn, token) = world.log_in("ann");
    world.send(conn, Request::Message { token: &token, text: b"hi" });
    world.stall(conn);
    world.pass(SECOND);
    world.send(conn, Request::Exit);
    assert_eq!(world.timer(conn), Some((world.now + CLOSE_FLUSH, Timer::Flush)), "a stall does not count");
    world.pass(CLOSE_FLUSH - SECOND);
    assert_eq!(world.engine.poll_command(), None);
    world.pass(SECOND);
    assert_eq!(world.engine.poll_command(), Some((conn, SocketCommand::ShutDown)));
    assert_eq!(world.timer(conn), Some((world.now + CLOSE_DISCARD, Timer::Discard)));
    world.pass(CLOSE_DISCARD);
    assert_eq!(world.timer(conn), None);
    assert_eq!(world.engine.poll_command(), Some((conn, SocketCommand::Close)));
    assert_eq!(world.engine.registry.timers.len(), 0);
}

/// A frame moves the idle timeout on, but not the timer that is set.
#[test]
fn a_timer_that_stands_too_early_is_set_again() {
    let mut world = idle_world();
    let (conn, token) = world.log_in("ann");
    world.said(conn);
    world.pass(SECOND * 30);
    let set_for = world.engine.next_deadline();
    assert_eq!(set_for, Some(world.now + SECOND * 10));
    world.send(conn, Request::Message { token: &token, text: b"hi" });
    world.said(conn);
    assert_eq!(world.engine.next_deadline(), set_for);
    world.pass(SECOND * 10);
    assert!(!world.engine.is_closing(conn));
    assert_eq!(world.engine.next_deadline(), Some(world.now + SECOND * 30));
    world.pass(SECOND * 30);
    world.expect_error(conn, Code::TimedOut);
}
