//! What messages are carried over, blocking: byte streams, and datagrams.
//!
//! A [`Transport`] moves whole messages between a client and its server. [`Records`] makes one of
//! any [`Stream`], [`Datagrams`] of any [`Datagram`] socket; sockeye's sockets and the system's
//! are both. (Tokio's and `sockeye::tokio`'s need no trait for streams: they are `AsyncRead` and
//! `AsyncWrite`.)

use crate::dispatch::Peer;
use crate::record::{self, RecordReader};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest datagram over IPv4.
pub const DATAGRAM_MAX: usize = 65_507;

/// Bytes of a batch that wait for more; then they are sent.
const BATCH: usize = 64 << 10;

/// A byte stream that several threads use at once.
pub trait Stream: Send + Sync + 'static {
    /// Waits for bytes; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` or `TimedOut` when the time is over.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The connection's.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;
    /// How long [`read`](Self::read) waits.
    ///
    /// # Errors
    /// The socket's.
    fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()>;
    /// Ends both directions: a read that waits comes back.
    ///
    /// # Errors
    /// The socket's.
    fn close(&self) -> io::Result<()>;
}

/// A socket that takes streams.
pub trait Listener: Send + Sync + 'static {
    /// What it takes.
    type Stream: Stream;
    /// Waits for the next.
    ///
    /// # Errors
    /// The socket's.
    fn accept(&self) -> io::Result<(Self::Stream, Peer)>;
}

/// A socket for datagrams.
pub trait Datagram: Send + Sync + 'static {
    /// Sends one.
    ///
    /// # Errors
    /// The socket's.
    fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()>;
    /// Waits for one.
    ///
    /// # Errors
    /// `WouldBlock` or `TimedOut` when the time is over.
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    /// How long [`recv_from`](Self::recv_from) waits.
    ///
    /// # Errors
    /// The socket's.
    fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()>;
}

macro_rules! streams {
    ($($stream:ty, $listener:ty, $peer:expr;)*) => { $(
        impl Stream for $stream {
            fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                let mut stream = self;
                Read::read(&mut stream, buffer)
            }
            fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
                let mut stream = self;
                Write::write_all(&mut stream, bytes)
            }
            fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
                <$stream>::set_read_timeout(self, time)
            }
            fn close(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Both)
            }
        }

        impl Listener for $listener {
            type Stream = $stream;
            fn accept(&self) -> io::Result<(Self::Stream, Peer)> {
                let (stream, from) = <$listener>::accept(self)?;
                Ok((stream, $peer(from)))
            }
        }
    )* };
}

streams! {
    std::net::TcpStream, std::net::TcpListener, Peer::Inet;
    sockeye::net::TcpStream, sockeye::net::TcpListener, Peer::Inet;
    sockeye::net::SctpStream, sockeye::net::SctpListener, Peer::Inet;
    sockeye::unix::UnixStream, sockeye::unix::UnixListener, |_| Peer::Local;
    std::os::unix::net::UnixStream, std::os::unix::net::UnixListener, |_| Peer::Local;
}

macro_rules! datagrams {
    ($($socket:ty;)*) => { $(
        impl Datagram for $socket {
            fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
                <$socket>::send_to(self, datagram, to).map(drop)
            }
            fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
                <$socket>::recv_from(self, buffer)
            }
            fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
                <$socket>::set_read_timeout(self, time)
            }
        }
    )* };
}

datagrams! {
    std::net::UdpSocket;
    sockeye::net::UdpSocket;
}

/// Carries whole messages to a server and back. Several threads send; one at a time receives.
pub trait Transport: Send + Sync + 'static {
    /// Whether what is sent arrives, unless the transport fails: then nothing is sent twice.
    fn is_reliable(&self) -> bool;

    /// The longest message.
    fn message_max(&self) -> usize;

    /// Sends a message; one that is no hurry waits for the next that is.
    ///
    /// # Errors
    /// The transport has failed.
    fn send(&self, message: &[u8], hurry: bool) -> io::Result<()>;

    /// Waits for a message and hands it to `take`, then for nothing more. False when `until` has
    /// come before.
    ///
    /// # Errors
    /// The transport has failed; `UnexpectedEof` when the server ended it.
    fn receive(&self, until: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<bool>;

    /// Ends it: [`receive`](Self::receive) comes back.
    fn close(&self);
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an error says no more than that the time is over.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// The time-out that a socket has: it is set anew only when it no longer fits, since that may be a
/// system call. It is never longer than asked; who wakes early waits again.
#[derive(Debug, Default)]
struct ReadTimeout(Option<Duration>);

impl ReadTimeout {
    /// The time to set for a wait until `until`, if it is another; `Err` when that has come.
    fn fit(&mut self, until: Option<Instant>) -> Result<Option<Option<Duration>>, ()> {
        let wanted = match until {
            None => None,
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(());
                }
                let micros = u64::try_from(left.as_micros()).unwrap_or(u64::MAX).max(1);
                Some(Duration::from_micros(1 << micros.ilog2()))
            }
        };
        let changed = (wanted != self.0).then_some(wanted);
        self.0 = wanted;
        Ok(changed)
    }
}

/// Messages as records of a stream (RFC 5531 §11).
#[derive(Debug)]
pub struct Records<S> {
    stream: S,
    record_max: usize,
    /// What is to be written; whoever holds `writer` writes it.
    out: Mutex<Vec<u8>>,
    writer: Mutex<Vec<u8>>,
    input: Mutex<(RecordReader, ReadTimeout)>,
}

impl<S: Stream> Records<S> {
    /// Records of `record_max` bytes at most, over `stream`.
    pub fn new(stream: S, record_max: usize) -> Self {
        Self {
            stream,
            record_max,
            out: Mutex::default(),
            writer: Mutex::default(),
            input: Mutex::new((RecordReader::new(record_max), ReadTimeout::default())),
        }
    }

    /// Writes what waits. What others add meanwhile goes with it, or they write it themselves.
    fn flush(&self) -> io::Result<()> {
        let mut writing = lock(&self.writer);
        writing.clear();
        std::mem::swap(&mut *writing, &mut lock(&self.out));
        if writing.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&writing)
    }
}

impl<S: Stream> Transport for Records<S> {
    fn is_reliable(&self) -> bool {
        true
    }

    fn message_max(&self) -> usize {
        self.record_max
    }

    fn send(&self, message: &[u8], hurry: bool) -> io::Result<()> {
        let mut out = lock(&self.out);
        record::mark(message, &mut out);
        let waiting = out.len();
        drop(out);
        if hurry || waiting >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn receive(&self, until: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let (reader, timeout) = &mut *lock(&self.input);
        loop {
            if let Some(record) = reader.next_record()? {
                take(record);
                return Ok(true);
            }
            match timeout.fit(until) {
                Ok(Some(time)) => self.stream.set_read_timeout(time)?,
                Ok(None) => {}
                Err(()) => return Ok(false),
            }
            match self.stream.read(reader.room()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => reader.filled(count),
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn close(&self) {
        // It may be closed already.
        let _ = self.stream.close();
    }
}

/// Messages as datagrams, to one server.
#[derive(Debug)]
pub struct Datagrams<D> {
    socket: D,
    server: SocketAddr,
    input: Mutex<(Vec<u8>, ReadTimeout)>,
}

impl<D: Datagram> Datagrams<D> {
    /// Datagrams to `server` and back.
    pub fn new(socket: D, server: SocketAddr) -> Self {
        Self {
            socket,
            server,
            input: Mutex::new((vec![0; DATAGRAM_MAX], ReadTimeout::default())),
        }
    }
}

impl<D: Datagram> Transport for Datagrams<D> {
    fn is_reliable(&self) -> bool {
        false
    }

    fn message_max(&self) -> usize {
        DATAGRAM_MAX
    }

    fn send(&self, message: &[u8], _: bool) -> io::Result<()> {
        match self.socket.send_to(message, self.server) {
            // The error is of an earlier datagram; this one may fare better, and is repeated.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => other,
        }
    }

    fn receive(&self, until: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let (buffer, timeout) = &mut *lock(&self.input);
        loop {
            match timeout.fit(until) {
                Ok(Some(time)) => self.socket.set_read_timeout(time)?,
                Ok(None) => {}
                Err(()) => return Ok(false),
            }
            match self.socket.recv_from(buffer) {
                Ok((length, from)) if from == self.server => {
                    take(&buffer[..length]);
                    return Ok(true);
                }
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn close(&self) {}
}
