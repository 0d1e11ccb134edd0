//! Reading and writing the lines of a CSV file that porter alone writes: three fields, `\n` ends, nothing quoted.
//!
//! The reader takes what the writer writes, and what a spreadsheet makes of it: a byte order mark before it, `\r\n`
//! ends, quotes around whole fields. Any other quote or `\r` is a byte like any other, and then no legal field has it: so a
//! line cut by a crash cannot swallow those after it. An editor may leave the last line without its end: if it is whole as
//! a record it counts. This module must not know about disks.

use std::io::{self, Read};

/// What some programs put before a text to say that it is UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One block of reading; a line that does not fit into it is bad.
const BLOCK_BYTES: usize = 64 * 1024;

/// The names of a file's fields.
pub(super) type Header = [&'static str; 3];

/// What was found in a file besides its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of whole lines; 0 if there is not even a header.
    pub(super) whole_bytes: u64,
    /// Bytes after the last line end.
    pub(super) torn_bytes: u64,
    /// Lines after the header.
    pub(super) records: u64,
    /// The last of the whole lines has no end.
    pub(super) unended: bool,
    /// What porter itself does not write.
    pub(super) foreign: Foreign,
}

/// What a file has that porter reads but does not write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Foreign {
    byte_order_mark: bool,
    carriage_returns: bool,
    quotes: bool,
}

impl Foreign {
    /// In words; `None` if there is nothing.
    pub(super) fn describe(self) -> Option<String> {
        let parts = [
            (self.byte_order_mark, "a byte order mark"),
            (self.carriage_returns, "CRLF line ends"),
            (self.quotes, "quoted fields"),
        ];
        let there: Vec<&str> = parts.iter().filter(|(there, _)| *there).map(|(_, what)| *what).collect();
        (!there.is_empty()).then(|| there.join(", "))
    }
}

impl Extent {
    /// That of a file which does not exist.
    pub(super) const NOTHING: Extent = Extent {
        whole_bytes: 0,
        torn_bytes: 0,
        records: 0,
        unended: false,
        foreign: Foreign { byte_order_mark: false, carriage_returns: false, quotes: false },
    };
}

/// Why the lines could not be taken.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The file could not be read.
    Io(io::Error),
    /// A line is bad; the header is line 1. All before it was good, up to this offset.
    Line { number: u64, start_bytes: u64, reason: String },
}

/// Reads all whole lines, in memory of a fixed size, and gives each record's fields to `take`, which may find them bad.
pub(super) fn read_records(
    source: impl Read,
    header: &Header,
    mut take: impl FnMut([&str; 3]) -> Result<(), String>,
) -> Result<Extent, ReadError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .quoting(false)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(WholeLines::new(source));
    let mut record = csv::ByteRecord::new();
    let mut number = 1;
    let mut read_bytes = 0;
    let mut foreign = Foreign::default();
    let bad = |number, start_bytes, reason: String| Err(ReadError::Line { number, start_bytes, reason });
    while reader.read_byte_record(&mut record).map_err(|error| ReadError::Io(error.into()))? {
        let start_bytes = read_bytes;
        read_bytes += (record.as_slice().len() + record.len()) as u64;
        if number == 1 && reader.get_ref().is_marked {
            foreign.byte_order_mark = true;
            read_bytes += MARK.len() as u64;
        }
        // The reader passes over empty lines, and over a byte order mark, without a word.
        let passed_over = reader.position().byte() != read_bytes;
        let outcome = match three(&record).and_then(|line| fields(line, &mut foreign)) {
            _ if passed_over && number > 1 => Err("the line is empty".into()),
            Ok(fields) if number == 1 && !passed_over && fields == *header => Ok(()),
            _ if number == 1 => Err(format!("the header is not {}", header.join(","))),
            Ok(fields) => take(fields),
            Err(reason) => Err(reason.to_owned()),
        };
        if let Err(reason) = outcome {
            return bad(number, start_bytes, reason);
        }
        number += 1;
    }
    let lines = reader.get_ref();
    if lines.given_bytes != read_bytes {
        return bad(number, read_bytes, "the line is empty".into());
    }
    if lines.overlong {
        return bad(number, read_bytes, format!("the line is longer than {BLOCK_BYTES} bytes"));
    }
    let torn_bytes = lines.torn_bytes();
    let is_header = |fields: [&str; 3]| fields == *header;
    let last = if number == 1 {
        whole_last(lines, number, &mut foreign, is_header)
    } else {
        whole_last(lines, number, &mut foreign, |fields| take(fields).is_ok())
    };
    if let Some(line_bytes) = last {
        let (whole_bytes, torn_bytes) = (read_bytes + line_bytes, torn_bytes - line_bytes);
        return Ok(Extent { whole_bytes, torn_bytes, records: number - 1, unended: true, foreign });
    }
    if number == 1 && !header_line(header).starts_with(lines.torn()) {
        return bad(number, 0, format!("the header is not {}", header.join(",")));
    }
    let records = number.saturating_sub(2);
    Ok(Extent { whole_bytes: read_bytes, torn_bytes, records, unended: false, foreign })
}

/// How long the last line is, if it has no end and is whole without it. Behind it may be zeros, if the power failed while an
/// end was written.
fn whole_last<R>(
    lines: &WholeLines<R>,
    number: u64,
    foreign: &mut Foreign,
    take: impl FnOnce([&str; 3]) -> bool,
) -> Option<u64> {
    let zeros = lines.torn().iter().rev().take_while(|byte| **byte == 0).count();
    let line = &lines.torn()[..lines.torn().len() - zeros];
    let unmarked = line.strip_prefix(MARK).filter(|_| number == 1).unwrap_or(line);
    let mut seen = *foreign;
    let fields = split(unmarked).and_then(|line| fields(line, &mut seen)).ok()?;
    if lines.dropped_bytes > 0 || !take(fields) {
        return None;
    }
    seen.byte_order_mark |= unmarked.len() < line.len();
    *foreign = seen;
    Some(line.len() as u64)
}

const NOT_THREE: &str = "the line has not three fields";

fn three(record: &csv::ByteRecord) -> Result<[&[u8]; 3], &'static str> {
    if record.len() == 3 { Ok([&record[0], &record[1], &record[2]]) } else { Err(NOT_THREE) }
}

/// A line without its end, taken apart.
pub(super) fn split(line: &[u8]) -> Result<[&[u8]; 3], &'static str> {
    let mut parts = line.split(|byte| *byte == b',');
    match [parts.next(), parts.next(), parts.next(), parts.next()] {
        [Some(first), Some(second), Some(third), None] => Ok([first, second, third]),
        _ => Err(NOT_THREE),
    }
}

/// The fields of a line as text, without what a spreadsheet puts around them.
pub(super) fn fields<'a>(
    [first, second, third]: [&'a [u8]; 3],
    foreign: &mut Foreign,
) -> Result<[&'a str; 3], &'static str> {
    let ended = third.strip_suffix(b"\r");
    foreign.carriage_returns |= ended.is_some();
    let mut field = |part: &'a [u8]| {
        let bare = match part {
            [b'"', bare @ .., b'"'] => {
                foreign.quotes = true;
                bare
            }
            _ => part,
        };
        str::from_utf8(bare).map_err(|_| "the line is not UTF-8")
    };
    Ok([field(first)?, field(second)?, field(ended.unwrap_or(third))?])
}

/// The first line of a file.
pub(super) fn header_line(header: &Header) -> Vec<u8> {
    format!("{}\n", header.join(",")).into_bytes()
}

/// Collects lines for one write.
pub(super) struct Batch(csv::Writer<Vec<u8>>);

impl Batch {
    pub(super) fn new() -> Batch {
        Batch(csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new()))
    }

    pub(super) fn push(&mut self, fields: [&str; 3]) -> io::Result<()> {
        self.0.write_record(fields).map_err(io::Error::from)
    }

    pub(super) fn into_bytes(self) -> io::Result<Vec<u8>> {
        self.0.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }
}

/// Passes whole lines on and keeps back what follows the last line end.
struct WholeLines<R> {
    source: R,
    buffer: Vec<u8>,
    /// `buffer[given..whole]` are whole lines to pass on, `buffer[whole..filled]` the beginning of one.
    given: usize,
    whole: usize,
    filled: usize,
    /// Bytes of a line longer than the buffer that were let go.
    dropped_bytes: u64,
    /// Bytes passed on.
    given_bytes: u64,
    /// A line longer than the buffer has an end: it is bad, and nothing after it is looked at.
    overlong: bool,
    /// The first line has a byte order mark before it.
    is_marked: bool,
    ended: bool,
}

impl<R> WholeLines<R> {
    fn torn(&self) -> &[u8] {
        &self.buffer[self.whole..self.filled]
    }

    fn torn_bytes(&self) -> u64 {
        self.dropped_bytes + self.torn().len() as u64
    }
}

impl<R: Read> WholeLines<R> {
    fn new(source: R) -> WholeLines<R> {
        WholeLines {
            source,
            buffer: vec![0; BLOCK_BYTES],
            given: 0,
            whole: 0,
            filled: 0,
            dropped_bytes: 0,
            given_bytes: 0,
            overlong: false,
            is_marked: false,
            ended: false,
        }
    }

    /// Reads another block behind the unfinished line.
    fn fill(&mut self) -> io::Result<()> {
        debug_assert!(self.given == self.whole && self.whole <= self.filled);
        self.buffer.copy_within(self.whole..self.filled, 0);
        self.filled -= self.whole;
        (self.given, self.whole) = (0, 0);
        if self.filled == self.buffer.len() {
            // Blocks that a crash left unwritten, at the end of the file; or else a bad line. Its end will tell.
            self.dropped_bytes += self.filled as u64;
            self.filled = 0;
        }
        let count = self.source.read(&mut self.buffer[self.filled..])?;
        let last_end = self.buffer[self.filled..self.filled + count].iter().rposition(|byte| *byte == b'\n');
        match last_end {
            Some(_) if self.dropped_bytes > 0 => self.overlong = true,
            Some(index) => self.whole = self.filled + index + 1,
            None => {}
        }
        self.is_marked |= self.given_bytes == 0 && self.whole > 0 && self.buffer.starts_with(MARK);
        self.filled += count;
        self.ended = count == 0 || self.overlong;
        Ok(())
    }
}

impl<R: Read> Read for WholeLines<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.given == self.whole && !self.ended {
            match self.fill() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
        }
        let count = (&self.buffer[self.given..self.whole]).read(bytes)?;
        self.given += count;
        self.given_bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header = ["a", "b", "c"];

    type Records = Vec<[String; 3]>;

    fn read(bytes: &[u8]) -> Result<(Extent, Records), (u64, String)> {
        let mut records = Vec::new();
        let extent = read_records(bytes, &HEADER, |fields| {
            let is_bad = fields[0] == "bad" || fields.iter().any(|field| field.contains(['\r', '"']));
            if is_bad {
                return Err("bad".into());
            }
            records.push(fields.map(str::to_owned));
            Ok(())
        });
        match extent {
            Ok(extent) => Ok((extent, records)),
            Err(ReadError::Line { number, reason, .. }) => Err((number, reason)),
            Err(ReadError::Io(error)) => panic!("{error}"),
        }
    }

    /// A line's fields without what a spreadsheet adds; `None` if no record or header of ours is like that.
    fn plain(line: &[u8], foreign: &mut Foreign) -> Option<[String; 3]> {
        let text = str::from_utf8(line).ok()?;
        let fields: Vec<&str> = text.strip_suffix('\r').unwrap_or(text).split(',').collect();
        let fields: [&str; 3] = fields.try_into().ok()?;
        let is_quoted = |field: &str| field.len() > 1 && field.starts_with('"') && field.ends_with('"');
        let bare = fields.map(|field| if is_quoted(field) { &field[1..field.len() - 1] } else { field });
        foreign.carriage_returns |= text.ends_with('\r');
        foreign.quotes |= fields.iter().any(|field| is_quoted(field));
        let is_bad = bare[0] == "bad" || bare.iter().any(|field| field.contains(['\r', '"']));
        (!is_bad).then(|| bare.map(str::to_owned))
    }

    /// The same, thought out line by line.
    fn model(bytes: &[u8]) -> Result<(Extent, Records), u64> {
        let mut extent = Extent::NOTHING;
        let mut records = Vec::new();
        let text = bytes.strip_prefix(MARK).unwrap_or(bytes);
        let mut foreign = Foreign { byte_order_mark: text.len() < bytes.len(), ..Foreign::default() };
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let number = index as u64 + 1;
            let ended = line.strip_suffix(b"\n");
            let mut seen = foreign;
            let fields = plain(ended.unwrap_or(line), &mut seen)
                .filter(|fields| index > 0 || *fields == HEADER.map(str::to_owned));
            match fields {
                None if ended.is_some() => return Err(number),
                None if index == 0 && !b"a,b,c".starts_with(bytes) => return Err(1),
                None => extent.torn_bytes = line.len() as u64,
                Some(fields) => {
                    foreign = seen;
                    extent.whole_bytes += line.len() as u64;
                    extent.unended = ended.is_none();
                    if index > 0 {
                        records.push(fields);
                    }
                }
            }
        }
        if bytes == MARK {
            return Err(1);
        }
        if extent.whole_bytes > 0 && foreign.byte_order_mark {
            extent.whole_bytes += MARK.len() as u64;
        }
        extent.records = records.len() as u64;
        Ok((Extent { foreign, ..extent }, records))
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        for (text, number) in [
            ("x,b,c\n", 1),
            ("\n", 1),
            ("\na,b,c\n", 1),
            ("\u{feff}\na,b,c\n", 1),
            ("\u{feff}\u{feff}a,b,c\n", 1),
            ("\u{feff}a,b,d\n", 1),
            ("\u{feff}", 1),
            ("a,b,c\r\n\r\n", 2),
            ("a,b,c\n1,2,\"3\n", 2),
            ("a,b,c\n1,2,3\r\r\n", 2),
            ("a,b,c\n1,2,\"3\"\"\n", 2),
            ("a,b,c\n\"1,2\",3\n", 2),
            ("x", 1),
            ("a,b,c\n1,2,3\n\n", 3),
            ("a,b,c\n\n1,2,3\n", 2),
            ("a,b,c\n1,2,3\n\n1,2,3\n", 3),
            ("a,b,c\n1,2\n", 2),
            ("a,b,c\n1,2,3\n1,2,3,4\n1,2,3\n", 3),
            ("a,b,c\n1,\"\n2\",3\nbad,2,3\n", 2),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().0, number, "{text:?}");
        }
        assert_eq!(read(b"a,b,c\n1,2,3\n1,\xff,3\n").unwrap_err().0, 3);
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_bad_or_torn() {
        let mut bytes = b"a,b,c\n1,2,3\n".to_vec();
        bytes.resize(12 + 3 * BLOCK_BYTES, 0);
        let (extent, records) = read(&bytes).unwrap();
        assert_eq!((extent.whole_bytes, extent.torn_bytes), (12, 3 * BLOCK_BYTES as u64));
        assert_eq!(records.len(), 1);
        bytes.extend_from_slice(b"\n1,2,3\n");
        assert_eq!(read(&bytes).unwrap_err().0, 3);
    }

    /// What the buffer still holds of a line whose beginning was let go is no line.
    #[test]
    fn the_end_of_a_line_longer_than_the_buffer_is_no_record() {
        let mut bytes = b"a,b,c\n1,2,3\n".to_vec();
        bytes.resize(12 + BLOCK_BYTES, b'x');
        bytes.extend_from_slice(b"4,5,6");
        let (extent, records) = read(&bytes).unwrap();
        assert_eq!((extent.whole_bytes, extent.torn_bytes), (12, BLOCK_BYTES as u64 + 5));
        assert_eq!((records.len(), extent.unended), (1, false));
    }

    #[test]
    fn lines_over_many_blocks_keep_their_numbers() {
        let mut bytes = b"a,b,c\n".to_vec();
        while bytes.len() < 3 * BLOCK_BYTES {
            bytes.extend_from_slice(b"one,two,three\n");
        }
        let records = (bytes.len() as u64 - 6) / 14;
        assert_eq!(read(&bytes).unwrap().0.records, records);
        bytes.extend_from_slice(b"bad,,\nbad,");
        assert_eq!(read(&bytes).unwrap_err().0, records + 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_lines_are(
            header in prop_oneof![9 => Just("a,b,c\n"), 1 => Just("")],
            pieces in prop::collection::vec(
                prop::sample::select(vec!["1,2,3\n", "\n", "\r", ",", "\"", "x", "a,b,c\n", "\u{feff}", "é", "0xff",
                    "1,2,3\n4,5,6\n", "bad,2,3\n"]),
                0..12),
        ) {
            // One piece stands for a byte that is not UTF-8.
            let text = format!("{header}{}", pieces.concat());
            let bytes: Vec<u8> = text.split("0xff").map(str::as_bytes).collect::<Vec<_>>().join(&0xff);
            prop_assert_eq!(read(&bytes).map_err(|(number, _)| number), model(&bytes));
        }
    }
}
