//! Times as the files have them: RFC 3339, UTC, whole seconds, one spelling.

use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last second of the year 9999, the last that RFC 3339 can say.
const LAST_SECOND: i64 = 253_402_300_799;
const SECONDS_A_DAY: u64 = 86_400;

/// A second in UTC, 1970 to 9999. Its text is RFC 3339 in one spelling, `2026-01-31T08:00:00Z`.
// Five bytes, because a million users have one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp([u8; 5]);

/// Why a text is no [`Stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is not RFC 3339 in UTC, as 2026-01-31T08:00:00Z")]
pub struct BadStamp(());

impl Stamp {
    /// A clock outside 1970 to 9999 is taken for the nearer end: a wrong clock stops nobody.
    pub fn of(time: OffsetDateTime) -> Stamp {
        Stamp::from_seconds(time.unix_timestamp())
    }

    pub(super) fn from_seconds(seconds: i64) -> Stamp {
        let [_, _, _, a, b, c, d, e] = seconds.clamp(0, LAST_SECOND).to_be_bytes();
        Stamp([a, b, c, d, e])
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
    }

    /// Days since 1970, in UTC.
    pub(super) fn day(self) -> u64 {
        self.seconds() / SECONDS_A_DAY
    }

    /// Reads the one spelling that is written.
    ///
    /// # Errors
    /// [`BadStamp`] for any other.
    pub fn parse(text: &str) -> Result<Stamp, BadStamp> {
        // The parser also takes fractions, offsets, small letters and leap seconds, which are never written.
        let bytes = text.as_bytes();
        if bytes.len() != 20 || bytes[10] != b'T' || bytes[19] != b'Z' || &bytes[17..19] == b"60" {
            return Err(BadStamp(()));
        }
        let seconds = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| BadStamp(()))?.unix_timestamp();
        if seconds < 0 { Err(BadStamp(())) } else { Ok(Stamp::from_seconds(seconds)) }
    }
}

impl FromStr for Stamp {
    type Err = BadStamp;

    fn from_str(text: &str) -> Result<Stamp, BadStamp> {
        Stamp::parse(text)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.seconds()).unwrap_or(LAST_SECOND);
        let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
        let (hour, minute, second) = time.to_hms();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_one_spelling_is_read() {
        let good = "2026-07-20T10:15:00Z";
        assert_eq!(good.parse::<Stamp>().map(|stamp| stamp.to_string()), Ok(good.into()));
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
            prop_assert_eq!(Stamp::parse(&stamp.to_string()), Ok(stamp));
            prop_assert_eq!(stamp.seconds(), u64::try_from(seconds).unwrap_or(0));
            let time = OffsetDateTime::from_unix_timestamp(seconds.max(0)).unwrap();
            prop_assert_eq!(stamp.to_string(), time.format(&Rfc3339).unwrap());
        }
    }
}
