//! The servers that are compared, and how each is started: on the loopback, as its users would but for limits that a load would
//! meet.

use crate::dialects::{FULL_COST_USERS, NAME, PASSWORD, Protocol, full_cost_name};
use crate::passwords;
use crate::server::{Server, free_port};
use rustix::thread::CpuSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A server to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Bare,
    Codec,
    Redis,
    /// With so many rounds in its password file.
    Mosquitto(u32),
    Blocking,
    Porter,
}

/// What a server is to do beside echoes in plain text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// It has a room, in which echoes come from nowhere.
    pub(crate) chat: bool,
    /// It encrypts.
    pub(crate) tls: bool,
}

impl Manner {
    fn of(self, echo: Protocol, chat: Protocol) -> Protocol {
        if self.chat { chat } else { echo }
    }
}

/// Those that have rooms, and encrypt.
pub(crate) const CHATTING: [Peer; 3] = [Peer::Redis, Peer::Mosquitto(MOSQUITTO_ROUNDS), Peer::Porter];

/// Where porter keeps the certificate that it makes.
const PORTER_CERTIFICATE: &str = "data/tls-cert.pem";
/// Its copy for the others, which is to cost them as much.
const CERTIFICATE: &str = "certificate.pem";

/// What `mosquitto_passwd` takes unless it is told otherwise.
pub(crate) const MOSQUITTO_ROUNDS: u32 = 101;

/// porter's protocol, spoken by clients who are all one user.
const PORTER: Protocol = Protocol::Porter { shared: u32::MAX };

/// All of them, in the order of the tables.
pub(crate) const PEERS: [Peer; 6] =
    [Peer::Bare, Peer::Codec, Peer::Redis, Peer::Mosquitto(MOSQUITTO_ROUNDS), Peer::Blocking, Peer::Porter];

impl Peer {
    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Bare => "bare",
            Peer::Codec => "tokio codec",
            Peer::Redis => "redis",
            Peer::Mosquitto(_) => "mosquitto",
            Peer::Blocking => "Python, blocking",
            Peer::Porter => "porter",
        }
    }

    /// Whether its clients log in.
    pub(crate) fn has_login(self) -> bool {
        !matches!(self, Peer::Bare | Peer::Codec)
    }

    /// The program, and the Debian package that has it.
    fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Peer::Redis => Some(("redis-server", "redis-server")),
            Peer::Mosquitto(_) => Some(("mosquitto", "mosquitto")),
            Peer::Blocking => Some(("python3", "python3")),
            Peer::Bare | Peer::Codec | Peer::Porter => None,
        }
    }
}

/// Where the programs are, and what they need.
#[derive(Debug)]
pub(crate) struct Stable {
    porter: PathBuf,
    /// Where `bare` and `codec` are.
    own: PathBuf,
    /// Whether a peer can be started, by its program.
    missing: Vec<Peer>,
    /// Where servers run, if there are two CPUs.
    pub(crate) cpus: Option<CpuSet>,
    porter_hash: String,
}

impl Stable {
    /// Looks for the programs, and says on stderr which package is missing.
    ///
    /// # Errors
    /// If porter's program is not there.
    pub(crate) fn find(porter: &Path, cpus: Option<CpuSet>) -> Result<Stable, String> {
        let porter = fs::canonicalize(porter).map_err(|error| format!("{}: {error}", porter.display()))?;
        let own = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
        let own = own.parent().unwrap_or(Path::new("/")).to_owned();
        let mut missing = Vec::new();
        for peer in PEERS {
            if let Some((program, package)) = peer.program().filter(|(program, _)| version(program).is_none())
            {
                eprintln!(
                    "{program} is not there (Debian's package {package}): the comparison goes on without"
                );
                missing.push(peer);
            }
        }
        Ok(Stable { porter, own, missing, cpus, porter_hash: passwords::porter_hash() })
    }

    /// The peers that can be started.
    pub(crate) fn peers(&self) -> impl Iterator<Item = Peer> {
        PEERS.into_iter().filter(|peer| !self.missing.contains(peer))
    }

    /// The versions of all that takes part, and of what compiled porter and the loops.
    pub(crate) fn versions(&self) -> Vec<String> {
        let porter = version(&self.porter.to_string_lossy());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let commit = said(Command::new("git").args(["-C", source, "describe", "--always", "--dirty"]));
        let porter = porter.map(|porter| match commit {
            Some(commit) => format!("{porter} ({commit})"),
            None => porter,
        });
        let others = self.peers().filter_map(Peer::program).filter_map(|(program, _)| version(program));
        porter.into_iter().chain(locked("tokio")).chain(others).chain(version("rustc")).collect()
    }

    /// Starts a peer's server; it takes as many connections as there are file descriptors.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(&self, peer: Peer) -> Result<Server, String> {
        let folder = folder()?;
        match peer {
            Peer::Bare => self.server(Command::new(self.own.join("bare")), folder, None, Protocol::Frames),
            Peer::Codec => self.server(Command::new(self.own.join("codec")), folder, None, Protocol::Frames),
            Peer::Blocking => {
                let mut python = Command::new("python3");
                python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/blocking.py"));
                python.args([NAME, &passwords::md5_hex()]);
                self.server(python, folder, None, PORTER)
            }
            Peer::Redis | Peer::Mosquitto(_) | Peer::Porter => self.start_as(peer, Manner::default()),
        }
    }

    /// Starts a peer's server that has rooms, or that encrypts.
    ///
    /// # Errors
    /// If it does not start, or can do neither.
    pub(crate) fn start_as(&self, peer: Peer, manner: Manner) -> Result<Server, String> {
        let folder = folder()?;
        if let (true, Peer::Redis | Peer::Mosquitto(_)) = (manner.tls, peer) {
            self.make_certificate(folder.path())?;
        }
        match peer {
            Peer::Redis => self.redis(folder, manner),
            Peer::Mosquitto(rounds) => self.mosquitto(folder, rounds, manner),
            Peer::Porter => self.porter_alone(manner),
            Peer::Bare | Peer::Codec | Peer::Blocking => {
                Err("it has neither rooms nor encryption".to_owned())
            }
        }
    }

    /// Starts porter with the users of all works in its files.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn porter_alone(&self, manner: Manner) -> Result<Server, String> {
        self.porter(self.porter_folder()?, manner)
    }

    fn porter_folder(&self) -> Result<TempDir, String> {
        let folder = folder()?;
        let names = (0..FULL_COST_USERS.into()).map(full_cost_name).chain([NAME.to_owned()]);
        write_porter_data(folder.path(), |path| {
            passwords::write_porter_users(path, names, &self.porter_hash)
        })?;
        Ok(folder)
    }

    /// Starts so many of porter's processes on one port, and their store, which keeps all that it acknowledges and runs where
    /// the load generator does.
    ///
    /// # Errors
    /// If one of them does not start.
    pub(crate) fn porters(&self, count: usize, manner: Manner) -> Result<(Server, Vec<Server>), String> {
        let (users, place) = (self.porter_folder()?, free_port()?);
        let mut redis = Command::new("redis-server");
        redis.args(["--bind", "127.0.0.1", "--port", &place.to_string(), "--save", ""]);
        redis.args(["--appendonly", "yes", "--appendfsync", "always"]);
        let store =
            Server::start(redis, folder()?, Some(place), Protocol::Resp { awaits_login: true }, None)?;
        let url = format!("redis://127.0.0.1:{place}");
        for command in ["init", "import"] {
            let mut admin = Command::new(self.porter.with_file_name("porter-admin"));
            admin.args(["--store", &url, "store", command, "--data"]).arg(users.path().join("data"));
            said(&mut admin).ok_or_else(|| format!("porter-admin cannot {command} the store"))?;
        }
        let port = free_port()?;
        let start = |_| {
            let mut porter = self.porter_command(port, manner);
            porter.args(["--share-port", "--store", &url]);
            self.server(porter, folder()?, None, manner.of(PORTER, Protocol::PorterChat))
        };
        Ok((store, (0..count).map(start).collect::<Result<_, _>>()?))
    }

    /// Puts a certificate as porter makes them, and its key, into a folder.
    fn make_certificate(&self, into: &Path) -> Result<(), String> {
        let porter = self.start_as(Peer::Porter, Manner { tls: true, ..Manner::default() })?;
        for (from, to) in [(PORTER_CERTIFICATE, CERTIFICATE), ("data/tls-key.pem", "key.pem")] {
            let from = porter.file(from);
            fs::copy(&from, into.join(to)).map_err(|error| format!("{}: {error}", from.display()))?;
        }
        Ok(())
    }

    /// A folder with so many users of porter's, of whom nobody can log in.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn porter_with_users(&self, count: u32) -> Result<TempDir, String> {
        let folder = folder()?;
        write_porter_data(folder.path(), |path| passwords::write_many_porter_users(path, count))?;
        Ok(folder)
    }

    /// Starts porter on data that is there.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn porter(&self, folder: TempDir, manner: Manner) -> Result<Server, String> {
        let mut porter = self.porter_command(0, manner);
        if !manner.tls {
            return self.server(porter, folder, None, manner.of(PORTER, Protocol::PorterChat));
        }
        porter.arg("--tls");
        let server = self.server(porter, folder, None, manner.of(PORTER, Protocol::PorterChat))?;
        Ok(server.encrypts(PORTER_CERTIFICATE))
    }

    fn porter_command(&self, port: u16, manner: Manner) -> Command {
        let mut porter = Command::new(&self.porter);
        porter.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--data", "data"]);
        // More than its default of 10 000, for the row with 15 000 who stay; and on a machine that is busy otherwise nobody
        // is to be told Busy.
        porter.args(["--log-file", "log", "--max-connections", "16000", "--hash-wait", "600"]);
        if manner.chat {
            porter.args(["--mode", "chat", "--chat-rate", "0"]);
        }
        porter
    }

    fn server(
        &self,
        command: Command,
        folder: TempDir,
        port: Option<u16>,
        protocol: Protocol,
    ) -> Result<Server, String> {
        Server::start(command, folder, port, protocol, self.cpus.as_ref())
    }

    fn redis(&self, folder: TempDir, manner: Manner) -> Result<Server, String> {
        let port = free_port()?;
        let listens = if manner.tls {
            format!(
                "port 0\ntls-port {port}\ntls-cert-file {CERTIFICATE}\ntls-key-file key.pem\ntls-auth-clients no"
            )
        } else {
            format!("port {port}")
        };
        let configuration = format!(
            "bind 127.0.0.1\n{listens}\nsave \"\"\nappendonly no\nmaxclients 16000\nlogfile log\n\
             user default off\nuser {NAME} on >{PASSWORD} allkeys allchannels allcommands\n"
        );
        write(&folder.path().join("redis.conf"), &configuration)?;
        let mut redis = Command::new("redis-server");
        redis.arg("redis.conf");
        let protocol = manner.of(Protocol::Resp { awaits_login: true }, Protocol::RespChat);
        let server = self.server(redis, folder, Some(port), protocol)?;
        Ok(if manner.tls { server.encrypts(CERTIFICATE) } else { server })
    }

    fn mosquitto(&self, folder: TempDir, rounds: u32, manner: Manner) -> Result<Server, String> {
        let port = free_port()?;
        let tls =
            if manner.tls { format!("certfile {CERTIFICATE}\nkeyfile key.pem\n") } else { String::new() };
        // As root it would become a user who may not read this folder. Without set_tcp_nodelay, which all others have, a
        // message can wait 40 ms for the acknowledgement of what was sent before it.
        let configuration = format!(
            "listener {port} 127.0.0.1\n{tls}allow_anonymous false\npassword_file {0}/users\nlog_dest file {0}/log\n\
             set_tcp_nodelay true\nuser root\n",
            folder.path().display()
        );
        write(&folder.path().join("mosquitto.conf"), &configuration)?;
        write(&folder.path().join("users"), &passwords::mosquitto_line(rounds))?;
        let mut mosquitto = Command::new("mosquitto");
        mosquitto.args(["-c", "mosquitto.conf"]);
        let protocol = manner.of(Protocol::Mqtt, Protocol::MqttChat);
        let server = self.server(mosquitto, folder, Some(port), protocol)?;
        Ok(if manner.tls { server.encrypts(CERTIFICATE) } else { server })
    }
}

fn folder() -> Result<TempDir, String> {
    TempDir::new().map_err(|error| format!("no temporary folder: {error}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn write_porter_data(folder: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), String> {
    let data = folder.join("data");
    let written = fs::create_dir(&data).and_then(|()| write(&data.join("users.csv")));
    written.map_err(|error| format!("{}: {error}", data.display()))
}

/// What Cargo.lock says of a crate.
fn locked(name: &str) -> Option<String> {
    let wanted = format!("name = \"{name}\"\nversion = \"");
    let (_, after) = include_str!("../../Cargo.lock").split_once(&wanted)?;
    Some(format!("{name} {}", after.split('"').next()?))
}

/// The first line of what a program says of itself; `None` if it is not there or fails.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

fn version(program: &str) -> Option<String> {
    // mosquitto has no flag for it alone; its help begins with it.
    let flag = if program == "mosquitto" { "-h" } else { "--version" };
    let output = Command::new(program).arg(flag).stdin(Stdio::null()).output().ok()?;
    let words = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    Some(words.split(" sha=").next().unwrap_or_default().replace(" server v=", " ").trim().to_owned())
}
