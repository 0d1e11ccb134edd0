//! What the load says to each server, and how it knows the answers: the one part that knows their protocols.

use porter::load::{
    Dialect, Exchange, Farewell, LoadError, LoginStep, Other, Plan, Porter, Progress, Report, User, run_with,
    text,
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
}

impl Protocol {
    /// Loads a server that speaks it. No client may fail.
    ///
    /// # Errors
    /// If one does.
    pub(crate) fn load(self, plan: &Plan, watch: &mut dyn FnMut(Progress)) -> Result<Report, String> {
        let report = match self {
            Protocol::Frames => run_with(Frames, plan, watch),
            Protocol::Porter { shared } => run_with(porter(shared), plan, watch),
            Protocol::Resp { awaits_login } => run_with(Resp { awaits_login }, plan, watch),
            Protocol::Mqtt => run_with(Mqtt, plan, watch),
        };
        let report = report.map_err(|error| error.to_string())?;
        match report.failures.values().next() {
            Some(failures) => Err(failures.reason.clone()),
            None => Ok(report),
        }
    }
}

fn porter(shared: u32) -> Porter {
    let name = |number: u64, shared: u32| match number.checked_sub(shared.into()) {
        Some(own) => full_cost_name(own),
        None => NAME.to_owned(),
    };
    let mut porter = Porter::new(shared, true);
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
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let (line, length) = (&bytes[..end], end + 2);
        let Some(digits) = line.strip_prefix(b"$") else { return Ok(Some(length)) };
        let size = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let whole = length + size.ok_or_else(|| unexpected(line))? + 2;
        Ok((bytes.len() >= whole).then_some(whole))
    }

    fn connected(&self, waits: &mut bool, user: &User<'_>, out: &mut Vec<u8>) -> LoginStep {
        append_command(&["AUTH", user.name, PASSWORD], out);
        *waits = true;
        if self.awaits_login { LoginStep::Asked } else { LoginStep::Inside }
    }

    fn handle_answer(
        &self,
        waits: &mut bool,
        _: &User<'_>,
        message: &[u8],
        _: &mut Vec<u8>,
    ) -> Result<LoginStep, LoadError> {
        *waits = false;
        if message == b"+OK\r\n" { Ok(LoginStep::Inside) } else { Err(unexpected(message)) }
    }

    fn awaited(&self, _: &bool) -> &'static str {
        "+OK"
    }

    fn exchange(&self, _: &bool, user: &User<'_>, size_bytes: usize) -> Exchange {
        let (text, mut request) = (text(user.number, size_bytes), Vec::new());
        append_command(&["ECHO", &text], &mut request);
        Exchange::new(request, format!("${size_bytes}\r\n{text}\r\n").into_bytes(), size_bytes, 2)
    }

    fn handle_other(&self, waits: &mut bool, message: &[u8]) -> Result<Other, LoadError> {
        match message {
            b"+OK\r\n" if std::mem::take(waits) => Ok(Other::Aside),
            b"+OK\r\n" => Ok(Other::Bye(String::new())),
            [b'$', ..] => Ok(Other::Answer),
            _ => Err(unexpected(message)),
        }
    }

    fn farewell(&self) -> Option<Farewell> {
        Some(Farewell { bytes: b"*1\r\n$4\r\nQUIT\r\n", is_along: true, is_answered: true })
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
        if user.talks {
            // Its answer comes before the first message's.
            let mut body = b"\x00\x01".to_vec();
            append_text(&topic(user.number), &mut body);
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
        append_text(&topic(user.number), &mut body);
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
        let user = User { name: NAME, number: 7, talks: true };
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
        let resp = Resp { awaits_login: true };
        assert!(resp.handle_answer(&mut true, &user, b"-WRONGPASS invalid\r\n", &mut Vec::new()).is_err());
    }
}
