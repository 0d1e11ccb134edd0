//! The server under siege, what the system tells of it, and how clients reach it.

use crate::server::Server;
use porter::auth::{Password, hash_password};
use porter::client::tls::Trust;
use porter::client::{Client, Protection};
use porter::load::{CpuTime, Plan, Porter, Scenario, Timeouts};
use porter::protocol::{FrameRead, Reply};
use porter::tls::{ALPN, Channel};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use rustix::thread::CpuSet;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of everyone in the server's file.
pub(crate) const PASSWORD: &str = "open sesame";
/// The longest wait for anything: whoever waits longer has found a fault.
pub(crate) const CEILING: Duration = Duration::from_secs(60);
/// A log that has not grown for so long has all that has happened: the server writes it ten times a second.
const LOG_SETTLES: Duration = Duration::from_millis(400);
/// What a server's memory may differ by from one moment to the next though it holds nothing more: its buffers for the
/// log and for reading, which are touched when first used.
pub(crate) const NOISE_KIBIBYTES: i64 = 256;
/// Everyone comes from here who has no reason for another address.
pub(crate) const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A running server. Killed when dropped.
pub(crate) struct Host {
    server: Server,
    /// What was told last at the console of how long turns were.
    turns: Arc<Mutex<Option<String>>>,
    folder: TempDir,
    /// How clients shake hands with it, if it speaks TLS: they trust its own certificate.
    tls: Option<Arc<ClientConfig>>,
    /// Where not all texts come back: what those of its probe client begin with, so that they do, to it alone.
    address_words: Option<&'static str>,
}

/// Users of a chat beside `ann` and `bob`, so that each who comes and goes is announced.
const EXTRA_NAMES: usize = 5_000;

/// The name of one of them.
pub(crate) fn extra_name(number: usize) -> String {
    format!("guest{number:04}")
}

/// A connection, bare or inside TLS.
pub(crate) struct ClientStream {
    pub(crate) stream: TcpStream,
    pub(crate) channel: Option<Channel>,
}

impl Read for ClientStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.channel {
            None => self.stream.read(into),
            Some(channel) => channel.read(&mut self.stream, into),
        }
    }
}

impl Write for ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.channel {
            None => self.stream.write(bytes),
            Some(channel) => channel.write(&mut self.stream, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.as_mut().map_or(Ok(()), |channel| channel.flush(&mut self.stream))
    }
}

/// A connection with its session's token.
pub(crate) struct Guest {
    pub(crate) stream: TcpStream,
    pub(crate) token: [u8; 16],
}

/// One frame as it travels.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 1).to_be_bytes()[..], &[kind], payload].concat()
}

/// Loses a connection without any farewell.
pub(crate) fn reset(stream: TcpStream) {
    let _ = Socket::from(stream).set_linger(Some(Duration::ZERO));
}

/// The code of the next Error, whatever comes before it; `None` if the connection ends first.
pub(crate) fn error_code(stream: &mut TcpStream) -> Option<u16> {
    while let Ok(Some(body)) = stream.read_frame(u32::MAX) {
        if let Ok(Reply::Error { code, .. }) = Reply::decode(&body) {
            return Some(code);
        }
    }
    None
}

fn trusting(certificate: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

/// Reads what is shown at the console, or the server would have nowhere to write to, and keeps what is told of turns.
fn read_console(stdout: BufReader<ChildStdout>, turns: Arc<Mutex<Option<String>>>) {
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok).filter(|line| line.starts_with("turns")) {
            *turns.lock().unwrap() = Some(line);
        }
    });
}

impl Host {
    /// Starts a server with the flags' defaults on these CPUs, in a folder of its own where `ann` and `bob` are
    /// known by `stored`.
    pub(crate) fn start(flags: &[&str], stored: &str, cpus: Option<&CpuSet>) -> Host {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(at("data")).unwrap();
        let cheap = hash_password(&Password::new(PASSWORD.as_bytes()), *b"sixteen bytes ok", 1).to_phc();
        let stored = if flags.contains(&"chat") { &cheap } else { stored };
        let extra = (0..if flags.contains(&"chat") { EXTRA_NAMES } else { 0 }).map(extra_name);
        let names = ["ann", "bob"].map(str::to_owned).into_iter().chain(extra);
        let users: String = names.map(|name| format!("{name},{stored},2026-01-02T03:04:05Z\n")).collect();
        fs::write(folder.path().join("data/users.csv"), format!("name,password,registered\n{users}"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_porter-server"));
        command.args(["--host", "127.0.0.1", "--port", "0", "--data", &at("data")]).args(flags);
        if !flags.contains(&"--log-file") {
            command.args(["--log-file", &at("log")]);
        }
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let (server, stdout) = Server::start(&mut command, None, cpus).unwrap();
        let tls = flags.contains(&"--tls").then(|| trusting(&at("data/tls-cert.pem")));
        let address_words = flags.contains(&"chat").then_some("@ann ");
        let turns = Arc::default();
        read_console(stdout.unwrap(), Arc::clone(&turns));
        Host { server, turns, folder, tls, address_words }
    }

    /// The longest turn that it has had, as it says at its console.
    pub(crate) fn longest_turn(&self) -> String {
        self.type_line("/stats");
        let began = Instant::now();
        loop {
            let told = self.turns.lock().unwrap().take();
            if let Some((_, longest)) = told.as_deref().and_then(|line| line.split_once("the longest ")) {
                return longest.to_owned();
            }
            if began.elapsed() > Duration::from_secs(5) {
                return "not told".to_owned();
            }
            std::thread::yield_now();
        }
    }

    /// Types a line at its console.
    pub(crate) fn type_line(&self, line: &str) {
        let mut console = self.server.child.stdin.as_ref().unwrap();
        console.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// What a new client begins with; `None` if the server speaks plain TCP.
    pub(crate) fn tls_channel(&self) -> Option<Channel> {
        let config = Arc::clone(self.tls.as_ref()?);
        let name = ServerName::try_from("localhost").unwrap();
        Some(Channel::client(config, name).unwrap())
    }

    pub(crate) fn connect(&self) -> TcpStream {
        self.connect_from(HOME, None)
    }

    /// Connects from one of the loopback's addresses, and with a receive buffer that does not grow.
    pub(crate) fn connect_from(&self, source: Ipv4Addr, receive_bytes: Option<usize>) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if source != HOME {
            socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        }
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        socket.connect(&self.server.address().into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(CEILING)).unwrap();
        stream.set_write_timeout(Some(CEILING)).unwrap();
        stream
    }

    /// Leads a connection through its login.
    pub(crate) fn log_in(stream: TcpStream, name: &str) -> Guest {
        let mut client = Client::over(stream.try_clone().unwrap()).unwrap();
        client.identify(name).unwrap();
        client.login(PASSWORD).unwrap();
        let token = *client.token().unwrap().expose();
        Guest { stream, token }
    }

    /// Waits until what happened before is in the log: it is written when nothing was added for a tenth of a second.
    pub(crate) fn settle(&self) {
        let log = self.folder.path().join("log");
        let bytes = || fs::metadata(&log).map_or(0, |log| log.len());
        let mut written = None;
        while written != Some(bytes()) {
            written = Some(bytes());
            std::thread::sleep(LOG_SETTLES);
        }
    }

    /// How many lines of the log have this in them.
    pub(crate) fn logged(&self, words: &str) -> usize {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(words)).count()
    }

    /// CPU time that it has used, and how long it was ready to run and had no CPU.
    pub(crate) fn cpu(&self) -> [Duration; 2] {
        let CpuTime { used, waited } = self.server.process().cpu().unwrap();
        [used, waited.unwrap_or_default()]
    }

    /// Kibibytes that it holds now; from now on the most that it holds is looked for anew.
    pub(crate) fn memory_now(&self) -> i64 {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.server.pid()), "5");
        self.server.process().memory_bytes().unwrap() as i64 / 1024
    }

    /// The most that it held since.
    pub(crate) fn memory_most(&self) -> i64 {
        self.server.memory_most().unwrap() as i64 / 1024
    }

    /// Its probe client, who is `ann`.
    pub(crate) fn probe(&self) -> Porter {
        let mut probe = Porter::new(1, false);
        (probe.name, probe.password, probe.address_words) =
            (|_, _| "ann".to_owned(), PASSWORD, self.address_words);
        probe
    }

    /// The load of its probe client: one that sends so many messages a second by the clock, for a part at rest, one under
    /// siege and one after it.
    pub(crate) fn plan(&self, rate_per_second: f64, span: Duration) -> Plan {
        let certificate = self.folder.path().join("data/tls-cert.pem");
        let protection = match self.tls {
            Some(_) => Protection::Tls(Trust::Authority(certificate)),
            None => Protection::Plaintext,
        };
        let (servers, host) = (vec![self.server.address()], "localhost".to_owned());
        let usual = Plan::canonical(Scenario::Storm);
        let timeouts = Timeouts { echo: CEILING, ..usual.timeouts };
        Plan { servers, host, protection, clients: 1, logins: 0, rate_per_second, span, timeouts, ..usual }
    }

    /// Leaves it so many file descriptors more than it has open; `None` lifts the limit.
    pub(crate) fn limit_descriptors(&self, spare: Option<u64>) {
        let open = fs::read_dir(format!("/proc/{}/fd", self.server.pid())).unwrap().count() as u64;
        let maximum = getrlimit(Resource::Nofile).maximum;
        let current = spare.map(|spare| open + spare).or(maximum);
        prlimit(Some(Pid::from_child(&self.server.child)), Resource::Nofile, Rlimit { current, maximum })
            .unwrap();
    }
}
