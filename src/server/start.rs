//! How a server is to run, and all that must be there before it does.

use super::deadlines::Deadlines;
use super::encryption::{Encryption, Handshakes};
use super::hashing::portion_rounds;
use super::listeners::Listeners;
use super::proxied::Proxied;
use super::reload::ReloadLine;
use super::stderr::warn_stderr;
use super::storing::StoreLink;
use super::timer::Timer;
use super::{Server, ServerError, ServerHandle, WAKER, descriptors};
use crate::Clock;
use crate::Moment;
use crate::auth::{LANE_WIDTHS, LaneCosts, exercise_lanes};
use crate::engine::{Config, Engine, Entropy, EntropyError};
use crate::handler::Handler;
use crate::limits::{CONNECTIONS_ROOM_MOST, SHARE_BYTES, TOKEN_BYTES};
#[cfg(feature = "shared")]
use crate::store::AnyStore;
use crate::store::{DiskStore, OpenError, OsDisk, Store};
use ipnet::IpNet;
use mio::Poll;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroize;

/// How a server is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 for any.
    pub port: u16,
    /// Whether a busy port is an error rather than the next one tried.
    pub strict_port: bool,
    /// Addresses to listen on instead, if there are any: each entry has those of one name, at one of which at least the
    /// server listens, and passes over those that this machine does not have.
    pub listen: Vec<Vec<SocketAddr>>,
    /// Sockets to use instead, if there are any, which listen already: a service manager has made them, say.
    pub sockets: Vec<Arc<TcpListener>>,
    /// Whether other servers may listen there too, and the system shares out who connects; on Linux only.
    pub share_port: bool,
    /// From where connections begin with a PROXY header, whose address is then the client's.
    pub proxies: Vec<IpNet>,
    /// The data directory.
    pub data: PathBuf,
    /// Whether what is carried is encrypted, and with which certificate.
    pub encryption: Encryption,
    /// The engine's settings.
    pub config: Config,
}

/// Plain TCP on port 9090 of the loopback address, with files in `data`.
impl Default for Options {
    fn default() -> Options {
        Options {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 9090,
            strict_port: false,
            listen: Vec::new(),
            sockets: Vec::new(),
            share_port: false,
            proxies: Vec::new(),
            data: "data".into(),
            encryption: Encryption::Plaintext,
            config: Config::default(),
        }
    }
}

impl Options {
    /// The addresses that clients come to: those of the sockets, or of the names that are listed, or the one host.
    pub fn hosts(&self) -> Vec<IpAddr> {
        if !self.sockets.is_empty() {
            return self.sockets.iter().filter_map(|socket| Some(socket.local_addr().ok()?.ip())).collect();
        }
        match self.listen.is_empty() {
            true => vec![self.host],
            false => self.listen.iter().flatten().map(SocketAddr::ip).collect(),
        }
    }
}

/// The operating system's random source, asked for several tokens' worth at a time: the call costs more than the bytes.
pub struct OsEntropy {
    /// What was drawn and not yet handed out; wiped where it was.
    drawn: [u8; 16 * TOKEN_BYTES],
    left: usize,
}

impl OsEntropy {
    /// With nothing drawn yet.
    #[expect(clippy::new_without_default, reason = "what is random has no default")]
    pub fn new() -> OsEntropy {
        OsEntropy { drawn: [0; 16 * TOKEN_BYTES], left: 0 }
    }
}

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "the shell is what hands the random bytes in")]
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if bytes.len() > self.drawn.len() {
            return getrandom::fill(bytes).map_err(|error| EntropyError(error.to_string()));
        }
        if bytes.len() > self.left {
            getrandom::fill(&mut self.drawn).map_err(|error| EntropyError(error.to_string()))?;
            self.left = self.drawn.len();
        }
        let handed_out = &mut self.drawn[self.left - bytes.len()..self.left];
        bytes.copy_from_slice(handed_out);
        handed_out.zeroize();
        self.left -= bytes.len();
        Ok(())
    }
}

impl Server {
    /// Opens the data directory, in which users and visitors are kept, and listens.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn bind(options: Options, handler: Box<dyn Handler>) -> Result<Server, ServerError> {
        Server::bind_as(options, handler, |store| store)
    }
}

#[cfg(feature = "shared")]
impl Server<AnyStore> {
    /// The same, for a program that may use a shared store instead, by [`with_store`](Server::with_store).
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn bind_any(options: Options, handler: Box<dyn Handler>) -> Result<Server<AnyStore>, ServerError> {
        Server::bind_as(options, handler, |store| AnyStore::Files(Box::new(store)))
    }
}

impl<S: Store> Server<S> {
    fn bind_as(
        options: Options,
        handler: Box<dyn Handler>,
        store_of: impl FnOnce(DiskStore<OsDisk>) -> S,
    ) -> Result<Server<S>, ServerError> {
        options.config.check()?;
        let clock = Clock::new();
        let mut disk = OsDisk::open(&options.data, clock)?;
        let handshakes = Handshakes::new(&options.encryption, Some(&mut disk), &options.hosts())?;
        Server::with_parts(options, store_of(open_store(disk)?), handler, clock, handshakes)
    }

    /// Listens, with a store of the program's own. No data directory is used, so encryption needs a certificate that is
    /// given.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn with_store(
        options: Options,
        store: S,
        handler: Box<dyn Handler>,
    ) -> Result<Server<S>, ServerError> {
        options.config.check()?;
        let handshakes = Handshakes::new(&options.encryption, None, &options.hosts())?;
        Server::with_parts(options, store, handler, Clock::new(), handshakes)
    }

    fn with_parts(
        mut options: Options,
        store: S,
        handler: Box<dyn Handler>,
        clock: Clock,
        handshakes: Handshakes,
    ) -> Result<Server<S>, ServerError> {
        let system = ServerError::Events;
        let mut listeners = Listeners::bind(&options)?;
        let config = &mut options.config;
        fit_descriptors(config, listeners.count());
        (config.hash_rounds_per_second, config.hash_lane_costs) = measured_hash_pace(&clock);
        let hash_portion_rounds = portion_rounds(config.hash_rounds_per_second);
        let sockets = Vec::with_capacity(options.config.max_connections.min(CONNECTIONS_ROOM_MOST));
        let engine = Engine::new(options.config, store, handler, Box::new(OsEntropy::new()))?;
        let poll = Poll::new().map_err(system)?;
        listeners.register(poll.registry()).map_err(system)?;
        let handle = ServerHandle::new(poll.registry(), WAKER).map_err(system)?;
        let timer = Timer::new(poll.registry()).map_err(system)?;
        Ok(Server {
            poll,
            clock,
            #[cfg(feature = "admin")]
            control: None,
            #[cfg(feature = "admin")]
            metrics: None,
            engine,
            store_link: StoreLink::new(handle.clone()),
            listeners: Some(listeners),
            proxied: Proxied::new(options.proxies),
            handshakes,
            sockets,
            ready: VecDeque::new(),
            behind: VecDeque::new(),
            unblocked: VecDeque::new(),
            unmeasured: None,
            handle,
            console: None,
            signals: None,
            log: None,
            read_settings: None,
            service_manager: None,
            log_due: None,
            due: Moment::NEVER,
            deadlines: Deadlines::default(),
            timer,
            buffer: vec![0; SHARE_BYTES].into_boxed_slice(),
            hash_portion_rounds,
            stopping_until: None,
            busy: false,
        })
    }
}

/// Opens the store, and tells what it mended and what is to be feared.
fn open_store(disk: OsDisk) -> Result<DiskStore<OsDisk>, OpenError> {
    let (mut store, repairs) = DiskStore::open(disk)?;
    for repair in repairs {
        repair.log();
    }
    while let Some(notice) = store.poll_notice() {
        if notice.level <= log::Level::Warn {
            warn_stderr(&format!("warning: {}", notice.text));
        }
        ReloadLine::from(notice).log();
    }
    Ok(store)
}

/// Lowers the limit on connections to what the limit on descriptors has room for, and says so.
pub(super) fn fit_descriptors(config: &mut Config, listeners: usize) {
    let wanted = config.max_connections;
    let fitting = descriptors::connections_that_fit(wanted, listeners);
    if fitting < wanted {
        let text = format!(
            "the limit on descriptors leaves room for {fitting} of {wanted} connections; raise it with ulimit -n"
        );
        log::warn!("{text}");
        warn_stderr(&text);
        config.max_connections = fitting;
    }
}

/// How fast this machine does one hash, in rounds a second, and what several at once cost beside that.
fn measured_hash_pace(clock: &Clock) -> (u64, LaneCosts) {
    const ROUNDS: u32 = 1_000;
    // The best of some tries is the one that the system let run through.
    const TRIES: usize = 5;
    let timed = |hashes: usize| {
        let tries = (0..TRIES).map(|_| {
            let began = clock.now();
            exercise_lanes(hashes, ROUNDS);
            clock.now().since(began)
        });
        tries.min().unwrap_or_default().max(Duration::from_nanos(1))
    };
    let lone = timed(1);
    // Wider than what takes too long takes no less: a start must not be held up by measuring what will not be used.
    let mut bearable = true;
    let times = LANE_WIDTHS.map(|width| {
        let time = if bearable { timed(width) } else { Duration::MAX };
        bearable = bearable && LaneCosts::is_bearable(time, lone);
        time
    });
    let rounds_per_second = u128::from(ROUNDS) * 1_000_000_000 / lone.as_nanos();
    (u64::try_from(rounds_per_second).unwrap_or(u64::MAX), LaneCosts::new(times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Echo;
    use std::collections::HashSet;

    #[test]
    fn random_bytes_are_handed_out_once_and_not_kept() {
        let mut entropy = OsEntropy::new();
        let mut tokens = HashSet::new();
        for _ in 0..100 {
            let mut token = [0; TOKEN_BYTES];
            entropy.fill(&mut token).unwrap();
            assert!(tokens.insert(token), "twice the same token");
            assert!(entropy.drawn[entropy.left..].iter().all(|byte| *byte == 0));
        }
        let mut long = [0; 1000];
        entropy.fill(&mut long).unwrap();
        assert!(long.iter().any(|byte| *byte != 0));
    }

    #[test]
    fn settings_out_of_their_bounds_are_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let defaults = Config::default;
        for config in [
            Config { max_frame_bytes: 16, ..defaults() },
            Config { max_frame_bytes: u32::MAX, ..defaults() },
            Config { output_limit_bytes: 1_000, ..defaults() },
            Config { output_total_bytes: 1_000, ..defaults() },
        ] {
            let data = folder.path().join("data");
            let options = Options { port: 0, data: data.clone(), config, ..Options::default() };
            let error = Server::bind(options, Box::new(Echo)).err();
            assert!(matches!(error, Some(ServerError::Config(_))), "{error:?}");
            assert!(!data.exists());
        }
    }
}
