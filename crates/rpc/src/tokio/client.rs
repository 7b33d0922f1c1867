//! Calls as futures. A task of the client moves its messages; what many callers say at once goes
//! out together. A call that is alone is written where it is made: nothing could join it.

use super::channel::Channel;
use super::transport::AsyncDatagram;
use crate::CallError;
use crate::client::{CALLS_MAX, Terms, first_xid, negotiable, xid};
use crate::record::{self, RECORD_MAX};
use crate::transport::{DATAGRAM_MAX, lock};
use crate::xdr::{Decoder, Encoder, Error, Xdr};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// Messages that a task moves at once, before others have their turn.
const TURN: usize = 64;

/// Calls a program's procedures. Copies share the connection; any number of calls may wait. To
/// cancel a call, drop its future.
#[derive(Debug, Clone)]
pub struct Client {
    handle: Arc<Handle>,
    terms: Terms,
}

negotiable!(Client, Instant);

/// The last one ends the connection.
#[derive(Debug)]
struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Of a stream, until it has failed. Whoever holds it does not wait.
    channel: Mutex<Option<Channel<Box<dyn Stream>>>>,
    next_xid: AtomicU32,
    is_reliable: bool,
}

/// A stream of any kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl std::fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<u32, Slot>,
    /// Records to be written; on datagrams, what is to be sent.
    records: Vec<u8>,
    datagrams: VecDeque<Vec<u8>>,
    task: Option<Waker>,
    failed: Option<io::ErrorKind>,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Slot {
    waker: Option<Waker>,
    reply: Option<Vec<u8>>,
}

impl Client {
    /// Calls over a connected stream. Within a runtime of tokio, which gets a task for it.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn stream<S>(stream: S, program: u32, version: u32) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream: Box<dyn Stream> = Box::new(stream);
        let channel = Channel::new(stream, RECORD_MAX);
        let client = Self::new(program, version, Some(channel));
        let shared = client.handle.0.clone();
        tokio::spawn(async move {
            let ended = poll_fn(|cx| match &mut *lock(&shared.channel) {
                Some(channel) => poll_stream(channel, &shared, cx),
                None => Poll::Ready(Ok(())),
            });
            let ended = ended.await;
            *lock(&shared.channel) = None;
            shared.fail(ended.err());
        });
        client
    }

    /// Calls over datagrams to `server`, sent again until a reply comes. Within a runtime of
    /// tokio.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn datagram(
        socket: impl AsyncDatagram,
        server: SocketAddr,
        program: u32,
        version: u32,
    ) -> Self {
        let client = Self::new(program, version, None);
        let shared = client.handle.0.clone();
        let mut buffer = vec![0; DATAGRAM_MAX];
        tokio::spawn(async move {
            let ended =
                poll_fn(|cx| poll_datagrams(&socket, server, &mut buffer, &shared, cx)).await;
            shared.fail(ended.err());
        });
        client
    }

    fn new(program: u32, version: u32, channel: Option<Channel<Box<dyn Stream>>>) -> Self {
        Self {
            handle: Arc::new(Handle(Arc::new(Shared {
                state: Mutex::default(),
                next_xid: AtomicU32::new(first_xid()),
                is_reliable: channel.is_some(),
                channel: Mutex::new(channel),
            }))),
            terms: Terms::new(program, version),
        }
    }

    /// Calls `procedure` and waits for its results.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R: Xdr>(&self, procedure: u32, arguments: &impl Xdr) -> Result<R, CallError> {
        self.call_with(procedure, |to| arguments.encode(to), R::decode)
            .await
    }

    /// Calls `procedure` with what `arguments` writes, and takes the results by `results`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_with<R>(
        &self,
        procedure: u32,
        arguments: impl Fn(&mut Encoder<'_>) -> Result<(), Error>,
        results: impl FnOnce(&mut Decoder<'_>) -> Result<R, Error>,
    ) -> Result<R, CallError> {
        let mut reply = self.exchange(procedure, &arguments).await?;
        if self.terms.try_again(&reply) {
            reply = self.exchange(procedure, &arguments).await?;
        }
        self.terms.results(&reply, results)
    }

    /// Calls `procedure` and does not wait: what it returns is never seen (batching, RFC 5531
    /// §8.4).
    ///
    /// # Errors
    /// Arguments without a representation, or the transport failed.
    pub fn batch(&self, procedure: u32, arguments: &impl Xdr) -> Result<(), CallError> {
        let (_, message) = self.message(procedure, |to| arguments.encode(to))?;
        self.handle.0.send(&message)
    }

    fn message(
        &self,
        procedure: u32,
        arguments: impl Fn(&mut Encoder<'_>) -> Result<(), Error>,
    ) -> Result<(u32, Vec<u8>), CallError> {
        let shared = &self.handle.0;
        let number = shared.next_xid.fetch_add(1, Ordering::Relaxed);
        let limit = if shared.is_reliable {
            RECORD_MAX
        } else {
            DATAGRAM_MAX
        };
        let message = self.terms.message(number, procedure, limit, arguments)?;
        Ok((number, message))
    }

    async fn exchange(
        &self,
        procedure: u32,
        arguments: impl Fn(&mut Encoder<'_>) -> Result<(), Error>,
    ) -> Result<Vec<u8>, CallError> {
        let begun = Instant::now();
        let (number, message) = self.message(procedure, arguments)?;
        let shared = &*self.handle.0;
        let place = shared.begin(number)?;
        poll_fn(|cx| Poll::Ready(shared.send_from(cx, &message))).await?;
        let deadline = Instant::from_std(self.terms.end(begun.into_std()));
        let mut sent = 1;
        loop {
            let again = begun + self.terms.backoff.after(sent);
            let until = if shared.is_reliable {
                deadline
            } else {
                again.max(Instant::now()).min(deadline)
            };
            if let Ok(reply) = timeout_at(until, poll_fn(|cx| place.poll(cx))).await {
                return reply;
            }
            if Instant::now() >= deadline {
                return Err(CallError::TimedOut);
            }
            shared.send(&message)?;
            sent += 1;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.is_closed = true;
        state.wake_task();
    }
}

impl State {
    fn wake_task(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn remember(&mut self, cx: &Context<'_>) {
        if !self.task.as_ref().is_some_and(|t| t.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
        }
    }
}

impl Shared {
    fn send(&self, message: &[u8]) -> Result<(), CallError> {
        let mut state = lock(&self.state);
        if let Some(kind) = state.failed {
            return Err(CallError::Io(kind.into()));
        }
        if self.is_reliable {
            record::mark(message, &mut state.records);
        } else if state.datagrams.len() < CALLS_MAX {
            state.datagrams.push_back(message.to_vec());
        }
        state.wake_task();
        Ok(())
    }

    /// Sends from within a task: at once, where no other call could go with this one.
    fn send_from(&self, cx: &mut Context<'_>, message: &[u8]) -> Result<(), CallError> {
        let state = lock(&self.state);
        let is_alone = state.waiting.len() == 1 && state.records.is_empty();
        let is_alone = is_alone && state.failed.is_none();
        drop(state);
        if !is_alone || !self.write(cx, message) {
            return self.send(message);
        }
        Ok(())
    }

    /// Writes a record, or at least begins to, unless something else is being written.
    fn write(&self, cx: &mut Context<'_>, message: &[u8]) -> bool {
        let Ok(mut channel) = self.channel.try_lock() else {
            return false;
        };
        let Some(channel) = channel.as_mut().filter(|channel| channel.unwritten() == 0) else {
            return false;
        };
        record::mark(message, &mut channel.out);
        if !matches!(channel.poll_write(cx), Poll::Ready(Ok(()))) {
            // The rest is the task's to write, or the failure to tell.
            lock(&self.state).wake_task();
        }
        true
    }

    fn begin(&self, number: u32) -> Result<Place<'_>, CallError> {
        let mut state = lock(&self.state);
        if let Some(kind) = state.failed {
            return Err(CallError::Io(kind.into()));
        }
        if state.waiting.len() >= CALLS_MAX {
            return Err(CallError::TooManyCalls);
        }
        state.waiting.insert(number, Slot::default());
        Ok(Place {
            shared: self,
            number,
        })
    }

    fn complete(&self, message: &[u8]) {
        let Some(number) = xid(message) else {
            return;
        };
        let mut state = lock(&self.state);
        let Some(slot) = state.waiting.get_mut(&number) else {
            return;
        };
        slot.reply = Some(message.to_vec());
        if let Some(waker) = slot.waker.take() {
            drop(state);
            waker.wake();
        }
    }

    fn fail(&self, error: Option<io::Error>) {
        let mut state = lock(&self.state);
        let kind = error.map_or(io::ErrorKind::UnexpectedEof, |error| error.kind());
        state.failed = Some(kind);
        for slot in state.waiting.values_mut() {
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }
}

/// A call that waits: dropped, it is forgotten.
struct Place<'a> {
    shared: &'a Shared,
    number: u32,
}

impl Place<'_> {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<Vec<u8>, CallError>> {
        let mut state = lock(&self.shared.state);
        let failed = state.failed;
        let Some(slot) = state.waiting.get_mut(&self.number) else {
            return Poll::Ready(Err(CallError::Cancelled));
        };
        if let Some(reply) = slot.reply.take() {
            return Poll::Ready(Ok(reply));
        }
        if let Some(kind) = failed {
            return Poll::Ready(Err(CallError::Io(kind.into())));
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.shared.state).waiting.remove(&self.number);
    }
}

/// Moves records until the stream or the client ends.
fn poll_stream<S: AsyncRead + AsyncWrite + Unpin>(
    channel: &mut Channel<S>,
    shared: &Shared,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    for _ in 0..TURN {
        let mut state = lock(&shared.state);
        state.remember(cx);
        if channel.unwritten() == 0 {
            channel.out.clear();
            std::mem::swap(&mut channel.out, &mut state.records);
        }
        let is_closed = state.is_closed && state.records.is_empty();
        drop(state);
        let written = channel.poll_write(cx)?.is_ready();
        if written && is_closed {
            return std::pin::Pin::new(&mut channel.stream).poll_shutdown(cx);
        }
        while let Some(reply) = channel.reader.next_record()? {
            shared.complete(reply);
        }
        match channel.poll_fill(cx)? {
            Poll::Ready(true) => {}
            Poll::Ready(false) => {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            Poll::Pending => {
                let state = lock(&shared.state);
                if state.records.is_empty() || !written {
                    return Poll::Pending;
                }
            }
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Moves datagrams until the socket or the client ends.
fn poll_datagrams(
    socket: &impl AsyncDatagram,
    server: SocketAddr,
    buffer: &mut [u8],
    shared: &Shared,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    for _ in 0..TURN {
        let mut state = lock(&shared.state);
        state.remember(cx);
        if state.is_closed {
            return Poll::Ready(Ok(()));
        }
        while let Some(datagram) = state.datagrams.front() {
            match socket.poll_send_to(cx, datagram, server) {
                Poll::Pending => break,
                // The error is of an earlier datagram; this one is repeated.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Poll::Ready(sent) => drop(sent?),
            }
            state.datagrams.pop_front();
        }
        drop(state);
        let mut room = ReadBuf::new(buffer);
        match ready!(socket.poll_recv_from(cx, &mut room)) {
            Ok(from) if from == server => shared.complete(room.filled()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
