//! What may stand between a server and its store: a path that is slow, cuts, and holds back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What it does with replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// They go through.
    Open,
    /// They wait.
    Held,
    /// They wait from the first request on that has this text, which is the last that goes through before.
    HeldFrom(&'static str),
    /// So many bytes more go through, and then they wait.
    HeldAfter(usize),
    /// They go through a byte at a time.
    Bytewise,
    /// They take so long.
    Slow(Duration),
    /// So many bytes more go through, and then the connection is cut.
    CutAfter(usize),
    /// Nobody is let through any more: it is over.
    Over,
}

#[derive(Debug)]
struct Shared {
    path: Mutex<Path>,
    changed: Condvar,
}

impl Shared {
    fn set(&self, path: Path) {
        *self.path.lock().unwrap() = path;
        self.changed.notify_all();
    }

    fn path(&self) -> Path {
        *self.path.lock().unwrap()
    }
}

/// A proxy of a store; its path is [open](Path::Open) at first.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    pub(crate) fn start(store: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { path: Mutex::new(Path::Open), changed: Condvar::new() });
        let proxy = Proxy { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.path() == Path::Over {
                    return;
                }
                // A store that is not there takes nobody, and neither does this.
                if let (Ok(client), Ok(store)) = (client, TcpStream::connect(store)) {
                    carry(client, store, &shared);
                }
            }
        });
        proxy
    }

    /// What `--store` takes.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn set(&self, path: Path) {
        self.shared.set(path);
    }

    pub(crate) fn path(&self) -> Path {
        self.shared.path()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Path::Over);
        // Whoever accepts looks again.
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(client: TcpStream, store: TcpStream, shared: &Arc<Shared>) {
    [&client, &store].into_iter().for_each(|stream| stream.set_nodelay(true).unwrap());
    let (to_store, to_client) = (store.try_clone().unwrap(), client.try_clone().unwrap());
    let (requests, replies) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || pass_requests(client, to_store, &requests));
    thread::spawn(move || pass_replies(store, to_client, &replies));
}

fn pass_requests(mut client: TcpStream, mut store: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        if let Path::HeldFrom(text) = shared.path()
            && buffer[..count].windows(text.len()).any(|window| window == text.as_bytes())
        {
            shared.set(Path::Held);
        }
        if store.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    end(&client, &store);
}

fn pass_replies(mut store: TcpStream, mut client: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = store.read(&mut buffer) {
        let held = shared.path.lock().unwrap();
        drop(shared.changed.wait_while(held, |path| *path == Path::Held).unwrap());
        let bytes = &buffer[..count];
        let written = match shared.path() {
            Path::Open | Path::Held | Path::HeldFrom(_) => client.write_all(bytes),
            Path::Bytewise => bytes.iter().try_for_each(|byte| client.write_all(&[*byte])),
            Path::Slow(span) => {
                thread::sleep(span);
                client.write_all(bytes)
            }
            Path::HeldAfter(left) if left < count => {
                let written = client.write_all(&bytes[..left]);
                shared.set(Path::Held);
                let held = shared.path.lock().unwrap();
                drop(shared.changed.wait_while(held, |path| *path == Path::Held).unwrap());
                written.and_then(|()| client.write_all(&bytes[left..]))
            }
            Path::HeldAfter(left) => {
                shared.set(Path::HeldAfter(left - count));
                client.write_all(bytes)
            }
            Path::CutAfter(left) if left < count => {
                let _ = client.write_all(&bytes[..left]);
                shared.set(Path::Open);
                break;
            }
            Path::CutAfter(left) => {
                shared.set(Path::CutAfter(left - count));
                client.write_all(bytes)
            }
            Path::Over => break,
        };
        if written.is_err() {
            break;
        }
    }
    end(&client, &store);
}

fn end(client: &TcpStream, store: &TcpStream) {
    // Either may be gone.
    let _ = client.shutdown(Shutdown::Both);
    let _ = store.shutdown(Shutdown::Both);
}
