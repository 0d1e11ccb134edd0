//! Encryption, as clients of porter's own and others meet it at the real server.

mod certificate;
mod crowds;
mod handshakes;
mod pauses;
#[cfg(feature = "client")]
mod programs;
mod proxies;
mod strangers;

use crate::support::{CEILING, PASSWORD, Server, frame};
use porter::client::Client;
use porter::client::tls::{TlsStream, Trust, connect};
use porter::protocol::Wanted;
use porter::tls::{ALPN, Channel};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The fingerprint that the server has printed.
fn fingerprint(server: &mut Server) -> String {
    let line = server.stdout.wait_for_line(|_| true);
    line.strip_prefix("fingerprint ").expect("the line after the first is the fingerprint").to_owned()
}

/// A client of the library's that trusts this fingerprint.
fn met(address: SocketAddr, fingerprint: &str) -> Client<TlsStream> {
    let trust = Trust::Fingerprint(fingerprint.parse().unwrap());
    connect(&address.ip().to_string(), address.port(), &trust, CEILING).unwrap()
}

fn logged_in(address: SocketAddr, fingerprint: &str, name: &str) -> Client<TlsStream> {
    let mut client = met(address, fingerprint);
    if client.identify(name).unwrap() == Wanted::Register {
        client.register(PASSWORD).unwrap();
    }
    client.login(PASSWORD).unwrap();
    client
}

fn expect_echo(client: &mut Client<TlsStream>, text: &str) {
    client.send(text).unwrap();
    assert_eq!(client.receive().unwrap().text, text);
}

/// A connection whose every step the test takes itself. It trusts the server's own certificate.
pub(crate) struct Stranger {
    socket: TcpStream,
    channel: Channel,
}

impl Stranger {
    fn new(server: &Server) -> Stranger {
        Stranger::speaking(server, ALPN)
    }

    /// One that offers this protocol.
    fn speaking(server: &Server, protocol: &[u8]) -> Stranger {
        let mut roots = RootCertStore::empty();
        let own = server.folder.data().join("tls-cert.pem");
        roots.add(CertificateDer::from_pem_file(own).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let channel = Channel::client(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(server.address).unwrap();
        socket.set_read_timeout(Some(CEILING)).unwrap();
        socket.set_nodelay(true).unwrap();
        Stranger { socket, channel }
    }

    /// Says its first words, and does not listen to the answer.
    pub(crate) fn says_hello(server: &Server) -> Stranger {
        let mut stranger = Stranger::new(server);
        stranger.channel.flush(&mut stranger.socket).unwrap();
        stranger
    }

    /// Registers as `ann` and logs in; gives the session's token too.
    fn logged_in(server: &Server) -> (Stranger, [u8; 16]) {
        let mut stranger = Stranger::new(server);
        stranger.channel.shake_hands(&mut stranger.socket).unwrap();
        let [register, login] = [0x02, 0x03].map(|kind| frame(kind, PASSWORD.as_bytes()));
        let words = [frame(0x01, b"ann"), register, login].concat();
        stranger.channel.write(&mut stranger.socket, &words).unwrap();
        let came = stranger.read_until("Hello, ann");
        let before_greeting = &came[..came.len() - "Hello, ann".len()];
        let token = *before_greeting.last_chunk().unwrap();
        (stranger, token)
    }

    /// Reads until this has come, and returns all that has.
    fn read_until(&mut self, text: &str) -> Vec<u8> {
        let (mut came, mut portion) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&came).contains(text) {
            let count = self.channel.read(&mut self.socket, &mut portion).unwrap();
            assert!(count > 0, "{came:?}");
            came.extend_from_slice(&portion[..count]);
        }
        came
    }

    fn read(&mut self) -> usize {
        self.channel.read(&mut self.socket, &mut [0; 4096]).unwrap()
    }
}

/// What `openssl s_client` says of a server, and whether it was content.
fn openssl(server: &Server, arguments: &[&str]) -> (String, bool) {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &server.address.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is there");
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.success())
}
