//! A client on its own: what it sends after what came, without a socket.

use super::*;
use crate::limits::HEADER_BYTES;
use crate::load::Timeouts;
use crate::load::metrics::{Latency, Window};
use crate::load::porter::{Porter, Task};
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
    /// The text of the message that was sent last.
    text: String,
}

impl Bench {
    fn new(policy: Policy, messages: u64, porter: Porter) -> Bench {
        let mut clients = Clients::new(porter, 20, messages);
        clients.metrics = Metrics::unbounded();
        clients.add(1, policy);
        Bench { clients, now: Moment::START, text: String::new() }
    }

    /// The kinds of the requests in a buffer; the last message is kept.
    fn names(&mut self, mut out: &[u8]) -> Vec<&'static str> {
        let mut names = Vec::new();
        while let Some(length) = self.clients.dialect.message_bytes(out).unwrap() {
            let request = Request::decode(&out[HEADER_BYTES..length]).unwrap();
            if let Request::Message { text, .. } = request {
                self.text = String::from_utf8(text.to_vec()).unwrap();
            }
            names.push(request.name());
            out = &out[length..];
        }
        names
    }

    /// What it sends when its connection is there, a millisecond after it began.
    fn connected(&mut self) -> Vec<&'static str> {
        self.clients.begin(0, self.now, self.now);
        self.pass(1);
        let mut out = Vec::new();
        self.clients.handle_connected(0, self.now, &mut out);
        self.names(&out)
    }

    /// What it sends after a reply, and whether it leaves then.
    fn after(&mut self, reply: Reply<'_>) -> Result<(Vec<&'static str>, bool), String> {
        self.pass(1);
        let (mut message, mut out) = (Vec::new(), Vec::new());
        reply.encode(&mut message);
        let flow = self.clients.handle_message(0, &message, self.now, &mut out);
        let leaves = matches!(flow.map_err(|error| error.kind.into_owned())?, Flow::End(Ok(())));
        Ok((self.names(&out), leaves))
    }

    fn echo(&mut self) -> Result<(Vec<&'static str>, bool), String> {
        let text = self.text.clone();
        self.after(Reply::Message { sender: "", text: &text })
    }

    /// One that stays, and is inside.
    fn inside() -> Bench {
        let mut bench = Bench::new(Policy::Stays, 0, Porter::new(1, true));
        bench.connected();
        [HELLO, LOGIN, WELCOME].into_iter().for_each(|reply| drop(bench.after(reply).unwrap()));
        bench.clients.prepare(0, 1);
        bench
    }

    /// One that returns, and has got so far.
    fn returning(messages: u64, replies: &[Reply<'_>]) -> Bench {
        let mut bench = Bench::new(Policy::Returns, messages, Porter::new(1, true));
        bench.connected();
        replies.iter().for_each(|reply| drop(bench.after(*reply).unwrap()));
        bench
    }

    fn send(&mut self) {
        let mut out = Vec::new();
        self.clients.send(0, self.now, &mut out);
        assert_eq!(self.names(&out), ["Message"]);
    }

    fn left(&mut self, outcome: Result<(), &'static str>) {
        let outcome = outcome.map_err(|kind| LoadError::new(kind, ""));
        self.clients.handle_left(0, self.now, outcome);
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
    }

    fn overdue(&self) -> Option<String> {
        let error = self.clients.overdue(0, self.now, &Timeouts::default());
        error.map(|error| error.kind.into_owned())
    }

    /// How many connections, logins, messages and returns were counted, and how many of them came to an end.
    fn counted(&self) -> [(u64, u64); 4] {
        let latencies = self.clients.metrics.latencies();
        [latencies.connect, latencies.login, latencies.message, latencies.resume]
            .map(|latency| (latency.count(), latency.finished()))
    }
}

fn milliseconds(latency: &Latency) -> f64 {
    (latency.nanoseconds_at(1.0) as f64 / 1e6).round()
}

#[test]
fn a_visit_logs_in_sends_each_message_after_the_echo_of_the_last_and_leaves() {
    let mut bench = Bench::returning(2, &[HELLO, LOGIN]);
    assert_eq!(bench.after(WELCOME), Ok((vec!["Message"], false)));
    let first = bench.text.clone();
    assert_eq!(bench.echo(), Ok((vec!["Message", "Exit"], false)));
    assert_ne!(bench.text, first);
    assert_eq!(bench.echo(), Ok((vec![], false)));
    assert!(bench.clients.handle_closed(0).is_err(), "the close may not come before Bye");
    bench.after(BYE).unwrap();
    assert!(bench.clients.handle_closed(0).is_ok());
    bench.left(Ok(()));
    assert!(bench.clients.comes_again(0));
    assert_eq!(bench.connected(), ["Identify", "Login"]);
    let latencies = bench.clients.metrics.latencies();
    assert_eq!((milliseconds(&latencies.connect), milliseconds(&latencies.login)), (1.0, 3.0));
    assert_eq!((latencies.message.count(), milliseconds(&latencies.message)), (2, 1.0));
}

#[test]
fn one_that_waits_for_each_answer_sends_exit_after_the_last_echo() {
    let mut bench = Bench::new(Policy::Returns, 1, Porter::new(1, false));
    assert!(bench.connected().is_empty());
    assert_eq!(bench.after(HELLO), Ok((vec!["Identify"], false)));
    assert_eq!(bench.after(LOGIN), Ok((vec!["Login"], false)));
    assert_eq!(bench.after(WELCOME), Ok((vec!["Message"], false)));
    assert_eq!(bench.echo(), Ok((vec!["Exit"], false)));
    assert_eq!(milliseconds(&bench.clients.metrics.latencies().login), 2.0, "from Identify on");
}

#[test]
fn who_stays_comes_back_with_its_token_and_who_resumes_leaves_at_once() {
    let mut bench = Bench::inside();
    assert_eq!((bench.clients.inside, bench.clients.entering), (1, 0));
    bench.left(Ok(()));
    assert_eq!((bench.clients.inside, bench.clients.comes_again(0)), (0, false));
    assert_eq!(bench.connected(), ["Resume"]);
    bench.after(HELLO).unwrap();
    bench.after(WELCOME).unwrap();
    assert_eq!((bench.clients.inside, bench.counted()[3]), (1, (2, 2)));
    // Four milliseconds from the beginning of the way in, three from saying who one is.
    let latencies = bench.clients.metrics.latencies();
    assert_eq!((milliseconds(&latencies.login), milliseconds(&latencies.resume)), (3.0, 4.0));

    let mut bench = Bench::new(Policy::Resumes, 0, Porter::new(1, true));
    bench.connected();
    bench.after(HELLO).unwrap();
    bench.after(LOGIN).unwrap();
    assert_eq!(bench.after(WELCOME), Ok((vec![], true)));
    bench.left(Ok(()));
    assert!(bench.clients.comes_again(0));
    assert_eq!(bench.connected(), ["Resume"]);
}

#[test]
fn each_echo_is_checked_and_followed_by_a_message_while_there_is_time() {
    let mut bench = Bench::inside();
    bench.clients.talks_until = bench.now + Duration::from_millis(2);
    let mut out = Vec::new();
    bench.clients.begin_requests(0, 1, bench.now, &mut out);
    bench.names(&out);
    let first = bench.text.clone();
    assert_eq!(bench.echo(), Ok((vec!["Message"], false)));
    let stale = bench.after(Reply::Message { sender: "", text: &first });
    assert_eq!(stale, Err("wrong_echo".to_owned()));
    let mut bench = Bench::inside();
    bench.send();
    assert_eq!(bench.echo(), Ok((vec![], false)), "nothing is to follow");
    assert_eq!((bench.clients.requests_waiting, bench.counted()[2]), (0, (1, 1)));
    assert_eq!(bench.echo(), Err("wrong_echo".to_owned()), "nothing was sent");
}

#[test]
fn what_is_no_echo_fails() {
    let echo = Bench::returning(1, &[HELLO, LOGIN, WELCOME]).text;
    for (sender, text) in [("", ""), ("", "x"), ("ann", echo.as_str()), ("", &echo[1..])] {
        let mut bench = Bench::returning(1, &[HELLO, LOGIN, WELCOME]);
        assert_eq!(bench.after(Reply::Message { sender, text }), Err("wrong_echo".to_owned()));
    }
    assert_eq!(Bench::returning(1, &[HELLO, LOGIN, WELCOME]).after(BYE), Err("no_echo".to_owned()));
    assert_eq!(Bench::inside().after(BYE), Err("sent_away".to_owned()));
}

#[test]
fn what_failed_is_counted_and_who_comes_again_is_forgiven() {
    for (policy, forgiven) in [(Policy::Stays, false), (Policy::Returns, true), (Policy::Resumes, true)] {
        let mut bench = Bench::new(policy, 0, Porter::new(1, true));
        bench.connected();
        let refused = bench.after(Reply::Error { code: 106, explanation: "1 s" });
        assert_eq!(refused, Err("Busy".to_owned()));
        bench.left(Err("Busy"));
        assert_eq!((bench.clients.metrics.failed, bench.clients.metrics.failures["Busy"].count), (1, 1));
        assert!(!bench.clients.comes_again(0), "not at once");
        assert_eq!((bench.clients.forgive(0), bench.clients.comes_again(0)), (forgiven, forgiven));
    }
}

#[test]
fn each_wait_has_its_timeout() {
    let ends = |mut bench: Bench, milliseconds: u64| {
        bench.pass(milliseconds - 1);
        assert_eq!(bench.overdue(), None);
        bench.pass(1);
        bench.overdue().unwrap()
    };
    let mut connecting = Bench::new(Policy::Stays, 0, Porter::new(1, true));
    connecting.clients.begin(0, connecting.now, connecting.now);
    assert_eq!(ends(connecting, 10_000), "connect_timeout");
    assert_eq!(ends(Bench::returning(0, &[HELLO]), 60_000), "no_answer");
    let mut waiting = Bench::inside();
    waiting.send();
    assert_eq!(ends(waiting, 9_000), "no_echo");
    for goodbye in [&[][..], &[BYE]] {
        let mut leaving = Bench::inside();
        leaving.clients.leave(0, leaving.now, &mut Vec::new());
        goodbye.iter().for_each(|reply| drop(leaving.after(*reply).unwrap()));
        assert_eq!(ends(leaving, 9_000), "no_bye");
    }
    // Who comes again and again notices, too.
    assert_eq!(ends(Bench::returning(0, &[HELLO, LOGIN, WELCOME]), 9_000), "no_bye");
}

#[test]
fn messages_that_never_come_back_count_with_the_time_waited() {
    let mut bench = Bench::inside();
    bench.send();
    bench.echo().unwrap();
    bench.send();
    bench.pass(2_000);
    bench.send();
    bench.pass(5_000);
    bench.left(Err("connection_lost"));
    assert_eq!((bench.clients.requests_waiting, bench.counted()[2]), (0, (3, 1)));
    let message = bench.clients.metrics.latencies().message;
    let seconds = |part| (message.nanoseconds_at(part) as f64 / 1e9).round();
    assert_eq!((seconds(1.0), seconds(0.5)), (7.0, 5.0));
}

#[test]
fn what_is_given_up_counts_and_what_is_refused_does_not() {
    let given_up = |mut bench: Bench| {
        bench.pass(7_000);
        bench.clients.give_up(0, bench.now);
        bench.counted().map(|(count, finished)| count - finished)
    };
    assert_eq!(given_up(Bench::returning(1, &[])), [0, 1, 0, 1]);
    assert_eq!(given_up(Bench::returning(1, &[HELLO, LOGIN, WELCOME])), [0, 0, 1, 0]);
    let mut knock = Bench::new(Policy::Returns, 0, Porter { task: Task::Knock, ..Porter::new(1, true) });
    assert!(knock.connected().is_empty());
    assert_eq!(given_up(knock), [0; 4], "it was not to log in");
    let mut connecting = Bench::new(Policy::Stays, 0, Porter::new(1, true));
    connecting.clients.begin(0, connecting.now, connecting.now);
    assert_eq!(given_up(connecting), [1, 0, 0, 1]);
    let mut refused = Bench::returning(1, &[]);
    refused.after(Reply::Error { code: 106, explanation: "1 s" }).unwrap_err();
    refused.left(Err("Busy"));
    assert_eq!(refused.counted()[1], (0, 0));
}

#[test]
fn a_stall_that_began_before_the_window_is_in_it_where_requests_wait_for_one_another() {
    for (has_requests_before, counted) in [(false, 0), (true, 1)] {
        let mut bench = Bench::inside();
        bench.send();
        bench.pass(100);
        let window = Window { has_requests_before, ..Window::new(bench.now, Moment::NEVER) };
        bench.clients.metrics.windows = vec![window];
        bench.pass(7_000);
        bench.echo().unwrap();
        let message = bench.clients.metrics.latencies().message;
        assert_eq!(message.count(), counted);
        assert!(counted == 0 || message.nanoseconds_at(1.0) > 7_000_000_000);
    }
}

#[test]
fn one_that_only_knocks_is_done_with_hello() {
    let knock = Porter { task: Task::Knock, ..Porter::new(1, true) };
    let mut bench = Bench::new(Policy::Returns, 0, knock);
    assert!(bench.connected().is_empty());
    assert_eq!(bench.after(HELLO), Ok((vec![], true)));
    assert_eq!(bench.counted().map(|(count, _)| count), [1, 0, 0, 0]);
}
