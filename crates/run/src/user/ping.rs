//! Ping out of the virtual LAN, where the host lets this user open ICMP datagram sockets
//! (`net.ipv4.ping_group_range`); else the program hears "administratively prohibited".

use super::barrier;
use socket2::{Domain, Protocol, Socket, Type};
use sockeye::{EchoRequest, PingIntercept, Unreachable};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket as HostSocket;
use tokio::sync::Semaphore;

/// Requests that wait for their answer at once; one more is dropped.
const REQUESTS_MAX: usize = 512;
/// An answer later than this is not passed on.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of an echo message.
const MESSAGE_MAX: usize = 65_535;
/// ICMP and ICMPv6: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

/// Answers every intercepted echo request with what the host's ping socket hears.
pub(super) async fn egress(mut intercept: PingIntercept) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(REQUESTS_MAX));
    loop {
        let request = intercept.next().await?;
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        tokio::task::spawn_local(async move {
            match barrier(request.local()) {
                None => ask(request).await,
                Some(why) => request.unreachable(why),
            }
            drop(permit);
        });
    }
}

async fn ask(request: EchoRequest) {
    let target = request.local();
    let Ok(host) = ping_socket(target) else {
        return request.unreachable(Unreachable::Prohibited);
    };
    let exchange = async {
        host.connect(SocketAddr::new(target, 0)).await?;
        host.send(&echo_request(&request)).await?;
        let mut answer = vec![0; MESSAGE_MAX];
        loop {
            // The kernel hands up replies to this socket's identifier alone; the sequence number is ours.
            let len = host.recv(&mut answer).await?;
            if len >= HEADER && answer[6..8] == request.sequence().to_be_bytes() {
                return io::Result::Ok(answer[HEADER..len].to_vec());
            }
        }
    };
    match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
        Ok(Ok(payload)) => request.reply(&payload),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::NetworkUnreachable => request.unreachable(Unreachable::Network),
            io::ErrorKind::PermissionDenied => request.unreachable(Unreachable::Prohibited),
            _ => request.unreachable(Unreachable::Host),
        },
        Err(_) => {}
    }
}

/// The kernel fills in identifier and checksum.
fn echo_request(request: &EchoRequest) -> Vec<u8> {
    let kind = if request.local().is_ipv4() { 8 } else { 128 };
    let mut message = vec![kind, 0, 0, 0, 0, 0];
    message.extend_from_slice(&request.sequence().to_be_bytes());
    message.extend_from_slice(request.payload());
    message
}

fn ping_socket(target: IpAddr) -> io::Result<HostSocket> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    HostSocket::from_std(socket.into())
}
