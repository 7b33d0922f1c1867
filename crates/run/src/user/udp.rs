//! UDP out of the virtual LAN: a host socket a flow, for as long as the flow is used.

use super::{Lan, Way};
use sockeye::{Incoming, Intercept, Unreachable};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket as HostSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Flows at once; datagrams of one more are dropped.
const FLOWS_MAX: usize = 4096;
/// A flow without a datagram either way for so long ends (RFC 4787 §4.3 asks for two minutes).
const IDLE: Duration = Duration::from_secs(120);
/// Bytes of a datagram.
const DATAGRAM_MAX: usize = 65_535;

/// Carries every intercepted flow.
pub(super) async fn egress(lan: Rc<Lan>, mut intercept: Intercept) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(FLOWS_MAX));
    loop {
        let incoming = intercept.next().await?;
        let Ok(permit) = room.clone().try_acquire_owned() else {
            incoming.ignore();
            continue;
        };
        let lan = lan.clone();
        tokio::task::spawn_local(async move {
            // A flow that fails is one whose datagrams are lost: the program's protocol deals with it.
            let _ = carry(&lan, incoming).await;
            drop(permit);
        });
    }
}

async fn carry(lan: &Rc<Lan>, incoming: Incoming) -> io::Result<()> {
    let target = match lan.way(incoming.local(), &[]) {
        Way::Dns => {
            let node = Rc::new(sockeye::tokio::UdpSocket::try_from(incoming.accept()?)?);
            return match timeout(IDLE, lan.dns.clone().serve_datagrams(node)).await {
                Ok(ended) => ended,
                Err(_) => Ok(()),
            };
        }
        Way::Host(target) => target,
        Way::Refused => {
            incoming.unreachable(Unreachable::Port);
            return Ok(());
        }
        Way::Unreachable(why) => {
            incoming.unreachable(why);
            return Ok(());
        }
    };
    let host = HostSocket::bind(unspecified(target)).await?;
    if let Err(error) = host.connect(target).await {
        incoming.unreachable(Unreachable::Network);
        return Err(error);
    }
    let node = sockeye::tokio::UdpSocket::try_from(incoming.accept()?)?;
    let (mut out, mut back) = (vec![0; DATAGRAM_MAX], vec![0; DATAGRAM_MAX]);
    loop {
        let turn = async {
            tokio::select! {
                sent = node.recv(&mut out) => host.send(&out[..sent?]).await,
                came = host.recv(&mut back) => node.send(&back[..came?]).await,
            }
        };
        match timeout(IDLE, turn).await {
            Err(_) => return Ok(()),
            Ok(Ok(_)) => {}
            // The host's port is closed: so the program's socket hears.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                node.refuse(Unreachable::Port)?;
            }
            Ok(Err(error)) => return Err(error),
        }
    }
}

fn unspecified(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
