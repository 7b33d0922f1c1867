//! Who receives what is sent to a broadcast address, to a group or to one host, by what it is bound
//! to: one table, for the kernel's sockets as for the node's. The other side of the wire sends.

use crate::options::{Kernel, Ours, Side, ints};
use crate::tap::{KERNEL_V4, KERNEL_V6, LIMIT, NODE_V4, NODE_V6, node};
use sockeye_tests::{Outcome, Result, Test, check, ignore, in_namespace, tests};
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    receivers_are_as_the_table_says,
    sending_to_all_takes_the_option,
];

const PORT: u16 = 6700;
/// The broadcast address of the network that both sides are in.
const SUBNET: &str = "192.0.2.255";

/// What a socket of the table is bound to: an address, where `own` stands for the receiver's, and its
/// options.
#[derive(Clone, Copy, Debug)]
struct Bound {
    to: &'static str,
    options: &'static [Says],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    ReuseAddress,
    ReusePort,
    Broadcast,
    /// It is connected to the sender.
    Connected,
    /// It is connected to somebody else.
    ConnectedElsewhere,
    OnlyV6,
    /// In the group of the table.
    Joined,
    MulticastAllOff,
}
use Says::{
    Broadcast, Connected, ConnectedElsewhere, Joined, MulticastAllOff, OnlyV6, ReuseAddress,
    ReusePort,
};

const fn bound(to: &'static str, options: &'static [Says]) -> Bound {
    Bound { to, options }
}

/// A row: the sockets, and for each of [`DESTINATIONS`] which of them receive; with a question mark,
/// one of them.
struct Row {
    sockets: &'static [Bound],
    hear: [&'static str; 6],
}

/// Where is sent to; `own` stands for the receiver.
const DESTINATIONS: [&str; 6] = ["255.255.255.255", SUBNET, "own", GROUP, "own6", "ff02::1"];
const GROUP: &str = "239.1.1.7";

const TABLE: &[Row] = &[
    // Bound to any address: everything.
    Row {
        sockets: &[bound("0.0.0.0", &[])],
        hear: ["0", "0", "0", "", "", ""],
    },
    // SO_BROADCAST is about sending alone.
    Row {
        sockets: &[bound("0.0.0.0", &[Broadcast])],
        hear: ["0", "0", "0", "", "", ""],
    },
    // Bound to one address: what is for it alone.
    Row {
        sockets: &[bound("own", &[Broadcast])],
        hear: ["", "", "0", "", "", ""],
    },
    // Bound to a broadcast address: what is for that.
    Row {
        sockets: &[bound(SUBNET, &[])],
        hear: ["", "0", "", "", "", ""],
    },
    Row {
        sockets: &[bound("255.255.255.255", &[])],
        hear: ["0", "", "", "", "", ""],
    },
    // Four addresses, one port: everybody whose address it is gets a copy of what is for all, and
    // the one that fits best what is for one.
    Row {
        sockets: &[
            bound("0.0.0.0", &[ReuseAddress]),
            bound("own", &[ReuseAddress]),
            bound(SUBNET, &[ReuseAddress]),
            bound("255.255.255.255", &[ReuseAddress]),
        ],
        hear: ["03", "02", "1", "", "", ""],
    },
    // SO_REUSEADDR: a copy for everybody; what is for one goes to the latest.
    Row {
        sockets: &[
            bound("0.0.0.0", &[ReuseAddress]),
            bound("0.0.0.0", &[ReuseAddress]),
            bound("0.0.0.0", &[ReuseAddress]),
        ],
        hear: ["012", "012", "2", "", "", ""],
    },
    // SO_REUSEPORT spreads what is for one, not what is for all.
    Row {
        sockets: &[
            bound("0.0.0.0", &[ReusePort]),
            bound("0.0.0.0", &[ReusePort]),
        ],
        hear: ["01", "01", "01?", "", "", ""],
    },
    // Who is connected has an own address, and hears what is for that.
    Row {
        sockets: &[
            bound("0.0.0.0", &[ReuseAddress, Connected]),
            bound("0.0.0.0", &[ReuseAddress]),
        ],
        hear: ["1", "1", "0", "", "", ""],
    },
    // Bound to the broadcast address and connected: of that peer alone.
    Row {
        sockets: &[
            bound(SUBNET, &[ReuseAddress, Connected]),
            bound(SUBNET, &[ReuseAddress, ConnectedElsewhere]),
        ],
        hear: ["", "0", "", "", "", ""],
    },
    // A dual-stack socket hears IPv4 too, unless told not to. All nodes are everybody's group.
    Row {
        sockets: &[bound("::", &[])],
        hear: ["0", "0", "0", "", "0", "0"],
    },
    Row {
        sockets: &[bound("::", &[OnlyV6]), bound("0.0.0.0", &[])],
        hear: ["1", "1", "1", "", "0", "0"],
    },
    Row {
        sockets: &[
            bound("::", &[ReuseAddress]),
            bound("0.0.0.0", &[ReuseAddress]),
        ],
        hear: ["01", "01", "1", "", "0", "0"],
    },
    // All nodes: who is bound to an address hears nothing of it; who wants what it has joined alone
    // neither.
    Row {
        sockets: &[
            bound("own6", &[ReuseAddress]),
            bound("::", &[ReuseAddress]),
            bound("::", &[ReuseAddress, MulticastAllOff]),
        ],
        hear: ["12", "12", "2", "", "0", "1"],
    },
    // A group: who has joined it, and by IP_MULTICAST_ALL everybody else on the port, but for those
    // bound to an address. An IPv6 socket is born without that.
    Row {
        sockets: &[
            bound("0.0.0.0", &[ReuseAddress, Joined]),
            bound("0.0.0.0", &[ReuseAddress]),
            bound("0.0.0.0", &[ReuseAddress, MulticastAllOff]),
            bound("own", &[ReuseAddress, Joined]),
            bound(GROUP, &[ReuseAddress]),
            bound("::", &[ReuseAddress]),
        ],
        hear: ["0125", "0125", "3", "014", "5", "5"],
    },
];

/// One side of the wire: where its sockets are, and its addresses.
enum Place<'a> {
    Kernel,
    Node(&'a sockeye::Node),
}

impl Place<'_> {
    fn v4(&self) -> &'static str {
        match self {
            Self::Kernel => KERNEL_V4,
            Self::Node(_) => NODE_V4,
        }
    }

    fn v6(&self) -> &'static str {
        match self {
            Self::Kernel => KERNEL_V6,
            Self::Node(_) => NODE_V6,
        }
    }

    /// An address as this side writes it; link-local groups are on the wire.
    fn address(&self, receiver: &Self, text: &str, port: u16) -> Result<SocketAddr> {
        let ip: IpAddr = match text {
            "own" => receiver.v4().parse()?,
            "own6" => receiver.v6().parse()?,
            other => other.parse()?,
        };
        Ok(match ip {
            IpAddr::V6(v6) if v6.is_multicast() => {
                SocketAddrV6::new(v6, port, 0, self.wire()?).into()
            }
            _ => SocketAddr::new(ip, port),
        })
    }

    fn wire(&self) -> Result<u32> {
        match self {
            Self::Kernel => crate::multicast::index_of("sockeye0"),
            Self::Node(_) => Ok(2),
        }
    }

    fn socket(&self, v6: bool) -> Result<Box<dyn End>> {
        Ok(match self {
            Self::Kernel => {
                let domain = match v6 {
                    true => socket2::Domain::IPV6,
                    false => socket2::Domain::IPV4,
                };
                let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
                Box::new(Kernel::new(socket))
            }
            Self::Node(node) => {
                let domain = match v6 {
                    true => sockeye::Domain::IPV6,
                    false => sockeye::Domain::IPV4,
                };
                let socket = sockeye::Socket::new_on(node, domain, sockeye::Type::DGRAM, None)?;
                Box::new(Ours::new(socket))
            }
        })
    }

    /// A socket of the table; `peer` sends.
    fn receiver(&self, bound: Bound, peer: &Place<'_>) -> Result<Box<dyn End>> {
        let address = self.address(self, bound.to, PORT)?;
        let socket = self.socket(address.is_ipv6())?;
        let set = |level, name, value: &[u8]| match socket.set(level, name, value) {
            Ok(_) => Ok(()),
            Err(errno) => Err(io::Error::from_raw_os_error(errno)),
        };
        let on = |level, name| set(level, name, &ints(&[1]));
        for option in bound.options {
            match option {
                ReuseAddress => on(libc::SOL_SOCKET, libc::SO_REUSEADDR)?,
                ReusePort => on(libc::SOL_SOCKET, libc::SO_REUSEPORT)?,
                Broadcast => on(libc::SOL_SOCKET, libc::SO_BROADCAST)?,
                OnlyV6 => on(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)?,
                MulticastAllOff if address.is_ipv6() => {
                    set(libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, &ints(&[0]))?;
                }
                MulticastAllOff => set(libc::IPPROTO_IP, IP_MULTICAST_ALL, &ints(&[0]))?,
                Joined | Connected | ConnectedElsewhere => {}
            }
        }
        socket.bind(address)?;
        for option in bound.options {
            match option {
                Joined => {
                    let octets = |text: &str| text.parse().map(|ip: Ipv4Addr| ip.octets());
                    let request = [octets(GROUP)?, octets(self.v4())?].concat();
                    set(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request)?;
                }
                Connected => socket.connect(peer.address(peer, "own", PORT + 1)?)?,
                ConnectedElsewhere => socket.connect("192.0.2.77:6701".parse()?)?,
                _ => {}
            }
        }
        Ok(socket)
    }
}

const IP_MULTICAST_ALL: i32 = 49;
const IPV6_MULTICAST_ALL: i32 = 29;

/// A socket of one side.
trait End: Side {
    fn bind(&self, address: SocketAddr) -> io::Result<()>;
    fn connect(&self, address: SocketAddr) -> io::Result<()>;
    fn send_to(&self, data: &[u8], address: SocketAddr) -> io::Result<usize>;
    /// A byte, once it comes or `wait` is over.
    fn byte(&self, wait: Duration) -> io::Result<u8>;
}

impl End for Kernel {
    fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.bind(&address.into())
    }

    fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.connect(&address.into())
    }

    fn send_to(&self, data: &[u8], address: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(data, &address.into())
    }

    fn byte(&self, wait: Duration) -> io::Result<u8> {
        self.socket.set_nonblocking(wait.is_zero())?;
        let limit = Some(wait).filter(|wait| !wait.is_zero());
        self.socket.set_read_timeout(limit)?;
        let mut byte = [0; 1];
        let flags = rustix::net::RecvFlags::empty();
        rustix::net::recv(&self.socket, &mut byte, flags)?;
        Ok(byte[0])
    }
}

impl End for Ours {
    fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.bind(address)
    }

    fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.connect(address)
    }

    fn send_to(&self, data: &[u8], address: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(data, address)
    }

    fn byte(&self, wait: Duration) -> io::Result<u8> {
        self.socket.set_nonblocking(wait.is_zero())?;
        let limit = Some(wait).filter(|wait| !wait.is_zero());
        self.socket.set_read_timeout(limit)?;
        let mut byte = [0; 1];
        self.socket.recv(&mut byte)?;
        Ok(byte[0])
    }
}

fn receivers_are_as_the_table_says() -> Result {
    let name = "interop::broadcast::receivers_are_as_the_table_says";
    in_namespace(name, LIMIT, || {
        let node = node!(|tap| Box::new(tap));
        let (kernel, node) = (Place::Kernel, Place::Node(&node));
        let mut differences = String::new();
        for (receiver, sender, whose) in [(&kernel, &node, "the kernel's"), (&node, &kernel, "our")]
        {
            for (number, row) in TABLE.iter().enumerate() {
                let heard = play(row, receiver, sender)?;
                for ((to, want), got) in DESTINATIONS.iter().zip(row.hear).zip(&heard) {
                    let right = match want.strip_suffix('?') {
                        None => want == got,
                        Some(any) => got.len() == 1 && any.contains(got.as_str()),
                    };
                    if !right {
                        let sockets = row.sockets;
                        let _ = writeln!(
                            differences,
                            "row {number}: to {to}: of {whose} sockets {got:?} receive, not \
                             {want:?}: {sockets:?}"
                        );
                    }
                }
            }
        }
        check!(differences.is_empty(), "{differences}");
        Ok(Outcome::Passed)
    })
}

/// Sends to every destination in turn; says which sockets have received what was sent to each.
fn play(row: &Row, receiver: &Place<'_>, sender: &Place<'_>) -> Result<Vec<String>> {
    let mut sockets = Vec::new();
    for bound in row.sockets {
        sockets.push(receiver.receiver(*bound, sender)?);
    }
    let [v4, v6] = [false, true].map(|v6| ends(v6, receiver, sender));
    let (v4, v6) = (v4?, v6?);
    // Once to find the neighbour, and once behind all the rest, which has come by then.
    let pass = || -> Result<()> {
        for ((socket, from), own) in [(&v4, "own"), (&v6, "own6")] {
            from.send_to(b"!", sender.address(receiver, own, PORT + 2)?)?;
            socket.byte(Duration::from_secs(10))?;
        }
        Ok(())
    };
    pass()?;
    for (n, to) in (0..).zip(DESTINATIONS) {
        let to = sender.address(receiver, to, PORT)?;
        let from = if to.is_ipv6() { &v6.1 } else { &v4.1 };
        let sent = from.send_to(&[n], to);
        sent.map_err(|error| format!("to {to}: {error}"))?;
    }
    pass()?;
    let mut heard = vec![String::new(); DESTINATIONS.len()];
    for (number, socket) in sockets.iter().enumerate() {
        while let Ok(n) = socket.byte(Duration::ZERO) {
            heard[usize::from(n)] += &number.to_string();
        }
    }
    Ok(heard)
}

/// A socket that hears what is sent beside the table, and one that sends everything.
fn ends(
    v6: bool,
    receiver: &Place<'_>,
    sender: &Place<'_>,
) -> Result<(Box<dyn End>, Box<dyn End>)> {
    let own = if v6 { "own6" } else { "own" };
    let to = receiver.socket(v6)?;
    to.bind(receiver.address(receiver, own, PORT + 2)?)?;
    let from = sender.socket(v6)?;
    let on = from.set(libc::SOL_SOCKET, libc::SO_BROADCAST, &ints(&[1]));
    check!(on.is_ok(), "SO_BROADCAST is refused: {on:?}");
    from.bind(sender.address(sender, own, PORT + 1)?)?;
    Ok((to, from))
}

/// socket(7), SO_BROADCAST: without it the error is EACCES, from send and from connect.
fn sending_to_all_takes_the_option() -> Result {
    let name = "interop::broadcast::sending_to_all_takes_the_option";
    in_namespace(name, LIMIT, || {
        let node = node!(|tap| Box::new(tap));
        for place in [Place::Kernel, Place::Node(&node)] {
            for to in ["255.255.255.255", SUBNET] {
                let socket = place.socket(false)?;
                socket.bind(place.address(&place, "own", 0)?)?;
                let to: SocketAddr = format!("{to}:{PORT}").parse()?;
                let refused = |done: io::Result<()>| {
                    done.err().and_then(|error| error.raw_os_error()) == Some(libc::EACCES)
                };
                let sent = socket.send_to(b"x", to).map(|_| ());
                check!(refused(sent), "it was sent to {to}");
                check!(refused(socket.connect(to)), "it was connected to {to}");
                let on = socket.set(libc::SOL_SOCKET, libc::SO_BROADCAST, &ints(&[1]));
                check!(on.is_ok(), "SO_BROADCAST is refused: {on:?}");
                socket.send_to(b"x", to)?;
                socket.connect(to)?;
            }
        }
        Ok(Outcome::Passed)
    })
}
