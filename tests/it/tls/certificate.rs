//! The certificate: made, kept, told, replaced; and who is asked to encrypt at all.

use super::{expect_echo, fingerprint, logged_in, met, openssl};
use crate::support::{Folder, Server, Setup};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

/// A certificate of another tool's and its key.
fn made_by_openssl(folder: &Path, name: &str) -> [PathBuf; 2] {
    let [certificate, key] = ["cert", "key"].map(|kind| folder.join(format!("{name}-{kind}.pem")));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "1", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    [certificate, key]
}

/// What openssl has for a fingerprint, as porter writes it.
fn fingerprint_by_openssl(certificate: &Path) -> String {
    let script = "openssl x509 -in \"$0\" -outform DER | openssl dgst -sha256 -binary | openssl base64";
    let output = Command::new("sh").args(["-c", script]).arg(certificate).output().unwrap();
    format!("SHA256:{}", String::from_utf8(output.stdout).unwrap().trim().trim_end_matches('='))
}

#[test]
fn the_own_certificate_is_made_told_and_kept() {
    let folder = Rc::new(Folder::new());
    let mut server = Setup::new(&["--tls"]).folder(Rc::clone(&folder)).start();
    let told = fingerprint(&mut server);
    assert_eq!(told, fingerprint_by_openssl(&folder.data().join("tls-cert.pem")));
    folder.log_line(&["INFO", "fingerprint", &told]);
    let mode = fs::metadata(folder.data().join("tls-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    expect_echo(&mut logged_in(server.address, &told, "ann"), "hi");
    server.terminate();
    let mut server = Setup::new(&["--tls"]).folder(folder).start();
    assert_eq!(fingerprint(&mut server), told);
    met(server.address, &told);
}

#[test]
fn openssl_sees_the_version_and_the_protocol() {
    let server = Server::start(&["--tls"]);
    let (said, content) = openssl(&server, &["-alpn", "porter/1"]);
    assert!(content && said.contains("TLSv1.3") && said.contains("ALPN protocol: porter/1"), "{said}");
    // Its own first choice is TLS_AES_256_GCM_SHA384.
    assert!(said.contains("Cipher is TLS_AES_128_GCM_SHA256"), "{said}");
    // Who offers no protocol is taken for one of us; who offers only others is not.
    let (said, content) = openssl(&server, &[]);
    assert!(content && said.contains("TLSv1.3") && said.contains("No ALPN negotiated"), "{said}");
    let (said, content) = openssl(&server, &["-alpn", "h2"]);
    assert!(!content && said.contains("no application protocol"), "{said}");
    let (said, content) = openssl(&server, &["-tls1_2"]);
    assert!(!content && said.contains("alert"), "{said}");
    server.folder.log_lines(&["refused", "why=Tls"], 2);
}

#[test]
fn the_operators_certificate_is_shown_and_read_anew_on_sighup() {
    let folder = Rc::new(Folder::new());
    let [first, second] = ["first", "second"].map(|name| made_by_openssl(folder.path(), name));
    let [certificate, key] = &first;
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut server = Setup::new(&flags).folder(Rc::clone(&folder)).start();
    let told = fingerprint(&mut server);
    assert_eq!(told, fingerprint_by_openssl(certificate));
    assert!(!folder.data().join("tls-cert.pem").exists());
    let mut before = logged_in(server.address, &told, "ann");

    // A certificate without its key: half-way through a replacement.
    fs::copy(&second[0], certificate).unwrap();
    server.signal(Signal::HUP);
    folder.log_line(&["ERROR", "certificate not reloaded", "first-cert.pem", "the old one stays"]);
    met(server.address, &told);
    fs::write(certificate, "").unwrap();
    server.signal(Signal::HUP);
    folder.log_lines(&["ERROR", "certificate not reloaded"], 2);
    met(server.address, &told);

    fs::copy(&second[0], certificate).unwrap();
    fs::copy(&second[1], key).unwrap();
    let new = fingerprint_by_openssl(&second[0]);
    server.signal(Signal::HUP);
    folder.log_line(&["INFO", "certificate reloaded", &new]);
    met(server.address, &new);
    expect_echo(&mut before, "who was in stays in");
}

/// Who can read the key can pass for the server; a group of its own may be what it is for.
#[test]
fn a_key_that_everyone_may_read_is_warned_of() {
    let folder = Rc::new(Folder::new());
    let [certificate, key] = made_by_openssl(folder.path(), "first");
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let start = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        Setup::new(&flags).folder(Rc::clone(&folder)).start()
    };
    start(0o640).terminate();
    assert!(!folder.log_text().contains("first-key.pem"));
    let mut server = start(0o644);
    server.stderr.wait_for_line(|line| line.contains("warning: the key") && line.contains("first-key.pem"));
    folder.log_line(&["WARN", "the key", "first-key.pem"]);
    // It is heard of again when it is read anew.
    server.signal(Signal::HUP);
    folder.log_lines(&["WARN", "the key", "first-key.pem"], 2);
}

/// One that has expired convinces only those who look at nothing but its fingerprint.
#[test]
fn a_certificate_out_of_its_dates_is_warned_of() {
    let folder = Rc::new(Folder::new());
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let pair = rcgen::KeyPair::generate().unwrap();
    let write = |not_before, not_after| {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(not_before, 1, 1), rcgen::date_time_ymd(not_after, 1, 1));
        fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    };
    fs::write(&key, pair.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    write(2015, 2020);
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let mut server = Setup::new(&flags).folder(Rc::clone(&folder)).start();
    server
        .stderr
        .wait_for_line(|line| line.contains("warning: the certificate") && line.contains("has expired"));
    folder.log_line(&["WARN", "the certificate", "cert.pem", "has expired"]);
    write(2080, 2090);
    server.signal(Signal::HUP);
    folder.log_line(&["WARN", "the certificate", "cert.pem", "is not valid yet"]);
    write(2015, 2090);
    server.signal(Signal::HUP);
    folder.log_lines(&["INFO", "certificate reloaded"], 2);
    assert_eq!(folder.log_text().matches("WARN the certificate").count(), 2);
}

#[test]
fn certificates_that_cannot_be_used_stop_the_start() {
    let folder = Rc::new(Folder::new());
    let [first, second] = ["first", "second"].map(|name| made_by_openssl(folder.path(), name));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for (certificate, key, named) in [
        (text(&first[0]), text(&second[1]), "first-cert.pem"),
        (text(&first[1]), text(&first[1]), "first-key.pem"),
        ("/nowhere".to_owned(), text(&first[1]), "/nowhere"),
        (text(&first[0]), "/nowhere".to_owned(), "/nowhere"),
    ] {
        let setup = Setup::new(&["--tls-cert", &certificate, "--tls-key", &key]);
        let said = setup.folder(Rc::clone(&folder)).refused(2);
        assert!(said.contains(named), "{said}");
    }
    let encrypted = folder.path().join("encrypted-key.pem");
    let output = Command::new("openssl")
        .args(["pkey", "-aes256", "-passout", "pass:secret", "-in"])
        .args([&first[1], Path::new("-out"), &encrypted])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let flags = ["--tls-cert", &text(&first[0]), "--tls-key", &text(&encrypted)];
    let said = Setup::new(&flags).folder(Rc::clone(&folder)).refused(2);
    assert!(said.contains("encrypted-key.pem") && said.contains("it is encrypted; "), "{said}");
    for flags in [
        &["--tls-cert", "x"][..],
        &["--tls-key", "x"],
        &["--tls", "--plaintext"],
        &["--plaintext", "--tls-cert", "x", "--tls-key", "x"],
    ] {
        Setup::new(flags).refused(2);
    }
    // The own one, whose key has gone: a new one would frighten everyone who knows the old.
    let folder = Rc::new(Folder::new());
    Setup::new(&["--tls"]).folder(Rc::clone(&folder)).start().terminate();
    fs::remove_file(folder.data().join("tls-key.pem")).unwrap();
    let said = Setup::new(&["--tls"]).folder(folder).refused(1);
    assert!(said.contains("tls-key.pem"), "{said}");
}

#[test]
fn beyond_loopback_it_encrypts_unless_it_is_told_not_to() {
    let mut server = Server::start(&["--host", "0.0.0.0"]);
    let told = fingerprint(&mut server);
    let address = ([127, 0, 0, 1], server.address.port()).into();
    expect_echo(&mut logged_in(address, &told, "ann"), "hi");

    let mut server = Server::start(&["--host", "0.0.0.0", "--plaintext"]);
    server.stderr.wait_for_line(|line| line.contains("warning: --plaintext on 0.0.0.0"));
    server.folder.log_line(&["WARN", "--plaintext on 0.0.0.0"]);
    assert!(!server.folder.data().join("tls-cert.pem").exists());
}
