//! Replies.

/// What a command is answered, or what is pushed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reply {
    Null,
    Status(String),
    /// With its code before it.
    Error(String),
    Number(i64),
    Text(String),
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    Push(Vec<Reply>),
}

impl Reply {
    pub(crate) fn done() -> Reply {
        Reply::Status("OK".to_owned())
    }

    pub(crate) fn text(text: &str) -> Reply {
        Reply::Text(text.to_owned())
    }

    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Reply {
        Reply::Array(texts.into_iter().cloned().map(Reply::Text).collect())
    }
}
