//! Both directions between the standard streams and a socket.

use super::CHUNK;
use anyhow::Result;
use sockeye::net::{DccpSocket, TcpStream, UdpSocket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How often a time that runs after the end of the input is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Moves both directions of `stream` until both have ended.
pub(super) fn stream(
    stream: &TcpStream,
    wait: Option<Duration>,
    quit: Option<Duration>,
    input: bool,
) -> Result<()> {
    let writer = stream.try_clone()?;
    let (done, ended) = mpsc::channel();
    if input {
        thread::spawn(move || {
            let sent = each_chunk(CHUNK, |chunk| (&writer).write_all(chunk));
            // The peer may be gone already; then there is no half to close.
            let _ = writer.shutdown(Shutdown::Write);
            // Nobody listens any more when the other direction has ended first.
            let _ = done.send(sent);
        });
    } else {
        // That half stays open, and has no end.
        drop(done);
    }
    let mut time = Patience::new(wait, quit, ended);
    let mut buffer = vec![0; CHUNK];
    loop {
        stream.set_read_timeout(time.next())?;
        match unless_over((&*stream).read(&mut buffer))? {
            Some(0) => break,
            Some(length) => {
                write_out(&buffer[..length])?;
                time.heard();
            }
            None if time.is_over() => return Ok(()),
            None => {}
        }
    }
    match time.input() {
        Some(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Moves datagrams between the standard streams and the peer of `socket`.
pub(super) fn datagrams(
    socket: UdpSocket,
    wait: Option<Duration>,
    quit: Option<Duration>,
    input: bool,
) -> Result<()> {
    let (done, ended) = mpsc::channel();
    if input {
        let sender = socket.try_clone()?;
        // It ends with the process: a read of the standard input can't be given up.
        thread::spawn(move || {
            let sent = each_chunk(CHUNK, |chunk| sender.send(chunk).map(drop));
            let _ = done.send(sent);
        });
    }
    let mut time = Patience::new(wait, quit, ended);
    let mut buffer = vec![0; CHUNK];
    loop {
        socket.set_read_timeout(time.next())?;
        match unless_over(socket.recv(&mut buffer))? {
            Some(length) => {
                write_out(&buffer[..length])?;
                time.heard();
            }
            None if time.is_over() => return Ok(()),
            None => {}
        }
    }
}

/// Moves messages between the standard streams and the peer of a connection of DCCP, which has no halves
/// that end by themselves: it ends with the input, or --quit later.
pub(super) fn messages(
    socket: &DccpSocket,
    wait: Option<Duration>,
    quit: Option<Duration>,
    input: bool,
) -> Result<()> {
    let (done, ended) = mpsc::channel();
    if input {
        let sender = socket.try_clone()?;
        let size = socket.max_packet_size()?;
        thread::spawn(move || {
            let sent = each_chunk(size, |chunk| sender.send(chunk).map(drop));
            let _ = done.send(sent);
        });
    }
    let mut time = Patience::new(wait, Some(quit.unwrap_or_default()), ended);
    let mut buffer = vec![0; CHUNK];
    loop {
        socket.as_socket().set_read_timeout(time.next())?;
        match unless_over(socket.recv(&mut buffer))? {
            Some(0) => return Ok(()),
            Some(length) => {
                write_out(&buffer[..length])?;
                time.heard();
            }
            None if time.is_over() => {
                socket.shutdown(Shutdown::Both)?;
                return Ok(());
            }
            None => {}
        }
    }
}

/// How long something is still waited for: --wait after what came last, --quit after the end of the
/// input.
struct Patience {
    wait: Option<Duration>,
    quit: Option<Duration>,
    heard: Instant,
    ended: mpsc::Receiver<io::Result<()>>,
    /// When the input ended, and how.
    end: Option<(Instant, io::Result<()>)>,
}

impl Patience {
    fn new(
        wait: Option<Duration>,
        quit: Option<Duration>,
        ended: mpsc::Receiver<io::Result<()>>,
    ) -> Self {
        Self {
            wait,
            quit,
            heard: Instant::now(),
            ended,
            end: None,
        }
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// How long the next read may take.
    fn next(&mut self) -> Option<Duration> {
        self.look();
        let left = |from: Instant, time: Duration| {
            (from + time)
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1))
        };
        let wait = self.wait.map(|wait| left(self.heard, wait));
        let quit = self.quit.map(|quit| match &self.end {
            Some((at, _)) => left(*at, quit),
            None => LOOK,
        });
        wait.into_iter().chain(quit).min()
    }

    fn is_over(&mut self) -> bool {
        self.look();
        let ended = self.end.as_ref().map(|(at, _)| *at);
        let over =
            |from: Instant, time: Option<Duration>| time.is_some_and(|time| from.elapsed() >= time);
        over(self.heard, self.wait) || ended.is_some_and(|at| over(at, self.quit))
    }

    fn look(&mut self) {
        if self.end.is_none()
            && let Ok(how) = self.ended.try_recv()
        {
            self.end = Some((Instant::now(), how));
        }
    }

    /// Waits for the end of the input, and says how it ended.
    fn input(self) -> Option<io::Result<()>> {
        match self.end {
            Some((_, how)) => Some(how),
            None => self.ended.recv().ok(),
        }
    }
}

/// Hands what the standard input gives to `to`, in chunks of `size` bytes at the most.
fn each_chunk(size: usize, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut from = io::stdin().lock();
    let mut buffer = vec![0; size];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to(&buffer[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The result, or `None` when the time to wait is over.
pub(super) fn unless_over<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
