//! The calling side: what a call says, what its reply means, and the blocking [`Client`].

mod blocking;
mod identity;
mod terms;

#[cfg(test)]
mod tests;

pub use blocking::{Cancellation, Client};
pub(crate) use identity::Identity;
#[cfg(feature = "tls")]
pub(crate) use terms::TIMEOUT;
pub(crate) use terms::{Terms, negotiable};

use crate::message::{Accepted, Auth, AuthStatus, CallHeader, Rejected, ReplyBody, ReplyHeader};
use crate::xdr::{Decoder, Encoder, Error};
use std::hash::{BuildHasher, RandomState};
use std::io;

/// Calls that may wait for their replies at once, on one connection.
pub const CALLS_MAX: usize = 4096;

/// Why a call has no results.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The transport failed.
    #[error("the call could not be carried: {0}")]
    Io(#[from] io::Error),
    /// No reply came in time. Whether the call was executed is not known.
    #[error("no reply came in time")]
    TimedOut,
    /// The call was cancelled. Whether it was executed is not known.
    #[error("the call was cancelled")]
    Cancelled,
    /// [`CALLS_MAX`] calls wait already.
    #[error("too many calls wait for their replies")]
    TooManyCalls,
    /// Arguments without a representation.
    #[error("the arguments can't be encoded: {0}")]
    Arguments(Error),
    /// A reply that is none, or results of another type.
    #[error("the reply can't be decoded: {0}")]
    Reply(Error),
    /// The server does not speak version 2 of the protocol.
    #[error("the server speaks versions {low} to {high} of RPC")]
    RpcMismatch {
        /// The lowest version that it speaks.
        low: u32,
        /// The highest.
        high: u32,
    },
    /// The server rejects who calls.
    #[error("the server rejects the caller: {0}")]
    Auth(AuthStatus),
    /// The program is not there.
    #[error("the program is not there")]
    ProgramUnavailable,
    /// The program is, in other versions.
    #[error("the program is there in versions {low} to {high}")]
    ProgramMismatch {
        /// The lowest version.
        low: u32,
        /// The highest.
        high: u32,
    },
    /// The program has no such procedure.
    #[error("the program has no such procedure")]
    ProcedureUnavailable,
    /// The server can't decode the arguments.
    #[error("the server can't decode the arguments")]
    GarbageArguments,
    /// Something failed at the server.
    #[error("something failed at the server")]
    SystemError,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) program: u32,
    pub(crate) version: u32,
}

/// A whole call, under number `xid`.
pub(crate) fn encode_call(
    xid: u32,
    target: Target,
    procedure: u32,
    credential: Auth<'_>,
    limit: usize,
    arguments: impl FnOnce(&mut Encoder<'_>) -> Result<(), Error>,
) -> Result<Vec<u8>, CallError> {
    let mut message = Vec::with_capacity(64);
    let mut to = Encoder::with_limit(&mut message, limit);
    let header = CallHeader {
        xid,
        program: target.program,
        version: target.version,
        procedure,
        credential,
        verifier: Auth::NONE,
    };
    header
        .encode(&mut to)
        .and_then(|()| arguments(&mut to))
        .map_err(CallError::Arguments)?;
    Ok(message)
}

/// The number of a reply, or of anything that begins with one.
pub(crate) fn xid(message: &[u8]) -> Option<u32> {
    message.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// The server's verifier, and where the results are.
pub(crate) fn open_reply(reply: &[u8]) -> Result<(Auth<'_>, Decoder<'_>), CallError> {
    let mut from = Decoder::new(reply);
    let header = ReplyHeader::decode(&mut from).map_err(CallError::Reply)?;
    match header.body {
        ReplyBody::Accepted { verifier, status } => match status {
            Accepted::Success => Ok((verifier, from)),
            Accepted::ProgramUnavailable => Err(CallError::ProgramUnavailable),
            Accepted::ProgramMismatch { low, high } => {
                Err(CallError::ProgramMismatch { low, high })
            }
            Accepted::ProcedureUnavailable => Err(CallError::ProcedureUnavailable),
            Accepted::GarbageArguments => Err(CallError::GarbageArguments),
            Accepted::SystemError => Err(CallError::SystemError),
        },
        ReplyBody::Rejected(Rejected::RpcMismatch { low, high }) => {
            Err(CallError::RpcMismatch { low, high })
        }
        ReplyBody::Rejected(Rejected::Auth(status)) => Err(CallError::Auth(status)),
    }
}

/// Whether the server does not take the credential, and may take another.
fn is_rejected(reply: &[u8]) -> bool {
    let status = AuthStatus::RejectedCredential;
    matches!(open_reply(reply), Err(CallError::Auth(s)) if s == status)
}

/// A number to begin with: another one in each process, so that a server does not take a new
/// client's calls for an old one's.
pub(crate) fn first_xid() -> u32 {
    let hash = RandomState::new().hash_one(0);
    (hash >> 32) as u32
}
