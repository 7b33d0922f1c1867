//! Who a client says to be: nobody, or a user with AUTH_SYS and its shorthand (RFC 5531
//! Appendix A).

use crate::message::{Auth, AuthSys, flavor};
use crate::transport::lock;
use crate::xdr::{self, Error};
use std::sync::Mutex;

/// A credential, and the shorthand that the server has given for it.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    sys: Option<Vec<u8>>,
    shorthand: Mutex<Option<Vec<u8>>>,
}

impl Identity {
    pub(crate) fn sys(user: &AuthSys) -> Result<Self, Error> {
        Ok(Self {
            sys: Some(xdr::to_bytes(user)?),
            shorthand: Mutex::default(),
        })
    }

    /// Gives `use_it` the credential to send now.
    pub(crate) fn with<T>(&self, use_it: impl FnOnce(Auth<'_>) -> T) -> T {
        let Some(sys) = &self.sys else {
            return use_it(Auth::NONE);
        };
        let shorthand = lock(&self.shorthand).clone();
        match shorthand {
            Some(body) => use_it(Auth {
                flavor: flavor::SHORT,
                body: &body,
            }),
            None => use_it(Auth {
                flavor: flavor::SYS,
                body: sys,
            }),
        }
    }

    /// Takes the shorthand out of a reply, if it has one.
    pub(crate) fn learn(&self, verifier: Auth<'_>) {
        if self.sys.is_some() && verifier.flavor == flavor::SHORT {
            *lock(&self.shorthand) = Some(verifier.body.to_vec());
        }
    }

    /// That the server does not take the credential: true if it was a shorthand, and the whole
    /// one is worth a call.
    pub(crate) fn forget(&self) -> bool {
        lock(&self.shorthand).take().is_some()
    }
}
