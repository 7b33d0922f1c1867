//! TCP out of the virtual LAN: a SYN is answered only after the host's connect has been.
//!
//! Refused becomes a reset, unreachable an ICMP error, a time-out silence: the program sees what it
//! would see on the host.

use super::relay::relay;
use super::{Lan, Way};
use sockeye::{Incoming, Intercept, Unreachable};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream as HostStream;
use tokio::sync::Semaphore;

/// Connections that leave at once; one more is refused.
const CONNECTIONS_MAX: usize = 8192;

/// Carries every intercepted connection.
pub(super) async fn egress(lan: Rc<Lan>, mut intercept: Intercept) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let incoming = intercept.next().await?;
        let Ok(permit) = room.clone().try_acquire_owned() else {
            incoming.reset();
            continue;
        };
        let lan = lan.clone();
        tokio::task::spawn_local(async move {
            connect(&lan, incoming).await;
            drop(permit);
        });
    }
}

async fn connect(lan: &Rc<Lan>, incoming: Incoming) {
    let target = match lan.way(incoming.local(), &super::services::TCP_PORTS) {
        Way::Dns => {
            if let Ok(stream) = incoming
                .accept()
                .and_then(sockeye::tokio::TcpStream::try_from)
            {
                // A client that goes away is no failure of the server.
                let _ = lan.dns.clone().serve_stream(stream).await;
            }
            return;
        }
        Way::Host(target) => target,
        Way::Refused => return incoming.reset(),
        Way::Unreachable(why) => return incoming.unreachable(why),
    };
    match HostStream::connect(target).await {
        Ok(host) => {
            if let Ok(node) = incoming
                .accept()
                .and_then(sockeye::tokio::TcpStream::try_from)
            {
                relay(node, host, &lan.outward).await;
            }
        }
        Err(error) => refuse(incoming, &error),
    }
}

fn refuse(incoming: Incoming, error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => incoming.reset(),
        io::ErrorKind::HostUnreachable => incoming.unreachable(Unreachable::Host),
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => {
            incoming.unreachable(Unreachable::Network);
        }
        io::ErrorKind::PermissionDenied => incoming.unreachable(Unreachable::Prohibited),
        io::ErrorKind::TimedOut => incoming.ignore(),
        _ => incoming.unreachable(Unreachable::Host),
    }
}
