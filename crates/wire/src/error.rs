//! Why bytes are not the header that they should be.

/// Why a header was refused. The parser's documentation says which of these it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// The buffer ends before the header, or what the header announces, does.
    Truncated,
    /// A length field contradicts the format or another length.
    BadLength,
    /// A version field names another version of the protocol.
    BadVersion,
    /// A checksum does not match.
    BadChecksum,
    /// An option is malformed.
    BadOption,
    /// A type, code or other field has a value that the format does not allow.
    BadValue,
    /// More headers or options than the limit allows.
    TooMany,
    /// Well formed, but of a kind that is deliberately not handled.
    Unsupported,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the packet ends before what its headers announce does",
            Self::BadLength => "a length field contradicts the format or another length",
            Self::BadVersion => "the version field names another version of the protocol",
            Self::BadChecksum => "the checksum does not match the bytes it covers",
            Self::BadOption => "an option is malformed",
            Self::BadValue => "a field has a value that its format does not allow",
            Self::TooMany => "there are more headers or options than the limit allows",
            Self::Unsupported => "the format is of a kind that is not handled",
        })
    }
}

impl std::error::Error for ParseError {}
