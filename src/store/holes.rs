//! What a power cut may leave at the end of a file that was only appended to.
//!
//! The system writes a file's blocks and its length in whatever order it likes until a sync. So after a crash the bytes
//! behind the last sync may be cut short anywhere, and they may have holes: blocks that were not written yet while later
//! ones, or only the length, were. A hole reads as zeros, which porter never writes. Where there is no zero the bad line
//! is somebody's editor or a broken disk, and no business of this module's.
//!
//! The scenario: five users register at once, their lines are one write, the power fails during its sync, and the file
//! comes back with the first two of the five lines as zeros and the others whole. Nobody was told of any of them, since
//! the sync never returned; but a start that stops at "line 17" would keep everybody out until a person with an editor
//! comes. So the file is cut where the first line with a hole begins, and the whole lines behind it go with it.
//!
//! That is sound because of what was done before: a batch is written only when all before it is synced, so a hole is in the
//! last batch, and so is all that follows it. It would be wrong if a sync had told a lie, or the disk had lost a block years
//! later: then acknowledged users stand behind the hole. The records are asked for what gives that away (see
//! [`Records::may_be_lost`]); if they do the start stops, as at any other bad line, and changes nothing.
//!
//! This module must not know what the records mean.

use super::lines::{self, Extent, Foreign, Header, header_line};
use std::io::{self, Read};

/// The longest end of a file that is looked at for holes: ten times a batch of ten thousand users, or all the visits of a
/// file that is about to be compacted. A longer one is not the work of a crash, and a bad line is told as such.
const REST_BYTES_MOST: u64 = 16 * 1024 * 1024;

/// What the records of a file are read into.
pub(super) trait Records {
    /// Takes a record, or says what is wrong with it.
    fn take(&mut self, fields: [&str; 3]) -> Result<(), String>;

    /// Whether a record that stands behind a hole can be one that nobody was told of.
    fn may_be_lost(&mut self, fields: [&str; 3]) -> bool;
}

/// Looks at a file from its first bad line to its end: if a crash left it so, the file is good up to there.
pub(super) fn torn_at(
    source: impl Read,
    number: u64,
    start_bytes: u64,
    header: &Header,
    records: &mut impl Records,
) -> io::Result<Option<Extent>> {
    let mut rest = Vec::new();
    source.take(REST_BYTES_MOST + 1).read_to_end(&mut rest)?;
    let is_torn = match number {
        _ if rest.len() as u64 > REST_BYTES_MOST => false,
        1 => is_torn_header(&rest, &header_line(header)),
        _ => is_torn_end(&rest, records),
    };
    let torn_bytes = rest.len() as u64;
    let extent =
        Extent { whole_bytes: start_bytes, torn_bytes, records: number.saturating_sub(2), ..Extent::NOTHING };
    Ok(is_torn.then_some(extent))
}

/// The header is synced before anything else is written, so nothing stands behind a torn one.
fn is_torn_header(file: &[u8], header: &[u8]) -> bool {
    file.len() <= header.len() && file.iter().zip(header).all(|(byte, due)| *byte == 0 || byte == due)
}

fn is_torn_end(rest: &[u8], records: &mut impl Records) -> bool {
    let mut lines: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').collect();
    // What follows the last line end is nothing, or torn whatever it holds.
    lines.pop();
    let has_hole = |line: &[u8]| line.contains(&0);
    lines.first().is_some_and(|line| has_hole(line))
        && lines
            .iter()
            .all(|line| has_hole(line) || fields(line).is_ok_and(|fields| records.may_be_lost(fields)))
}

fn fields(line: &[u8]) -> Result<[&str; 3], &'static str> {
    lines::split(line).and_then(|line| lines::fields(line, &mut Foreign::default()))
}
