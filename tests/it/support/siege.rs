//! A crowd of one address that keeps so many connections open, and comes back whenever one is closed.

use super::crowd::{has_ended, with_news};
use super::{Server, eventually};
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// Goes on until it is told to end.
pub(crate) struct Siege {
    over: Arc<AtomicBool>,
    returns: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Siege {
    /// Begins with `count` connections from this address, each of which sends these words and no more.
    pub(crate) fn begin(server: &Server, source: &str, count: usize, words: &[u8]) -> Siege {
        let (server, words) = (server.address, words.to_vec());
        let source: SocketAddr = format!("{source}:0").parse().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let returns = Arc::new(AtomicUsize::new(0));
        let (until, returned) = (Arc::clone(&over), Arc::clone(&returns));
        let mut crowd: Vec<TcpStream> = (0..count).map(|_| arrive(source, server, &words)).collect();
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for at in with_news(&crowd) {
                    if has_ended(&mut crowd[at]) {
                        crowd[at] = arrive(source, server, &words);
                        returned.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Siege { over, returns, thread }
    }

    /// Waits until one has been closed and has come back.
    pub(crate) fn expect_returns(&self) {
        eventually("one comes back", || (self.returns.load(Ordering::Relaxed) > 0).then_some(()));
    }

    pub(crate) fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn arrive(source: SocketAddr, server: SocketAddr, words: &[u8]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    // It may have been sent away already.
    let _ = stream.write_all(words);
    stream.set_nonblocking(true).unwrap();
    stream
}
