//! A real `redis-server`, as an operator would run it.

use super::{Folder, eventually, left_out};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A store for several servers; it ends with this.
pub(crate) struct Redis {
    child: Child,
    folder: Folder,
    address: SocketAddr,
    durability: &'static str,
    /// Flags that are not every store's.
    flags: Vec<String>,
}

impl Redis {
    /// One that keeps what it acknowledges, and is porter's. `None` where there is no `redis-server`.
    pub(crate) fn start() -> Option<Redis> {
        let redis = Redis::bare("always")?;
        redis.init();
        Some(redis)
    }

    /// One that nobody has initialised, with this `appendfsync`.
    pub(crate) fn bare(durability: &'static str) -> Option<Redis> {
        Redis::with(durability, |_| Vec::new())
    }

    /// As [`start`](Redis::start), with these further flags for its address.
    pub(crate) fn start_with(flags: impl FnOnce(IpAddr) -> Vec<String>) -> Option<Redis> {
        let redis = Redis::with("always", flags)?;
        redis.init();
        Some(redis)
    }

    /// One that nobody has initialised, with these further flags for its address.
    pub(crate) fn with(durability: &'static str, flags: impl FnOnce(IpAddr) -> Vec<String>) -> Option<Redis> {
        // An address of its own: so it can be started again where it was, whatever ports others have meanwhile.
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = (std::process::id() << 8) + NEXT.fetch_add(1, Ordering::Relaxed);
        let [_, a, b, c] = number.to_be_bytes();
        let address = SocketAddr::new(Ipv4Addr::new(127, a, b, c.clamp(1, 254)).into(), 6379);
        let folder = Folder::new();
        let flags = flags(address.ip());
        match spawn(&folder, address, durability, &flags) {
            Ok(child) => {
                let redis = Redis { child, folder, address, durability, flags };
                redis.await_up();
                Some(redis)
            }
            Err(error) => {
                left_out("a store that several servers share", "redis-server", &error);
                None
            }
        }
    }

    fn init(&self) {
        assert_eq!(self.command(&["SET", "porter:birth", "a birth"]), "+OK");
    }

    /// What `--store` takes.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again, from its files.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.folder, self.address, self.durability, &self.flags).unwrap();
        self.await_up();
    }

    /// Again, from its files, with these further flags.
    pub(crate) fn restart_with(&mut self, flags: Vec<String>) {
        self.flags = flags;
        self.restart();
    }

    /// Again, from its files, at another address.
    pub(crate) fn restart_at(&mut self, address: SocketAddr) {
        self.address = address;
        self.restart();
    }

    /// Stops it; it does nothing more when this returns.
    pub(crate) fn stop(&self) {
        super::stop(Pid::from_child(&self.child));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// One command, and the first line of its reply.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.try_command(words).unwrap()
    }

    /// One command, and the last line of its reply, which has two for each text.
    pub(crate) fn bulk(&self, words: &[&str]) -> String {
        let mut stream = self.asked(words).unwrap();
        let mut reply = [0; 1024];
        let count = stream.read(&mut reply).unwrap();
        String::from_utf8_lossy(&reply[..count])
            .trim_end()
            .rsplit("\r\n")
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// One command whose reply is not waited for.
    pub(crate) fn send(&self, words: &[&str]) {
        // It is read before the end of its connection is.
        drop(self.asked(words).unwrap());
    }

    fn asked(&self, words: &[&str]) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }

    fn try_command(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = self.asked(words)?;
        let mut reply = Vec::new();
        let mut byte = [0];
        while !reply.ends_with(b"\r\n") {
            stream.read_exact(&mut byte)?;
            reply.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&reply).trim_end().to_owned())
    }

    fn await_up(&self) {
        eventually("redis-server answers", || {
            let reply = self.try_command(&["PING"]);
            reply.is_ok_and(|reply| reply == "+PONG" || reply.starts_with("-NOAUTH")).then_some(())
        });
    }
}

fn spawn(folder: &Folder, address: SocketAddr, durability: &str, flags: &[String]) -> std::io::Result<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--appendonly", "yes", "--appendfsync", durability, "--save", ""]);
    command.args(["--enable-debug-command", "yes"]);
    command.arg("--dir").arg(folder.path()).args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be stopped, or gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
