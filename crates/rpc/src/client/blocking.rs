//! Calls that block their thread until the reply is there.
//!
//! No thread belongs to a client. Of those who wait for replies one reads, for all of them; when
//! its own reply has come it hands the reading over. Whoever calls alone never changes threads.

use super::{CALLS_MAX, CallError, Terms, first_xid, negotiable, xid};
use crate::record::RECORD_MAX;
use crate::transport::{Datagram, Datagrams, Records, Stream, Transport, lock};
use crate::xdr::{Decoder, Encoder, Error, Xdr};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a call that can be cancelled waits before it looks whether it was.
const LOOK: Duration = Duration::from_millis(20);

/// Cancels calls: see [`Client::with_cancellation`].
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Not yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Now: calls with it come back within some hundredths of a second, later ones at once.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Calls a program's procedures. Copies share the connection, and any number of threads may call
/// at once.
#[derive(Clone)]
pub struct Client {
    connection: Arc<Connection>,
    terms: Terms,
    cancellation: Option<Cancellation>,
}

negotiable!(Client, Instant);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.terms.target)
            .finish_non_exhaustive()
    }
}

struct Connection {
    transport: Box<dyn Transport>,
    next_xid: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<u32, Slot>,
    /// Whether one of those who wait reads.
    is_read: bool,
    /// The transport has failed.
    failed: Option<io::ErrorKind>,
}

struct Slot {
    thread: Thread,
    reply: Option<Vec<u8>>,
}

impl Client {
    /// Calls `program` in `version` over `transport`.
    pub fn new(transport: impl Transport, program: u32, version: u32) -> Self {
        Self {
            connection: Arc::new(Connection {
                transport: Box::new(transport),
                next_xid: AtomicU32::new(first_xid()),
                state: Mutex::default(),
            }),
            terms: Terms::new(program, version),
            cancellation: None,
        }
    }

    /// Calls over a connected stream.
    pub fn stream(stream: impl Stream, program: u32, version: u32) -> Self {
        Self::new(Records::new(stream, RECORD_MAX), program, version)
    }

    /// Calls over datagrams to `server`, sent again until a reply comes.
    pub fn datagram(socket: impl Datagram, server: SocketAddr, program: u32, version: u32) -> Self {
        Self::new(Datagrams::new(socket, server), program, version)
    }

    /// With calls that `cancellation` ends.
    #[must_use]
    pub fn with_cancellation(mut self, cancellation: &Cancellation) -> Self {
        self.cancellation = Some(cancellation.clone());
        self
    }

    /// Calls `procedure` and waits for its results.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call<R: Xdr>(&self, procedure: u32, arguments: &impl Xdr) -> Result<R, CallError> {
        self.call_with(procedure, |to| arguments.encode(to), R::decode)
    }

    /// Calls `procedure` with what `arguments` writes, and takes the results by `results`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_with<R>(
        &self,
        procedure: u32,
        arguments: impl Fn(&mut Encoder<'_>) -> Result<(), Error>,
        results: impl FnOnce(&mut Decoder<'_>) -> Result<R, Error>,
    ) -> Result<R, CallError> {
        let mut reply = self.exchange(procedure, &arguments)?;
        if self.terms.try_again(&reply) {
            reply = self.exchange(procedure, &arguments)?;
        }
        self.terms.results(&reply, results)
    }

    /// Calls `procedure` and does not wait: what it returns is never seen. Over a stream the call
    /// leaves with the next that waits, or with [`flush`](Self::flush) (batching, RFC 5531 §8.4).
    ///
    /// # Errors
    /// Arguments without a representation, or the transport failed.
    pub fn batch(&self, procedure: u32, arguments: &impl Xdr) -> Result<(), CallError> {
        self.batch_with(procedure, |to| arguments.encode(to))
    }

    /// See [`batch`](Self::batch).
    ///
    /// # Errors
    /// See [`batch`](Self::batch).
    pub fn batch_with(
        &self,
        procedure: u32,
        arguments: impl Fn(&mut Encoder<'_>) -> Result<(), Error>,
    ) -> Result<(), CallError> {
        let message = self.message(self.connection.xid(), procedure, &arguments)?;
        Ok(self.connection.transport.send(&message, false)?)
    }

    /// Sends what [`batch`](Self::batch) has left, by a call of procedure 0, and waits for it:
    /// then all of the batch has arrived.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn flush(&self) -> Result<(), CallError> {
        self.call(0, &())
    }

    fn message(
        &self,
        xid: u32,
        procedure: u32,
        arguments: impl Fn(&mut Encoder<'_>) -> Result<(), Error>,
    ) -> Result<Vec<u8>, CallError> {
        let limit = self.connection.transport.message_max();
        self.terms.message(xid, procedure, limit, arguments)
    }

    fn exchange(
        &self,
        procedure: u32,
        arguments: impl Fn(&mut Encoder<'_>) -> Result<(), Error>,
    ) -> Result<Vec<u8>, CallError> {
        let xid = self.connection.xid();
        let message = self.message(xid, procedure, arguments)?;
        self.connection.begin(xid)?;
        let reply = self.wait(xid, &message);
        self.connection.end(xid);
        reply
    }

    /// Sends the call, as often as it takes, and waits for its reply.
    fn wait(&self, xid: u32, message: &[u8]) -> Result<Vec<u8>, CallError> {
        let begun = Instant::now();
        let deadline = self.terms.end(begun);
        let connection = &*self.connection;
        connection.transport.send(message, true)?;
        let mut sent = 1;
        let mut again =
            (!connection.transport.is_reliable()).then(|| begun + self.terms.backoff.after(1));
        loop {
            let mut until = again.map_or(deadline, |again| again.min(deadline));
            if self.cancellation.is_some() {
                until = until.min(Instant::now() + LOOK);
            }
            if let Some(reply) = connection.reply(xid, until)? {
                return Ok(reply);
            }
            let now = Instant::now();
            if self
                .cancellation
                .as_ref()
                .is_some_and(Cancellation::is_cancelled)
            {
                return Err(CallError::Cancelled);
            }
            if now >= deadline {
                return Err(CallError::TimedOut);
            }
            if again.is_some_and(|again| now >= again) {
                connection.transport.send(message, true)?;
                sent += 1;
                again = Some(now + self.terms.backoff.after(sent));
            }
        }
    }
}

impl Connection {
    fn xid(&self) -> u32 {
        self.next_xid.fetch_add(1, Ordering::Relaxed)
    }

    fn begin(&self, xid: u32) -> Result<(), CallError> {
        let mut state = lock(&self.state);
        if let Some(kind) = state.failed {
            return Err(CallError::Io(kind.into()));
        }
        if state.waiting.len() >= CALLS_MAX {
            return Err(CallError::TooManyCalls);
        }
        let slot = Slot {
            thread: thread::current(),
            reply: None,
        };
        state.waiting.insert(xid, slot);
        Ok(())
    }

    fn end(&self, xid: u32) {
        let mut state = lock(&self.state);
        state.waiting.remove(&xid);
        // Whoever was asked to read may be the one who left.
        state.wake_reader();
    }

    /// Waits for the reply until `until`: reads, or lets another read.
    fn reply(&self, xid: u32, until: Instant) -> Result<Option<Vec<u8>>, CallError> {
        loop {
            let mut state = lock(&self.state);
            if let Some(reply) = state.waiting.get_mut(&xid).and_then(|s| s.reply.take()) {
                return Ok(Some(reply));
            }
            if let Some(kind) = state.failed {
                return Err(CallError::Io(kind.into()));
            }
            if state.is_read {
                drop(state);
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(None);
                }
                thread::park_timeout(left);
                continue;
            }
            state.is_read = true;
            drop(state);
            let outcome = self.read(xid, until);
            let mut state = lock(&self.state);
            state.is_read = false;
            return match outcome {
                Ok(reply) => Ok(reply),
                Err(error) => {
                    state.failed = Some(error.kind());
                    state.waiting.values().for_each(|s| s.thread.unpark());
                    Err(CallError::Io(error))
                }
            };
        }
    }

    /// Reads until the reply to `xid` is there, and gives the others theirs.
    fn read(&self, own: u32, until: Instant) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut reply = None;
            let came = self.transport.receive(Some(until), &mut |message| {
                let Some(xid) = xid(message) else {
                    return;
                };
                if xid == own {
                    reply = Some(message.to_vec());
                } else if let Some(slot) = lock(&self.state).waiting.get_mut(&xid) {
                    slot.reply = Some(message.to_vec());
                    slot.thread.unpark();
                }
            })?;
            if reply.is_some() || !came {
                return Ok(reply);
            }
        }
    }
}

impl State {
    /// Lets one of those who wait read, if nobody does.
    fn wake_reader(&self) {
        if self.is_read {
            return;
        }
        if let Some(slot) = self.waiting.values().find(|slot| slot.reply.is_none()) {
            slot.thread.unpark();
        }
    }
}

/// The last copy ends the connection.
impl Drop for Connection {
    fn drop(&mut self) {
        self.transport.close();
    }
}
