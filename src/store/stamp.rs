//! Times as the files have them: RFC 3339, UTC, whole seconds, one spelling.

use std::io;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last second of the year 9999, the last that RFC 3339 can say.
const LAST_SECOND: i64 = 253_402_300_799;
const SECONDS_A_DAY: u64 = 86_400;

/// Seconds since 1970, up to the year 9999; five bytes, because a million users have one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp([u8; 5]);

impl Stamp {
    /// A clock outside 1970 to 9999 is taken for the nearer end: a wrong clock stops nobody.
    pub(super) fn of(time: OffsetDateTime) -> Stamp {
        Stamp::from_seconds(time.unix_timestamp())
    }

    fn from_seconds(seconds: i64) -> Stamp {
        let [_, _, _, a, b, c, d, e] = seconds.clamp(0, LAST_SECOND).to_be_bytes();
        Stamp([a, b, c, d, e])
    }

    fn seconds(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
    }

    /// Days since 1970, in UTC.
    pub(super) fn day(self) -> u64 {
        self.seconds() / SECONDS_A_DAY
    }

    /// Reads the one spelling that [`to_text`](Stamp::to_text) writes.
    pub(super) fn parse(text: &str) -> Result<Stamp, &'static str> {
        const BAD: &str = "the time is not RFC 3339 in UTC, as 2026-01-31T08:00:00Z";
        // The parser also takes fractions, offsets, small letters and leap seconds, which are never written.
        let bytes = text.as_bytes();
        if bytes.len() != 20 || bytes[10] != b'T' || bytes[19] != b'Z' || &bytes[17..19] == b"60" {
            return Err(BAD);
        }
        let seconds = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| BAD)?.unix_timestamp();
        if seconds < 0 { Err(BAD) } else { Ok(Stamp::from_seconds(seconds)) }
    }

    /// The text for a file.
    pub(super) fn to_text(self) -> io::Result<String> {
        let seconds = i64::try_from(self.seconds()).map_err(io::Error::other)?;
        let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(io::Error::other)?;
        time.format(&Rfc3339).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_one_spelling_is_read() {
        let good = "2026-07-20T10:15:00Z";
        assert_eq!(Stamp::parse(good).and_then(|stamp| stamp.to_text().map_err(|_| "")), Ok(good.into()));
        for bad in [
            "",
            "2026-07-20T10:15:00z",
            "2026-07-20t10:15:00Z",
            "2026-07-20 10:15:00Z",
            "2026-07-20T10:15:00.5Z",
            "2026-07-20T10:15:00+00:00",
            "2026-02-30T10:15:00Z",
            "2026-06-30T23:59:60Z",
            "1969-12-31T23:59:59Z",
            "ä026-07-20T10:15:0Z",
        ] {
            assert!(Stamp::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_clock_gives_a_stamp_that_is_read_again(seconds in -377_705_116_800_i64..=LAST_SECOND) {
            let stamp = Stamp::of(OffsetDateTime::from_unix_timestamp(seconds).unwrap());
            prop_assert_eq!(Stamp::parse(&stamp.to_text().unwrap()), Ok(stamp));
            prop_assert_eq!(stamp.seconds(), u64::try_from(seconds).unwrap_or(0));
        }
    }
}
