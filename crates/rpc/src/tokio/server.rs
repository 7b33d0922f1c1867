//! A server whose connections have a task each.

use super::channel::Channel;
use super::transport::{AsyncDatagram, AsyncListener};
use crate::dispatch::{Dispatched, Fault, Later, Peer, answer};
use crate::record;
use crate::server::{Datagrammed, Server};
use crate::transport::DATAGRAM_MAX;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};

/// Rounds of a connection before others have their turn.
const TURN: usize = 64;

/// A connection, and its calls in execution.
struct Connection<'a, S> {
    server: &'a Server,
    channel: Channel<S>,
    peer: Peer,
    calls: JoinSet<(u32, Result<Vec<u8>, Fault>)>,
    has_ended: bool,
    idle: Pin<Box<Sleep>>,
    last: Instant,
    /// Whether TLS is spoken already.
    is_tls: bool,
    starts_tls: bool,
}

/// How a connection ended.
pub(super) enum End<S> {
    Closed,
    /// TLS begins on it.
    StartTls(S),
}

impl Server {
    /// Takes connections and serves each in a task of its own, which ends with this future.
    ///
    /// # Errors
    /// The listener's; it serves until then.
    pub async fn serve_async(&self, listener: impl AsyncListener) -> io::Result<()> {
        self.serve_each(listener, |server, stream, peer| async move {
            server.serve_stream_async(stream, peer).await
        })
        .await
    }

    /// Takes connections and has each served by `serve`, in a task of its own.
    pub(super) async fn serve_each<L, S>(
        &self,
        listener: L,
        serve: impl Fn(Self, L::Stream, Peer) -> S,
    ) -> io::Result<()>
    where
        L: AsyncListener,
        S: Future<Output = io::Result<()>> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            let accepted = poll_fn(|cx| {
                while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
                listener.poll_accept(cx)
            });
            let (stream, peer) = match accepted.await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                other => other?,
            };
            let Some(place) = self.place() else {
                self.counters().connections_refused.add();
                continue;
            };
            let served = serve(self.clone(), stream, peer);
            connections.spawn(async move {
                // How a connection ends is its peer's affair.
                let _ = served.await;
                drop(place);
            });
        }
    }

    /// Serves one connection to its end.
    ///
    /// # Errors
    /// The stream's, or its records break a limit.
    pub async fn serve_stream_async<S>(&self, stream: S, peer: Peer) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.counters().connections.add();
        // Whoever asks for TLS here is told that there is none.
        self.serve_until_tls(stream, peer, true).await.map(drop)
    }

    /// Serves one connection until it ends or TLS begins on it; that is refused if `is_tls`.
    pub(super) async fn serve_until_tls<S>(
        &self,
        stream: S,
        peer: Peer,
        is_tls: bool,
    ) -> io::Result<End<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = self.limits();
        let mut connection = Connection {
            server: self,
            channel: Channel::new(stream, limits.record_max),
            peer,
            calls: JoinSet::new(),
            has_ended: false,
            idle: Box::pin(sleep_until(Instant::now() + limits.idle_time)),
            last: Instant::now(),
            is_tls,
            starts_tls: false,
        };
        poll_fn(|cx| connection.poll(cx)).await?;
        if !connection.starts_tls {
            return Ok(End::Closed);
        }
        // What comes between the question and TLS is discarded, and the connection with it (RFC
        // 9289 §5.1.1).
        if !connection.channel.reader.is_between_records() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(End::StartTls(connection.channel.stream))
    }

    /// Answers datagrams, the same call never executed twice.
    ///
    /// # Errors
    /// The socket's; it serves until then.
    pub async fn serve_datagrams_async(&self, socket: impl AsyncDatagram) -> io::Result<()> {
        let socket = Arc::new(socket);
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut calls = JoinSet::new();
        loop {
            let received = poll_fn(|cx| {
                while let Poll::Ready(Some(_)) = calls.poll_join_next(cx) {}
                let mut room = ReadBuf::new(&mut buffer);
                let from = socket.poll_recv_from(cx, &mut room);
                let length = room.filled().len();
                from.map_ok(|from| (length, from))
            });
            let (length, from) = match received.await {
                // An earlier reply found nobody.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                other => other?,
            };
            match self.datagram(&buffer[..length], from) {
                Datagrammed::Silent => {}
                Datagrammed::Reply(reply) => send(&*socket, &reply, from).await,
                Datagrammed::Later(key, later) => {
                    // One in execution too many waits here, and the others in the socket.
                    while calls.len() >= self.limits().calls_max {
                        calls.join_next().await;
                    }
                    let (server, socket) = (self.clone(), socket.clone());
                    calls.spawn(async move {
                        let results = later.results.await;
                        if let Some(reply) = server.datagram_done(key, later.xid, &results) {
                            send(&*socket, &reply, from).await;
                        }
                    });
                }
            }
        }
    }
}

/// What can't be sent is as good as lost.
async fn send(socket: &impl AsyncDatagram, reply: &[u8], to: SocketAddr) {
    let _ = poll_fn(|cx| socket.poll_send_to(cx, reply, to)).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURN {
            let mut progressed = self.finish_calls(cx);
            let executed = self.calls.len();
            // What came lies there at most while a limit holds: it is looked at first.
            progressed |= self.take_calls()?;
            let mut is_drained = false;
            if self.may_read() {
                match self.channel.poll_fill(cx)? {
                    Poll::Pending => is_drained = true,
                    Poll::Ready(more) => {
                        self.has_ended = !more;
                        if self.has_ended && !self.channel.reader.is_between_records() {
                            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                        }
                        progressed = true;
                        self.take_calls()?;
                    }
                }
            }
            let written = self.channel.poll_write(cx)?.is_ready();
            let is_done = self.starts_tls || self.has_ended && self.calls.is_empty();
            if is_done && written {
                return Poll::Ready(Ok(()));
            }
            if progressed {
                self.last = Instant::now();
            }
            // Calls that began in this round are asked for their ends once.
            if !progressed || is_drained && self.calls.len() == executed {
                return self.poll_idle(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.idle.as_mut().poll(cx).is_ready() {
            let end = self.last + self.server.limits().idle_time;
            if end <= Instant::now() && self.calls.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let end = end.max(Instant::now() + std::time::Duration::from_millis(10));
            self.idle.as_mut().reset(end);
        }
        Poll::Pending
    }

    /// Whether another call is within the limits.
    fn may_take(&self) -> bool {
        let limits = self.server.limits();
        self.calls.len() < limits.calls_max
            && self.channel.unwritten() < limits.unread_max
            && !self.starts_tls
    }

    fn may_read(&self) -> bool {
        self.may_take() && !self.has_ended
    }

    fn finish_calls(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progressed = false;
        while let Poll::Ready(Some(done)) = self.calls.poll_join_next(cx) {
            progressed = true;
            // A procedure that panics has no reply.
            let Ok((xid, results)) = done else { continue };
            let out = &mut self.channel.out;
            let start = record::begin(out);
            let results = results.as_deref().map_err(|fault| *fault);
            if answer(out, xid, results, self.server.limits().record_max) {
                record::end(out, start);
                self.server.counters().replies.add();
            } else {
                out.truncate(start);
                self.server.counters().silent.add();
            }
        }
        progressed
    }

    fn take_calls(&mut self) -> io::Result<bool> {
        let mut progressed = false;
        while self.may_take() {
            let Channel { reader, out, .. } = &mut self.channel;
            let Some(call) = crate::server::next_record(reader, self.server.counters())? else {
                break;
            };
            progressed = true;
            let start = record::begin(out);
            let dispatched = self.server.dispatch(call, self.peer, out, !self.is_tls);
            match dispatched {
                Dispatched::Answered => record::end(out, start),
                Dispatched::Silent => out.truncate(start),
                Dispatched::StartTls => {
                    record::end(out, start);
                    self.starts_tls = true;
                }
                Dispatched::Later(Later { xid, results }) => {
                    out.truncate(start);
                    self.calls.spawn(async move { (xid, results.await) });
                }
            }
        }
        Ok(progressed)
    }
}
