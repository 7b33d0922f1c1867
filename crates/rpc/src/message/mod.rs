//! Calls and replies (RFC 5531 §9).
//!
//! A message is a header and what the procedure takes or returns behind it, which the header knows
//! nothing about. Reading copies nothing: credentials lie in the message.

mod auth;

#[cfg(test)]
mod tests;

pub use auth::{
    AUTH_BODY_MAX, Auth, AuthStatus, AuthSys, Credential, GIDS_MAX, MACHINE_NAME_MAX, STARTTLS,
    flavor,
};

use crate::xdr::{Decoder, Encoder, Error};

/// The version of the protocol (RFC 5531 §8.1).
pub const RPC_VERSION: u32 = 2;

const CALL: u32 = 0;
const REPLY: u32 = 1;
const MSG_ACCEPTED: u32 = 0;
const MSG_DENIED: u32 = 1;
const RPC_MISMATCH: u32 = 0;
const AUTH_ERROR: u32 = 1;

/// What is called, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallHeader<'a> {
    /// Ties the reply to its call.
    pub xid: u32,
    /// The remote program.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// The procedure.
    pub procedure: u32,
    /// Who says to call.
    pub credential: Auth<'a>,
    /// What proves it.
    pub verifier: Auth<'a>,
}

/// Why a message is no call that could be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCall {
    /// It is too short, or a reply: there is nobody to answer.
    Other,
    /// Another version of the protocol: answered with [`Rejected::RpcMismatch`].
    RpcVersion {
        /// The call to answer.
        xid: u32,
    },
    /// A credential or verifier that is too long: answered with [`Rejected::Auth`].
    Auth {
        /// The call to answer.
        xid: u32,
        /// What is wrong.
        status: AuthStatus,
    },
}

impl<'a> CallHeader<'a> {
    /// Appends the header.
    ///
    /// # Errors
    /// The message would be too long.
    pub fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        for word in [
            self.xid,
            CALL,
            RPC_VERSION,
            self.program,
            self.version,
            self.procedure,
        ] {
            to.u32(word)?;
        }
        self.credential.encode(to)?;
        self.verifier.encode(to)
    }

    /// Reads a header; the arguments follow in `from`.
    ///
    /// # Errors
    /// How it is to be answered, if at all.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, NoCall> {
        let other = |_| NoCall::Other;
        let xid = from.u32().map_err(other)?;
        if from.u32().map_err(other)? != CALL {
            return Err(NoCall::Other);
        }
        if from.u32().map_err(other)? != RPC_VERSION {
            return Err(NoCall::RpcVersion { xid });
        }
        let mut word = || from.u32().map_err(other);
        let (program, version, procedure) = (word()?, word()?, word()?);
        let mut auth = |status| {
            Auth::decode(from).map_err(|error| match error {
                Error::TooLong { .. } => NoCall::Auth { xid, status },
                _ => NoCall::Other,
            })
        };
        Ok(Self {
            xid,
            program,
            version,
            procedure,
            credential: auth(AuthStatus::BadCredential)?,
            verifier: auth(AuthStatus::BadVerifier)?,
        })
    }
}

/// A reply's header; results follow behind [`Accepted::Success`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyHeader<'a> {
    /// The call that it answers.
    pub xid: u32,
    /// What became of it.
    pub body: ReplyBody<'a>,
}

/// Whether the call was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyBody<'a> {
    /// It was, which says nothing about success.
    Accepted {
        /// What proves who answers.
        verifier: Auth<'a>,
        /// What came of it.
        status: Accepted,
    },
    /// It was not.
    Rejected(Rejected),
}

/// What comes of a call that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It was executed; results follow.
    Success,
    /// The program is not here.
    ProgramUnavailable,
    /// The program is, but not in this version.
    ProgramMismatch {
        /// The lowest version that is here.
        low: u32,
        /// The highest.
        high: u32,
    },
    /// The program has no such procedure.
    ProcedureUnavailable,
    /// The procedure can't decode its arguments.
    GarbageArguments,
    /// Memory is short, or the like.
    SystemError,
}

/// Why a call is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Another version of the protocol.
    RpcMismatch {
        /// The lowest version that is spoken.
        low: u32,
        /// The highest.
        high: u32,
    },
    /// The caller's identity.
    Auth(AuthStatus),
}

impl<'a> ReplyHeader<'a> {
    /// Appends the header.
    ///
    /// # Errors
    /// The message would be too long.
    pub fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.u32(self.xid)?;
        to.u32(REPLY)?;
        match self.body {
            ReplyBody::Accepted { verifier, status } => {
                to.u32(MSG_ACCEPTED)?;
                verifier.encode(to)?;
                to.u32(status.number())?;
                match status {
                    Accepted::ProgramMismatch { low, high } => range(to, low, high),
                    _ => Ok(()),
                }
            }
            ReplyBody::Rejected(rejected) => {
                to.u32(MSG_DENIED)?;
                match rejected {
                    Rejected::RpcMismatch { low, high } => {
                        to.u32(RPC_MISMATCH)?;
                        range(to, low, high)
                    }
                    Rejected::Auth(status) => {
                        to.u32(AUTH_ERROR)?;
                        to.u32(status.number())
                    }
                }
            }
        }
    }

    /// Reads a header; results follow in `from`.
    ///
    /// # Errors
    /// It is no reply.
    pub fn decode(from: &mut Decoder<'a>) -> Result<Self, Error> {
        let xid = from.u32()?;
        let kind = from.u32()?;
        if kind != REPLY {
            return Err(no_value("msg_type", kind));
        }
        let body = match from.u32()? {
            MSG_ACCEPTED => ReplyBody::Accepted {
                verifier: Auth::decode(from)?,
                status: Accepted::decode(from)?,
            },
            MSG_DENIED => ReplyBody::Rejected(match from.u32()? {
                RPC_MISMATCH => Rejected::RpcMismatch {
                    low: from.u32()?,
                    high: from.u32()?,
                },
                AUTH_ERROR => Rejected::Auth(AuthStatus::from_number(from.u32()?)),
                value => return Err(no_value("reject_stat", value)),
            }),
            value => return Err(no_value("reply_stat", value)),
        };
        Ok(Self { xid, body })
    }
}

impl Accepted {
    fn number(self) -> u32 {
        match self {
            Self::Success => 0,
            Self::ProgramUnavailable => 1,
            Self::ProgramMismatch { .. } => 2,
            Self::ProcedureUnavailable => 3,
            Self::GarbageArguments => 4,
            Self::SystemError => 5,
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok(match from.u32()? {
            0 => Self::Success,
            1 => Self::ProgramUnavailable,
            2 => Self::ProgramMismatch {
                low: from.u32()?,
                high: from.u32()?,
            },
            3 => Self::ProcedureUnavailable,
            4 => Self::GarbageArguments,
            5 => Self::SystemError,
            value => return Err(no_value("accept_stat", value)),
        })
    }
}

fn range(to: &mut Encoder<'_>, low: u32, high: u32) -> Result<(), Error> {
    to.u32(low)?;
    to.u32(high)
}

fn no_value(kind: &'static str, value: u32) -> Error {
    Error::NoSuchValue {
        kind,
        value: i64::from(value),
    }
}
