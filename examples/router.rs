//! An IP router between links, IPv4 and IPv6: all of its forwarding is the node's own.
//!
//! `cargo run -p sockeye --example router` shows it in memory: a client and a server on two
//! networks, and between them a router whose second cable is narrower than the first.
//!
//! With arguments it routes between TAP devices, which it makes (that takes CAP_NET_ADMIN) unless
//! they are there: `router left=10.0.0.1/24,fd00::1/64 right=10.9.0.1/24,fd09::1/64`. Each line on
//! its standard input asks for its counters; at the end of the input it ends.

use sockeye::drivers::memory::{MemoryConfig, MemoryLink};
use sockeye::drivers::{Tun, local_address};
use sockeye::link::{Link, Medium};
use sockeye::net::{Shutdown, TcpListener, TcpStream};
use sockeye::{Config, LinkConfig, Node};
use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::thread;

/// Bytes that the cable on the server's side carries.
const NARROW: u32 = 1400;

fn main() -> Result<(), Box<dyn Error>> {
    let links: Vec<String> = std::env::args().skip(1).collect();
    if links.is_empty() {
        return demonstrate();
    }
    let router = router()?;
    for (index, link) in links.iter().enumerate() {
        let (name, addresses) = link.split_once('=').ok_or("a link is NAME=CIDR,…")?;
        let medium = Medium::Ethernet(local_address(&[1; 32], u32::try_from(index)?));
        plug(&router, name, Box::new(Tun::open(name, medium)?), addresses)?;
    }
    println!("routing between {} links", links.len());
    for line in io::stdin().lock().lines() {
        line?;
        show_counters(&router)?;
    }
    Ok(())
}

/// A node that sends on what is for others. That is all that makes it a router.
fn router() -> Result<Node, Box<dyn Error>> {
    let mut config = Config::default();
    config.set_sysctl("net.ipv4.ip_forward", "1")?;
    config.set_sysctl("net.ipv6.conf.all.forwarding", "1")?;
    // RFC 3704: whose source is not reached by where it came from is not let in.
    config.set_sysctl("net.ipv4.conf.all.rp_filter", "1")?;
    config.set_sysctl("net.ipv6.conf.all.rp_filter", "1")?;
    Ok(Node::builder().config(config).build()?)
}

/// Plugs a link into a node; `addresses` are CIDRs with commas between.
fn plug(
    node: &Node,
    name: &str,
    link: Box<dyn Link>,
    addresses: &str,
) -> Result<(), Box<dyn Error>> {
    let mut config = LinkConfig::new();
    for address in addresses.split(',') {
        config = config.address(address.parse()?);
    }
    node.add_link(name, link, config)?;
    Ok(())
}

/// A host with one link, whose addresses end in 2, and a router that has the 1.
fn host(link: MemoryLink, v4: &str, v6: &str) -> Result<Node, Box<dyn Error>> {
    let config = LinkConfig::new()
        .address(format!("{v4}.2/24").parse()?)
        .address(format!("{v6}::2/64").parse()?)
        .gateway(format!("{v4}.1").parse()?)
        .gateway(format!("{v6}::1").parse()?);
    Ok(Node::builder()
        .link("eth0", Box::new(link), config)
        .build()?)
}

fn demonstrate() -> Result<(), Box<dyn Error>> {
    let (to_client, left) = MemoryLink::pair_ip(MemoryConfig::default());
    let (to_server, right) = MemoryLink::pair_ip(MemoryConfig {
        mtu: NARROW,
        ..MemoryConfig::default()
    });
    let client = host(to_client, "10.0.0", "fd00")?;
    let server = host(to_server, "10.9.0", "fd09")?;
    let router = router()?;
    plug(&router, "left", Box::new(left), "10.0.0.1/24,fd00::1/64")?;
    plug(&router, "right", Box::new(right), "10.9.0.1/24,fd09::1/64")?;

    for address in ["10.9.0.2:7", "[fd09::2]:7"] {
        let listener = TcpListener::bind_on(&server, address)?;
        let echo = thread::spawn(move || -> io::Result<u64> {
            let (stream, peer) = listener.accept()?;
            println!("server: {peer} has connected");
            io::copy(&mut &stream, &mut &stream)
        });
        let stream = TcpStream::connect_on(&client, address)?;
        let sent = vec![7; 1 << 20];
        let received = thread::scope(|scope| -> io::Result<Vec<u8>> {
            let reader = scope.spawn(|| {
                let mut received = Vec::new();
                (&stream).read_to_end(&mut received).map(|_| received)
            });
            (&stream).write_all(&sent)?;
            stream.shutdown(Shutdown::Write)?;
            reader
                .join()
                .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })?;
        if received != sent {
            return Err("other bytes came back".into());
        }
        echo.join().map_err(|_| "the server panicked")??;
        println!("client: {} bytes went to {address} and back", sent.len());
    }
    show_counters(&router)
}

fn show_counters(router: &Node) -> Result<(), Box<dyn Error>> {
    for (counter, value) in router.counters()?.iter() {
        println!("router: {:<28}{value}", counter.name());
    }
    for interface in router.interfaces()? {
        let (name, traffic) = (interface.name, interface.traffic);
        println!(
            "router: {name} received {} packets and sent {}",
            traffic.rx_packets, traffic.tx_packets
        );
    }
    Ok(())
}

#[test]
fn the_demonstration_works() {
    demonstrate().expect("nothing fails in memory");
}
