//! From a message to the procedure and back to a reply, without I/O (RFC 5531 §9).

use crate::message::{
    Accepted, Auth, AuthStatus, AuthSys, CallHeader, Credential, NoCall, RPC_VERSION, Rejected,
    ReplyBody, ReplyHeader, STARTTLS, flavor,
};
use crate::xdr::{self, Decoder, Encoder};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Users whose shorthand a server knows.
pub const SHORTHANDS_MAX: usize = 1024;

/// From where a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Inet(SocketAddr),
    /// A socket of this machine without one.
    Local,
}

impl Peer {
    /// Whether it is of the same machine, as far as its address tells.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Inet(address) => address.ip().to_canonical().is_loopback(),
            Self::Local => true,
        }
    }
}

/// A call, as the procedure sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// From where.
    pub peer: Peer,
    /// Who.
    pub credential: Credential,
    /// The program.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// The procedure.
    pub procedure: u32,
    /// The call's number.
    pub xid: u32,
}

/// Why a procedure gives no results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no such procedure.
    ProcedureUnavailable,
    /// Its arguments are none.
    GarbageArguments,
    /// Something failed.
    SystemError,
    /// Not for this caller.
    Auth(AuthStatus),
    /// The caller expects no reply: one of a batch, or a broadcast that does not concern us.
    Silent,
}

/// Arguments that can't be read.
impl From<xdr::Error> for Fault {
    fn from(_: xdr::Error) -> Self {
        Self::GarbageArguments
    }
}

/// One version of a program.
pub trait Service: Send + Sync + 'static {
    /// The program's number.
    fn program(&self) -> u32;
    /// The version.
    fn version(&self) -> u32;
    /// Executes a procedure: takes its arguments, writes its results.
    ///
    /// # Errors
    /// What the caller is told in place of results.
    fn call(
        &self,
        call: &Call,
        arguments: &mut Decoder<'_>,
        results: &mut Encoder<'_>,
    ) -> Result<(), Fault>;
}

/// A service of one function, which looks itself which procedure is called.
///
/// ```
/// use sockeye_rpc::{Fault, Programs, service_fn};
///
/// let double = service_fn(0x2000_0000, 1, |call, arguments, results| match call.procedure {
///     0 => Ok(()),
///     1 => Ok(results.u32(arguments.u32()?.wrapping_mul(2))?),
///     _ => Err(Fault::ProcedureUnavailable),
/// });
/// let programs = Programs::new().with(double);
/// # assert_eq!(programs.list().count(), 1);
/// ```
pub fn service_fn<F>(program: u32, version: u32, procedures: F) -> impl Service
where
    F: Fn(&Call, &mut Decoder<'_>, &mut Encoder<'_>) -> Result<(), Fault> + Send + Sync + 'static,
{
    ServiceFn {
        program,
        version,
        procedures,
    }
}

struct ServiceFn<F> {
    program: u32,
    version: u32,
    procedures: F,
}

impl<F> Service for ServiceFn<F>
where
    F: Fn(&Call, &mut Decoder<'_>, &mut Encoder<'_>) -> Result<(), Fault> + Send + Sync + 'static,
{
    fn program(&self) -> u32 {
        self.program
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn call(
        &self,
        call: &Call,
        arguments: &mut Decoder<'_>,
        results: &mut Encoder<'_>,
    ) -> Result<(), Fault> {
        (self.procedures)(call, arguments, results)
    }
}

/// What becomes of a call of an [`AsyncService`]: the representation of its results.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, Fault>> + Send>>;

/// One version of a program whose procedures may wait for something. Blocking servers can't have
/// it.
pub trait AsyncService: Send + Sync + 'static {
    /// The program's number.
    fn program(&self) -> u32;
    /// The version.
    fn version(&self) -> u32;
    /// Begins to execute a procedure.
    fn call(self: Arc<Self>, call: Call, arguments: Vec<u8>) -> CallFuture;
}

#[derive(Clone)]
enum Handler {
    Now(Arc<dyn Service>),
    Later(Arc<dyn AsyncService>),
}

/// The programs of a server.
#[derive(Default)]
pub struct Programs {
    /// Versions by program.
    handlers: BTreeMap<u32, BTreeMap<u32, Handler>>,
    shorthands: Option<Mutex<Shorthands>>,
    starts_tls: bool,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = |v: &BTreeMap<u32, Handler>| v.keys().copied().collect::<Vec<_>>();
        f.debug_map()
            .entries(self.handlers.iter().map(|(p, v)| (p, versions(v))))
            .finish()
    }
}

/// What came of a message.
pub enum Dispatched {
    /// The reply has been appended.
    Answered,
    /// There is nothing to say.
    Silent,
    /// The reply comes later.
    Later(Later),
    /// The reply has been appended, and TLS begins behind it (RFC 9289 §4.1).
    StartTls,
}

/// A call in execution.
pub struct Later {
    /// Its number.
    pub xid: u32,
    /// Its results.
    pub results: CallFuture,
}

impl Programs {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With `service`, too. One that was there with the same numbers goes.
    #[must_use]
    pub fn with(mut self, service: impl Service) -> Self {
        let (program, version) = (service.program(), service.version());
        self.add(program, version, Handler::Now(Arc::new(service)));
        self
    }

    /// With a service whose procedures may wait.
    #[must_use]
    pub fn with_async(mut self, service: impl AsyncService) -> Self {
        let (program, version) = (service.program(), service.version());
        self.add(program, version, Handler::Later(Arc::new(service)));
        self
    }

    fn add(&mut self, program: u32, version: u32, handler: Handler) {
        let versions = self.handlers.entry(program).or_default();
        versions.insert(version, handler);
    }

    /// Gives callers with AUTH_SYS a shorthand for it (RFC 5531 Appendix A).
    #[must_use]
    pub fn with_shorthands(mut self) -> Self {
        self.shorthands = Some(Mutex::default());
        self
    }

    /// Says that TLS may begin, where it is asked (RFC 9289).
    #[must_use]
    pub fn with_starttls(mut self) -> Self {
        self.starts_tls = true;
        self
    }

    /// All programs and versions that are here.
    pub fn list(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let versions = |(program, versions): (&u32, &BTreeMap<u32, Handler>)| {
            let program = *program;
            versions
                .keys()
                .map(move |version| (program, *version))
                .collect::<Vec<_>>()
        };
        self.handlers.iter().flat_map(versions)
    }

    /// Executes the call `message` from `peer` and appends the reply to `out`, `limit` bytes at
    /// most.
    pub fn dispatch(
        &self,
        message: &[u8],
        peer: Peer,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Dispatched {
        let mut arguments = Decoder::new(message);
        let header = match CallHeader::decode(&mut arguments) {
            Ok(header) => header,
            Err(NoCall::Other) => return Dispatched::Silent,
            Err(NoCall::RpcVersion { xid }) => {
                let (low, high) = (RPC_VERSION, RPC_VERSION);
                return reject(out, xid, Rejected::RpcMismatch { low, high });
            }
            Err(NoCall::Auth { xid, status }) => {
                return reject(out, xid, Rejected::Auth(status));
            }
        };
        let xid = header.xid;
        if header.credential.flavor == flavor::TLS {
            return self.probe(&header, out);
        }
        let (credential, shorthand) = match self.authenticate(&header) {
            Ok(who) => who,
            Err(status) => return reject(out, xid, Rejected::Auth(status)),
        };
        let verifier = shorthand.as_ref().map_or(Auth::NONE, |handle| Auth {
            flavor: flavor::SHORT,
            body: handle,
        });
        let handler = match self.find(header.program, header.version) {
            Ok(handler) => handler,
            Err(status) => return accept(out, xid, verifier, status),
        };
        let call = Call {
            peer,
            credential,
            program: header.program,
            version: header.version,
            procedure: header.procedure,
            xid,
        };
        let start = out.len();
        match handler {
            Handler::Now(service) => {
                accept(out, xid, verifier, Accepted::Success);
                let room = limit.saturating_sub(out.len() - start);
                let mut results = Encoder::with_limit(out, room);
                match service.call(&call, &mut arguments, &mut results) {
                    Ok(()) => Dispatched::Answered,
                    Err(fault) => {
                        out.truncate(start);
                        refuse(out, xid, verifier, fault)
                    }
                }
            }
            Handler::Later(service) => Dispatched::Later(Later {
                xid,
                results: service.clone().call(call, arguments.left().to_vec()),
            }),
        }
    }

    fn find(&self, program: u32, version: u32) -> Result<&Handler, Accepted> {
        let versions = self
            .handlers
            .get(&program)
            .ok_or(Accepted::ProgramUnavailable)?;
        versions.get(&version).ok_or_else(|| {
            let low = versions.keys().next().copied().unwrap_or(0);
            let high = versions.keys().next_back().copied().unwrap_or(0);
            Accepted::ProgramMismatch { low, high }
        })
    }

    /// Who calls, and the shorthand for it where one is new.
    fn authenticate(
        &self,
        header: &CallHeader<'_>,
    ) -> Result<(Credential, Option<[u8; 8]>), AuthStatus> {
        let body = header.credential.body;
        match header.credential.flavor {
            flavor::NONE => Ok((Credential::None, None)),
            flavor::SYS => {
                let user: AuthSys = xdr::from_bytes(body).map_err(|_| AuthStatus::BadCredential)?;
                let shorthand = self.with_table(|table| table.give(&user, body));
                Ok((Credential::Sys(user), shorthand))
            }
            flavor::SHORT => self
                .with_table(|table| table.users.get(body).cloned())
                .flatten()
                .map(|user| (Credential::Sys(user), None))
                .ok_or(AuthStatus::RejectedCredential),
            _ => Err(AuthStatus::RejectedCredential),
        }
    }

    fn with_table<T>(&self, look: impl FnOnce(&mut Shorthands) -> T) -> Option<T> {
        let table = self.shorthands.as_ref()?;
        Some(look(
            &mut table.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Answers the question whether TLS may begin (RFC 9289 §4.1). Any other use of the flavor is
    /// a bad credential, and so is the question where TLS is spoken already or not at all.
    fn probe(&self, header: &CallHeader<'_>, out: &mut Vec<u8>) -> Dispatched {
        let well_formed = header.procedure == 0
            && header.credential.body.is_empty()
            && header.verifier == Auth::NONE;
        if !self.starts_tls || !well_formed {
            return reject(out, header.xid, Rejected::Auth(AuthStatus::BadCredential));
        }
        let verifier = Auth {
            flavor: flavor::NONE,
            body: STARTTLS,
        };
        // The answer says whether the program is there, too.
        let status = self.find(header.program, header.version);
        let status = status.err().unwrap_or(Accepted::Success);
        accept(out, header.xid, verifier, status);
        Dispatched::StartTls
    }
}

/// Appends the reply to a call that has come to its end later.
pub fn answer(out: &mut Vec<u8>, xid: u32, results: Result<&[u8], Fault>, limit: usize) -> bool {
    let start = out.len();
    let fault = match results {
        Ok(results) => {
            accept(out, xid, Auth::NONE, Accepted::Success);
            if out.len() - start + results.len() <= limit {
                out.extend_from_slice(results);
                return true;
            }
            out.truncate(start);
            Fault::SystemError
        }
        Err(fault) => fault,
    };
    matches!(refuse(out, xid, Auth::NONE, fault), Dispatched::Answered)
}

/// Answers the question of [`Programs::with_starttls`] where TLS can't begin: it is spoken already,
/// or the transport is none for it.
pub(crate) fn refuse_tls(call: &[u8], out: &mut Vec<u8>) -> Dispatched {
    match call.first_chunk() {
        Some(xid) => reject(
            out,
            u32::from_be_bytes(*xid),
            Rejected::Auth(AuthStatus::BadCredential),
        ),
        None => Dispatched::Silent,
    }
}

fn refuse(out: &mut Vec<u8>, xid: u32, verifier: Auth<'_>, fault: Fault) -> Dispatched {
    let status = match fault {
        Fault::ProcedureUnavailable => Accepted::ProcedureUnavailable,
        Fault::GarbageArguments => Accepted::GarbageArguments,
        Fault::SystemError => Accepted::SystemError,
        Fault::Auth(status) => return reject(out, xid, Rejected::Auth(status)),
        Fault::Silent => return Dispatched::Silent,
    };
    accept(out, xid, verifier, status)
}

fn accept(out: &mut Vec<u8>, xid: u32, verifier: Auth<'_>, status: Accepted) -> Dispatched {
    reply(out, xid, ReplyBody::Accepted { verifier, status })
}

fn reject(out: &mut Vec<u8>, xid: u32, rejected: Rejected) -> Dispatched {
    reply(out, xid, ReplyBody::Rejected(rejected))
}

fn reply(out: &mut Vec<u8>, xid: u32, body: ReplyBody<'_>) -> Dispatched {
    // A header is a few words and a verifier of ours: it has no limit to break.
    match (ReplyHeader { xid, body }).encode(&mut Encoder::new(out)) {
        Ok(()) => Dispatched::Answered,
        Err(_) => Dispatched::Silent,
    }
}

/// The users whose shorthand was given out, the oldest forgotten first.
#[derive(Debug, Default)]
struct Shorthands {
    users: BTreeMap<[u8; 8], AuthSys>,
    order: VecDeque<[u8; 8]>,
    hasher: RandomState,
}

impl Shorthands {
    /// The shorthand for `user`, whose credential is `body`.
    fn give(&mut self, user: &AuthSys, body: &[u8]) -> [u8; 8] {
        let handle = self.hasher.hash_one(body).to_be_bytes();
        if self.users.insert(handle, user.clone()).is_none() {
            self.order.push_back(handle);
        }
        if self.order.len() > SHORTHANDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.users.remove(&oldest);
        }
        handle
    }
}

#[cfg(test)]
mod tests;
