//! What the machine around a server hands it: PROXY headers, requests for metrics, the configuration file, and stored
//! passwords.

use crate::auth::PasswordHash;
use crate::proxy_header::{ProxyClient, ProxyHeader};

/// Whatever is a stored password is written again as it was read.
pub fn phc(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if let Ok(hash) = PasswordHash::from_phc(&text) {
        assert_eq!(hash.to_phc(), text);
    }
}

/// A header is whole at its end, wherever it is cut before and whatever follows it, and is within its bound. The lengths in
/// it lead to its end.
pub fn proxy_header(bytes: &[u8]) {
    let whole = ProxyHeader::of(bytes);
    let ProxyHeader::Whole(length, client) = whole else {
        // What is wrong stays wrong, and what is incomplete has no end here.
        let longer = ProxyHeader::of(&[bytes, b"\r\n"].concat());
        assert!(!matches!(whole, ProxyHeader::Wrong(_)) || matches!(longer, ProxyHeader::Wrong(_)));
        return;
    };
    assert!(length <= bytes.len() && length <= crate::limits::PROXY_HEADER_BYTES);
    assert_eq!(ProxyHeader::of(&bytes[..length]), whole);
    for cut in 0..length {
        assert_eq!(ProxyHeader::of(&bytes[..cut]), ProxyHeader::Incomplete);
    }
    if let ProxyClient::At(address) = client
        && !bytes.starts_with(b"PROXY")
    {
        let mut extensions = &bytes[if address.is_ipv4() { 28 } else { 52 }..length];
        while let [_, high, low, rest @ ..] = extensions {
            extensions = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
        }
        assert!(extensions.is_empty());
    }
}

/// Whoever sends more gets the same answer, in whatever portions it comes; and no request is longer than its bound.
///
/// The first byte is the length of the portions; the rest is what is sent.
#[cfg(any(feature = "admin", feature = "fuzz"))]
pub fn http(input: &[u8]) {
    use crate::http::HttpRequest;
    let [portion, bytes @ ..] = input else { return };
    let whole = HttpRequest::of(bytes);
    let portion = usize::from(*portion) + 1;
    let ends = (1..=bytes.len().div_ceil(portion)).map(|count| (portion * count).min(bytes.len()));
    let judged = ends.map(|end| HttpRequest::of(&bytes[..end])).find(Option::is_some).flatten();
    assert_eq!(judged, whole);
    assert!(whole.is_some() || bytes.len() <= crate::limits::METRICS_REQUEST_BYTES);
    if whole.is_some() {
        assert_eq!(HttpRequest::of(&[bytes, b"\r\n\r\n"].concat()), whole);
    }
}

/// A file is refused on one line that names one of its lines, or comes to arguments that the flags' grammar takes, unless
/// they do not go with one another.
#[cfg(feature = "programs")]
pub fn configuration(file: &[u8]) {
    use crate::cli::configuration::read;
    use clap::error::ErrorKind;
    let Ok(text) = std::str::from_utf8(file) else { return };
    let command = command();
    let lines = 1 + text.matches('\n').count();
    match read(text, &command) {
        Err(fault) => {
            assert!((1..=lines).contains(&fault.line), "{fault:?}");
            assert!(!fault.reason.contains(char::is_control), "{fault:?}");
        }
        Ok(entries) => {
            assert!(entries.iter().all(|entry| (1..=lines).contains(&entry.line)));
            let arguments = entries.iter().flat_map(|entry| entry.arguments.iter().map(String::as_str));
            let parsed = command.try_get_matches_from(["fuzz"].into_iter().chain(arguments));
            let kind = parsed.err().map(|error| error.kind());
            assert!(kind.is_none_or(|kind| kind == ErrorKind::ArgumentConflict), "{kind:?}");
        }
    }
}

/// A flag of each kind.
#[cfg(feature = "programs")]
fn command() -> clap::Command {
    use clap::{Arg, ArgAction, value_parser};
    let mut command = clap::Command::new("fuzz")
        .arg(Arg::new("port").long("port").value_parser(value_parser!(u16).range(1..)))
        .arg(Arg::new("mode").long("mode").value_parser(["echo", "chat"]))
        .arg(Arg::new("data").long("data"))
        .arg(Arg::new("from").long("from").action(ArgAction::Append).value_delimiter(','))
        .arg(Arg::new("tls").long("tls").action(ArgAction::SetTrue))
        .arg(Arg::new("plaintext").long("plaintext").action(ArgAction::SetTrue).conflicts_with("tls"))
        .arg(Arg::new("config").long("config"));
    command.build();
    command
}
