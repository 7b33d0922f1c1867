//! A server whose connections have a thread each.

use super::{Limits, ServerCounters};
use crate::dispatch::{Dispatched, Fault, Later, Peer, Programs, answer, refuse_tls};
use crate::duplicate::{DuplicateCache, Key, Verdict};
use crate::record::{self, RecordError, RecordReader};
use crate::transport::{DATAGRAM_MAX, Datagram, Listener, Stream, lock};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// Serves programs over any number of sockets. Copies are the same server.
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    programs: Programs,
    limits: Limits,
    counters: ServerCounters,
    connections: AtomicUsize,
    duplicates: Mutex<DuplicateCache>,
}

impl Server {
    /// Serves `programs` within the usual limits.
    #[must_use]
    pub fn new(programs: Programs) -> Self {
        Self::with_limits(programs, Limits::default())
    }

    /// Serves `programs` within `limits`.
    #[must_use]
    pub fn with_limits(programs: Programs, limits: Limits) -> Self {
        let duplicates = DuplicateCache::new(limits.duplicates_max, limits.duplicate_bytes_max);
        Self {
            shared: Arc::new(Shared {
                programs,
                limits,
                counters: ServerCounters::default(),
                connections: AtomicUsize::new(0),
                duplicates: Mutex::new(duplicates),
            }),
        }
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> &ServerCounters {
        &self.shared.counters
    }

    /// The programs that it serves.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.shared.programs
    }

    /// Takes connections and serves each on a thread of its own.
    ///
    /// # Errors
    /// The listener's; it serves until then.
    pub fn serve(&self, listener: &impl Listener) -> io::Result<()> {
        loop {
            let (stream, peer) = match listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                other => other?,
            };
            let Some(place) = self.place() else {
                self.shared.counters.connections_refused.add();
                continue;
            };
            let server = self.clone();
            thread::Builder::new()
                .name("rpc connection".into())
                .spawn(move || {
                    // How a connection ends is its peer's affair.
                    let _ = server.serve_stream(&stream, peer);
                    drop(place);
                })?;
        }
    }

    /// What it gives at most.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn place(&self) -> Option<Place> {
        let place = Place(self.shared.clone());
        let before = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        (before < self.shared.limits.connections_max).then_some(place)
    }

    /// Serves one connection to its end, call after call.
    ///
    /// # Errors
    /// The stream's, or its records break a limit.
    pub fn serve_stream(&self, stream: &impl Stream, peer: Peer) -> io::Result<()> {
        let Shared {
            limits, counters, ..
        } = &*self.shared;
        counters.connections.add();
        stream.set_read_timeout(Some(limits.idle_time))?;
        let mut reader = RecordReader::new(limits.record_max);
        let mut out = Vec::new();
        loop {
            // All that has come is answered before anything is written.
            while let Some(call) = next_record(&mut reader, counters)? {
                let start = record::begin(&mut out);
                if self.answer(call, peer, &mut out) {
                    record::end(&mut out, start);
                } else {
                    out.truncate(start);
                }
                if out.len() >= limits.unread_max {
                    stream.write_all(&out)?;
                    out.clear();
                }
            }
            if !out.is_empty() {
                stream.write_all(&out)?;
                out.clear();
                out.shrink_to(64 << 10);
            }
            match stream.read(reader.room())? {
                0 if reader.is_between_records() => return Ok(()),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => reader.filled(count),
            }
        }
    }

    /// Answers datagrams, the same call never executed twice.
    ///
    /// # Errors
    /// The socket's; it serves until then.
    pub fn serve_datagrams(&self, socket: &impl Datagram) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer) {
                // An earlier reply found nobody.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                other => other?,
            };
            if let Some(reply) = self.answer_datagram(&buffer[..length], from) {
                // What can't be sent is as good as lost.
                let _ = socket.send_to(&reply, from);
            }
        }
    }

    fn answer_datagram(&self, call: &[u8], from: SocketAddr) -> Option<Arc<[u8]>> {
        match self.datagram(call, from) {
            Datagrammed::Silent => None,
            Datagrammed::Reply(reply) => Some(reply),
            Datagrammed::Later(key, later) => {
                self.counters().not_here.add();
                self.datagram_done(key, later.xid, &Err(Fault::SystemError))
            }
        }
    }

    /// Executes the call in a datagram, if it is new.
    pub(crate) fn datagram(&self, call: &[u8], from: SocketAddr) -> Datagrammed {
        let counters = &self.shared.counters;
        let mut duplicates = lock(&self.shared.duplicates);
        let Some(key) = duplicates.key(from, call) else {
            return Datagrammed::Silent;
        };
        match duplicates.look(key, Instant::now()) {
            Verdict::New => {}
            Verdict::Done(reply) => {
                counters.duplicates.add();
                return Datagrammed::Reply(reply);
            }
            Verdict::InProgress | Verdict::Full => {
                counters.duplicates_dropped.add();
                return Datagrammed::Silent;
            }
        }
        drop(duplicates);
        let mut out = Vec::new();
        let reply = match self.dispatch_within(call, Peer::Inet(from), &mut out, DATAGRAM_MAX) {
            Dispatched::Later(later) => return Datagrammed::Later(key, later),
            Dispatched::Silent => None,
            Dispatched::Answered | Dispatched::StartTls => Some(Arc::from(out)),
        };
        lock(&self.shared.duplicates).done(key, reply.clone(), Instant::now());
        reply.map_or(Datagrammed::Silent, Datagrammed::Reply)
    }

    /// The reply to a call whose results came later.
    pub(crate) fn datagram_done(
        &self,
        key: Key,
        xid: u32,
        results: &Result<Vec<u8>, Fault>,
    ) -> Option<Arc<[u8]>> {
        let mut out = Vec::new();
        let results = results.as_deref().map_err(|fault| *fault);
        let answered = answer(&mut out, xid, results, DATAGRAM_MAX);
        let count = if answered {
            &self.counters().replies
        } else {
            &self.counters().silent
        };
        count.add();
        let reply = answered.then(|| Arc::from(out));
        lock(&self.shared.duplicates).done(key, reply.clone(), Instant::now());
        reply
    }

    /// Appends the reply to `call`, if there is one.
    fn answer(&self, call: &[u8], peer: Peer, out: &mut Vec<u8>) -> bool {
        match self.dispatch(call, peer, out, false) {
            Dispatched::Answered | Dispatched::StartTls => true,
            Dispatched::Silent => false,
            Dispatched::Later(later) => {
                self.counters().not_here.add();
                let limit = self.shared.limits.record_max;
                answer(out, later.xid, Err(Fault::SystemError), limit)
            }
        }
    }

    /// Executes a call on a stream; whether TLS may begin there is for whoever carries it.
    pub(crate) fn dispatch(
        &self,
        call: &[u8],
        peer: Peer,
        out: &mut Vec<u8>,
        may_start_tls: bool,
    ) -> Dispatched {
        let start = out.len();
        let limit = self.shared.limits.record_max;
        match self.dispatch_within(call, peer, out, limit) {
            Dispatched::StartTls if !may_start_tls => {
                out.truncate(start);
                refuse_tls(call, out)
            }
            other => other,
        }
    }

    fn dispatch_within(
        &self,
        call: &[u8],
        peer: Peer,
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Dispatched {
        let Shared {
            programs, counters, ..
        } = &*self.shared;
        counters.messages.add();
        let dispatched = programs.dispatch(call, peer, out, limit);
        match dispatched {
            Dispatched::Answered | Dispatched::StartTls => counters.replies.add(),
            Dispatched::Silent => counters.silent.add(),
            Dispatched::Later(_) => {}
        }
        dispatched
    }
}

pub(crate) fn next_record<'a>(
    reader: &'a mut RecordReader,
    counters: &ServerCounters,
) -> Result<Option<&'a [u8]>, RecordError> {
    reader
        .next_record()
        .inspect_err(|_| counters.bad_records.add())
}

/// A connection among those that are counted.
#[derive(Debug)]
pub(crate) struct Place(Arc<Shared>);

/// What came of a datagram.
pub(crate) enum Datagrammed {
    Silent,
    Reply(Arc<[u8]>),
    Later(Key, Later),
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
