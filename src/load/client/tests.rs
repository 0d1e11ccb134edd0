//! A client on its own: what becomes of it where no test of the program sees it, or would have to wait for long.

use super::*;
use crate::limits::HEADER_BYTES;
use crate::load::metrics::Window;
use crate::load::porter::{Porter, Task};
use crate::load::{Part, Timeouts};
use crate::protocol::{Reply, Request, VERSION, Wanted};
use std::time::Duration;

const HELLO: Reply<'_> = Reply::Hello { version: VERSION, last_name: "" };
const LOGIN: Reply<'_> = Reply::PasswordWanted(Wanted::Login);
const WELCOME: Reply<'_> = Reply::Welcome { token: &[7; 16], greeting: "Hello" };
const BYE: Reply<'_> = Reply::Bye("");

/// One client, and the clock's hand.
struct Bench {
    clients: Clients<Porter>,
    now: Moment,
    /// What it has sent.
    out: Vec<u8>,
}

impl Bench {
    /// One that has begun to connect.
    fn connecting(policy: Policy, messages: u64, task: Task) -> Bench {
        let porter = Porter { task, ..Porter::new(1, true) };
        let mut clients = Clients::new(porter, 20, messages);
        clients.metrics.windows.push(Window::of_all());
        clients.add(1, policy);
        clients.begin(0, Moment::START, Moment::START);
        Bench { clients, now: Moment::START, out: Vec::new() }
    }

    /// One that has got so far by these replies.
    fn after(policy: Policy, replies: &[Reply<'_>]) -> Bench {
        let mut bench = Bench::connecting(policy, 1, Task::LogIn);
        bench.clients.handle_connected(0, bench.now, &mut bench.out);
        replies.iter().for_each(|reply| bench.reply(*reply).unwrap());
        bench
    }

    /// One that stays, and has a message under way.
    fn waiting() -> Bench {
        let mut bench = Bench::after(Policy::Stays, &[HELLO, LOGIN, WELCOME]);
        bench.clients.prepare(0, 1);
        bench.clients.send(0, bench.now, &mut bench.out);
        bench
    }

    /// The kind of the failure that a reply makes, if it does.
    fn reply(&mut self, reply: Reply<'_>) -> Result<(), String> {
        self.reply_to(0, reply)
    }

    fn reply_to(&mut self, slot: usize, reply: Reply<'_>) -> Result<(), String> {
        let mut message = Vec::new();
        reply.encode(&mut message);
        let flow = self.clients.handle_message(slot, &message, self.now, &mut self.out);
        flow.map(drop).map_err(|error| error.kind.into_owned())
    }

    /// The text of its message.
    fn text(&self) -> String {
        let mut out = self.out.as_slice();
        while let Some(length) = self.clients.dialect.message_bytes(out).unwrap() {
            if let Request::Message { text, .. } = Request::decode(&out[HEADER_BYTES..length]).unwrap() {
                return String::from_utf8(text.to_vec()).unwrap();
            }
            out = &out[length..];
        }
        panic!("it has sent none");
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
    }
}

#[test]
fn what_is_no_echo_fails() {
    let visiting = || Bench::after(Policy::Returns, &[HELLO, LOGIN, WELCOME]);
    let echo = visiting().text();
    for (sender, text) in [("", ""), ("", "x"), ("ann", echo.as_str()), ("", &echo[1..])] {
        assert_eq!(visiting().reply(Reply::Message { sender, text }), Err("wrong_echo".to_owned()));
    }
    let mut twice = Bench::waiting();
    let text = twice.text();
    assert_eq!(twice.reply(Reply::Message { sender: "", text: &text }), Ok(()));
    assert_eq!(twice.reply(Reply::Message { sender: "", text: &text }), Err("wrong_echo".to_owned()));
    assert_eq!(visiting().reply(BYE), Err("no_echo".to_owned()), "Exit went out with the message");
    assert_eq!(Bench::waiting().reply(BYE), Err("sent_away".to_owned()));
}

#[test]
fn each_wait_has_its_timeout() {
    let ends = |mut bench: Bench, milliseconds: u64| {
        let overdue = |bench: &Bench| bench.clients.overdue(0, bench.now, &Timeouts::default());
        bench.pass(milliseconds - 1);
        assert_eq!(overdue(&bench), None);
        bench.pass(1);
        overdue(&bench).unwrap().kind
    };
    assert_eq!(ends(Bench::connecting(Policy::Stays, 0, Task::LogIn), 10_000), "connect_timeout");
    assert_eq!(ends(Bench::after(Policy::Returns, &[HELLO]), 60_000), "no_answer");
    assert_eq!(ends(Bench::waiting(), 9_000), "no_echo");
    for farewell in [&[][..], &[BYE]] {
        let mut leaving = Bench::after(Policy::Stays, &[HELLO, LOGIN, WELCOME]);
        leaving.clients.leave(0, leaving.now, &mut Vec::new());
        farewell.iter().for_each(|reply| leaving.reply(*reply).unwrap());
        assert_eq!(ends(leaving, 9_000), "no_bye");
    }
}

#[test]
fn what_is_given_up_counts_with_the_time_waited_and_what_is_refused_does_not() {
    let given_up = |mut bench: Bench| {
        bench.pass(7_000);
        bench.clients.give_up(0, bench.now);
        let latencies = bench.clients.metrics.latencies();
        [latencies.connect, latencies.login, latencies.message, latencies.resume]
            .map(|latency| latency.count() - latency.finished())
    };
    assert_eq!(given_up(Bench::connecting(Policy::Stays, 0, Task::LogIn)), [1, 0, 0, 1]);
    assert_eq!(given_up(Bench::after(Policy::Returns, &[])), [0, 1, 0, 1]);
    assert_eq!(given_up(Bench::after(Policy::Returns, &[HELLO, LOGIN, WELCOME])), [0, 0, 1, 0]);
    let mut knock = Bench::connecting(Policy::Returns, 0, Task::Knock);
    knock.clients.handle_connected(0, knock.now, &mut Vec::new());
    assert_eq!(given_up(knock), [0; 4], "it was not to log in");
    let mut refused = Bench::after(Policy::Returns, &[]);
    refused.reply(Reply::Error { code: 106, explanation: "1 s" }).unwrap_err();
    refused.clients.handle_left(0, refused.now, Err(LoadError::new("Busy", "")));
    assert_eq!(given_up(refused), [0; 4]);
}

#[test]
fn a_stall_that_began_before_the_window_is_in_it_where_requests_wait_for_one_another() {
    for (has_requests_before, counted) in [(false, 0), (true, 1)] {
        let mut bench = Bench::waiting();
        bench.pass(100);
        let window = Window { has_requests_before, ..Window::new(Part::Measured, bench.now, Moment::NEVER) };
        bench.clients.metrics.windows = vec![window];
        bench.pass(7_000);
        let text = bench.text();
        bench.reply(Reply::Message { sender: "", text: &text }).unwrap();
        let message = bench.clients.metrics.latencies().message;
        assert_eq!(message.count(), counted);
        assert!(counted == 0 || message.nanoseconds_at(1.0) > 7_000_000_000);
    }
}

/// A chat with two readers, in which all are inside and one text and one whisper are under way.
fn chat() -> Bench {
    let mut clients = Clients::new(Porter::chatting(1, true), 20, 0);
    clients.metrics.windows.push(Window::of_all());
    clients.add(Role::Reader.slot() + 2, Policy::Stays);
    clients.chat();
    let mut bench = Bench { clients, now: Moment::START, out: Vec::new() };
    for slot in 0..bench.clients.all.len() {
        bench.clients.begin(slot, bench.now, bench.now);
        bench.clients.handle_connected(slot, bench.now, &mut Vec::new());
        [HELLO, LOGIN, WELCOME].iter().for_each(|reply| bench.reply_to(slot, *reply).unwrap());
    }
    bench.clients.begin_chat(1);
    bench.clients.begin_requests(Role::Writer.slot(), 1, bench.now, &mut bench.out);
    bench.clients.send(Role::Whisperer.slot(), bench.now, &mut Vec::new());
    bench
}

#[test]
fn a_text_is_waited_for_until_every_reader_that_is_left_has_it() {
    let [first, second] = [0, 1].map(|place| Role::Reader.slot() + place);
    let texts = |bench: &Bench| {
        let message = bench.clients.metrics.latencies().message;
        (bench.clients.deliveries, bench.clients.owed, message.finished(), message.count())
    };
    let read = |bench: &mut Bench, slot: usize| {
        let text = bench.text();
        bench.reply_to(slot, Reply::Message { sender: "load-1", text: &text }).unwrap();
    };
    let mut bench = chat();
    read(&mut bench, first);
    // What comes again, from somebody else or to one who does not read is not what is due.
    read(&mut bench, first);
    read(&mut bench, Role::Writer.slot());
    let text = bench.text();
    bench.reply_to(second, Reply::Message { sender: "load-2", text: &text }).unwrap();
    assert_eq!(texts(&bench), (1, 0, 0, 0));
    bench.pass(3_000);
    read(&mut bench, second);
    assert_eq!(texts(&bench), (2, 1, 1, 1), "another may follow");
    // A reader that is gone is not waited for; where all are gone the text did not arrive.
    for (gone, counted) in [(vec![second], (1, 1, 1, 1)), (vec![second, first], (0, 0, 0, 1))] {
        let mut bench = chat();
        if !gone.contains(&first) {
            read(&mut bench, first);
        }
        for slot in gone {
            bench.clients.handle_left(slot, bench.now, Err(LoadError::new("connection_lost", "")));
        }
        bench.clients.give_up(Role::Writer.slot(), bench.now);
        assert_eq!(texts(&bench), counted);
    }
}
