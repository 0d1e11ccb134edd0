//! The bytes of the protocol, written from its page once more, so that the library's own are not their own judge.

/// A frame from the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Said {
    Hello(String),
    Wanted(u8),
    Welcome([u8; 16], String),
    Message(String, String),
    Bye,
    PasswordChanged,
    Names(u32, Vec<String>),
    Error(u16, String),
}

/// Takes the first whole frame off a server's bytes.
pub(crate) fn take_reply(bytes: &mut Vec<u8>) -> Option<Said> {
    let (said, length) = first_reply(bytes)?;
    bytes.drain(..length);
    Some(said)
}

/// The first whole frame of a server's bytes, and its length with the header.
pub(crate) fn first_reply(bytes: &[u8]) -> Option<(Said, usize)> {
    let header = bytes.first_chunk::<4>()?;
    let length = u32::from_be_bytes(*header) as usize;
    assert!(length > 0, "the server sent a frame of length 0");
    let body = bytes.get(4..4 + length)?;
    Some((decode(body), 4 + length))
}

fn decode(body: &[u8]) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match body[0] {
        0x81 => {
            assert_eq!(body[1], 1, "the version");
            Said::Hello(text(&body[2..]))
        }
        0x82 => {
            assert!(body.len() == 2 && body[1] < 2, "PasswordWanted is {body:?}");
            Said::Wanted(body[1])
        }
        0x83 => Said::Welcome(body[1..17].try_into().unwrap(), text(&body[17..])),
        0x84 => {
            let (name, words) = body[2..].split_at(usize::from(body[1]));
            Said::Message(text(name), text(words))
        }
        0x85 => {
            text(&body[1..]);
            Said::Bye
        }
        0x86 => {
            assert_eq!(body.len(), 1, "PasswordChanged has no payload");
            Said::PasswordChanged
        }
        0x87 => {
            let names = text(&body[5..]);
            let list: Vec<String> = names.split_terminator('\n').map(str::to_owned).collect();
            assert!(names.is_empty() || names.ends_with('\n'), "the last of {list:?} is not ended");
            Said::Names(u32::from_be_bytes(body[1..5].try_into().unwrap()), list)
        }
        0x8F => Said::Error(u16::from_be_bytes([body[1], body[2]]), text(&body[3..])),
        kind => panic!("the server sent a frame of kind {kind:#x}"),
    }
}

/// A client's frame.
pub(crate) fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = (length as u32).to_be_bytes().to_vec();
    bytes.push(kind);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// A client's ChangePassword.
pub(crate) fn change_frame(token: &[u8], old: &str, new: &str) -> Vec<u8> {
    frame(7, &[token, &(old.len() as u16).to_be_bytes(), old.as_bytes(), new.as_bytes()])
}

/// Whether a text is a name by the page's rules.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |(index, letter): (usize, char)| {
        letter.is_alphanumeric() || (index > 0 && matches!(letter, '_' | '-' | '.'))
    };
    (1..=32).contains(&text.chars().count())
        && text.len() <= 64
        && text.chars().enumerate().all(allowed)
        && text.to_lowercase() != "server"
}

/// The name that a chat text is for, if it is a direct message.
pub(crate) fn recipient(text: &str) -> Option<&str> {
    let end = text.find(' ')?;
    let name = text[..end].strip_prefix('@')?;
    is_name(name).then_some(name)
}

/// Whether a text was meant for one, though it may miss its address.
pub(crate) fn begins_with_at(text: &str) -> bool {
    text.chars().find(|letter| !letter.is_whitespace()) == Some('@')
}
