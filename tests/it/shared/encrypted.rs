//! A store that is spoken to through TLS: whom servers trust there, and what becomes of a path that is bad.

use super::sessions::is_served;
use super::{is_error, log_in, register};
use crate::support::{
    Authority, Folder, PASSWORD, Path, Proxy, Redis, Said, Server, Setup, Visitor, eventually, left_out,
};
use porter::protocol::Code;
use porter::tls::Fingerprint;
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::rc::Rc;
use std::thread;

/// A store's password, which nobody is shown.
const SECRET: &str = "Qx7-unmistakable-Zv9";
/// Where it speaks TLS. At the usual port it goes on speaking plain TCP.
const TLS_PORT: u16 = 6380;

/// A store that speaks TLS, and the authority of its certificate.
struct Encrypted {
    redis: Redis,
    authority: Authority,
}

/// What makes a store speak TLS with this certificate.
fn flags(authority: &Authority, [certificate, key]: [String; 2], more: &[&str]) -> Vec<String> {
    let port = TLS_PORT.to_string();
    let ca = authority.file();
    let all = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let all = all.into_iter().chain(["--tls-ca-cert-file", &ca]).chain(more.iter().copied());
    all.map(str::to_owned).collect()
}

impl Encrypted {
    /// One that asks nobody for a certificate.
    fn start() -> Option<Encrypted> {
        Encrypted::start_with(&["--tls-auth-clients", "no"])
    }

    fn start_with(more: &[&str]) -> Option<Encrypted> {
        let authority = Authority::new();
        let redis = Redis::start_with(|host| {
            flags(&authority, authority.issue(&[&host.to_string(), "localhost"]), more)
        })?;
        Some(Encrypted { redis, authority })
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.redis.address().ip(), TLS_PORT)
    }

    fn url(&self) -> String {
        format!("rediss://{}", self.address())
    }

    /// A server that trusts the authority.
    fn server(&self, more: &[&str]) -> Server {
        server(&self.url(), &[&["--store-ca", &self.authority.file()], more].concat())
    }

    /// With another certificate, after it was killed.
    fn restart_with(&mut self, certificate: [String; 2], more: &[&str]) {
        self.redis.kill();
        self.redis.restart_with(flags(&self.authority, certificate, more));
    }
}

fn server(url: &str, more: &[&str]) -> Server {
    Server::start(&[&["--store", url, "--penalty", "0"], more].concat())
}

/// Why a server does not start with this store.
fn refused(url: &str, more: &[&str]) -> String {
    let refusal = Setup::new(&[&["--store", url], more].concat()).refused(1);
    // An administrator is told the same.
    let output = admin(url, more, &["users", "list"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let tail = |text: &str| text.split_once(": ").map(|(_, tail)| tail.to_owned());
    assert_eq!((output.status.code(), tail(&said)), (Some(1), tail(&refusal)), "{said}");
    assert!(!refusal.contains(SECRET) && !said.contains(SECRET), "{refusal}");
    refusal
}

fn admin(url: &str, flags: &[&str], words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
    command.args(["--store", url]).args(flags).args(words).output().unwrap()
}

fn administered(url: &str, flags: &[&str], words: &[&str]) -> String {
    let output = admin(url, flags, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fingerprint(certificate: &str) -> String {
    Fingerprint::of(&CertificateDer::from_pem_file(certificate).unwrap()).to_string()
}

fn await_served(server: &Server) {
    eventually("the store is back", || is_served(server).then_some(()));
}

/// Who comes is told Busy, and who is here goes on.
fn expect_away(server: &Server, here: &mut Visitor) {
    eventually("the store is away", || {
        let mut visitor = Visitor::arrive(server);
        visitor.identify("ann");
        is_error(&visitor.next(), Code::Busy).then_some(())
    });
    here.expect_echo("still here");
}

fn log(server: &Server) -> String {
    fs::read_to_string(server.folder.log()).unwrap()
}

/// All that servers and administrators do with a store they do through TLS: with a password, with a certificate of their own,
/// and with texts that take many records.
#[test]
fn servers_share_a_store_through_tls() {
    let Some(store) = Encrypted::start_with(&["--tls-auth-clients", "yes"]) else { return };
    store.redis.command(&["CONFIG", "SET", "requirepass", SECRET]);
    let url = format!("rediss://:{SECRET}@{}", store.address());
    let (ca, [certificate, key]) = (store.authority.file(), store.authority.issue(&["porter"]));
    let trust = ["--store-ca", &ca, "--store-cert", &certificate, "--store-key", &key];
    let folder = Rc::new(Folder::new());
    fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let password = folder.path().join("password").display().to_string();
    let add = ["users", "add", "dora", "--hash-rounds", "1000", "--password-file", &password];
    administered(&url, &trust, &add);
    // As an operator would, who shows it to nobody: a file with the settings, and the password in the environment.
    let settings = format!(
        "mode = 'chat'\nchat-rate = 0\nstore-ca = '{ca}'\nstore-cert = '{certificate}'\nstore-key = '{key}'\n"
    );
    fs::write(folder.path().join("porter.toml"), settings).unwrap();
    let one =
        Setup::new(&["--config", "porter.toml"]).folder(folder).environment("PORTER_STORE", &url).start();
    let other = server(&url, &[&["--mode", "chat", "--chat-rate", "0"][..], &trust].concat());
    let mut ann = register(&one, "ann");
    let mut dora = log_in(&other, "dora", PASSWORD);
    dora.token = dora.expect_welcome();
    ann.expect(Said::message("", "dora joined"));
    for letter in ["a", "b", "ü", "d"] {
        let text = letter.repeat(60_000 / letter.len());
        for _ in 0..10 {
            ann.message(&text);
            dora.message(&text);
        }
        for _ in 0..10 {
            ann.expect(Said::message("dora", &text));
            dora.expect(Said::message("ann", &text));
        }
    }
    let listed = administered(&url, &trust, &["users", "list"]);
    assert!(listed.contains("ann") && listed.contains("dora"), "{listed}");
    administered(&url, &trust, &["users", "remove", "dora"]);
    for server in [&one, &other] {
        let log = log(server);
        assert!(!log.contains(SECRET) && !log.contains("ERROR"), "{log}");
        let line = fs::read(format!("/proc/{}/cmdline", server.pid().as_raw_nonzero())).unwrap();
        let is_shown = String::from_utf8_lossy(&line).contains(SECRET);
        assert_eq!(is_shown, std::ptr::eq(server, &other), "what the environment has no process list shows");
    }
}

/// What is wrong between a server and its store is named, and what to do about it.
#[test]
fn whoever_is_not_the_store_is_not_told_its_password() {
    let Some(mut store) = Encrypted::start() else { return };
    let (ca, host) = (store.authority.file(), store.address().ip().to_string());
    let url = format!("rediss://:{SECRET}@{}", store.address());
    let trust = ["--store-ca", ca.as_str()];
    let other = Authority::new();
    for stranger in [&other, &Authority::named("another")] {
        let refusal = refused(&url, &["--store-ca", &stranger.file()]);
        assert!(refusal.contains("does not vouch") && refusal.contains(&store.url()), "{refusal}");
    }
    let named = |refusal: String, word: &str| assert!(refusal.contains(word), "{word}: {refusal}");
    let of_another = store.authority.issue(&["store.example.org"]);
    store.restart_with(of_another.clone(), &["--tls-auth-clients", "no"]);
    named(refused(&url, &trust), "not valid for name");
    // A fingerprint names no host, and the certificate itself.
    let right = fingerprint(&of_another[0]);
    named(refused(&url, &["--store-fingerprint", &fingerprint(&ca)]), &right);
    let expired = store.authority.issue_until(&[&host], 2001);
    store.restart_with(expired.clone(), &["--tls-auth-clients", "no"]);
    named(refused(&url, &trust), "has expired: renew it");
    let good = store.authority.issue(&[&host]);
    store.restart_with(good.clone(), &["--tls-auth-clients", "yes"]);
    named(refused(&url, &trust), "give --store-cert and --store-key");
    let [certificate, key] = other.issue(&["porter"]);
    let shown = [&trust[..], &["--store-cert", &certificate, "--store-key", &key]].concat();
    named(refused(&url, &shown), "does not take the certificate of --store-cert");
    store.restart_with(good, &["--tls-auth-clients", "no", "--tls-protocols", "TLSv1.2"]);
    named(refused(&url, &trust), "TLS 1.3");
    // The other port speaks in the clear, and waits for the end of what it takes for a line. This one does not.
    let plain = format!("rediss://:{SECRET}@{}", store.redis.address());
    let output = admin(&plain, &trust, &["users", "list"]);
    named(String::from_utf8(output.stderr).unwrap(), "if it speaks no TLS at this port");
    named(refused(&url.replace("rediss", "redis"), &[]), "write rediss://");
}

/// Whoever takes what is said to a store hears nothing of its password.
#[test]
fn nothing_is_said_before_tls() {
    let authority = Authority::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let heard = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = vec![0; 4];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(b"-ERR unknown command\r\n").unwrap();
        stream.read_to_end(&mut heard).unwrap();
        heard
    });
    let url = format!("rediss://:{SECRET}@{address}");
    let refusal = Setup::new(&["--store", &url, "--store-ca", &authority.file()]).refused(1);
    assert!(refusal.contains("it speaks no TLS") && !refusal.contains(SECRET), "{refusal}");
    let heard = heard.join().unwrap();
    assert!(heard.starts_with(&[0x16, 0x03]) && !String::from_utf8_lossy(&heard).contains("AUTH"));
}

/// A fingerprint is enough, whatever else the certificate says, and whichever key it has.
#[test]
fn a_fingerprint_is_trusted_alone() {
    let Some(mut store) = Encrypted::start() else { return };
    let expired = store.authority.issue_until(&["store.example.org"], 2001);
    store.restart_with(expired.clone(), &["--tls-auth-clients", "no"]);
    let one = server(&store.url(), &["--store-fingerprint", &fingerprint(&expired[0])]);
    register(&one, "ann").expect_echo("hi");
    let folder = Folder::new();
    let rsa = ["cert", "key"].map(|name| folder.path().join(name).display().to_string());
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=store"]);
    command.args(["-addext", &format!("subjectAltName=IP:{}", store.address().ip())]);
    match command.args(["-out", &rsa[0], "-keyout", &rsa[1]]).output() {
        Err(error) => left_out("a store with an RSA key", "openssl", &error),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
    let ca = rsa[0].clone();
    let right = fingerprint(&ca);
    store.restart_with(rsa, &["--tls-auth-clients", "no"]);
    // Its own authority, as openssl makes it.
    for trust in [["--store-fingerprint", &right], ["--store-ca", &ca]] {
        let other = server(&store.url(), &trust);
        log_in(&other, "ann", PASSWORD).expect_welcome();
    }
}

/// What does not go together is found before anything is connected to, by a check as well.
#[test]
fn flags_that_do_not_go_together_are_refused() {
    let authority = Authority::new();
    let (ca, [certificate, key]) = (authority.file(), authority.issue(&["porter"]));
    let [_, other_key] = authority.issue(&["porter"]);
    let fingerprint = fingerprint(&ca);
    let (plain, encrypted) = ("redis://127.0.0.1:1", "rediss://ann:Qx7-unmistakable-Zv9@127.0.0.1:1");
    let shown =
        |file: &str| format!("store-ca = '{ca}'\nstore-cert = '{certificate}'\nstore-key = '{file}'\n");
    for (store, settings, flag, parts) in [
        (encrypted, String::new(), "store", &["--store-ca FILE", "--store-fingerprint SHA256:"][..]),
        (plain, format!("store-ca = '{ca}'\n"), "store-ca", &["write rediss://"]),
        (plain, format!("store-fingerprint = '{fingerprint}'\n"), "store-fingerprint", &["write rediss://"]),
        (plain, shown(&key), "store-ca", &["write rediss://"]),
        ("", format!("store-ca = '{ca}'\n"), "store-ca", &["give --store rediss://"]),
        (encrypted, "store-ca = 'missing.pem'\n".to_owned(), "store-ca", &["missing.pem", "No such file"]),
        (encrypted, format!("store-ca = '{key}'\n"), "store-ca", &[&key, "no certificate in PEM"]),
        (encrypted, shown("missing.pem"), "store-cert", &["missing.pem", "No such file"]),
        (encrypted, shown(&ca), "store-cert", &[&ca, "no private key"]),
        (encrypted, shown(&other_key), "store-cert", &[&certificate, &other_key]),
        (
            encrypted,
            format!("store-ca = '{ca}'\nstore-cert = '{certificate}'\n"),
            "store-cert",
            &["store-key"],
        ),
        (
            encrypted,
            format!("store-ca = '{ca}'\nstore-fingerprint = '{fingerprint}'\n"),
            "store-fingerprint",
            &["--store-ca"],
        ),
    ] {
        let settings = match store {
            "" => settings,
            store => format!("store = '{store}'\n{settings}"),
        };
        for check in [&[][..], &["--check-config"]] {
            let folder = Rc::new(Folder::new());
            fs::write(folder.path().join("porter.toml"), &settings).unwrap();
            let flags = [&["--config", "porter.toml"], check].concat();
            let refusal = Setup::new(&flags).folder(Rc::clone(&folder)).refused(2);
            let line = 1 + settings.lines().position(|line| line.starts_with(&format!("{flag} "))).unwrap();
            assert!(refusal.contains(&format!("porter.toml:{line}: {flag}: ")), "{settings} {refusal}");
            assert!(parts.iter().all(|part| refusal.contains(part)), "{settings} {refusal}");
            assert!(!refusal.contains(SECRET) && !folder.data().exists(), "{refusal}");
        }
    }
    // What the command line says of it stands, whatever the file does.
    let folder = Rc::new(Folder::new());
    fs::write(folder.path().join("porter.toml"), format!("store-ca = '{ca}'\n")).unwrap();
    let flags = ["--config", "porter.toml", "--store", encrypted, "--store-fingerprint", &fingerprint];
    let refusal = Setup::new(&flags).folder(folder).refused(1);
    assert!(refusal.contains("cannot be reached"), "{refusal}");
    let without = Command::new(env!("CARGO_BIN_EXE_porter-admin")).args(["--store-ca", &ca, "who"]).output();
    let said = String::from_utf8(without.unwrap().stderr).unwrap();
    assert!(said.contains("--store-ca: it is for a shared store") && said.lines().count() == 1, "{said}");
    let output = admin(encrypted, &["--store-ca", &ca, "--store-key", &key], &["users", "list"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("give --store-cert"), "{said}");
}

/// However a handshake and what follows are cut up, slowed down, cut off or held, nobody who is here is held up.
#[test]
fn a_path_that_is_bad_changes_no_answer_within_tls() {
    let Some(store) = Encrypted::start() else { return };
    let proxy = Proxy::start(store.address());
    let url = proxy.url().replace("redis://127.0.0.1", "rediss://localhost");
    let one = server(&url, &["--store-ca", &store.authority.file()]);
    let mut ann = register(&one, "ann");
    // Its connections are cut, and the next begin within what is in the way then.
    let cut = |ann: &mut Visitor| {
        store.redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        ann.expect_echo("still here");
    };
    for path in [Path::Bytewise, Path::Slow(std::time::Duration::from_millis(20))] {
        proxy.set(path);
        cut(&mut ann);
        await_served(&one);
        register(&one, "bob").expect_echo("hi");
    }
    // What the other side says in a handshake has some 1200 bytes.
    for bytes in [0, 1, 5, 90, 127, 200, 700, 1000] {
        proxy.set(Path::HeldAfter(bytes));
        cut(&mut ann);
        expect_away(&one, &mut ann);
        proxy.set(Path::Open);
        await_served(&one);
        proxy.set(Path::CutAfter(bytes));
        cut(&mut ann);
        await_served(&one);
        ann.expect_echo("still here");
    }
    log_in(&one, "ann", PASSWORD).expect_welcome();
}

/// A store that does nothing, dies, and comes back as another, while people are here.
#[test]
fn a_store_that_freezes_or_dies_is_found_again_through_tls() {
    let Some(mut store) = Encrypted::start() else { return };
    let one = store.server(&[]);
    let mut ann = register(&one, "ann");
    let host = store.address().ip().to_string();
    let lines = |what: &str| log(&one).matches(what).count();
    // It is stopped, and whoever connects waits for the first word of its handshake.
    store.redis.stop();
    for _ in 0..3 {
        expect_away(&one, &mut ann);
    }
    store.redis.signal(Signal::CONT);
    await_served(&one);
    for _ in 0..2 {
        store.redis.kill();
        expect_away(&one, &mut ann);
        store.redis.restart();
        await_served(&one);
    }
    let mut again = log_in(&one, "ann", PASSWORD);
    again.expect_welcome();
    // Somebody else is there in its place.
    let (outages, recoveries) = (lines("cannot be reached: "), lines("is back after"));
    store.redis.kill();
    expect_away(&one, &mut ann);
    let other = Authority::new();
    store.redis.restart_with(flags(&store.authority, other.issue(&[&host]), &["--tls-auth-clients", "no"]));
    eventually("the log has that as well", || log(&one).contains("does not vouch").then_some(()));
    for _ in 0..3 {
        expect_away(&one, &mut ann);
    }
    assert!((outages + 2..=outages + 3).contains(&lines("cannot be reached: ")), "{}", log(&one));
    store.restart_with(store.authority.issue(&[&host]), &["--tls-auth-clients", "no"]);
    await_served(&one);
    ann.expect_echo("still here");
    eventually("the log says that it is back", || (lines("is back after") == recoveries + 1).then_some(()));
}
