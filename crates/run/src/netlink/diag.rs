//! sock_diag(7): the node's sockets, as ss(8) asks for them.
//!
//! A socket here has the node's queues; what lies in the program's end of it already counts as read. It has no inode: the
//! program's descriptor is another socket's, the kernel's.

use super::format::{Message, Request, attribute};
use super::route::octets_of;
use super::{Answers, errno};
use crate::backend::Errno;
use sockeye::{Node, SocketSummary, TransportId};
use std::net::{IpAddr, SocketAddr};

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `SOCK_DESTROY`.
const DESTROY: u16 = 21;

/// `sizeof(struct inet_diag_req_v2)`.
const REQUEST: usize = 56;

/// `INET_DIAG_REQ_BYTECODE`.
const BYTECODE: u16 = 1;

/// Families whose sockets the node has none of, or tells nothing of: they are listed empty.
const EMPTY: [i32; 3] = [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_PACKET];

/// Protocols and the transports of theirs.
const PROTOCOLS: [(i32, TransportId); 6] = [
    (libc::IPPROTO_TCP, TransportId::TCP),
    (libc::IPPROTO_UDP, TransportId::UDP),
    (libc::IPPROTO_UDPLITE, TransportId::UDPLITE),
    (libc::IPPROTO_DCCP, TransportId::DCCP),
    (libc::IPPROTO_SCTP, TransportId::SCTP),
    (libc::IPPROTO_RAW, TransportId::RAW),
];

/// Answers one request.
pub(super) fn answer(node: &Node, request: &Request<'_>, to: &mut Answers) -> Result<(), Errno> {
    match request.ty {
        BY_FAMILY => {}
        DESTROY => return Err(Errno::PERM),
        _ => return Err(Errno::INVAL),
    }
    let family = i32::from(*request.body.first().ok_or(Errno::INVAL)?);
    if EMPTY.contains(&family) && request.dumps() {
        return Ok(());
    }
    if ![libc::AF_INET, libc::AF_INET6].contains(&family) {
        return Err(Errno::NOENT);
    }
    let asked = Asked::parse(request.body)?;
    let sockets = node.sockets().map_err(errno)?;
    let mut found = sockets
        .iter()
        .filter_map(|socket| Socket::of(socket, asked.transport, asked.v6));
    if request.dumps() {
        let code = attribute(request.body, REQUEST, BYTECODE).map(code::Program::parse);
        let code = code.transpose()?;
        found
            .filter(|socket| asked.wants(socket))
            .filter(|socket| code.as_ref().is_none_or(|code| code.admits(socket)))
            .for_each(|socket| to.add(socket.message()));
        return Ok(());
    }
    let one = found.find(|socket| asked.is(socket)).ok_or(Errno::NOENT)?;
    to.add(one.message());
    Ok(())
}

/// What is asked for: `struct inet_diag_req_v2`.
struct Asked {
    v6: bool,
    transport: TransportId,
    /// A bit for each state.
    states: u32,
    local_port: u16,
    remote_port: u16,
    local: [u8; 16],
    remote: [u8; 16],
}

impl Asked {
    fn parse(body: &[u8]) -> Result<Self, Errno> {
        let body = body.first_chunk::<REQUEST>().ok_or(Errno::INVAL)?;
        let bytes = |at: usize| std::array::from_fn(|i| body[at + i]);
        let address = |at: usize| std::array::from_fn(|i| body[at + i]);
        let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let protocol = i32::from(body[1]);
        let known = PROTOCOLS.iter().find(|(number, _)| *number == protocol);
        Ok(Self {
            v6: i32::from(body[0]) == libc::AF_INET6,
            transport: known.ok_or(Errno::NOENT)?.1,
            states: u32::from_ne_bytes(bytes(4)),
            local_port: port(8),
            remote_port: port(10),
            local: address(12),
            remote: address(28),
        })
    }

    /// Whether a dump is to have it.
    fn wants(&self, socket: &Socket) -> bool {
        let port = |asked: u16, has: u16| asked == 0 || asked == has;
        self.states & (1 << socket.state) != 0
            && port(self.local_port, socket.local.port())
            && port(self.remote_port, socket.remote.port())
    }

    /// Whether it is the one that the addresses name.
    fn is(&self, socket: &Socket) -> bool {
        (self.local_port, self.local) == (socket.local.port(), padded(socket.local.ip()))
            && (self.remote_port, self.remote) == (socket.remote.port(), padded(socket.remote.ip()))
    }
}

/// An address as the 16 octets of `struct inet_diag_sockid`.
fn padded(address: IpAddr) -> [u8; 16] {
    let mut all = [0; 16];
    let octets = octets_of(address);
    all[..octets.len()].copy_from_slice(&octets);
    all
}

/// A socket as it is told of.
pub(super) struct Socket {
    /// `TCP_*` of <netinet/tcp.h>, for all protocols.
    pub(super) state: u8,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// What was received and is not read, and what was written and is not acknowledged.
    pub(super) queues: [u32; 2],
    cookie: u64,
}

impl Socket {
    /// One of this transport and family, unless it is one that the kernel lists nowhere.
    pub(super) fn of(summary: &SocketSummary, transport: TransportId, v6: bool) -> Option<Self> {
        /// Neither bound nor connected, it is in no table.
        const CLOSED: u8 = 7;
        if summary.handle.transport != transport || summary.local.is_ipv6() != v6 {
            return None;
        }
        let state = state(summary.state);
        let connects = ![TransportId::UDP, TransportId::UDPLITE, TransportId::RAW]
            .contains(&summary.handle.transport);
        if state == CLOSED && (connects || summary.local.port() == 0) {
            return None;
        }
        let nobody = match summary.local {
            SocketAddr::V4(_) => crate::address::unset(crate::backend::Domain::Ipv4),
            SocketAddr::V6(_) => crate::address::unset(crate::backend::Domain::Ipv6),
        };
        let octets = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(Self {
            state,
            local: summary.local,
            remote: summary.remote.unwrap_or(nobody),
            queues: [octets(summary.recv_queue), octets(summary.send_queue)],
            cookie: summary.handle.id.cookie(),
        })
    }

    /// `struct inet_diag_msg`.
    fn message(&self) -> Message {
        const INET_DIAG_SHUTDOWN: u16 = 8;
        const INET_DIAG_SKV6ONLY: u16 = 11;
        let family = match self.local {
            SocketAddr::V4(_) => libc::AF_INET,
            SocketAddr::V6(_) => libc::AF_INET6,
        };
        let scope = match (self.local, self.remote) {
            (SocketAddr::V6(local), _) if local.scope_id() != 0 => local.scope_id(),
            (_, SocketAddr::V6(remote)) => remote.scope_id(),
            _ => 0,
        };
        let mut fixed = vec![family as u8, self.state, 0, 0];
        fixed.extend(self.local.port().to_be_bytes());
        fixed.extend(self.remote.port().to_be_bytes());
        fixed.extend(padded(self.local.ip()));
        fixed.extend(padded(self.remote.ip()));
        fixed.extend(scope.to_ne_bytes());
        fixed.extend(self.cookie.to_ne_bytes());
        fixed.extend([0; 4]);
        fixed.extend(self.queues.iter().flat_map(|octets| octets.to_ne_bytes()));
        fixed.extend(rustix::process::getuid().as_raw().to_ne_bytes());
        fixed.extend([0; 4]);
        let mut message = Message::new(BY_FAMILY, &fixed);
        message.attribute(INET_DIAG_SHUTDOWN, &[0]);
        if let SocketAddr::V6(local) = self.local {
            // Who is bound to an address of IPv6 has to do with that alone.
            let only = !local.ip().is_unspecified() && local.ip().to_ipv4_mapped().is_none();
            message.attribute(INET_DIAG_SKV6ONLY, &[only.into()]);
        }
        message
    }
}

/// A state's number: `TCP_*` of <netinet/tcp.h>, by the name that ss has for it.
fn state(name: &str) -> u8 {
    match name {
        "ESTAB" => 1,
        "SYN-SENT" | "COOKIE-WAIT" | "COOKIE-ECHOED" => 2,
        "SYN-RECV" => 3,
        "FIN-WAIT-1" | "SHUTDOWN-PENDING" | "SHUTDOWN-SENT" => 4,
        "FIN-WAIT-2" => 5,
        "TIME-WAIT" => 6,
        "CLOSE-WAIT" | "SHUTDOWN-RECEIVED" => 8,
        "LAST-ACK" | "SHUTDOWN-ACK-SENT" => 9,
        "LISTEN" => 10,
        "CLOSING" => 11,
        _ => 7,
    }
}

/// The filter that ss makes of its arguments: conditions that jump (`struct inet_diag_bc_op`).
mod code {
    use super::{Errno, Socket};
    use std::net::{IpAddr, SocketAddr};

    /// Octets of one operation.
    const OPERATION: usize = 4;

    /// `INET_DIAG_BC_*`.
    mod bc {
        pub(super) const NOP: u8 = 0;
        pub(super) const JMP: u8 = 1;
        pub(super) const S_GE: u8 = 2;
        pub(super) const S_LE: u8 = 3;
        pub(super) const D_GE: u8 = 4;
        pub(super) const D_LE: u8 = 5;
        pub(super) const S_COND: u8 = 7;
        pub(super) const D_COND: u8 = 8;
        pub(super) const S_EQ: u8 = 11;
        pub(super) const D_EQ: u8 = 12;
    }

    /// One whose jumps all lead forward.
    pub(super) struct Program<'a>(&'a [u8]);

    impl<'a> Program<'a> {
        pub(super) fn parse(octets: &'a [u8]) -> Result<Self, Errno> {
            let mut at = 0;
            while at < octets.len() {
                let [op, yes, no] = operation(octets, at).ok_or(Errno::INVAL)?;
                let len = OPERATION + operand(op).ok_or(Errno::INVAL)?;
                let forward = |jump: usize| jump >= len && jump.is_multiple_of(OPERATION);
                let jumps = op != usize::from(bc::NOP);
                if at + len > octets.len() || !forward(yes) || jumps && !forward(no) {
                    return Err(Errno::INVAL);
                }
                let is_condition = [bc::S_COND, bc::D_COND].map(usize::from).contains(&op);
                if is_condition && Condition::parse(octets, at).is_none() {
                    return Err(Errno::INVAL);
                }
                at += yes;
            }
            Ok(Self(octets))
        }

        /// Whether a socket meets the conditions: who jumps to the very end does.
        pub(super) fn admits(&self, socket: &Socket) -> bool {
            let mut at = 0;
            while at < self.0.len() {
                let Some([op, yes, no]) = operation(self.0, at) else {
                    return false;
                };
                let port = operation(self.0, at + OPERATION).map_or(0, |[_, _, port]| port);
                let (local, remote) = (
                    usize::from(socket.local.port()),
                    usize::from(socket.remote.port()),
                );
                let met = match u8::try_from(op).unwrap_or(u8::MAX) {
                    bc::NOP => true,
                    bc::S_GE => local >= port,
                    bc::S_LE => local <= port,
                    bc::D_GE => remote >= port,
                    bc::D_LE => remote <= port,
                    bc::S_EQ => local == port,
                    bc::D_EQ => remote == port,
                    bc::S_COND => Condition::parse(self.0, at).is_some_and(|c| c.met(socket.local)),
                    bc::D_COND => {
                        Condition::parse(self.0, at).is_some_and(|c| c.met(socket.remote))
                    }
                    _ => false,
                };
                let jump = if met { yes } else { no };
                if jump < OPERATION {
                    return false; // into the midst of an operation
                }
                at += jump;
            }
            at == self.0.len()
        }
    }

    /// The code of an operation, and where it goes on.
    fn operation(octets: &[u8], at: usize) -> Option<[usize; 3]> {
        let [op, yes, n0, n1] = *octets.get(at..)?.first_chunk()?;
        Some([op.into(), yes.into(), u16::from_ne_bytes([n0, n1]).into()])
    }

    /// Octets that belong to an operation of this code, at the least.
    fn operand(op: usize) -> Option<usize> {
        match u8::try_from(op).ok()? {
            bc::NOP | bc::JMP => Some(0),
            bc::S_GE..=bc::D_LE | bc::S_EQ | bc::D_EQ => Some(OPERATION),
            bc::S_COND | bc::D_COND => Some(CONDITION),
            _ => None,
        }
    }

    /// An address and a port, `struct inet_diag_hostcond`.
    struct Condition<'a> {
        family: i32,
        prefix: u32,
        /// -1 for any.
        port: i32,
        address: &'a [u8],
    }

    /// Octets of it before the address.
    const CONDITION: usize = 8;

    impl<'a> Condition<'a> {
        fn parse(octets: &'a [u8], at: usize) -> Option<Self> {
            let octets = octets.get(at + OPERATION..)?;
            let head = octets.first_chunk::<CONDITION>()?;
            let family = i32::from(head[0]);
            let len = match family {
                libc::AF_UNSPEC => 0,
                libc::AF_INET => 4,
                libc::AF_INET6 => 16,
                _ => return None,
            };
            let prefix = u32::from(head[1]);
            (prefix <= 8 * len as u32).then_some(Self {
                family,
                prefix,
                port: i32::from_ne_bytes([head[4], head[5], head[6], head[7]]),
                address: octets.get(CONDITION..CONDITION + len)?,
            })
        }

        fn met(&self, address: SocketAddr) -> bool {
            if self.port != -1 && self.port != i32::from(address.port()) {
                return false;
            }
            let ip = match (self.family, address.ip()) {
                (libc::AF_UNSPEC, _) => return true,
                (libc::AF_INET, IpAddr::V6(v6)) => {
                    v6.to_ipv4_mapped().map_or(v6.into(), IpAddr::V4)
                }
                (_, ip) => ip,
            };
            let octets = super::octets_of(ip);
            if octets.len() != self.address.len() {
                return false;
            }
            let bit = |octets: &[u8], i: u32| octets[i as usize / 8] >> (7 - i % 8) & 1;
            (0..self.prefix).all(|i| bit(&octets, i) == bit(self.address, i))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use proptest::prelude::*;

        fn socket(local: &str, remote: &str) -> Socket {
            Socket {
                state: 1,
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
                queues: [0; 2],
                cookie: 1,
            }
        }

        fn op(code: u8, yes: u8, no: u16) -> Vec<u8> {
            [&[code, yes][..], &no.to_ne_bytes()].concat()
        }

        #[test]
        fn ports_and_prefixes_are_compared() {
            let at = socket("10.0.0.1:80", "10.0.0.9:4000");
            // sport = :80 as ss lays it out: the end is one operation beyond for who does not match.
            let is_80 = [op(bc::S_EQ, 8, 12), op(bc::NOP, 0, 80)].concat();
            assert!(Program::parse(&is_80).unwrap().admits(&at));
            assert!(
                !Program::parse(&is_80)
                    .unwrap()
                    .admits(&socket("10.0.0.1:81", "10.0.0.9:80"))
            );
            let mut inside = op(bc::D_COND, 16, 20);
            inside.extend([libc::AF_INET as u8, 24, 0, 0]);
            inside.extend((-1_i32).to_ne_bytes());
            inside.extend([10, 0, 0, 0]);
            assert!(Program::parse(&inside).unwrap().admits(&at));
            assert!(
                !Program::parse(&inside)
                    .unwrap()
                    .admits(&socket("10.0.0.1:80", "10.0.1.9:1"))
            );
        }

        #[test]
        fn what_goes_in_circles_is_refused() {
            for bad in [
                op(bc::JMP, 0, 0),
                op(bc::JMP, 4, 2),
                op(99, 4, 4),
                op(bc::S_EQ, 8, 12),
            ] {
                assert!(Program::parse(&bad).is_err(), "{bad:?}");
            }
        }

        proptest! {
            #[test]
            fn every_program_ends(octets in prop::collection::vec(0_u8..32, 0..128)) {
                let at = socket("[::1]:1", "[2001:db8::1]:2");
                if let Ok(program) = Program::parse(&octets) {
                    let _ = program.admits(&at);
                }
            }
        }
    }
}
