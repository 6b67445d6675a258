//! What a failure means for the caller: the one question retrying asks.

/// What a failed call means for the caller. Retrying reads only this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A condition did not hold: somebody else wrote first.
    Conflict,
    /// The service asks for less: wait, then the same again.
    Throttled,
    /// A passing failure, outcome perhaps unknown (5xx, time-out, broken connection): the same again.
    Transient,
    /// The request is wrong as it stands and will stay wrong; smaller parts of it may be right.
    Rejected,
    /// Nothing like it will work until a person mends configuration or permissions.
    Fatal,
}

impl Fault {
    /// Whether the same request may succeed later without anybody's help.
    #[must_use]
    pub fn is_worth_again(self) -> bool {
        matches!(self, Self::Throttled | Self::Transient)
    }

    /// A label for metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Rejected => "rejected",
            Self::Fatal => "fatal",
        }
    }
}
