//! porter as a library: a server whose messages do what you want.
//!
//! A [`Handler`] decides what a text does; who knocks, passwords, tokens, framing, limits and files stay porter's. This
//! one sends every text back in capitals, and answers `count` with how many texts the writer's name has sent.
//!
//! ```text
//! $ cargo run --example custom_handler -- --port 0
//! listening on 127.0.0.1:40123
//! ```
//!
//! `porter-client --port 40123` talks to it. Without `--port` it is 9090, or the next free one. Users are kept in
//! `target/custom_handler`, and `/quit` or Ctrl-C stops it.

use porter::auth::Name;
use porter::engine::Config;
use porter::handler::{Handler, Post, Speaker};
use porter::server::{Encryption, Options, Server};
use std::collections::HashMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

/// Shouts back, and counts.
#[derive(Default)]
struct Shout {
    texts: HashMap<Name, u64>,
}

impl Handler for Shout {
    fn message(&mut self, from: Speaker<'_>, text: &str, post: &mut dyn Post) {
        let texts = self.texts.entry(from.name.clone()).or_default();
        *texts += 1;
        let answer = match text {
            "count" => format!("{} from {}", *texts, from.name),
            _ => text.to_uppercase(),
        };
        // No sender: the answer comes from the server itself.
        post.send(from.session, None, &answer);
    }

    fn left(&mut self, who: Speaker<'_>, last: bool, _: &mut dyn Post) {
        // What grows with every visitor must shrink with every leaver.
        if last {
            self.texts.remove(who.name);
        }
    }
}

fn main() -> ExitCode {
    match port(std::env::args().skip(1)).map_err(Box::from).and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("custom_handler: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let options = Options {
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port,
        strict_port: false,
        data: "target/custom_handler".into(),
        encryption: Encryption::Plaintext,
        // Whatever an operator may set; here only that a name logs in anew when its connection breaks.
        config: Config { resume_window: std::time::Duration::ZERO, ..Config::default() },
    };
    let server = Server::bind(options, Box::new(Shout::default()), None)?;
    println!("listening on {}", server.address()?);
    Ok(server.run()?)
}

/// The port of `--port N`; 9090 without it.
fn port(mut arguments: impl Iterator<Item = String>) -> Result<u16, String> {
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => Ok(9090),
        (Some("--port"), Some(port), None) => port.parse().map_err(|_| format!("{port:?} is not a port")),
        _ => Err("it takes --port N and nothing else".to_owned()),
    }
}
