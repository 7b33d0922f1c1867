//! The handle of a node: how it is made current, looked at and, in `end`, ended.

mod end;

pub use end::SHUTDOWN_TIMEOUT;

use crate::beyond::Beyond;
use crate::builder::{LinkConfig, NodeBuilder};
use crate::driver::block_on;
use crate::error::{no_node, to_io};
use crate::shard::{LinkSlot, Shard, Watch, lock};
use crate::turn;
use sockeye_core::iface::{Address, NameServer, Router, Traffic};
use sockeye_core::ip::route::RouteEntry;
use sockeye_core::{
    Config, Counters, Error, Handle, InterfaceConfig, InterfaceId, Medium, Neighbour, Route,
    RouteQuery, SocketSummary, TransportId,
};
use sockeye_link::{Batch, Instant, Link};
use sockeye_node::Lease;
use sockeye_tcp::Info as TcpInfo;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A network node: links, addresses, routes and sockets of its own.
///
/// It is a handle: clones name the same node, and sockets hold one. When the last is gone, the node
/// ends as [`shutdown`](Self::shutdown) does, with [`SHUTDOWN_TIMEOUT`].
///
/// ```
/// use sockeye::drivers::{MemoryConfig, MemoryLink};
/// use sockeye::{LinkConfig, Node};
///
/// let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
/// let a = Node::builder()
///     .link("eth0", Box::new(a), LinkConfig::new().address("10.0.0.1/24".parse()?))
///     .build()?;
/// let b = Node::builder()
///     .link("eth0", Box::new(b), LinkConfig::new().address("10.0.0.2/24".parse()?))
///     .build()?;
/// let listener = sockeye::net::TcpListener::bind_on(&b, "10.0.0.2:80")?;
/// let stream = sockeye::net::TcpStream::connect_on(&a, "10.0.0.2:80")?;
/// assert_eq!(listener.accept()?.1, stream.local_addr()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shard: Arc<Shard>,
    /// Name servers, in the order in which they are asked.
    dns: Mutex<Vec<IpAddr>>,
    /// Who shares its abstract names.
    beyond: Mutex<Option<Arc<dyn Beyond>>>,
}

/// An interface of a node, as it is now.
#[derive(Clone, Debug)]
pub struct InterfaceInfo {
    /// Its number: 1 is the loopback.
    pub id: InterfaceId,
    /// Its name.
    pub name: String,
    /// Ethernet with the node's address there, or bare IP.
    pub medium: Medium,
    /// The largest IP packet, bytes.
    pub mtu: u32,
    /// The largest IPv4 packet: that, or less where a server said so.
    pub mtu_v4: u32,
    /// The largest IPv6 packet: that, or less where a router said so.
    pub mtu_v6: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// The routers of IPv6 that advertise themselves there.
    pub routers: Vec<Router>,
    /// The name servers that they advertise.
    pub name_servers: Vec<NameServer>,
    /// What a DHCP server has leased.
    pub lease: Option<Lease>,
    /// What went through it.
    pub traffic: Traffic,
    /// When it was looked at: lifetimes are counted from here.
    pub at: Instant,
}

/// Waiting.
impl Node {
    /// Blocks the thread until `poll`, which is called with a waker, is ready; `None` when `timeout`
    /// came first. The thread moves the node meanwhile, as every call does that waits. The
    /// `poll_*` methods of its sockets are what `poll` is made of.
    pub fn block_on<T>(
        &self,
        timeout: Option<Duration>,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let shard = self.shard();
        let deadline = timeout.and_then(|timeout| shard.clock.after(timeout));
        block_on(|| vec![shard.clone()], deadline, poll)
    }
}

/// Names of sockets inside the node.
impl Node {
    /// Shares the abstract names of connections with somebody else, from now on; `None` with nobody.
    pub fn share_names(&self, beyond: Option<Arc<dyn Beyond>>) {
        let before = std::mem::replace(&mut *lock(&self.0.beyond), beyond);
        drop(before);
    }

    pub(crate) fn beyond(&self) -> Option<Arc<dyn Beyond>> {
        lock(&self.0.beyond).clone()
    }

    /// unlink(2): takes a path of [`unix`](crate::unix) sockets away. Who is bound to it goes on, and is
    /// not found any more.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn unlink_unix(&self, path: impl AsRef<std::path::Path>) -> io::Result<()> {
        let path = path.as_ref().as_os_str().as_encoded_bytes();
        let done = self
            .shard()
            .with(|state, now| state.node.unix(now).0.unlink(path));
        done.map_err(to_io)
    }
}

/// Making a node, and making it current.
impl Node {
    /// A builder: no links, default settings, a random seed.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::new()
    }

    /// The handle of a node that stands in `shard`.
    pub(crate) fn over(shard: Arc<Shard>, dns: Vec<IpAddr>) -> Self {
        Self(Arc::new(Inner {
            shard,
            dns: Mutex::new(dns),
            beyond: Mutex::default(),
        }))
    }

    /// Makes this the thread's current node, where sockets are made that name no other, until the
    /// guard is dropped. What was current before is current again then.
    pub fn enter(&self) -> EnterGuard {
        CURRENT.with_borrow_mut(|current| current.push(self.clone()));
        EnterGuard {
            depth: CURRENT.with_borrow(Vec::len),
            thread: std::marker::PhantomData,
        }
    }

    /// The thread's current node.
    ///
    /// # Errors
    /// There is none.
    pub fn current() -> io::Result<Self> {
        CURRENT
            .with_borrow(|current| current.last().cloned())
            .ok_or_else(no_node)
    }

    /// Plugs in one more link.
    ///
    /// # Errors
    /// As for [`NodeBuilder::build`].
    pub fn add_link(
        &self,
        name: &str,
        mut link: Box<dyn Link>,
        config: LinkConfig,
    ) -> io::Result<InterfaceId> {
        let watch = watch(&*link)?;
        if watch.is_none() {
            let shard = Arc::downgrade(&self.0.shard);
            link.set_notify(Arc::new(move || {
                if let Some(shard) = shard.upgrade() {
                    turn::notified(&shard);
                }
            }));
        }
        let mut interface = InterfaceConfig::new(name, link.capabilities());
        interface.link_local = config.link_local;
        interface.detect_duplicates = config.detect_duplicates;
        interface.detect_conflicts = config.detect_conflicts;
        interface.slaac = config.slaac;
        let added = self.with(|node, now| {
            let id = node.add_interface(now, interface);
            let configure = |node: &mut sockeye_node::Node| {
                for net in &config.addresses {
                    node.add_address(now, id, *net)?;
                }
                for router in &config.gateways {
                    node.add_route(default_route(*router), Some(*router), id, 0)?;
                }
                if config.dhcp {
                    node.start_dhcp(now, id)?;
                    if let Some(address) = config.dhcp_address {
                        node.remember_lease(id, address);
                    }
                }
                Ok(id)
            };
            configure(node).inspect_err(|_| {
                node.remove_interface(now, id);
            })
        })?;
        {
            let mut slots = lock(&self.0.shard.links);
            slots.push(LinkSlot {
                interface: added,
                link,
                rx: Batch::new(),
                tx: Batch::new(),
                watch,
                more: false,
                failed: false,
            });
            self.0.shard.set_watches(&slots);
        }
        lock(&self.0.dns).extend(config.dns);
        self.0.shard.run();
        // Whoever drives it has to look at the new descriptor as well.
        self.0.shard.seat.kick();
        Ok(added)
    }

    pub(crate) fn shard(&self) -> &Arc<Shard> {
        &self.0.shard
    }

    /// Works on the sans-IO node under the lock.
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&mut sockeye_node::Node, Instant) -> Result<R, Error>,
    ) -> io::Result<R> {
        let shard = &self.0.shard;
        let done = shard.with(|state, now| work(&mut state.node, now));
        done.map_err(to_io)
    }
}

/// Looking at a node, and changing it.
impl Node {
    /// Its interfaces, the loopback first.
    ///
    /// # Errors
    /// The node was shut down (ESHUTDOWN), as for all that follow.
    pub fn interfaces(&self) -> io::Result<Vec<InterfaceInfo>> {
        self.with(|node, now| {
            let info = |(id, interface): (InterfaceId, &sockeye_core::Interface)| InterfaceInfo {
                id,
                name: interface.name().to_owned(),
                medium: interface.capabilities().medium,
                mtu: interface.mtu(),
                mtu_v4: interface.mtu_for(Ipv4Addr::UNSPECIFIED.into()),
                mtu_v6: interface.mtu_for(Ipv6Addr::UNSPECIFIED.into()),
                up: interface.is_up(),
                addresses: interface.addresses().to_vec(),
                routers: interface.routers().to_vec(),
                name_servers: interface.name_servers().to_vec(),
                lease: node.lease(id).and_then(|(_, lease)| lease.cloned()),
                traffic: interface.traffic(),
                at: now,
            };
            Ok(node.interfaces().map(info).collect())
        })
    }

    /// Its routes, longest prefix first.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn routes(&self) -> io::Result<Vec<RouteEntry>> {
        self.with(|node, _| Ok(node.routes().cloned().collect()))
    }

    /// The way that packets to `destination` take, from `source` and by `interface` where these are
    /// fixed.
    ///
    /// # Errors
    /// ENETUNREACH without a route, EADDRNOTAVAIL when `source` is not one of its addresses, ENODEV,
    /// ENETDOWN, EAFNOSUPPORT for addresses of two families.
    pub fn route_to(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        interface: Option<InterfaceId>,
    ) -> io::Result<Route> {
        self.with(|node, now| {
            node.context(now).inet.route(&RouteQuery {
                destination,
                source,
                interface,
                foreign_source: false,
            })
        })
    }

    /// The neighbours it knows on each interface.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn neighbours(&self) -> io::Result<Vec<(InterfaceId, Neighbour)>> {
        self.with(|node, _| Ok(node.neighbours().collect()))
    }

    /// `destinations` in the order in which they should be tried.
    pub(crate) fn order_destinations(
        &self,
        mut destinations: Vec<IpAddr>,
    ) -> io::Result<Vec<IpAddr>> {
        self.with(|node, _| {
            node.order_destinations(&mut destinations);
            Ok(destinations)
        })
    }

    /// Its counters.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn counters(&self) -> io::Result<Counters> {
        self.with(|node, _| Ok(node.counters().clone()))
    }

    /// Its settings.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn config(&self) -> io::Result<Config> {
        self.with(|node, _| Ok(node.config().clone()))
    }

    /// Changes its settings. What a socket took over when it was made, buffer sizes for one, it
    /// keeps.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn set_config(&self, config: Config) -> io::Result<()> {
        self.with(|node, _| {
            node.set_config(config);
            Ok(())
        })
    }

    /// Forgets the Fast Open cookies that servers have given it (`ip tcp_metrics flush`).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn forget_fast_open_cookies(&self) -> io::Result<()> {
        self.with(|node, now| {
            node.tcp(now).0.forget_fast_open_cookies();
            Ok(())
        })
    }

    /// All its sockets, those included that were closed and are not finished.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn sockets(&self) -> io::Result<Vec<SocketSummary>> {
        self.with(|node, _| Ok(node.sockets()))
    }

    /// The figures of a TCP connection, which [`sockets`](Self::sockets) names.
    ///
    /// # Errors
    /// The socket is no TCP connection (ENOTCONN), or there is none of that name any more (EBADF); the
    /// node was shut down.
    pub fn tcp_info(&self, socket: Handle) -> io::Result<TcpInfo> {
        self.with(|node, now| match socket.transport {
            TransportId::TCP => node.tcp(now).0.info(now, socket.id),
            _ => Err(Error::NotConnected),
        })
    }

    /// Ready when the node has had a turn since the last that `seen` counts, which it is set to; 0
    /// counts none. What changes by itself (addresses, routes, neighbours) changes in a turn, so that
    /// who shows them waits here and looks again. A node with traffic has a turn for each packet or
    /// two: who looks at much lets some time go by between two looks.
    pub fn poll_turned(&self, seen: &mut u64, cx: &mut Context<'_>) -> Poll<()> {
        self.0
            .shard
            .turned
            .poll(*seen, cx)
            .map(|count| *seen = count)
    }

    /// Whether somebody wants to see packets that are not theirs: an observer, a raw or a packet
    /// socket.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn is_watched(&self) -> io::Result<bool> {
        self.with(|node, _| Ok(node.is_watched()))
    }

    /// Whether all links have what they were to configure themselves with: a leased address, an
    /// address of a router's prefix, and none that is still tentative.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn is_configured(&self) -> io::Result<bool> {
        self.with(|node, _| Ok(node.is_configured()))
    }

    /// Its name servers, in the order in which they are asked: those that it was given, then those
    /// that servers and routers have told.
    #[must_use]
    pub fn dns_servers(&self) -> Vec<IpAddr> {
        let mut all = lock(&self.0.dns).clone();
        // A node that was shut down has learnt nothing.
        let learnt = self.with(|node, _| Ok(node.learnt_dns().collect::<Vec<_>>()));
        for server in learnt.unwrap_or_default() {
            if !all.contains(&server) {
                all.push(server);
            }
        }
        all
    }

    /// Sets the name servers that it is given, in the order in which they are to be asked.
    pub fn set_dns_servers(&self, servers: Vec<IpAddr>) {
        *lock(&self.0.dns) = servers;
    }

    /// A random number from the node's own source of chance.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn random(&self) -> io::Result<u64> {
        self.with(|node, now| Ok(node.context(now).rng.next_u64()))
    }

    /// Gives an interface one more address.
    ///
    /// # Errors
    /// EINVAL for one that no host can have, EADDRINUSE, ENODEV.
    pub fn add_address(&self, interface: InterfaceId, net: IpNet) -> io::Result<()> {
        self.with(|node, now| node.add_address(now, interface, net))?;
        self.0.shard.run();
        Ok(())
    }

    /// Takes an address away; false when the interface does not have it.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn remove_address(&self, interface: InterfaceId, net: IpNet) -> io::Result<bool> {
        let removed = self.with(|node, now| Ok(node.remove_address(now, interface, net)))?;
        self.0.shard.run();
        Ok(removed)
    }

    /// Adds a route: by `gateway`, or, without one, to neighbours on the link.
    ///
    /// # Errors
    /// ENODEV, EINVAL, ENETUNREACH for a gateway that is not on the link.
    pub fn add_route(
        &self,
        destination: IpNet,
        gateway: Option<IpAddr>,
        interface: InterfaceId,
        metric: u32,
    ) -> io::Result<()> {
        self.with(|node, _| node.add_route(destination, gateway, interface, metric))
    }

    /// Takes a route out; false when there is none.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn remove_route(
        &self,
        destination: IpNet,
        gateway: Option<IpAddr>,
        interface: InterfaceId,
    ) -> io::Result<bool> {
        self.with(|node, _| Ok(node.remove_route(destination, gateway, interface)))
    }
}

thread_local! {
    static CURRENT: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a node current; see [`Node::enter`].
#[derive(Debug)]
#[must_use = "the node is current only as long as the guard lives"]
pub struct EnterGuard {
    depth: usize,
    /// It belongs to the thread that entered.
    thread: std::marker::PhantomData<*const ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        // Guards dropped out of order take those entered after them along. The nodes are dropped
        // outside the borrow: the end of one may look for the current node.
        let left = CURRENT.try_with(|current| {
            let mut current = current.borrow_mut();
            let keep = self.depth.saturating_sub(1).min(current.len());
            current.split_off(keep)
        });
        drop(left);
    }
}

fn default_route(router: IpAddr) -> IpNet {
    match router {
        IpAddr::V4(_) => Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// A duplicate of the link's descriptor, where it has one.
#[expect(unsafe_code, reason = "a link names its descriptor by number")]
fn watch(link: &dyn Link) -> io::Result<Option<Arc<Watch>>> {
    let Some(fd) = link.as_raw_fd() else {
        return Ok(None);
    };
    // SAFETY: `Link::as_raw_fd` names a descriptor that the link holds open; the link is borrowed
    // here, so it is not dropped before the duplicate is made. A link that breaks this contract
    // makes the call fail or duplicates another descriptor of the process, which is only polled.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let fd: OwnedFd = rustix::io::fcntl_dupfd_cloexec(fd, 3)?;
    Ok(Some(Arc::new(Watch {
        fd,
        want_write: AtomicBool::new(false),
    })))
}
