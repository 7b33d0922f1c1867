//! On what terms a client calls: what, as whom, for how long, how often.

use super::{CallError, Identity, Target, encode_call, is_rejected, open_reply};
use crate::backoff::Backoff;
use crate::xdr::{Decoder, Encoder, Error};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a call waits for its reply, unless it is told otherwise: as libtirpc.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(25);

/// What holds for each call of a client.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) target: Target,
    pub(crate) identity: Arc<Identity>,
    pub(crate) timeout: Duration,
    /// An end that all calls share.
    pub(crate) deadline: Option<Instant>,
    /// On datagrams.
    pub(crate) backoff: Backoff,
}

impl Terms {
    pub(crate) fn new(program: u32, version: u32) -> Self {
        Self {
            target: Target { program, version },
            identity: Arc::default(),
            timeout: TIMEOUT,
            deadline: None,
            backoff: Backoff::default(),
        }
    }

    /// When a call that has begun at `begun` ends without a reply.
    pub(crate) fn end(&self, begun: Instant) -> Instant {
        let by_time = begun + self.timeout;
        self.deadline.map_or(by_time, |end| end.min(by_time))
    }

    /// A call of `procedure` under the number `xid`.
    pub(crate) fn message(
        &self,
        xid: u32,
        procedure: u32,
        limit: usize,
        arguments: impl FnOnce(&mut Encoder<'_>) -> Result<(), Error>,
    ) -> Result<Vec<u8>, CallError> {
        self.identity.with(|credential| {
            encode_call(xid, self.target, procedure, credential, limit, arguments)
        })
    }

    /// Whether the call is worth another try: its shorthand was forgotten there, and now here.
    pub(crate) fn try_again(&self, reply: &[u8]) -> bool {
        is_rejected(reply) && self.identity.forget()
    }

    /// The results in `reply`, which are all of it.
    pub(crate) fn results<R>(
        &self,
        reply: &[u8],
        results: impl FnOnce(&mut Decoder<'_>) -> Result<R, Error>,
    ) -> Result<R, CallError> {
        let (verifier, mut from) = open_reply(reply)?;
        self.identity.learn(verifier);
        let results = results(&mut from).map_err(CallError::Reply)?;
        from.finish().map_err(CallError::Reply)?;
        Ok(results)
    }
}

/// How a client that has `terms` is given others. Its deadlines are times of `$instant`.
macro_rules! negotiable {
    ($client:ident, $instant:ty) => {
        impl $client {
            /// The same connection, for another program.
            #[must_use]
            pub fn program(&self, program: u32, version: u32) -> Self {
                let mut client = self.clone();
                client.terms.target = crate::client::Target { program, version };
                client
            }

            /// With so much time for each call.
            #[must_use]
            pub fn with_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.terms.timeout = timeout;
                self
            }

            /// With an end that all calls share, beside the time of each.
            #[must_use]
            pub fn with_deadline(mut self, deadline: $instant) -> Self {
                self.terms.deadline = Some(deadline.into());
                self
            }

            /// With other times between repetitions, on datagrams.
            #[must_use]
            pub fn with_backoff(mut self, backoff: crate::backoff::Backoff) -> Self {
                self.terms.backoff = backoff;
                self
            }

            /// As `user`, whom nothing proves (AUTH_SYS); by shorthand once the server gives one.
            ///
            /// # Errors
            /// The user has too many groups, or the machine too long a name.
            pub fn with_auth_sys(
                mut self,
                user: &crate::message::AuthSys,
            ) -> Result<Self, crate::xdr::Error> {
                self.terms.identity = std::sync::Arc::new(crate::client::Identity::sys(user)?);
                Ok(self)
            }

            /// As the one that `other` says to be; what either learns of it both know.
            #[must_use]
            pub fn with_identity_of(mut self, other: &Self) -> Self {
                self.terms.identity = other.terms.identity.clone();
                self
            }
        }
    };
}
pub(crate) use negotiable;
