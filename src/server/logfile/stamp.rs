//! When a line was logged.

use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Writes stamps of one width, in RFC 3339 with microseconds. The text of the second is kept: in a crowd many lines have the
/// same, and working out the date for each would cost more than the rest of the line.
#[derive(Default)]
pub(super) struct Stamp {
    second: u64,
    text: String,
}

impl Stamp {
    pub(super) fn write(&mut self, line: &mut String, since_1970: Duration) {
        let second = since_1970.as_secs();
        if self.text.is_empty() || self.second != second {
            let time = i64::try_from(second)
                .ok()
                .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok());
            self.text = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
            self.second = second;
        }
        line.push_str(self.text.trim_end_matches('Z'));
        line.push('.');
        let mut place = 100_000;
        for _ in 0..6 {
            let digit = since_1970.subsec_micros() / place % 10;
            line.push(char::from(b'0' + digit as u8));
            place /= 10;
        }
        line.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stamps_have_one_width() {
        let mut stamp = Stamp::default();
        for (seconds, nanoseconds, expected) in [
            (0, 7_999, "1970-01-01T00:00:00.000007Z"),
            (1_795_864_897, 17_113_458, "2026-11-28T11:21:37.017113Z"),
            (1_795_864_897, 999_999_999, "2026-11-28T11:21:37.999999Z"),
            (1_795_864_898, 0, "2026-11-28T11:21:38.000000Z"),
        ] {
            let mut line = String::new();
            stamp.write(&mut line, Duration::new(seconds, nanoseconds));
            assert_eq!(line, expected);
        }
    }
}
