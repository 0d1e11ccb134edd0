//! What the load says to each server, and how it knows the answers: the one part that knows their protocols.

use porter::load::{
    Dialect, Exchange, Farewell, LoadError, LoginStep, Other, Plan, Porter, Progress, Report, Role, User,
    run_with, text,
};

/// The user whom every server knows that knows users.
pub(crate) const NAME: &str = "ann";
/// Her password.
pub(crate) const PASSWORD: &str = "open-sesame";

/// Users of porter's beside her, each of whom can make one login at full cost.
pub(crate) const FULL_COST_USERS: u32 = 100;

/// The name of such a user.
pub(crate) fn full_cost_name(number: u64) -> String {
    format!("full-{number}")
}

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A length and so many bytes; nobody logs in.
    Frames,
    /// porter's. After so many clients that are all `ann`, each is a user of its own.
    Porter { shared: u32 },
    /// redis's: AUTH, ECHO, QUIT. If nothing is awaited, the first ECHO goes along with AUTH.
    Resp { awaits_login: bool },
    /// MQTT 3.1.1: CONNECT with a password, SUBSCRIBE to a topic of one's own and PUBLISH to it.
    Mqtt,
    /// porter's, in a chat in which `full-0` is whispered to and all others are `ann`.
    PorterChat,
    /// redis's: SUBSCRIBE and PUBLISH.
    RespChat,
    /// MQTT's, at QoS 0.
    MqttChat,
}

impl Protocol {
    /// Loads a server that speaks it. No client may fail, and the run may end before its time only if it is interrupted.
    ///
    /// # Errors
    /// If either happens.
    pub(crate) fn load(self, plan: &Plan, watch: &mut dyn FnMut(Progress)) -> Result<Report, String> {
        let report = match self {
            Protocol::Frames => run_with(Frames, plan, watch),
            Protocol::Porter { shared } => run_with(porter(shared, plan.pipelined), plan, watch),
            Protocol::PorterChat => {
                let name = |number, _| if number == 0 { full_cost_name(0) } else { NAME.to_owned() };
                let mut porter = porter(u32::MAX, plan.pipelined);
                (porter.name, porter.address_words) = (name, Some("@full-0 "));
                run_with(porter, plan, watch)
            }
            Protocol::Resp { awaits_login } => {
                run_with(Resp { awaits_login, awaits_echo: !plan.pipelined }, plan, watch)
            }
            Protocol::RespChat => run_with(Resp { awaits_login: true, awaits_echo: false }, plan, watch),
            Protocol::Mqtt | Protocol::MqttChat => run_with(Mqtt, plan, watch),
        };
        let report = report.map_err(|error| error.to_string())?;
        let failure = report.failures.values().next().map(|failures| &failures.reason);
        let cut_short = report.cut_short.as_ref().filter(|error| error.kind != "interrupted");
        match failure.or(cut_short.map(|error| &error.reason)) {
            Some(reason) => Err(reason.clone()),
            None => Ok(report),
        }
    }
}

fn porter(shared: u32, pipelined: bool) -> Porter {
    let name = |number: u64, shared: u32| match number.checked_sub(shared.into()) {
        Some(own) => full_cost_name(own),
        None => NAME.to_owned(),
    };
    let mut porter = Porter::new(shared, pipelined);
    (porter.name, porter.password) = (name, PASSWORD);
    porter
}

/// A length and so many bytes.
#[derive(Clone, Copy, Debug)]
struct Frames;

/// redis's protocol; a login knows whether the answer to AUTH is still to come.
#[derive(Clone, Copy, Debug)]
struct Resp {
    awaits_login: bool,
    /// Whether QUIT waits for the last echo.
    awaits_echo: bool,
}

/// MQTT 3.1.1.
#[derive(Clone, Copy, Debug)]
struct Mqtt;

impl Dialect for Frames {
    type Login = ();

    fn name(&self, _: u64) -> String {
        NAME.to_owned()
    }

    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        let Some((header, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes(*header) as usize;
        Ok((rest.len() >= length).then_some(header.len() + length))
    }

    fn connected(&self, _: &mut (), _: &User<'_>, _: &mut Vec<u8>) -> LoginStep {
        LoginStep::Inside
    }

    fn handle_answer(
        &self,
        _: &mut (),
        _: &User<'_>,
        message: &[u8],
        _: &mut Vec<u8>,
    ) -> Result<LoginStep, LoadError> {
        Err(unexpected(message))
    }

    fn awaited(&self, _: &()) -> &'static str {
        "nothing"
    }

    fn exchange(&self, _: &(), user: &User<'_>, size_bytes: usize) -> Exchange {
        let text = text(user.number, size_bytes);
        let frame = [&(size_bytes as u32).to_be_bytes(), text.as_bytes()].concat();
        Exchange::new(frame.clone(), frame, size_bytes, 0)
    }

    fn handle_other(&self, _: &mut (), _: &[u8]) -> Result<Other, LoadError> {
        Ok(Other::Answer)
    }

    fn farewell(&self) -> Option<Farewell> {
        None
    }
}

impl Dialect for Resp {
    type Login = bool;

    fn name(&self, _: u64) -> String {
        NAME.to_owned()
    }

    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let (line, mut whole) = (bytes[..end].trim_ascii_end(), end + 1);
        let Some((kind @ (b'$' | b'*'), digits)) = line.split_first() else { return Ok(Some(whole)) };
        let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let size = size.ok_or_else(|| unexpected(line))?;
        if *kind == b'$' {
            whole += size + 2;
            return Ok((bytes.len() >= whole).then_some(whole));
        }
        for _ in 0..size {
            let Some(part) = self.message_bytes(&bytes[whole..])? else { return Ok(None) };
            whole += part;
        }
        Ok(Some(whole))
    }

    fn connected(&self, waits: &mut bool, user: &User<'_>, out: &mut Vec<u8>) -> LoginStep {
        append_command(&["AUTH", user.name, PASSWORD], out);
        *waits = true;
        if self.awaits_login { LoginStep::Asked } else { LoginStep::Inside }
    }

    fn handle_answer(
        &self,
        waits: &mut bool,
        user: &User<'_>,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<LoginStep, LoadError> {
        *waits = false;
        if let Some(channel) = user.role.and_then(read_by) {
            append_command(&["SUBSCRIBE", channel], out);
        }
        if message == b"+OK\r\n" { Ok(LoginStep::Inside) } else { Err(unexpected(message)) }
    }

    fn awaited(&self, _: &bool) -> &'static str {
        "+OK"
    }

    fn exchange(&self, _: &bool, user: &User<'_>, size_bytes: usize) -> Exchange {
        let (text, mut request) = (text(user.number, size_bytes), Vec::new());
        if let Some(channel) = user.role.and_then(written_by) {
            append_command(&["PUBLISH", channel, &text], &mut request);
            let mut answer = Vec::new();
            append_command(&["message", channel, &text], &mut answer);
            return Exchange::new(request, answer, size_bytes, 2);
        }
        append_command(&["ECHO", &text], &mut request);
        Exchange::new(request, format!("${size_bytes}\r\n{text}\r\n").into_bytes(), size_bytes, 2)
    }

    fn handle_other(&self, waits: &mut bool, message: &[u8]) -> Result<Other, LoadError> {
        match message {
            b"+OK\r\n" if std::mem::take(waits) => Ok(Other::Aside),
            b"+OK\r\n" => Ok(Other::Bye(String::new())),
            [b'$', ..] => Ok(Other::Answer),
            // What SUBSCRIBE and PUBLISH are answered, and who is written to.
            [b':' | b'*', ..] => Ok(Other::Aside),
            _ => Err(unexpected(message)),
        }
    }

    fn farewell(&self) -> Option<Farewell> {
        Some(Farewell { bytes: b"*1\r\n$4\r\nQUIT\r\n", is_along: !self.awaits_echo, is_answered: true })
    }
}

impl Dialect for Mqtt {
    type Login = ();

    fn name(&self, _: u64) -> String {
        NAME.to_owned()
    }

    /// Everything that is said here is shorter than the 128 bytes that would need a longer length.
    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        match bytes {
            [_, size @ 0..128, rest @ ..] => {
                Ok((rest.len() >= usize::from(*size)).then_some(2 + usize::from(*size)))
            }
            _ if bytes.len() < 2 => Ok(None),
            _ => Err(unexpected(bytes)),
        }
    }

    fn connected(&self, (): &mut (), user: &User<'_>, out: &mut Vec<u8>) -> LoginStep {
        let mut body = b"\x00\x04MQTT\x04\xc2\x00\x00".to_vec();
        for text in [&*format!("client-{:x}", user.number), user.name, PASSWORD] {
            append_text(text, &mut body);
        }
        append_packet(0x10, &body, out);
        LoginStep::Asked
    }

    fn handle_answer(
        &self,
        (): &mut (),
        user: &User<'_>,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<LoginStep, LoadError> {
        let [0x20, 2, _, 0] = message else { return Err(unexpected(message)) };
        if let Some(topic) = subscribed(user) {
            // Its answer comes before the first message's.
            let mut body = b"\x00\x01".to_vec();
            append_text(&topic, &mut body);
            body.push(0);
            append_packet(0x82, &body, out);
        }
        Ok(LoginStep::Inside)
    }

    fn awaited(&self, _: &()) -> &'static str {
        "CONNACK"
    }

    fn exchange(&self, _: &(), user: &User<'_>, size_bytes: usize) -> Exchange {
        let (mut body, mut packet) = (Vec::new(), Vec::new());
        let channel = user.role.and_then(written_by).map_or_else(|| topic(user.number), str::to_owned);
        append_text(&channel, &mut body);
        body.extend_from_slice(text(user.number, size_bytes).as_bytes());
        append_packet(0x30, &body, &mut packet);
        Exchange::new(packet.clone(), packet, size_bytes, 0)
    }

    fn handle_other(&self, _: &mut (), message: &[u8]) -> Result<Other, LoadError> {
        match message {
            [0x90, 3, _, _, 0..=2] => Ok(Other::Aside),
            [0x30, ..] => Ok(Other::Answer),
            _ => Err(unexpected(message)),
        }
    }

    fn farewell(&self) -> Option<Farewell> {
        Some(Farewell { bytes: b"\xe0\x00", is_along: false, is_answered: false })
    }
}

/// The channel from which a role of a chat reads.
fn read_by(role: Role) -> Option<&'static str> {
    match role {
        Role::Listener => Some("pair"),
        Role::Reader => Some("room"),
        Role::Whisperer | Role::Writer => None,
    }
}

/// The channel to which a role of a chat writes.
fn written_by(role: Role) -> Option<&'static str> {
    match role {
        Role::Whisperer => read_by(Role::Listener),
        Role::Writer => read_by(Role::Reader),
        Role::Listener | Role::Reader => None,
    }
}

/// What an MQTT client subscribes to, if it does.
fn subscribed(user: &User<'_>) -> Option<String> {
    match user.role {
        Some(role) => read_by(role).map(str::to_owned),
        None => user.talks.then(|| topic(user.number)),
    }
}

fn topic(client: u64) -> String {
    format!("echo/{client:x}")
}

fn append_command(words: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

fn append_packet(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind, body.len() as u8]);
    out.extend_from_slice(body);
}

fn append_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn unexpected(bytes: &[u8]) -> LoadError {
    LoadError::new(
        "unexpected_reply",
        format!("the server said '{}', which was not due", bytes.escape_ascii()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter::load::Scenario;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;
    use std::time::Duration;

    /// A server that answers each read as `answer` says, in pieces of so many bytes. It ends with the test.
    fn server(piece: usize, answer: fn(&mut Vec<u8>) -> Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                thread::spawn(move || {
                    let (mut buffer, mut kept) = ([0; 4_096], Vec::new());
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        kept.extend_from_slice(&buffer[..count]);
                        let answer = answer(&mut kept);
                        if answer.chunks(piece).any(|bytes| stream.write_all(bytes).is_err())
                            || answer.ends_with(b"+OK\r\n") && kept.is_empty() && answer.len() > 10
                        {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn plan(scenario: Scenario, address: SocketAddr) -> Plan {
        let span = Duration::from_millis(50);
        Plan { servers: vec![address], clients: 3, in_flight: 4, span, ..Plan::canonical(scenario) }
    }

    #[test]
    fn every_frame_is_counted_once_its_echo_is_there_however_it_comes() {
        for piece in [4_096, 50] {
            let address = server(piece, std::mem::take);
            for scenario in [Scenario::Steady, Scenario::Sequential] {
                let report = Protocol::Frames.load(&plan(scenario, address), &mut |_| {}).unwrap();
                let message = report.message_us;
                assert!(message.count >= 3 && message.unfinished == 0, "{scenario:?} {message:?}");
            }
        }
    }

    #[test]
    fn an_echo_that_is_none_is_found_out() {
        let change = |kept: &mut Vec<u8>| {
            kept.iter_mut().filter(|byte| **byte == b'q').for_each(|byte| *byte = b'Q');
            std::mem::take(kept)
        };
        let address = server(4_096, change);
        for scenario in [Scenario::Steady, Scenario::Sequential] {
            let reason = Protocol::Frames.load(&plan(scenario, address), &mut |_| {}).unwrap_err();
            assert!(reason.contains("is not the echo"), "{reason}");
        }
    }

    #[test]
    fn redis_is_asked_with_and_without_waiting_for_the_login() {
        // AUTH, ECHO and QUIT, as far as they have come.
        let answer = |kept: &mut Vec<u8>| {
            let (mut out, mut text) = (Vec::new(), String::from_utf8(std::mem::take(kept)).unwrap());
            while let Some(line) = text.find("\r\n").map(|_| text.clone()) {
                let words: Vec<&str> = line.split("\r\n").collect();
                let count: usize = words[0][1..].parse().unwrap();
                if words.len() <= 2 * count + 1 {
                    break;
                }
                match words[2] {
                    "ECHO" => out.extend_from_slice(format!("{}\r\n{}\r\n", words[3], words[4]).as_bytes()),
                    _ => out.extend_from_slice(b"+OK\r\n"),
                }
                text = words[2 * count + 1..].join("\r\n");
            }
            kept.extend_from_slice(text.as_bytes());
            out
        };
        let address = server(4_096, answer);
        for awaits_login in [true, false] {
            let visits = plan(Scenario::Sequential, address);
            let report = Protocol::Resp { awaits_login }.load(&visits, &mut |_| {}).unwrap();
            assert_eq!((report.clients, report.message_us.count, report.failed), (3, 3, 0));
        }
    }

    #[test]
    fn refusals_are_told_and_admissions_understood() {
        let user = User { name: NAME, number: 7, talks: true, role: None };
        let mqtt = |message: &[u8]| {
            let mut out = Vec::new();
            let step = Mqtt.handle_answer(&mut (), &user, message, &mut out);
            (step.ok(), out)
        };
        let (step, out) = mqtt(b"\x20\x02\x00\x00");
        assert_eq!((step, out.first()), (Some(LoginStep::Inside), Some(&0x82)));
        assert_eq!(mqtt(b"\x20\x02\x00\x05").0, None);
        assert_eq!(Mqtt.message_bytes(b"\x90\x03\x00\x01\x00").unwrap(), Some(5));
        assert_eq!(Mqtt.handle_other(&mut (), b"\x90\x03\x00\x01\x00").unwrap(), Other::Aside);
        let whole = b"*3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n$3\r\nhi!\r\n";
        let resp = Resp { awaits_login: true, awaits_echo: false };
        assert_eq!(resp.message_bytes(whole).unwrap(), Some(whole.len()));
        assert!((1..whole.len()).all(|end| resp.message_bytes(&whole[..end]).unwrap().is_none()));
        let (reader, mut out) = (User { role: Some(Role::Reader), ..user }, Vec::new());
        assert_eq!(resp.handle_answer(&mut true, &reader, b"+OK\r\n", &mut out).unwrap(), LoginStep::Inside);
        assert!(out.ends_with(b"SUBSCRIBE\r\n$4\r\nroom\r\n"));
        assert!(resp.handle_answer(&mut true, &user, b"-WRONGPASS invalid\r\n", &mut Vec::new()).is_err());
    }
}
