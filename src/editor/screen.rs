//! How text looks on a terminal: how wide it is, and what is drawn for what has no look.
//!
//! This module must not know where on the screen it lands.

use crate::text::escaped;
use unicode_width::UnicodeWidthStr;

/// What is drawn for a tab in the line that is being edited, where columns are counted.
const WIDE_TAB: &str = "    ";

/// What is drawn for one character, and its columns.
pub(super) fn drawn(cluster: &str) -> (String, usize) {
    let text = if cluster == "\t" { WIDE_TAB.to_owned() } else { escaped(cluster).to_string() };
    let width = text.width();
    (text, width)
}
