//! Who calls (RFC 5531 §8.2, §10 and Appendix A).

use crate::xdr::{Decoder, Encoder, Error, Xdr};

/// The longest body of a credential or verifier (RFC 5531 §8.2).
pub const AUTH_BODY_MAX: u32 = 400;
/// The longest name of a machine (RFC 5531 Appendix A).
pub const MACHINE_NAME_MAX: u32 = 255;
/// The most groups beside the first (RFC 5531 Appendix A).
pub const GIDS_MAX: u32 = 16;
/// The verifier's body that says TLS may begin (RFC 9289 §4.1).
pub const STARTTLS: &[u8; 8] = b"STARTTLS";

/// The numbers of the flavors (RFC 5531 §8.2, RFC 9289 §7.1).
pub mod flavor {
    /// Nobody in particular.
    pub const NONE: u32 = 0;
    /// A user and groups, as the caller says.
    pub const SYS: u32 = 1;
    /// Shorthand that the server gave out for a SYS.
    pub const SHORT: u32 = 2;
    /// Asks whether TLS may begin.
    pub const TLS: u32 = 7;
}

/// A credential or a verifier: a flavor and what that makes of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// One of [`flavor`], or another.
    pub flavor: u32,
    /// [`AUTH_BODY_MAX`] bytes at most.
    pub body: &'a [u8],
}

impl<'a> Auth<'a> {
    /// AUTH_NONE, with nothing in it (RFC 5531 §10.1).
    pub const NONE: Self = Self {
        flavor: flavor::NONE,
        body: &[],
    };

    pub(crate) fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.u32(self.flavor)?;
        to.opaque(self.body, AUTH_BODY_MAX)
    }

    pub(crate) fn decode(from: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(Self {
            flavor: from.u32()?,
            body: from.opaque(AUTH_BODY_MAX)?,
        })
    }
}

/// A user as the caller's system knows it (RFC 5531 Appendix A). Nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthSys {
    /// Anything.
    pub stamp: u32,
    /// The caller's machine.
    pub machine_name: String,
    /// The user.
    pub uid: u32,
    /// The user's first group.
    pub gid: u32,
    /// The others.
    pub gids: Vec<u32>,
}

impl Xdr for AuthSys {
    fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Error> {
        to.u32(self.stamp)?;
        to.string(&self.machine_name, MACHINE_NAME_MAX)?;
        to.u32(self.uid)?;
        to.u32(self.gid)?;
        to.array(&self.gids, GIDS_MAX, |to, gid| to.u32(*gid))
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok(Self {
            stamp: from.u32()?,
            machine_name: from.string(MACHINE_NAME_MAX)?.to_owned(),
            uid: from.u32()?,
            gid: from.u32()?,
            gids: from.array(GIDS_MAX, Decoder::u32)?,
        })
    }
}

/// Who calls, as a server takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nobody in particular.
    None,
    /// A user, whom nothing proves. A shorthand has become this, too.
    Sys(AuthSys),
}

/// What is wrong with a credential or a verifier (RFC 5531 §9, auth_stat).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthStatus {
    /// A reason that is none.
    #[error("no error")]
    Ok,
    /// The credential is broken: the seal is.
    #[error("bad credential")]
    BadCredential,
    /// The client has to begin a new session; a shorthand has been forgotten.
    #[error("rejected credential")]
    RejectedCredential,
    /// The verifier is broken.
    #[error("bad verifier")]
    BadVerifier,
    /// The verifier expired or was replayed.
    #[error("rejected verifier")]
    RejectedVerifier,
    /// Not for everybody.
    #[error("too weak")]
    TooWeak,
    /// The reply's verifier is not the server's.
    #[error("invalid response")]
    InvalidResponse,
    /// Nobody knows.
    #[error("failed")]
    Failed,
    /// One of Kerberos's or GSS's.
    #[error("status {0}")]
    Other(u32),
}

impl AuthStatus {
    const NUMBERED: [Self; 8] = [
        Self::Ok,
        Self::BadCredential,
        Self::RejectedCredential,
        Self::BadVerifier,
        Self::RejectedVerifier,
        Self::TooWeak,
        Self::InvalidResponse,
        Self::Failed,
    ];

    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Other(number) => number,
            named => (0..)
                .zip(Self::NUMBERED)
                .find_map(|(number, status)| (status == named).then_some(number))
                .unwrap_or(7),
        }
    }

    /// The status with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self::NUMBERED
            .get(number as usize)
            .copied()
            .unwrap_or(Self::Other(number))
    }
}
