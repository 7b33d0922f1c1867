//! The counters of nstat(8): ours against the kernel's, where both play the same part. Each play runs
//! twice over TAP, and its parts change hands.

use crate::tap::{KERNEL_V4, LIMIT, NODE_V4, node};
use sockeye::{Domain, Node, Socket, Type};
use sockeye_tests::{Outcome, Result, Test, check, ignore, in_namespace, tests};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![
    counters_agree_with_the_kernels,
    counters_of_a_crowded_listener_agree,
];

/// Time that two ends have to come to rest.
const REST: Duration = Duration::from_secs(20);

/// Times that a play is tried in which something is sent again.
const TRIES: usize = 5;

type Counters = BTreeMap<String, u64>;

/// The kernel's counters of this namespace, where nstat reads them: a line of names, one of values.
fn kernels() -> Result<Counters> {
    let mut counters = Counters::new();
    for path in ["/proc/net/snmp", "/proc/net/netstat"] {
        let text = std::fs::read_to_string(path)?;
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks_exact(2) {
            let (kind, names) = pair[0].split_once(':').ok_or("a line without a colon")?;
            let (_, values) = pair[1].split_once(':').ok_or("a line without a colon")?;
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                // Gauges may be below zero, and are not compared.
                if let Ok(value) = value.parse() {
                    counters.insert(format!("{kind}{name}"), value);
                }
            }
        }
    }
    Ok(counters)
}

fn nodes(node: &Node) -> Result<Counters> {
    let counters = node.counters()?;
    Ok(counters
        .iter()
        .map(|(counter, n)| (counter.name().to_owned(), n))
        .collect())
}

/// What both have counted.
#[derive(PartialEq)]
struct Both {
    node: Counters,
    kernel: Counters,
}

impl Both {
    fn read(node: &Node) -> Result<Self> {
        Ok(Self {
            node: nodes(node)?,
            kernel: kernels()?,
        })
    }

    fn node(&self, before: &Self, name: &str) -> u64 {
        since(&self.node, &before.node, name)
    }

    fn kernel(&self, before: &Self, name: &str) -> u64 {
        since(&self.kernel, &before.kernel, name)
    }
}

/// By how much a counter has moved; one that never did is not there.
fn since(now: &Counters, before: &Counters, name: &str) -> u64 {
    let at = |counters: &Counters| counters.get(name).copied().unwrap_or(0);
    at(now).wrapping_sub(at(before))
}

/// Whose sockets play a part.
#[derive(Clone, Copy)]
enum Host<'a> {
    Kernel,
    Node(&'a Node),
}

/// A socket of one or the other.
enum End {
    Kernel(socket2::Socket),
    Node(Socket),
}

impl Host<'_> {
    fn ip(self) -> Result<IpAddr> {
        Ok(match self {
            Self::Kernel => KERNEL_V4.parse()?,
            Self::Node(_) => NODE_V4.parse()?,
        })
    }

    fn socket(self, stream: bool) -> Result<End> {
        let end = match self {
            Self::Kernel => {
                let ty = match stream {
                    true => socket2::Type::STREAM,
                    false => socket2::Type::DGRAM,
                };
                let socket = socket2::Socket::new(socket2::Domain::IPV4, ty, None)?;
                socket.set_read_timeout(Some(REST))?;
                End::Kernel(socket)
            }
            Self::Node(node) => {
                let ty = if stream { Type::STREAM } else { Type::DGRAM };
                let socket = Socket::new_on(node, Domain::IPV4, ty, None)?;
                socket.set_read_timeout(Some(REST))?;
                End::Node(socket)
            }
        };
        Ok(end)
    }

    /// A socket at a port of its own, and its address.
    fn bound(self, stream: bool) -> Result<(End, SocketAddr)> {
        let end = self.socket(stream)?;
        end.bind(SocketAddr::new(self.ip()?, 0))?;
        let address = end.local_addr()?;
        Ok((end, address))
    }

    fn listener(self, backlog: i32) -> Result<(End, SocketAddr)> {
        let (end, address) = self.bound(true)?;
        end.listen(backlog)?;
        Ok((end, address))
    }
}

/// Calls the method of the same name on either kind of socket.
macro_rules! either {
    ($self:ident, $socket:ident => $call:expr) => {
        match $self {
            Self::Kernel($socket) => $call,
            Self::Node($socket) => $call,
        }
    };
}

impl End {
    fn bind(&self, to: SocketAddr) -> io::Result<()> {
        match self {
            Self::Kernel(socket) => socket.bind(&to.into()),
            Self::Node(socket) => socket.bind(to),
        }
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(match self {
            Self::Kernel(socket) => socket.local_addr()?.as_socket().ok_or("an address")?,
            Self::Node(socket) => socket.local_addr()?,
        })
    }

    fn listen(&self, backlog: i32) -> io::Result<()> {
        either!(self, socket => socket.listen(backlog))
    }

    fn connect(&self, to: SocketAddr, limit: Duration) -> io::Result<()> {
        match self {
            Self::Kernel(socket) => socket.connect_timeout(&to.into(), limit),
            Self::Node(socket) => socket.connect_timeout(to, limit),
        }
    }

    fn accept(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Kernel(socket) => Self::Kernel(socket.accept()?.0),
            Self::Node(socket) => Self::Node(socket.accept()?.0),
        })
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, socket => socket.send(bytes))
    }

    fn recv(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Kernel(socket) => (&*socket).read(bytes),
            Self::Node(socket) => socket.recv(bytes),
        }
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        either!(self, socket => socket.take_error())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        either!(self, socket => socket.shutdown(how))
    }

    fn linger_for_no_time(&self) -> io::Result<()> {
        either!(self, socket => socket.set_linger(Some(Duration::ZERO)))
    }

    /// Waits until five bytes are there, and leaves them.
    fn wait_for_text(&self) -> Result<()> {
        let mut bytes = [0; 5];
        match self {
            Self::Kernel(socket) => {
                let room: &mut [std::mem::MaybeUninit<u8>; 5] =
                    &mut [std::mem::MaybeUninit::uninit(); 5];
                socket.peek(room)?;
            }
            Self::Node(socket) => {
                socket.peek(&mut bytes)?;
            }
        }
        Ok(())
    }
}

/// Both ends of a connection, who asked first.
fn connection(asks: Host<'_>, answers: Host<'_>) -> Result<(End, End)> {
    let (listener, to) = answers.listener(5)?;
    let asking = asks.socket(true)?;
    asking.connect(to, REST)?;
    Ok((asking, listener.accept()?))
}

/// A play for two, and the counters that say the same whoever plays which part.
struct Play {
    name: &'static str,
    /// What the kernel counts otherwise.
    except: &'static [&'static str],
    play: fn(Host<'_>, Host<'_>) -> Result<()>,
}

/// What is the same whoever plays the part.
const SAME: &[&str] = &[
    "TcpActiveOpens",
    "TcpPassiveOpens",
    "TcpAttemptFails",
    "TcpEstabResets",
    "TcpRetransSegs",
    "TcpInErrs",
    "TcpOutRsts",
    "UdpInDatagrams",
    "UdpNoPorts",
    "UdpInErrors",
    "UdpOutDatagrams",
    "UdpRcvbufErrors",
    "UdpInCsumErrors",
    "TcpExtSyncookiesSent",
    "TcpExtSyncookiesRecv",
    "TcpExtSyncookiesFailed",
    "TcpExtEmbryonicRsts",
    "TcpExtPAWSActive",
    "TcpExtPAWSEstab",
    "TcpExtListenOverflows",
    "TcpExtListenDrops",
    "TcpExtTCPFastRetrans",
    "TcpExtTCPSlowStartRetrans",
    "TcpExtTCPTimeouts",
    "TcpExtTCPSackRecovery",
    "TcpExtTCPRenoRecovery",
    "TcpExtTCPLossProbes",
    "TcpExtTCPAbortOnData",
    "TcpExtTCPAbortOnClose",
    "TcpExtTCPAbortOnLinger",
    "TcpExtTCPAbortOnTimeout",
    "TcpExtTCPAbortOnMemory",
    "TcpExtTCPChallengeACK",
    "TcpExtTCPReqQFullDoCookies",
    "TcpExtTCPReqQFullDrop",
    "TcpExtTCPDeferAcceptDrop",
    "TcpExtTCPWinProbe",
    "TcpExtTCPKeepAlive",
    "TcpExtPruneCalled",
    "TcpExtTCPRcvCollapsed",
    "TcpExtTCPMD5NotFound",
    "TcpExtTCPMD5Unexpected",
    "TcpExtTCPMD5Failure",
    "IpOutNoRoutes",
    "IpInHdrErrors",
    "IpReasmReqds",
    "IpReasmOKs",
    "IpFragOKs",
    "IpFragCreates",
    "IcmpInMsgs",
    "IcmpOutMsgs",
];

/// What one sends and the other receives: how many that are is up to each one's acknowledgments.
const CROSSED: &[(&str, &str)] = &[
    ("TcpOutSegs", "TcpInSegs"),
    ("IpOutRequests", "IpInDelivers"),
];

const PLAYS: &[Play] = &[
    Play {
        name: "question and answer",
        except: &[],
        play: |asks, answers| {
            let (asking, answering) = connection(asks, answers)?;
            let mut bytes = [0; 5];
            asking.send(b"hello")?;
            answering.recv(&mut bytes)?;
            answering.send(&bytes)?;
            asking.recv(&mut bytes)?;
            asking.shutdown(Shutdown::Write)?;
            check!(answering.recv(&mut bytes)? == 0, "text after the end");
            drop(answering);
            check!(asking.recv(&mut bytes)? == 0, "text after the end");
            Ok(())
        },
    },
    Play {
        name: "refusal",
        except: &[],
        play: |asks, answers| {
            let (listener, to) = answers.listener(5)?;
            drop(listener);
            let refused = asks.socket(true)?.connect(to, REST);
            check!(
                refused
                    .as_ref()
                    .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused),
                "{refused:?}"
            );
            Ok(())
        },
    },
    Play {
        name: "abort by who asked",
        except: &[],
        play: |asks, answers| {
            let (asking, answering) = connection(asks, answers)?;
            asking.linger_for_no_time()?;
            drop(asking);
            check!(answering.recv(&mut [0; 5]).is_err(), "no reset came");
            Ok(())
        },
    },
    Play {
        name: "close with text unread",
        except: &[],
        play: |asks, answers| {
            let (asking, answering) = connection(asks, answers)?;
            asking.send(b"hello")?;
            answering.wait_for_text()?;
            drop(answering);
            check!(asking.recv(&mut [0; 5]).is_err(), "no reset came");
            Ok(())
        },
    },
    Play {
        name: "text after close",
        // The kernel has a minisocket in FIN-WAIT-2, which does not count it.
        except: &["TcpExtTCPAbortOnData"],
        play: |asks, answers| {
            let (asking, answering) = connection(asks, answers)?;
            drop(asking);
            check!(answering.recv(&mut [0; 5])? == 0, "text after the end");
            answering.send(b"hello")?;
            let end = Instant::now() + REST;
            while answering.take_error()?.is_none() {
                check!(Instant::now() < end, "no reset came");
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        },
    },
    Play {
        name: "datagrams",
        except: &[],
        play: |asks, answers| {
            let (answering, to) = answers.bound(false)?;
            let asking = asks.socket(false)?;
            asking.connect(to, REST)?;
            for _ in 0..3 {
                asking.send(b"hello")?;
                answering.recv(&mut [0; 5])?;
            }
            // In fragments.
            asking.send(&[7; 4000])?;
            answering.recv(&mut [0; 5])?;
            drop(answering);
            asking.send(b"hello")?;
            check!(asking.recv(&mut [0; 5]).is_err(), "no refusal came");
            Ok(())
        },
    },
];

const CROWDED: &[Play] = &[
    Play {
        name: "a cookie",
        except: &[],
        play: |asks, answers| {
            let (asking, answering) = connection(asks, answers)?;
            asking.send(b"hello")?;
            answering.recv(&mut [0; 5])?;
            Ok(())
        },
    },
    Play {
        name: "a full queue",
        // RFC 4022 counts a close in SYN-SENT, the kernel does not.
        except: &["TcpAttemptFails"],
        play: |asks, answers| {
            let (listener, to) = answers.listener(1)?;
            let (first, second, third) =
                (asks.socket(true)?, asks.socket(true)?, asks.socket(true)?);
            first.connect(to, REST)?;
            second.connect(to, REST)?;
            let dropped = third.connect(to, Duration::from_millis(100));
            check!(
                dropped
                    .as_ref()
                    .is_err_and(|e| e.kind() == io::ErrorKind::TimedOut),
                "{dropped:?}"
            );
            drop((first, second, third));
            for _ in 0..2 {
                check!(listener.accept()?.recv(&mut [0; 5])? == 0, "text came");
            }
            Ok(())
        },
    },
];

fn counters_agree_with_the_kernels() -> Result {
    in_namespace(
        "interop::counters::counters_agree_with_the_kernels",
        LIMIT,
        || {
            let node = node!(|tap| Box::new(tap));
            compare_all(&node, PLAYS)
        },
    )
}

/// Every SYN is answered with a cookie.
fn counters_of_a_crowded_listener_agree() -> Result {
    in_namespace(
        "interop::counters::counters_of_a_crowded_listener_agree",
        LIMIT,
        || {
            let node = node!(|tap| Box::new(tap));
            let mut settings = node.config()?;
            settings.set_sysctl("net.ipv4.tcp_syncookies", "2")?;
            node.set_config(settings)?;
            std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", "2")?;
            compare_all(&node, CROWDED)
        },
    )
}

fn compare_all(node: &Node, plays: &[Play]) -> Result {
    // What IPv6 says by itself would be counted, too.
    std::fs::write("/proc/sys/net/ipv6/conf/sockeye0/disable_ipv6", "1")?;
    for play in plays {
        compare(node, play).map_err(|error| format!("{}: {error}", play.name))?;
    }
    Ok(Outcome::Passed)
}

/// Plays it twice. Who asked has to have counted the same both times, and so has who answered.
fn compare(node: &Node, play: &Play) -> Result<()> {
    let [start, middle, end] = in_time(node, play)?;
    let mut differ = Vec::new();
    let mut note = |who: &str, ours: (&str, u64), theirs: (&str, u64)| {
        if ours.1 != theirs.1 {
            let ((name, ours), (its, theirs)) = (ours, theirs);
            differ.push(format!("{who}: {name} {ours}, the kernel's {its} {theirs}"));
        }
    };
    for &name in SAME.iter().filter(|name| !play.except.contains(name)) {
        let asked = (middle.node(&start, name), end.kernel(&middle, name));
        note("who asks", (name, asked.0), (name, asked.1));
        let answered = (end.node(&middle, name), middle.kernel(&start, name));
        note("who answers", (name, answered.0), (name, answered.1));
    }
    for (now, before) in [(&middle, &start), (&end, &middle)] {
        for &(sent, received) in CROSSED {
            let there = (now.node(before, sent), now.kernel(before, received));
            note("out", (sent, there.0), (received, there.1));
            let back = (now.node(before, received), now.kernel(before, sent));
            note("in", (received, back.0), (sent, back.1));
        }
    }
    check!(differ.is_empty(), "{}", differ.join("; "));
    Ok(())
}

/// The counters before, between and after the two runs. On a machine with much to do somebody may be
/// late, and something goes again: then another try.
fn in_time(node: &Node, play: &Play) -> Result<[Both; 3]> {
    for _ in 0..TRIES {
        let start = at_rest(node)?;
        (play.play)(Host::Node(node), Host::Kernel)?;
        let middle = at_rest(node)?;
        (play.play)(Host::Kernel, Host::Node(node))?;
        let end = at_rest(node)?;
        let again = "TcpRetransSegs";
        if end.node(&start, again) + end.kernel(&start, again) == 0 {
            return Ok([start, middle, end]);
        }
    }
    Err("something was sent again each time".into())
}

/// The counters of both once they have not moved for a while.
fn at_rest(node: &Node) -> Result<Both> {
    let end = Instant::now() + REST;
    let mut last = Both::read(node)?;
    loop {
        std::thread::sleep(Duration::from_millis(400));
        let now = Both::read(node)?;
        if now == last {
            return Ok(now);
        }
        check!(Instant::now() < end, "the counters move and move");
        last = now;
    }
}
