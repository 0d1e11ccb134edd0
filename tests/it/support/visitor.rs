//! A visitor who speaks in bytes and can say anything at any time.

use super::{CEILING, PASSWORD, Server};
use porter::protocol::{FrameRead, Reply, Wanted};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One frame as it travels.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((payload.len() + 1) as u32).to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(payload);
    bytes
}

/// What came from the server, or what became of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Hello(String),
    Wanted(Wanted),
    Welcome([u8; 16], String),
    /// Sender (empty: the server) and text.
    Message(String, String),
    Bye(String),
    PasswordChanged,
    /// How many are online, and their names.
    Names(u32, Vec<String>),
    Error(u16, String),
    /// The server has shut its sending side in good order.
    Closed,
    /// The connection was reset.
    Reset,
}

impl Said {
    fn of(body: &[u8]) -> Said {
        match Reply::decode(body).unwrap_or_else(|error| panic!("{error}: {body:02x?}")) {
            Reply::Hello { version, last_name } => {
                assert_eq!(version, 1);
                Said::Hello(last_name.to_owned())
            }
            Reply::PasswordWanted(wanted) => Said::Wanted(wanted),
            Reply::Welcome { token, greeting } => Said::Welcome(*token, greeting.to_owned()),
            Reply::Message { sender, text } => Said::Message(sender.to_owned(), text.to_owned()),
            Reply::Bye(reason) => Said::Bye(reason.to_owned()),
            Reply::PasswordChanged => Said::PasswordChanged,
            Reply::Names { online, names } => Said::Names(online, names.lines().map(str::to_owned).collect()),
            Reply::Error { code, explanation } => Said::Error(code, explanation.to_owned()),
        }
    }

    /// A text from `sender`, who is empty for the server.
    pub(crate) fn message(sender: &str, text: &str) -> Said {
        Said::Message(sender.to_owned(), text.to_owned())
    }
}

/// One connection. Reads wait up to the ceiling.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) stream: TcpStream,
    /// The last token it was given; zeros before that.
    pub(crate) token: [u8; 16],
}

impl Visitor {
    /// Connects, and has read nothing yet.
    pub(crate) fn connect(server: &Server) -> Visitor {
        Visitor::of(TcpStream::connect(server.address).unwrap())
    }

    /// Connects from another of the loopback's addresses.
    pub(crate) fn connect_from(source: &str, server: &Server) -> Visitor {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let source: SocketAddr = format!("{source}:0").parse().unwrap();
        socket.bind(&source.into()).unwrap();
        socket.connect(&server.address.into()).unwrap();
        Visitor::of(socket.into())
    }

    /// Connects with a window that does not grow, so that soon nothing more can be sent to it.
    pub(crate) fn connect_narrow(server: &Server) -> Visitor {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(65_536).unwrap();
        socket.connect(&server.address.into()).unwrap();
        Visitor::of(socket.into())
    }

    /// Connects so that the systems at both ends hold next to nothing of what is sent to it: it waits in the server.
    pub(crate) fn connect_tiny(server: &Server) -> Visitor {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.set_tcp_mss(536).unwrap();
        socket.connect(&server.address.into()).unwrap();
        Visitor::of(socket.into())
    }

    /// Of a stream that is connected already.
    pub(crate) fn of(stream: TcpStream) -> Visitor {
        stream.set_read_timeout(Some(CEILING)).unwrap();
        stream.set_write_timeout(Some(CEILING)).unwrap();
        stream.set_nodelay(true).unwrap();
        Visitor { stream, token: [0; 16] }
    }

    /// Connects and is greeted.
    pub(crate) fn arrive(server: &Server) -> Visitor {
        Visitor::connect(server).greeted()
    }

    pub(crate) fn greeted(mut self) -> Visitor {
        self.expect_hello();
        self
    }

    /// Connects, registers if need be, and logs in with the usual password.
    pub(crate) fn logged_in(server: &Server, name: &str) -> Visitor {
        Visitor::logged_in_at(server.address, name)
    }

    /// The same, where there is no more than an address.
    pub(crate) fn logged_in_at(address: SocketAddr, name: &str) -> Visitor {
        let mut visitor = Visitor::of(TcpStream::connect(address).unwrap()).greeted();
        visitor.log_in(name, PASSWORD);
        visitor
    }

    /// Registers if need be, and logs in.
    pub(crate) fn log_in(&mut self, name: &str, password: &str) {
        self.identify(name);
        if self.next() == Said::Wanted(Wanted::Register) {
            self.register(password);
            self.expect(Said::Wanted(Wanted::Login));
        }
        self.login(password);
        self.expect_welcome();
    }

    /// Identifies and answers what is wanted with it.
    pub(crate) fn introduced(server: &Server, name: &str, wanted: Wanted) -> Visitor {
        let mut visitor = Visitor::arrive(server);
        visitor.identify(name);
        visitor.expect(Said::Wanted(wanted));
        visitor
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn identify(&mut self, name: &str) {
        self.send_raw(&frame(0x01, name.as_bytes()));
    }

    pub(crate) fn register(&mut self, password: &str) {
        self.send_raw(&frame(0x02, password.as_bytes()));
    }

    pub(crate) fn login(&mut self, password: &str) {
        self.send_raw(&frame(0x03, password.as_bytes()));
    }

    pub(crate) fn resume(&mut self, token: [u8; 16]) {
        self.send_raw(&frame(0x04, &token));
    }

    pub(crate) fn message(&mut self, text: &str) {
        self.send_raw(&self.message_frame(text.as_bytes()));
    }

    pub(crate) fn who(&mut self) {
        self.send_raw(&frame(0x08, &self.token));
    }

    pub(crate) fn exit(&mut self) {
        self.send_raw(&frame(0x06, &[]));
    }

    /// A Message under its token, as it travels.
    pub(crate) fn message_frame(&self, text: &[u8]) -> Vec<u8> {
        frame(0x05, &[&self.token, text].concat())
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Lets the connection be lost: a reset, without any farewell.
    pub(crate) fn reset(self) {
        let socket = Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The next thing that comes.
    pub(crate) fn next(&mut self) -> Said {
        match self.stream.read_frame(16_777_216 + 64) {
            Ok(Some(body)) => Said::of(&body),
            Ok(None) => Said::Closed,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Said::Reset,
            Err(error) => panic!("waiting for a frame: {error}"),
        }
    }

    /// The next thing that comes whole; none if the connection ends in the middle of it.
    pub(crate) fn next_whole(&mut self) -> Option<Said> {
        self.stream.read_frame(16_777_216 + 64).ok().flatten().map(|body| Said::of(&body))
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, said: Said) {
        assert_eq!(self.next(), said);
    }

    #[track_caller]
    pub(crate) fn expect_hello(&mut self) -> String {
        match self.next() {
            Said::Hello(last_name) => last_name,
            other => panic!("no Hello: {other:?}"),
        }
    }

    /// Takes the token of a Welcome, and returns it.
    #[track_caller]
    pub(crate) fn expect_welcome(&mut self) -> [u8; 16] {
        match self.next() {
            Said::Welcome(token, _) => self.token = token,
            other => panic!("no Welcome: {other:?}"),
        }
        self.token
    }

    /// The explanation of an Error with this code.
    #[track_caller]
    pub(crate) fn expect_error(&mut self, code: u16) -> String {
        match self.next() {
            Said::Error(number, explanation) if number == code => explanation,
            other => panic!("no Error {code}: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_closed(&mut self) {
        self.expect(Said::Closed);
    }

    /// An Error with this code, and then the end.
    #[track_caller]
    pub(crate) fn expect_last_error(&mut self, code: u16) -> String {
        let explanation = self.expect_error(code);
        self.expect_closed();
        explanation
    }

    /// Bye, and then the end.
    #[track_caller]
    pub(crate) fn expect_bye(&mut self) {
        match self.next() {
            Said::Bye(_) => self.expect_closed(),
            other => panic!("no Bye: {other:?}"),
        }
    }

    /// A message in echo mode and back: the session lives, and all that was sent before is handled.
    #[track_caller]
    pub(crate) fn expect_echo(&mut self, text: &str) {
        self.message(text);
        self.expect(Said::message("", text));
    }

    /// Whether nothing has come yet. Says nothing of what is still on its way.
    pub(crate) fn nothing_yet(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let nothing =
            matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).unwrap();
        nothing
    }
}

/// Connections that come and go: whether a resume with this token is welcome, on a connection of its own.
impl Server {
    pub(crate) fn resumed(&self, token: [u8; 16]) -> Visitor {
        let mut visitor = Visitor::arrive(self);
        visitor.resume(token);
        visitor.expect_welcome();
        visitor
    }

    #[track_caller]
    pub(crate) fn expect_no_session(&self, token: [u8; 16]) {
        let mut visitor = Visitor::arrive(self);
        visitor.resume(token);
        visitor.expect_error(6);
    }
}
