//! porter as a library: a server whose messages do what you want.
//!
//! A [`Handler`] decides what a text does; who connects, passwords, tokens, framing, limits and files stay porter's. This
//! one keeps state by session and by name: it sends every text back in capitals, answers `count` with how many texts the
//! writer's name has sent, `remind` with a reminder three seconds later, and `leave` by ending the session.
//!
//! ```text
//! $ cargo run --example custom_handler -- --port 0
//! listening on 127.0.0.1:40123
//! ```
//!
//! `porter-client --port 40123` talks to it. Without `--port` it is 9090, or the next free one. Users are kept in
//! `target/custom_handler`, and `/quit` or Ctrl-C stops it.

use porter::auth::{Name, SessionId};
use porter::handler::{Context, Handler, Speaker};
use porter::server::{Options, Server};
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

/// Shouts back, counts, and reminds.
#[derive(Default)]
struct Shout {
    texts: HashMap<Name, u64>,
    reminders: HashSet<SessionId>,
}

impl Handler for Shout {
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        let texts = self.texts.entry(from.name.clone()).or_default();
        *texts += 1;
        let answer = match text {
            "count" => format!("{} from {}", *texts, from.name),
            "leave" => return context.end(from.session, "as you like"),
            "remind" => {
                self.reminders.insert(from.session);
                context.set_timer(Duration::from_secs(3));
                "in three seconds".to_owned()
            }
            _ => text.to_uppercase(),
        };
        // No sender: the answer comes from the server itself.
        context.send(from.session, None, &answer);
    }

    fn timer(&mut self, context: &mut dyn Context) {
        for session in self.reminders.drain() {
            context.send(session, None, "this is your reminder");
        }
    }

    fn left(&mut self, who: Speaker<'_>, last: bool, _: &mut dyn Context) {
        // What grows with every client must shrink when it leaves.
        self.reminders.remove(&who.session);
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
    let options = Options { port, data: "target/custom_handler".into(), ..Options::default() };
    let mut server = Server::bind(options, Box::new(Shout::default()))?;
    server.attach_signals()?;
    server.attach_console();
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
