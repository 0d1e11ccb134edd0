//! A client on its own: what it says to what it hears, without a socket.

use super::*;
use crate::limits::HEADER_BYTES;
use crate::load::visitor::tests::names;
use std::time::Duration;

const HELLO: Reply<'_> = Reply::Hello { version: VERSION, last_name: "" };
const WELCOME: Reply<'_> = Reply::Welcome { token: &[7; 16], greeting: "Hello" };

/// One client, and the clock's hand.
struct Scene {
    regulars: Regulars,
    now: Moment,
}

impl Scene {
    fn new(habit: Habit) -> Scene {
        let mut regulars = Regulars::new(20, true);
        regulars.add("load-1".to_owned(), habit);
        regulars.windows.push(Window::new(Moment::START, Moment::NEVER));
        Scene { regulars, now: Moment::START }
    }

    /// What it says when its connection is there, a millisecond after it began.
    fn connected(&mut self) -> Vec<String> {
        self.regulars.begin(0, self.now, self.now);
        self.pass(1);
        let mut out = Vec::new();
        self.regulars.handle_connected(0, self.now, &mut out);
        names(&out)
    }

    fn told(&mut self, reply: Reply<'_>) -> Result<(Vec<String>, bool), String> {
        self.pass(1);
        let (mut frame, mut out) = (Vec::new(), Vec::new());
        reply.encode(&mut frame);
        let course = self.regulars.handle_frame(0, &frame[HEADER_BYTES..], self.now, &mut out);
        let leaves = matches!(course.map_err(|mishap| mishap.kind.into_owned())?, Course::Leaves(Ok(())));
        Ok((names(&out), leaves))
    }

    fn inside() -> Scene {
        let mut scene = Scene::new(Habit::Stays);
        scene.connected();
        for reply in [HELLO, Reply::PasswordWanted(Wanted::Login), WELCOME] {
            scene.told(reply).unwrap();
        }
        scene.regulars.prepare_messages(1);
        scene
    }

    /// Sends a message now, and gives its text.
    fn sent(&mut self) -> String {
        let mut out = Vec::new();
        self.regulars.send(0, self.now, &mut out);
        match Request::decode(&out[HEADER_BYTES..]) {
            Ok(Request::Message { text, .. }) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
    }

    fn overdue(&self) -> Option<String> {
        let mishap = self.regulars.overdue(0, self.now, &Patience::default());
        mishap.map(|mishap| mishap.kind.into_owned())
    }
}

fn echo(text: &str) -> Reply<'_> {
    Reply::Message { sender: "", text }
}

#[test]
fn who_stays_comes_in_by_password_and_back_by_token() {
    let mut scene = Scene::new(Habit::Stays);
    assert_eq!(scene.connected(), ["Identify", "Login"]);
    for reply in [HELLO, Reply::PasswordWanted(Wanted::Login), WELCOME] {
        assert_eq!(scene.told(reply), Ok((vec![], false)));
    }
    assert_eq!(scene.regulars.inside, 1);
    scene.regulars.handle_left(0, scene.now, Ok(()));
    assert_eq!(
        (scene.regulars.inside, scene.regulars.stand(0), scene.regulars.comes_again(0)),
        (0, Stand::Outside, false)
    );
    assert_eq!(scene.connected(), ["Resume"]);
    scene.told(HELLO).unwrap();
    scene.told(WELCOME).unwrap();
    assert_eq!((scene.regulars.inside, scene.regulars.failed), (1, 0));
    let window = &scene.regulars.windows[0];
    assert_eq!((window.latencies.login.count(), window.absence.count()), (2, 2));
    // Four milliseconds from the beginning of the way in, three from saying who one is.
    let whole = |latency: &Latency| (latency.nanoseconds_at(1.0) as f64 / 1e6).round();
    assert_eq!((whole(&window.latencies.login), whole(&window.absence)), (3.0, 4.0));
}

#[test]
fn who_returns_exits_first_and_whose_connection_breaks_resumes() {
    let mut scene = Scene::new(Habit::Returns);
    scene.connected();
    scene.told(HELLO).unwrap();
    scene.told(Reply::PasswordWanted(Wanted::Login)).unwrap();
    assert_eq!(scene.told(WELCOME), Ok((vec!["Exit".to_owned()], false)));
    assert!(scene.regulars.handle_closed(0).is_err(), "the close may not come before Bye");
    scene.told(Reply::Bye("")).unwrap();
    scene.regulars.handle_left(0, scene.now, scene.regulars.handle_closed(0));
    assert!(scene.regulars.comes_again(0));
    assert_eq!(scene.connected(), ["Identify", "Login"]);

    let mut scene = Scene::new(Habit::Resumes);
    scene.connected();
    scene.told(HELLO).unwrap();
    scene.told(Reply::PasswordWanted(Wanted::Login)).unwrap();
    assert_eq!(scene.told(WELCOME), Ok((vec![], true)));
    scene.regulars.handle_left(0, scene.now, Ok(()));
    assert_eq!(scene.connected(), ["Resume"]);
}

#[test]
fn each_echo_is_checked_measured_and_followed_by_a_message_while_there_is_time() {
    let mut scene = Scene::inside();
    scene.regulars.talks_until = scene.now + Duration::from_millis(2);
    let first = scene.sent();
    assert_eq!(scene.told(echo(&first)), Ok((vec!["Message".to_owned()], false)));
    assert_eq!(scene.told(echo(&first)), Err("wrong_echo".to_owned()));
    let mut scene = Scene::inside();
    let text = scene.sent();
    assert_eq!(scene.told(echo(&text)), Ok((vec![], false)), "the time to talk is over");
    assert_eq!(scene.regulars.messages_waiting, 0);
    assert_eq!(scene.regulars.windows[0].latencies.message.count(), 1);
    assert_eq!(scene.told(echo(&text)), Err("wrong_echo".to_owned()), "nothing was sent");
}

#[test]
fn what_failed_is_counted_and_who_comes_again_is_forgiven() {
    for (habit, forgiven) in [(Habit::Stays, false), (Habit::Returns, true), (Habit::Resumes, true)] {
        let mut scene = Scene::new(habit);
        scene.connected();
        let refused = scene.told(Reply::Error { code: 106, explanation: "1 s" });
        assert_eq!(refused, Err("Busy".to_owned()));
        scene.regulars.handle_left(0, scene.now, Err(Mishap::new("Busy", "")));
        assert_eq!((scene.regulars.failed, scene.regulars.failures["Busy"].count), (1, 1));
        assert!(!scene.regulars.comes_again(0), "not at once");
        assert_eq!(scene.regulars.forgive(0), forgiven);
        assert_eq!(scene.regulars.comes_again(0), forgiven);
    }
}

#[test]
fn patience_ends_for_connection_login_and_echo() {
    let mut scene = Scene::new(Habit::Stays);
    scene.regulars.begin(0, scene.now, scene.now);
    scene.pass(9_999);
    assert_eq!(scene.overdue(), None);
    scene.pass(1);
    assert_eq!(scene.overdue().as_deref(), Some("connect_timeout"));
    let mut scene = Scene::new(Habit::Stays);
    scene.connected();
    scene.pass(60_000);
    assert_eq!(scene.overdue().as_deref(), Some("no_answer"));
    let mut scene = Scene::inside();
    scene.sent();
    scene.pass(8_999);
    assert_eq!(scene.overdue(), None);
    scene.pass(1);
    assert_eq!(scene.overdue().as_deref(), Some("no_echo"));
}

#[test]
fn who_waits_for_bye_in_vain_has_failed() {
    for farewell in [&[][..], &[Reply::Bye("")]] {
        let mut scene = Scene::inside();
        scene.regulars.exit(0, scene.now, &mut Vec::new());
        farewell.iter().for_each(|reply| assert!(scene.told(*reply).is_ok()));
        scene.pass(8_998);
        assert_eq!(scene.overdue(), None);
        scene.pass(2);
        assert_eq!(scene.overdue().as_deref(), Some("no_bye"));
    }
    // Who comes again and again notices, too.
    let mut scene = Scene::new(Habit::Returns);
    scene.connected();
    for reply in [HELLO, Reply::PasswordWanted(Wanted::Login), WELCOME] {
        scene.told(reply).unwrap();
    }
    scene.pass(9_000);
    assert_eq!(scene.overdue().as_deref(), Some("no_bye"));
}

#[test]
fn messages_that_never_come_back_count_with_the_time_waited() {
    let mut scene = Scene::inside();
    let echoed = scene.sent();
    scene.told(echo(&echoed)).unwrap();
    scene.sent();
    scene.pass(2_000);
    scene.sent();
    scene.pass(5_000);
    scene.regulars.handle_left(0, scene.now, Err(Mishap::new("connection_lost", "")));
    assert_eq!(scene.regulars.messages_waiting, 0);
    let message = &scene.regulars.windows[0].latencies.message;
    assert_eq!((message.count(), message.finished()), (3, 1));
    let seconds = |part| (message.nanoseconds_at(part) as f64 / 1e9).round();
    assert_eq!((seconds(1.0), seconds(0.5)), (7.0, 5.0));
}

#[test]
fn a_login_that_is_given_up_counts_and_one_that_is_refused_does_not() {
    let mut scene = Scene::new(Habit::Stays);
    scene.connected();
    scene.pass(3_000);
    scene.regulars.give_up(0, scene.now);
    let window = &scene.regulars.windows[0];
    assert_eq!((window.latencies.login.count(), window.latencies.login.finished()), (1, 0));
    assert_eq!((window.absence.count(), window.absence.finished()), (1, 0));
    let mut scene = Scene::new(Habit::Stays);
    scene.connected();
    scene.told(Reply::Error { code: 106, explanation: "1 s" }).unwrap_err();
    scene.regulars.handle_left(0, scene.now, Err(Mishap::new("Busy", "")));
    assert_eq!(scene.regulars.windows[0].latencies.login.count(), 0);
}

#[test]
fn a_stall_that_began_before_the_window_is_in_it_where_messages_wait_for_one_another() {
    for (window, counted) in [(Window::new as fn(_, _) -> _, 0), (Window::of_messages_in_turn, 1)] {
        let mut scene = Scene::inside();
        scene.regulars.windows.clear();
        let text = scene.sent();
        scene.pass(100);
        scene.regulars.windows.push(window(scene.now, Moment::NEVER));
        scene.pass(7_000);
        scene.told(echo(&text)).unwrap();
        let message = &scene.regulars.windows[0].latencies.message;
        assert_eq!(message.count(), counted);
        assert!(counted == 0 || message.nanoseconds_at(1.0) > 7_000_000_000);
    }
}

#[test]
fn who_waits_for_each_answer_says_nothing_before_hello() {
    let mut scene = Scene::new(Habit::Stays);
    scene.regulars.pipelined = false;
    assert!(scene.connected().is_empty());
    let said = |scene: &mut Scene, reply| scene.told(reply).unwrap().0;
    assert_eq!(said(&mut scene, HELLO), ["Identify"]);
    assert_eq!(said(&mut scene, Reply::PasswordWanted(Wanted::Login)), ["Login"]);
    assert!(said(&mut scene, WELCOME).is_empty());
    let login = &scene.regulars.windows[0].latencies.login;
    assert_eq!((login.nanoseconds_at(1.0) as f64 / 1e6).round(), 2.0, "from Identify on");
    scene.regulars.handle_left(0, scene.now, Ok(()));
    assert!(scene.connected().is_empty());
    assert_eq!(said(&mut scene, HELLO), ["Resume"]);
    said(&mut scene, WELCOME);
    assert_eq!(scene.regulars.inside, 1);
}
