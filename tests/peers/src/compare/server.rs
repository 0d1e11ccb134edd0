//! A peer's server, with its folder and what it speaks.

use crate::dialects::Protocol;
use crate::server_process;
use porter::client::Protection;
use porter::client::tls::Trust;
use porter::load::{Plan, Scenario};
use rustix::thread::CpuSet;
use std::fs;
use std::net::TcpListener;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where its stderr goes, in its folder.
const STDERR: &str = "stderr";

/// A running server. It has gone when its folder goes.
#[derive(Debug)]
pub(crate) struct Server {
    process: server_process::Server,
    _stdout: server_process::Stdout,
    pub(crate) protocol: Protocol,
    protection: Protection,
    folder: TempDir,
}

/// A port that nobody listens on.
///
/// # Errors
/// If there is none.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

impl Server {
    /// Starts a server in its folder; without a port it says itself where it listens.
    ///
    /// # Errors
    /// If it does not start, or does not listen.
    pub(crate) fn start(
        mut command: Command,
        folder: TempDir,
        port: Option<u16>,
        protocol: Protocol,
        cpus: Option<&CpuSet>,
    ) -> Result<Server, String> {
        let stderr = folder.path().join(STDERR);
        command.stdin(Stdio::null());
        command.stderr(fs::File::create(&stderr).map_err(|error| error.to_string())?);
        command.current_dir(folder.path());
        let (process, _stdout) =
            server_process::Server::start(&mut command, port, cpus).map_err(|reason| {
                let said = fs::read_to_string(&stderr).unwrap_or_default();
                said.trim().lines().last().map_or(reason.clone(), |line| format!("{reason}: {line}"))
            })?;
        Ok(Server { process, _stdout, protocol, protection: Protection::Plaintext, folder })
    }

    /// A file in its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// It encrypts, and this file of its folder has its certificate.
    pub(crate) fn encrypts(self, certificate: &str) -> Server {
        let protection = Protection::Tls(Trust::Authority(self.file(certificate)));
        Server { protection, ..self }
    }

    /// The usual load of a scenario, with 64 bytes in each message.
    pub(crate) fn plan(&self, scenario: Scenario) -> Plan {
        let (servers, pids, protection) = (vec![self.address()], vec![self.pid()], self.protection.clone());
        Plan { servers, pids, protection, users: 1, ..Plan::canonical(scenario) }
    }
}

impl Deref for Server {
    type Target = server_process::Server;

    fn deref(&self) -> &server_process::Server {
        &self.process
    }
}
