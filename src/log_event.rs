//! Events in the log: words that never change, and fields by their names.

use log::kv::{ToKey, Value};
use log::{Level, Record};

/// Logs an event. As text, for any logger, it is `words key=value key=value (note)`; whoever writes fields apart finds them
/// as the record's key-values too, with the words as `event` and what stands behind the semicolon as `note`.
///
/// `#` before a value says that it is a number, and `%` that it is shown as it is: it must have no spaces, whoever chose
/// it. `?` has it quoted in the text.
///
/// ```
/// use log::Level;
/// # let peer = "192.0.2.1:4000";
/// # let error = std::io::Error::other("disk full");
/// porter::log_event!(Level::Info, "refused", conn = #7, peer = %peer; "why it was");
/// porter::log_event!(Level::Error, "not stored", reason = ?error);
/// ```
#[macro_export]
macro_rules! log_event {
    (@text ?) => { "={:?}" };
    (@text $_:tt) => { "={}" };
    (@shown ? $value:expr) => { ::std::string::ToString::to_string(&$value) };
    (@shown $_:tt $value:expr) => { $value };
    (@field # $value:expr) => { ::log::kv::Value::from($value) };
    (@field $_:tt $value:expr) => { ::log::kv::Value::from_display(&$value) };
    (@note $_:expr) => { " ({})" };
    ($level:expr, $words:expr $(, $key:ident = $kind:tt $value:expr)+ $(; $note:expr)?) => {
        ::log::log!(
            $level,
            event = $words,
            $($key = $crate::log_event!(@field $kind $value)),+
            $(, note = ::log::kv::Value::from_display(&$note))?;
            ::core::concat!(
                "{}"
                $(, " ", ::core::stringify!($key), $crate::log_event!(@text $kind))+
                $(, $crate::log_event!(@note $note))?
            ),
            $words
            $(, $crate::log_event!(@shown $kind $value))+
            $(, $note)?
        )
    };
}

/// Logs an event whose text stands already, because it is prose, or because only the program knows which fields there are.
/// The first field is `event`, with words that never change.
pub(crate) fn log_with_fields<K: ToKey>(level: Level, text: &str, fields: &[(K, Value<'_>)]) {
    if level <= log::max_level() {
        let mut record = Record::builder();
        record.level(level).target(module_path!()).module_path_static(Some(module_path!()));
        log::logger().log(&record.key_values(&fields).args(format_args!("{text}")).build());
    }
}
