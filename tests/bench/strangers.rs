//! Crowds of one address that do not log in and come back whenever they are closed, and newcomers of another.

use crate::attacks::{Attack, Outcome};
use crate::crowd::{has_ended, with_news};
use crate::host::{ClientStream, Host, PASSWORD, frame};
use porter::client::Client;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

const CROWD: usize = 600;
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// What each of the crowd says when it has come, and no more.
#[derive(Clone, Copy)]
pub(crate) enum Words {
    Nothing,
    OneByte,
    HalfAHello,
    WholeHello,
}

impl Words {
    fn bytes(self, host: &Host) -> Vec<u8> {
        let mut hello = Vec::new();
        match host.tls_channel() {
            Some(mut channel) => channel.flush(&mut hello).unwrap(),
            None => hello = frame(0x01, b"ann"),
        }
        let half = hello.len() / 2;
        match self {
            Words::Nothing => hello.clear(),
            Words::OneByte => hello.truncate(1),
            Words::HalfAHello => hello.truncate(half),
            Words::WholeHello => {}
        }
        hello
    }
}

/// A crowd, and besides it one after another who logs in, loses the connection and resumes.
pub(crate) fn crowd(host: &Host, words: Words) -> Attack {
    // The first login has a hash; what is measured is the way to it.
    visit(host);
    let words = words.bytes(host);
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| arrive(host, &words)).collect();
    Box::new(move |host, until| {
        std::thread::scope(|scope| {
            let visits = scope.spawn(move || {
                let mut visits = Vec::new();
                while Instant::now() < until {
                    let began = Instant::now();
                    visit(host);
                    visits.push(began.elapsed());
                }
                visits
            });
            let mut returns = 0;
            while Instant::now() < until {
                for at in with_news(&crowd) {
                    if has_ended(&mut crowd[at]) {
                        crowd[at] = arrive(host, &words);
                        returns += 1;
                    }
                }
            }
            let visits = visits.join().unwrap();
            let longest = visits.iter().max().copied().unwrap_or(Duration::MAX);
            let told = format!(
                "{} logins and resumes, each within {:.3} s; {returns} of the crowd came back",
                visits.len(),
                longest.as_secs_f64()
            );
            Outcome { told, took: Some(longest) }
        })
    })
}

/// A login and a resume.
fn visit(host: &Host) {
    let mut line = arrived(host);
    let mut client = Client::over(&mut line).unwrap();
    client.identify("bob").unwrap();
    client.login(PASSWORD).unwrap();
    let token = client.token().unwrap().clone();
    drop(client);
    drop(line);
    let mut line = arrived(host);
    let mut client = Client::over(&mut line).unwrap();
    client.resume(&token).unwrap();
    client.exit().unwrap();
}

fn arrived(host: &Host) -> ClientStream {
    let mut line = ClientStream { stream: host.connect(), channel: host.tls_channel() };
    if let Some(channel) = &mut line.channel {
        channel.shake_hands(&mut line.stream).unwrap();
    }
    line
}

fn arrive(host: &Host, words: &[u8]) -> TcpStream {
    let mut stream = host.connect_from(SOURCE, None);
    // It may have been sent away already.
    let _ = stream.write_all(words);
    stream.set_nonblocking(true).unwrap();
    stream
}
