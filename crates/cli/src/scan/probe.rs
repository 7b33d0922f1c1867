//! Sending probes and hearing what comes back, until each has an answer or has been given up.

use super::pace::Pace;
use super::verdict::{Method, Reason, State};
use anyhow::Result;
use sockeye::{Ancillary, Domain, ExtendedError, MessageFlags, PollFd, Readiness, Socket, poll};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is known of one port, or host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) state: State,
    pub(super) reason: Reason,
    /// How long it took; none for silence and for what somebody else said.
    pub(super) time: Option<Duration>,
}

/// What a prober has heard.
pub(super) struct Heard {
    /// About which probe.
    pub(super) item: usize,
    pub(super) state: State,
    pub(super) reason: Reason,
}

/// Probes of one kind. They are told apart by their number.
pub(super) trait Prober {
    /// Sends one; what is known at once is heard next.
    fn send(&mut self, item: usize) -> Result<()>;

    /// Waits until something has come, at most for `wait`, and says what.
    fn hear(&mut self, wait: Duration) -> Result<Vec<Heard>>;

    /// Nothing more is wanted of it.
    fn forget(&mut self, _item: usize) {}
}

/// One that has been sent.
struct Flight {
    item: usize,
    attempt: u32,
    sent: Instant,
    until: Instant,
}

/// Asks for `count` items in the order that `order` says, and tells `done` of each that is settled.
pub(super) fn ask(
    prober: &mut dyn Prober,
    method: Method,
    order: Vec<usize>,
    pace: &mut Pace,
    mut done: impl FnMut(usize),
) -> Result<Vec<Answer>> {
    let mut answers: Vec<Option<Answer>> = vec![None; order.len()];
    let mut waiting: VecDeque<(usize, u32)> = order.into_iter().map(|item| (item, 0)).collect();
    let mut flights: Vec<Flight> = Vec::new();
    while !(waiting.is_empty() && flights.is_empty()) {
        let now = Instant::now();
        for over in flights.extract_if(.., |flight| flight.until <= now) {
            if pace.again(over.attempt) {
                // Behind those that were never asked for: what answers so many times a second has
                // had time then.
                waiting.push_back((over.item, over.attempt + 1));
                continue;
            }
            prober.forget(over.item);
            answers[over.item] = Some(Answer {
                state: method.of_silence(),
                reason: Reason::NoResponse,
                time: None,
            });
            done(over.item);
        }
        let mut wake = flights.iter().map(|flight| flight.until).min();
        while let Some(&(item, attempt)) = waiting.front() {
            let now = Instant::now();
            if let Err(when) = pace.may_send(now, flights.len()) {
                wake = wake.into_iter().chain(when).min();
                break;
            }
            waiting.pop_front();
            prober.send(item)?;
            pace.sent(now);
            let until = now + pace.patience(attempt);
            flights.push(Flight {
                item,
                attempt,
                sent: now,
                until,
            });
            wake = wake.into_iter().chain([until]).min();
        }
        let wait = wake.map_or(Duration::ZERO, |wake| {
            wake.saturating_duration_since(Instant::now())
        });
        for heard in prober.hear(wait)? {
            let Heard {
                item,
                state,
                reason,
            } = heard;
            let flight = flights.iter().position(|flight| flight.item == item);
            let late = waiting.iter().position(|(waiting, _)| *waiting == item);
            let time = match (flight, late) {
                (Some(at), _) => {
                    let Flight { attempt, sent, .. } = flights.swap_remove(at);
                    let time = sent.elapsed();
                    pace.answered(attempt, time);
                    (attempt == 0).then_some(time)
                }
                // It was to be sent again.
                (None, Some(at)) => {
                    let attempt = waiting.remove(at).map_or(1, |(_, attempt)| attempt);
                    if attempt == 0 {
                        waiting.push_front((item, 0));
                        continue;
                    }
                    pace.answered(attempt, Duration::ZERO);
                    None
                }
                (None, None) => continue,
            };
            prober.forget(item);
            answers[item] = Some(Answer {
                state,
                reason,
                time,
            });
            done(item);
        }
    }
    let silent = Answer {
        state: method.of_silence(),
        reason: Reason::NoResponse,
        time: None,
    };
    Ok(answers.into_iter().map(|a| a.unwrap_or(silent)).collect())
}

/// Waits until one of the sockets has something, at most for `wait`.
pub(super) fn wait_for(sockets: &[&Socket], what: Readiness, wait: Duration) -> Result<()> {
    let mut fds: Vec<PollFd<'_>> = sockets.iter().map(|s| PollFd::new(s, what)).collect();
    poll(&mut fds, Some(wait))?;
    Ok(())
}

/// Asks a datagram socket to keep what it is told of what it sent (IP_RECVERR).
pub(super) fn want_errors(socket: &Socket, v6: bool) -> io::Result<()> {
    let (level, option) = match v6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        false => (libc::IPPROTO_IP, libc::IP_RECVERR),
    };
    socket.set_option_raw(level, option, &1_i32.to_ne_bytes())?;
    socket.set_nonblocking(true)
}

/// The port that bare probes come from: below those that a node gives out by itself.
pub(super) fn source_port(chance: u64) -> Result<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u64 = 12_000;
    Ok(FIRST + u16::try_from(chance % COUNT)?)
}

/// What has come to a raw socket whose probes go from one port to `ports`, by their number: errors
/// about them, and packets that `read`, which gets them without their IP header, takes for answers. Waits for it at most for `wait`.
pub(super) fn hear_raw(
    socket: &Socket,
    method: Method,
    (own, ports): (u16, &[u16]),
    wait: Duration,
    read: impl Fn(&[u8]) -> Option<Heard>,
) -> Result<Vec<Heard>> {
    wait_for(&[socket], Readiness::READABLE, wait)?;
    let mut heard = Vec::new();
    for (quoted, _, error) in errors(socket) {
        let Some(&[from_0, from_1, to_0, to_1]) = quoted.first_chunk() else {
            continue;
        };
        let item = ports.binary_search(&u16::from_be_bytes([to_0, to_1]));
        let ours = u16::from_be_bytes([from_0, from_1]) == own;
        if let (Ok(item), true) = (item, ours)
            && let Some((state, reason)) = method.of_error(&error)
        {
            heard.push(Heard {
                item,
                state,
                reason,
            });
        }
    }
    let mut buffer = [0; 256];
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) => heard.extend(behind_ip(socket, &buffer[..len]).and_then(&read)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(heard),
            // Of an error that lay in the queue as well.
            Err(_) => {}
        }
    }
}

/// raw(7): a packet of IPv4 comes with its header.
fn behind_ip<'a>(socket: &Socket, packet: &'a [u8]) -> Option<&'a [u8]> {
    match socket.domain() {
        Domain::IPV4 => packet.get(usize::from(packet.first()? & 15) * 4..),
        _ => Some(packet),
    }
}

/// Sends one datagram. What the socket was told of an earlier one lies in its error queue, too.
pub(super) fn send(socket: &Socket, data: &[u8], to: SocketAddr) -> Result<()> {
    loop {
        socket.take_error()?;
        match socket.send_to(data, to) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait_for(&[socket], Readiness::WRITABLE, Duration::from_secs(1))?;
            }
            // Lost, as on the way.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
            Err(error) => return Err(anyhow::Error::new(error).context(format!("to {}", to.ip()))),
        }
    }
}

/// The errors that a socket was told of: what they quote behind the IP header, where that was sent
/// to, and what is wrong with it.
pub(super) fn errors(socket: &Socket) -> Vec<(Vec<u8>, SocketAddr, ExtendedError)> {
    let mut errors = Vec::new();
    let mut buffer = [0; 256];
    loop {
        let buffers = &mut [IoSliceMut::new(&mut buffer)];
        let Ok(message) = socket.recvmsg(buffers, MessageFlags::ERROR_QUEUE) else {
            return errors;
        };
        let len = message.len;
        let error = message.ancillary.iter().find_map(|one| match one {
            Ancillary::Error(error) => Some(*error),
            _ => None,
        });
        if let (Some(to), Some(error)) = (message.from, error) {
            errors.push((buffer[..len].to_vec(), to, error));
        }
    }
}
