//! Two nodes in this process, joined by a memory link.

use anyhow::Result;
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::net::{TcpListener, TcpStream};
use sockeye::{LinkConfig, Node};

/// How the memory link is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// MTU 1500, every packet cut and summed, as a wire carries them.
    Wire,
    /// Super-segments of 64 KiB cross whole, without checksums.
    Jumbo,
}

/// Two nodes and a connection between them.
pub(crate) struct Pair {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
    pub(crate) nodes: (Node, Node),
    pub(crate) listener: TcpListener,
}

pub(crate) fn pair(kind: Kind) -> Result<Pair> {
    let (a, b) = MemoryLink::pair_ip(match kind {
        Kind::Wire => MemoryConfig {
            mtu: 1500,
            ..MemoryConfig::without_offloads()
        },
        Kind::Jumbo => MemoryConfig {
            mtu: 65_535,
            ..MemoryConfig::default()
        },
    });
    let node = |link, address: &str| -> Result<Node> {
        let config = LinkConfig::new().address(address.parse()?);
        Ok(Node::builder()
            .link("mem", Box::new(link), config)
            .build()?)
    };
    let (first, second) = (node(a, "192.0.2.1/24")?, node(b, "192.0.2.2/24")?);
    let listener = TcpListener::bind_on(&second, "192.0.2.2:7000")?;
    let client = TcpStream::connect_on(&first, "192.0.2.2:7000")?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok(Pair {
        client,
        server,
        nodes: (first, second),
        listener,
    })
}
