//! Frames on any blocking stream: an extension of `Read` and `Write`.

use super::frame::{self, BadLength, body_length};
use crate::limits::HEADER_BYTES;
use std::io::{self, Read, Write};

/// Reads frames from any `Read`.
///
/// ```
/// use porter::protocol::{FrameRead, FrameWrite};
/// let mut stream = Vec::new();
/// stream.write_text("naïve")?;
/// assert_eq!(stream, b"\x00\x00\x00\x06na\xc3\xafve");
/// assert_eq!(stream.as_slice().read_text(64)?.as_deref(), Some("naïve"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait FrameRead: Read + Sized {
    /// The next frame's body; `None` if the stream ended before a frame began.
    ///
    /// # Errors
    /// `InvalidData` for a length of 0 or above `limit_bytes`, `UnexpectedEof` if the stream ends within the frame,
    /// and whatever reading gives.
    fn read_frame(&mut self, limit_bytes: u32) -> io::Result<Option<Vec<u8>>> {
        let mut header = [0; HEADER_BYTES];
        let first = loop {
            match self.read(&mut header) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if first == 0 {
            return Ok(None);
        }
        self.read_exact(&mut header[first..])?;
        let length = body_length(header, limit_bytes).map_err(invalid)?;
        // Memory follows the bytes that come, not the length that was announced.
        let mut body = Vec::new();
        self.by_ref().take(length as u64).read_to_end(&mut body)?;
        if body.len() < length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended within a frame"));
        }
        Ok(Some(body))
    }

    /// The next frame's body as text.
    ///
    /// # Errors
    /// Those of [`read_frame`](FrameRead::read_frame), and `InvalidData` for a body that is not UTF-8.
    fn read_text(&mut self, limit_bytes: u32) -> io::Result<Option<String>> {
        let body = self.read_frame(limit_bytes)?;
        body.map(String::from_utf8).transpose().map_err(|error| invalid(error.utf8_error()))
    }
}

impl<R: Read> FrameRead for R {}

/// Writes frames to any `Write`.
pub trait FrameWrite: Write {
    /// Writes one frame, header and body in one call.
    ///
    /// # Errors
    /// `InvalidInput` for a body that is empty or longer than a header can say, and whatever writing gives.
    fn write_frame(&mut self, body: &[u8]) -> io::Result<()> {
        if body.is_empty() || u32::try_from(body.len()).is_err() {
            let reason = format!("a frame's body has 1 to {} bytes, not {}", u32::MAX, body.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let mut bytes = Vec::new();
        frame::append(&mut bytes, [], [body]);
        self.write_all(&bytes)
    }

    /// Writes a text as one frame.
    ///
    /// # Errors
    /// Those of [`write_frame`](FrameWrite::write_frame).
    fn write_text(&mut self, text: &str) -> io::Result<()> {
        self.write_frame(text.as_bytes())
    }
}

impl<W: Write + ?Sized> FrameWrite for W {}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl From<BadLength> for io::Error {
    fn from(error: BadLength) -> io::Error {
        invalid(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_until_the_end() {
        let mut stream = Vec::new();
        stream.write_frame(b"one").unwrap();
        stream.write_text("zwei").unwrap();
        let mut stream = stream.as_slice();
        assert_eq!(stream.read_frame(8).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(stream.read_text(8).unwrap().as_deref(), Some("zwei"));
        assert_eq!(stream.read_frame(8).unwrap(), None);
    }

    #[test]
    fn a_bad_stream_is_an_error_with_its_kind() {
        let kind = |bytes: &[u8]| (&*bytes).read_frame(8).unwrap_err().kind();
        assert_eq!(kind(&[0, 0, 0, 0]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0, 0, 0, 9]), io::ErrorKind::InvalidData);
        assert_eq!(kind(&[0, 0]), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(&[0, 0, 0, 2, 1]), io::ErrorKind::UnexpectedEof);
        assert_eq!((&[0, 0, 0, 1, 0xff][..]).read_text(8).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(Vec::new().write_frame(b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
