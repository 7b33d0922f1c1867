//! The link `user`: a virtual LAN inside the process, with a way out through the host's sockets.
//!
//! ```text
//!   program's node ── memory link ── gateway's node ── host sockets ── the world
//!   10.0.2.15/24                     10.0.2.2  services, egress
//!   fd00:2::15/64                    10.0.2.3  names
//! ```
//!
//! The gateway is a node of its own. It answers ping by itself; `services` are HTTP, echo,
//! discard, daytime and chargen; `dns` serves names; everything that is sent to another address
//! is intercepted and leaves through an ordinary socket of the host: `tcp`, `udp`, `ping`. What comes
//! to a published port of the host goes the other way (`publish`, `ingress`).
//! So nothing needs a privilege. The host's own loopback is out of reach unless
//! [`UserConfig::allow_host_loopback`] says otherwise.

mod dns;
pub use dns::nameservers;
mod ingress;
mod ping;
mod publish;
pub use publish::{ParsePublishError, Publish, Transport};
mod relay;
mod services;
mod tcp;
mod udp;

use ipnet::IpNet;
use sockeye::{LinkConfig, Node, Protocol, Scope, Unreachable};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

/// The program's node.
pub const NODE_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// The program's node.
pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x15);
/// The gateway.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The gateway.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);
/// The name server.
pub const DNS_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// The name server.
pub const DNS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 3);
/// Bytes of IP packet on the virtual LAN; super-segments cross it whole.
pub const MTU: u32 = 1500;
/// How long peers on the host's network may take, after the program's node has ended, for what it sent them.
const DRAIN: Duration = Duration::from_secs(5);

/// What the virtual LAN is like.
#[derive(Clone, Debug, Default)]
pub struct UserConfig {
    /// `10.0.2.2:P` and `[fd00:2::2]:P` reach the host's `127.0.0.1:P` and `[::1]:P` where the gateway has
    /// no service of its own on P.
    pub allow_host_loopback: bool,
    /// The name servers that the host uses: queries are passed on to them, and queries that the
    /// program addresses to them are answered here.
    pub host_nameservers: Vec<IpAddr>,
    /// Ports of the host that lead into the node.
    pub publish: Vec<Publish>,
}

/// Where a flow that the gateway intercepted goes.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// To the name server.
    Dns,
    /// To this address of the host's network.
    Host(SocketAddr),
    /// Nowhere: as a closed port answers.
    Refused,
    /// Nowhere: as a router answers that knows no way.
    Unreachable(Unreachable),
}

/// What the gateway's parts share.
#[derive(Debug)]
struct Lan {
    config: UserConfig,
    dns: Rc<dns::Dns>,
    outward: relay::Outward,
}

impl Lan {
    /// Where a flow to `local` goes; `services` are the ports that the gateway has for itself.
    fn way(&self, local: SocketAddr, services: &[u16]) -> Way {
        let ip = local.ip();
        if local.port() == 53 && (self.config.host_nameservers.contains(&ip) || is_dns(ip)) {
            return Way::Dns;
        }
        if is_gateway(ip) {
            if self.config.allow_host_loopback && !services.contains(&local.port()) {
                let host: IpAddr = if ip.is_ipv4() {
                    Ipv4Addr::LOCALHOST.into()
                } else {
                    Ipv6Addr::LOCALHOST.into()
                };
                return Way::Host(SocketAddr::new(host, local.port()));
            }
            return Way::Refused;
        }
        if is_dns(ip) {
            return Way::Refused;
        }
        barrier(ip).map_or(Way::Host(local), Way::Unreachable)
    }
}

/// Why `ip` can't be reached through the host, if it can't: nobody on the LAN has it, or it means
/// the host itself or a group.
fn barrier(ip: IpAddr) -> Option<Unreachable> {
    let lan = match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == GATEWAY_V4.octets()[..3] || ip.is_broadcast(),
        IpAddr::V6(ip) => {
            ip.segments()[..4] == GATEWAY_V6.segments()[..4] || ip.is_unicast_link_local()
        }
    };
    let ip = ip.to_canonical();
    let closed = ip.is_loopback() || ip.is_multicast() || ip.is_unspecified();
    if lan {
        Some(Unreachable::Host)
    } else {
        closed.then_some(Unreachable::Prohibited)
    }
}

fn is_gateway(ip: IpAddr) -> bool {
    ip == IpAddr::V4(GATEWAY_V4) || ip == IpAddr::V6(GATEWAY_V6)
}

fn is_dns(ip: IpAddr) -> bool {
    ip == IpAddr::V4(DNS_V4) || ip == IpAddr::V6(DNS_V6)
}

/// The virtual LAN at work: it serves until dropped, and then until what the program's node sent has been carried to the
/// host's network, at most for 5 seconds.
#[derive(Debug)]
pub struct UserLan {
    node: Node,
    published: Vec<Publish>,
    attach: mpsc::UnboundedSender<Node>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl UserLan {
    /// Starts the gateway with `link` as its end of the virtual LAN; the other end is the program's.
    ///
    /// # Errors
    /// No thread could be started, or the gateway's own sockets or a published port could not be opened.
    pub fn start(config: UserConfig, link: Box<dyn sockeye::link::Link>) -> io::Result<Self> {
        let opened = config.publish.iter().map(|publish| publish.open());
        let doors: Vec<_> = opened.collect::<io::Result<_>>()?;
        let published = doors.iter().map(|(publish, _)| *publish).collect();
        let node = Node::builder()
            .link("lan", link, gateway_addresses())
            .build()?;
        let stop = Arc::new(Notify::new());
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let (attach, attached) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("sockeye-gateway".into())
            .spawn({
                let (node, stop) = (node.clone(), stop.clone());
                move || run(node, config, doors, attached, &stop, &ready)
            })?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self {
                node,
                published,
                attach,
                stop,
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other(
                "the gateway's thread ended before it served",
            )),
        }
    }

    /// Serves names on `node`'s own loopback as well: there the program asks when the host's
    /// resolv.conf names a server on the host's loopback.
    pub fn serve_names_on(&self, node: &Node) {
        // A gateway whose thread has ended serves nobody; `start` would have said so.
        let _ = self.attach.send(node.clone());
    }

    /// The ports of the host that lead into the node, by the numbers that they got.
    #[must_use]
    pub fn published(&self) -> &[Publish] {
        &self.published
    }

    /// The gateway's node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }
}

impl Drop for UserLan {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A gateway that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn gateway_addresses() -> LinkConfig {
    let v4 = [GATEWAY_V4, DNS_V4].map(|ip| IpNet::new_assert(ip.into(), 24));
    let v6 = [GATEWAY_V6, DNS_V6].map(|ip| IpNet::new_assert(ip.into(), 64));
    v4.into_iter()
        .chain(v6)
        .fold(LinkConfig::new(), LinkConfig::address)
}

/// The gateway's thread: one runtime for the node's sockets and the host's.
fn run(
    node: Node,
    config: UserConfig,
    doors: Vec<(Publish, publish::Door)>,
    mut attached: mpsc::UnboundedReceiver<Node>,
    stop: &Notify,
    ready: &std::sync::mpsc::SyncSender<io::Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _current = node.enter();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let started = serve(&node, config, doors).await;
        let (lan, started) = match started {
            Ok(lan) => (Some(lan), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // The starter waits for exactly this word.
        let _ = ready.send(started);
        let Some(lan) = lan else { return };
        loop {
            tokio::select! {
                () = stop.notified() => break,
                Some(node) = attached.recv() => serve_loopback_names(&lan, &node).await,
            }
        }
        if timeout(DRAIN, lan.outward.carried()).await.is_err() {
            tracing::warn!(timeout = ?DRAIN, "peers did not take in time all that was sent to them: they are reset");
        }
    });
}

/// Answers queries to the host's loopback name servers on `node`'s own loopback.
async fn serve_loopback_names(lan: &Lan, node: &Node) {
    let servers = lan.config.host_nameservers.iter();
    for server in servers.filter(|ip| ip.to_canonical().is_loopback()) {
        let address = SocketAddr::new(*server, 53);
        if let Err(error) = lan.dns.clone().serve_on(node, address).await {
            tracing::warn!(%address, %error, "names are not served there");
        }
    }
}

async fn serve(
    node: &Node,
    config: UserConfig,
    doors: Vec<(Publish, publish::Door)>,
) -> io::Result<Rc<Lan>> {
    let scope = Scope::All;
    let tcp = node.intercept(Protocol::TCP, scope)?;
    let udp = node.intercept(Protocol::UDP, scope)?;
    let ping = node.intercept_ping(Scope::Foreign)?;
    let dns = Rc::new(dns::Dns::new(&config));
    let lan = Rc::new(Lan {
        config,
        dns: dns.clone(),
        outward: relay::Outward::default(),
    });
    services::start().await?;
    tokio::task::spawn_local(tcp::egress(lan.clone(), tcp));
    tokio::task::spawn_local(udp::egress(lan.clone(), udp));
    tokio::task::spawn_local(ping::egress(ping));
    for (publish, door) in doors {
        tokio::task::spawn_local(ingress::serve(lan.clone(), publish, door));
    }
    Ok(lan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lan(allow_host_loopback: bool) -> Lan {
        let host_nameservers = vec!["127.0.0.53".parse().unwrap(), "192.0.2.53".parse().unwrap()];
        let config = UserConfig {
            allow_host_loopback,
            host_nameservers,
            publish: Vec::new(),
        };
        Lan {
            dns: Rc::new(dns::Dns::new(&config)),
            config,
            outward: relay::Outward::default(),
        }
    }

    fn way(lan: &Lan, to: &str) -> Way {
        lan.way(to.parse().unwrap(), &services::TCP_PORTS)
    }

    #[test]
    fn the_hosts_loopback_is_closed_unless_it_is_allowed() {
        assert_eq!(way(&lan(false), "10.0.2.2:8080"), Way::Refused);
        assert_eq!(
            way(&lan(true), "10.0.2.2:8080"),
            Way::Host("127.0.0.1:8080".parse().unwrap())
        );
        assert_eq!(
            way(&lan(true), "[fd00:2::2]:8080"),
            Way::Host("[::1]:8080".parse().unwrap())
        );
        assert_eq!(
            way(&lan(true), "10.0.2.2:80"),
            Way::Refused,
            "the gateway's own ports stay its own"
        );
        for address in [
            "127.0.0.1:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "0.0.0.0:80",
            "[::]:80",
        ] {
            assert_eq!(
                way(&lan(true), address),
                Way::Unreachable(Unreachable::Prohibited),
                "{address}"
            );
        }
    }

    #[test]
    fn any_server_that_the_host_asks_for_names_is_served_here() {
        for address in [
            "10.0.2.3:53",
            "[fd00:2::3]:53",
            "127.0.0.53:53",
            "192.0.2.53:53",
        ] {
            assert_eq!(way(&lan(false), address), Way::Dns, "{address}");
        }
        assert_eq!(way(&lan(false), "10.0.2.3:54"), Way::Refused);
        assert_eq!(
            way(&lan(false), "192.0.2.54:53"),
            Way::Host("192.0.2.54:53".parse().unwrap())
        );
    }

    #[test]
    fn nobody_else_is_on_the_lan() {
        for address in [
            "10.0.2.77:80",
            "[fd00:2::77]:80",
            "[fe80::1]:80",
            "255.255.255.255:67",
        ] {
            assert_eq!(
                way(&lan(true), address),
                Way::Unreachable(Unreachable::Host),
                "{address}"
            );
        }
        assert_eq!(
            way(&lan(false), "198.51.100.1:443"),
            Way::Host("198.51.100.1:443".parse().unwrap())
        );
    }
}
