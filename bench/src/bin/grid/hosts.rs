//! The ends of a path: a kernel in a network namespace of its own, or a node of ours.
//!
//! A namespace lives as long as the sockets and the TAP device that were made in it: nothing is
//! left behind, however the program ends.

use anyhow::{Context, Result, anyhow, ensure};
use sockeye::drivers::{MemoryConfig, MemoryLink, Tun};
use sockeye::link::{Link, MacAddr, Medium};
use sockeye::{Config, LinkConfig, Node};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, UdpSocket};
use std::time::Duration;

/// Where receivers listen.
const PORT: u16 = 7000;
/// Each side's buffers grow up to this: several times what the longest path holds with its queue.
pub(crate) const BUFFER_MAX: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Whose TCP it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Kernel,
    Ours,
}

/// A host, and its link for the stage.
pub(crate) struct Host {
    pub(crate) link: Option<Box<dyn Link>>,
    address: Ipv4Addr,
    tcp: Tcp,
}

enum Tcp {
    Kernel {
        listener: socket2::Socket,
        client: socket2::Socket,
        greeter: UdpSocket,
    },
    Ours {
        node: Node,
        congestion: String,
    },
}

/// A stream that can be cut off from another thread.
pub(crate) struct Stream<T: ?Sized> {
    pub(crate) io: Box<T>,
    pub(crate) cut: Box<dyn FnOnce() + Send>,
}

impl Host {
    /// The host 192.0.2.`number`.
    pub(crate) fn new(whose: Whose, number: u8, congestion: &str) -> Result<Self> {
        let address = Ipv4Addr::new(192, 0, 2, number);
        match whose {
            Whose::Kernel => kernel(address, congestion),
            Whose::Ours => ours(address, congestion),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.address.into(), PORT)
    }

    /// Says something to `peer`, so that both know each other's Ethernet address afterwards.
    pub(crate) fn greet(&self, peer: &Self) -> Result<()> {
        let to = SocketAddr::new(peer.address.into(), 9);
        match &self.tcp {
            Tcp::Kernel { greeter, .. } => greeter.send_to(b"hello", to)?,
            Tcp::Ours { node, .. } => {
                let socket = sockeye::net::UdpSocket::bind_on(node, (self.address, 0))?;
                socket.send_to(b"hello", to)?
            }
        };
        Ok(())
    }

    /// Listens.
    pub(crate) fn listen(&self) -> Result<Listener> {
        Ok(match &self.tcp {
            Tcp::Kernel { listener, .. } => {
                listener.listen(8)?;
                Listener::Kernel(listener.try_clone()?.into())
            }
            Tcp::Ours { node, .. } => {
                let listener = sockeye::net::TcpListener::bind_on(node, self.address())?;
                Listener::Ours(listener, node.clone())
            }
        })
    }

    /// Connects to `to`, to write.
    pub(crate) fn connect(&self, to: SocketAddr) -> Result<Stream<dyn Write + Send>> {
        Ok(match &self.tcp {
            Tcp::Kernel { client, .. } => {
                client.connect_timeout(&to.into(), CONNECT_TIMEOUT)?;
                let stream = std::net::TcpStream::from(client.try_clone()?);
                let other = stream.try_clone()?;
                Stream {
                    io: Box::new(stream),
                    cut: Box::new(move || cut(&other)),
                }
            }
            Tcp::Ours { node, congestion } => {
                let socket = sockeye::Socket::new_on(
                    node,
                    sockeye::Domain::IPV4,
                    sockeye::Type::STREAM,
                    Some(sockeye::Protocol::TCP),
                )?;
                let name = sockeye::OptionValue::Bytes(congestion.as_bytes().into());
                socket
                    .set_option(sockeye::SocketOption::Congestion, name)
                    .with_context(|| format!("a node has no congestion control {congestion}"))?;
                socket.connect_timeout(to, CONNECT_TIMEOUT)?;
                let stream = sockeye::net::TcpStream::from(socket);
                let node = node.clone();
                Stream {
                    io: Box::new(stream),
                    cut: Box::new(move || end(&node)),
                }
            }
        })
    }
}

/// Waits for the one connection.
pub(crate) enum Listener {
    Kernel(std::net::TcpListener),
    Ours(sockeye::net::TcpListener, Node),
}

impl Listener {
    pub(crate) fn accept(&self) -> Result<Stream<dyn Read + Send>> {
        Ok(match self {
            Self::Kernel(listener) => {
                let (stream, _) = listener.accept()?;
                let other = stream.try_clone()?;
                Stream {
                    io: Box::new(stream),
                    cut: Box::new(move || cut(&other)),
                }
            }
            Self::Ours(listener, node) => {
                let (stream, _) = listener.accept()?;
                let node = node.clone();
                Stream {
                    io: Box::new(stream),
                    cut: Box::new(move || end(&node)),
                }
            }
        })
    }
}

fn cut(stream: &std::net::TcpStream) {
    // One that has ended already is as good.
    let _ = stream.shutdown(Shutdown::Both);
}

fn end(node: &Node) {
    // What is under way is not waited for: the measurement is over.
    let _ = node.shutdown(Duration::ZERO);
}

fn ours(address: Ipv4Addr, congestion: &str) -> Result<Host> {
    let [.., number] = address.octets();
    let station = |side| Medium::Ethernet(MacAddr([2, 0, 0, 0, side, number]));
    // As over a TAP device with offloads: the stage cuts.
    let (ours, stage) = MemoryLink::pair(MemoryConfig::default(), station(1), station(2));
    let (rmem, wmem) = (Config::default().tcp_rmem, Config::default().tcp_wmem);
    let config = Config {
        tcp_congestion: congestion.to_owned(),
        tcp_rmem: (rmem.0, rmem.1, BUFFER_MAX),
        tcp_wmem: (wmem.0, wmem.1, BUFFER_MAX),
        ..Config::default()
    };
    let mut link = LinkConfig::new().address(sockeye::IpNet::new(address.into(), 24)?);
    link.link_local = false;
    let node = Node::builder()
        .config(config)
        .seed([number; 32])
        .link("mem", Box::new(ours), link)
        .build()?;
    Ok(Host {
        link: Some(Box::new(stage)),
        address,
        tcp: Tcp::Ours {
            node,
            congestion: congestion.to_owned(),
        },
    })
}

/// Makes the namespace on a thread of its own, which takes nothing else with it.
fn kernel(address: Ipv4Addr, congestion: &str) -> Result<Host> {
    let congestion = congestion.to_owned();
    let work = move || -> Result<Host> {
        // SAFETY: unshare with CLONE_NEWNET changes the calling thread's namespace and no memory.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        ensure!(
            unshared == 0,
            "a network namespace needs root: {}",
            std::io::Error::last_os_error()
        );
        in_namespace(address, &congestion)
    };
    let thread = std::thread::Builder::new().name("namespace".into());
    let joined = thread.spawn(work)?.join();
    joined.map_err(|_| anyhow!("setting up a namespace panicked"))?
}

fn in_namespace(address: Ipv4Addr, congestion: &str) -> Result<Host> {
    use sockeye::drivers::tun::setup;
    for (name, value) in [
        // No router solicitations, no groups joined: TCP alone meets the stage.
        ("ipv6/conf/all/disable_ipv6", "1".to_owned()),
        ("ipv6/conf/default/disable_ipv6", "1".to_owned()),
        ("ipv4/tcp_rmem", format!("4096 131072 {BUFFER_MAX}")),
        ("ipv4/tcp_wmem", format!("4096 16384 {BUFFER_MAX}")),
    ] {
        std::fs::write(format!("/proc/sys/net/{name}"), value)
            .with_context(|| format!("net/{name} could not be set"))?;
    }
    let [.., number] = address.octets();
    let medium = Medium::Ethernet(MacAddr([2, 0, 0, 0, 2, number]));
    let tap = Tun::open("tap0", medium)?;
    setup::set_up("lo")?;
    setup::set_up("tap0")?;
    setup::add_address("tap0", IpAddr::V4(address), 24)?;
    let socket = || -> Result<socket2::Socket> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        // Root may choose one that net.ipv4.tcp_allowed_congestion_control does not list.
        socket
            .set_tcp_congestion(congestion.as_bytes())
            .with_context(|| format!("this kernel has no congestion control {congestion}"))?;
        Ok(socket)
    };
    let listener = socket()?;
    listener.bind(&SocketAddr::new(address.into(), PORT).into())?;
    Ok(Host {
        link: Some(Box::new(tap)),
        address,
        tcp: Tcp::Kernel {
            listener,
            client: socket()?,
            greeter: UdpSocket::bind((address, 0))?,
        },
    })
}
