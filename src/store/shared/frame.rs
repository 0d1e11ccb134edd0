//! Where a reply ends, found without taking it apart: the decoder calls itself for each level, and begins anew with each byte
//! that was missing.

/// Levels of a reply; ours have three.
const LEVELS: usize = 8;

/// How long the first reply is; `None` if its end is not there yet. An error if it is none, or deeper than any of ours.
pub(super) fn length(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut at = 0;
    // What is still to come at each level.
    let mut open = [1_u64; LEVELS];
    let mut level = 0;
    loop {
        let Some(end) = bytes[at..].windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        let line = &bytes[at..at + end];
        let (kind, rest) = line.split_first().ok_or("it has a line without anything")?;
        at += end + 2;
        open[level] -= 1;
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
            b'$' | b'!' | b'=' => {
                if let Some(count) = count(rest)? {
                    let next = usize::try_from(count).ok().and_then(|count| at.checked_add(count + 2));
                    at = next.ok_or("it has a text without end")?;
                    if at > bytes.len() {
                        return Ok(None);
                    }
                }
            }
            b'*' | b'~' | b'>' | b'%' => {
                let pairs = if *kind == b'%' { 2 } else { 1 };
                if let Some(count) = count(rest)?.filter(|count| *count > 0) {
                    level += 1;
                    *open.get_mut(level).ok_or("it is nested too deeply")? =
                        count.checked_mul(pairs).ok_or("it has a list without end")?;
                }
            }
            _ => return Err("it is of an unknown kind"),
        }
        while open[level] == 0 {
            if level == 0 {
                return Ok(Some(at));
            }
            level -= 1;
        }
    }
}

/// A count; `None` for the one that says that there is nothing.
fn count(digits: &[u8]) -> Result<Option<u64>, &'static str> {
    if digits == b"-1" {
        return Ok(None);
    }
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let count: u32 = digits.and_then(|digits| digits.parse().ok()).ok_or("it has a count that is none")?;
    Ok(Some(count.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_protocol::resp3::decode::complete::decode;

    #[test]
    fn a_reply_ends_where_the_decoder_ends_it() {
        for reply in [
            &b"+OK\r\n"[..],
            b"$-1\r\n",
            b"_\r\n",
            b"$0\r\n\r\n",
            b"$5\r\n\r\n$9\r\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"*2\r\n*2\r\n:1\r\n$1\r\na\r\n*1\r\n_\r\n",
            b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n",
            b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
            b"-ERR no\r\n",
        ] {
            let both = [reply, b"+next\r\n"].concat();
            assert_eq!(length(&both), Ok(Some(reply.len())));
            for cut in 0..reply.len() {
                assert_eq!(length(&reply[..cut]), Ok(None), "{:?} {cut}", String::from_utf8_lossy(reply));
            }
            // The older way to say nothing is not the decoder's.
            let is_older = reply.ends_with(b"-1\r\n");
            assert!(is_older || matches!(decode(&both), Ok(Some((_, count))) if count == reply.len()));
        }
    }

    #[test]
    fn what_is_no_reply_is_told_before_it_is_taken_apart() {
        for bad in [
            &b"\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$99999999999999999999\r\n",
            b"*1 \r\n",
            &b"*1\r\n".repeat(LEVELS),
            &b"*1\r\n".repeat(1_000_000),
        ] {
            assert!(length(bad).is_err());
        }
    }
}
