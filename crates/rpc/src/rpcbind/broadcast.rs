//! Asking all of a network at once (CALLIT, RFC 1833 §3.2): whoever has the program answers.

use super::interface::{CallResult, PMAP_VERS, RPCBPROG, RpcbRmtcallargs};
use crate::CallError;
use crate::backoff::Backoff;
use crate::client::{Target, encode_call, first_xid, open_reply, xid};
use crate::message::Auth;
use crate::transport::{DATAGRAM_MAX, Datagram};
use crate::xdr::{Decoder, Xdr};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Answers that are taken.
const ANSWERS_MAX: usize = 4096;

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<R> {
    /// Where the program is: who answered, and the port that they named.
    pub server: SocketAddr,
    /// The procedure's results.
    pub results: R,
}

/// Calls a procedure at every rpcbind that `to` reaches, until `timeout` is over or `more` says
/// that it is enough. `socket` may send broadcasts. Each server's answer is taken once.
///
/// # Errors
/// The socket's, or the arguments can't be encoded.
pub fn broadcast<R: Xdr>(
    socket: &impl Datagram,
    to: &[SocketAddr],
    (prog, vers, proc): (u32, u32, u32),
    arguments: &impl Xdr,
    timeout: Duration,
    mut more: impl FnMut(Answer<R>) -> bool,
) -> Result<(), CallError> {
    let args = crate::xdr::to_bytes(arguments).map_err(CallError::Arguments)?;
    let args = RpcbRmtcallargs {
        prog,
        vers,
        proc,
        args,
    };
    let target = Target {
        program: RPCBPROG,
        version: PMAP_VERS,
    };
    let number = first_xid();
    let message = encode_call(number, target, 5, Auth::NONE, DATAGRAM_MAX, |to| {
        args.encode(to)
    })?;
    let end = Instant::now() + timeout;
    let (mut sent, mut again) = (0, Instant::now());
    let mut heard = BTreeSet::new();
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let now = Instant::now();
        if now >= end || heard.len() >= ANSWERS_MAX {
            return Ok(());
        }
        if now >= again {
            for to in to {
                socket.send_to(&message, *to)?;
            }
            sent += 1;
            again = now + Backoff::default().after(sent);
        }
        socket.set_read_timeout(Some((again.min(end) - now).max(Duration::from_millis(1))))?;
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if is_nothing(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let reply = &buffer[..length];
        if xid(reply) != Some(number) || heard.contains(&from) {
            continue;
        }
        // Who answers with nonsense has answered nothing.
        if let Some(answer) = read(reply, from) {
            heard.insert(from);
            if !more(answer) {
                return Ok(());
            }
        }
    }
}

fn read<R: Xdr>(reply: &[u8], from: SocketAddr) -> Option<Answer<R>> {
    let (_, mut results) = open_reply(reply).ok()?;
    let CallResult { port, res } = results.value().ok()?;
    Some(Answer {
        server: SocketAddr::new(from.ip(), u16::try_from(port).ok()?),
        results: R::decode(&mut Decoder::new(&res)).ok()?,
    })
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
    )
}
