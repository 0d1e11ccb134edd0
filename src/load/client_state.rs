//! What a client does that stays or comes again, and how far it is.

/// What a client does once it is welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// It stays.
    Stays,
    /// It exits, and comes again with its password.
    Returns,
    /// Its connection breaks, and it comes again with its token.
    Resumes,
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Outside,
    /// For the connection.
    Connecting,
    /// For Hello.
    Knocking,
    /// For the answer to Identify.
    Identifying,
    /// For Welcome.
    LoggingIn,
    Inside,
    /// For Bye.
    Leaving,
    /// For the server's close.
    Parting,
    /// It will not come again by itself.
    Failed,
}

impl Stand {
    /// What it waits for, as the end of a sentence about what happened instead.
    pub(super) fn awaited(self) -> &'static str {
        match self {
            Stand::Outside | Stand::Connecting | Stand::Failed => "before the connection was there",
            Stand::Knocking => "where Hello was due",
            Stand::Identifying => "where the answer to Identify was due",
            Stand::LoggingIn => "where Welcome was due",
            Stand::Inside => "while the client stayed",
            Stand::Leaving => "where Bye was due",
            Stand::Parting => "where the close after Bye was due",
        }
    }
}
