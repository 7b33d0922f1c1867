//! An OSPFv2 speaker over a raw socket of a node of its own (RFC 2328): it becomes fully adjacent to the designated router of a
//! network, says which networks lie behind it, and gives its node the routes that it learns.
//!
//! `cargo run -p sockeye --example ospf -- DEVICE ADDRESS/PREFIX ROUTER-ID [NETWORK/PREFIX...]` on a TAP device. It says each
//! change of a neighbour or a route on a line of its own, and ends when its input does.

mod packet;
mod routes;
mod speaker;

use sockeye::drivers::Tun;
use sockeye::link::{MacAddr, Medium};
use sockeye::net::RawSocket;
use sockeye::{Domain, IpNet, LinkConfig, Node, Protocol};
use speaker::{ALL_ROUTERS, Settings, Speaker, State};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

const OSPF: i32 = 89;
/// Of routing protocols (RFC 2328 §A.1): internetwork control.
const PRECEDENCE: u32 = 0xc0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "ospf DEVICE ADDRESS/PREFIX ROUTER-ID [NETWORK/PREFIX...]";
    let (Some(device), Some(address), Some(router)) = (words.next(), words.next(), words.next())
    else {
        return Err(usage.into());
    };
    let settings = Settings {
        router: router.parse::<Ipv4Addr>()?.into(),
        address: address.parse()?,
        networks: words.map(|net| net.parse()).collect::<Result<_, _>>()?,
        hello: 1,
        dead: 4,
        cost: 10,
    };
    let [a, b, c, d] = settings.router.octets;
    let mac = MacAddr([2, 0, a, b, c, d]);
    let link = Tun::open(&device, Medium::Ethernet(mac))?;
    let config = LinkConfig::new().address(IpNet::V4(settings.address));
    let node = Node::builder()
        .link(&device, Box::new(link), config)
        .build()?;

    let socket = RawSocket::new_on(&node, Domain::IPV4, Protocol::from(OSPF))?;
    let local = settings.address.addr();
    socket.as_socket().join_multicast_v4(&ALL_ROUTERS, &local)?;
    socket.as_socket().set_multicast_loop_v4(false)?;
    socket.as_socket().set_ttl_v4(1)?;
    socket.as_socket().set_tos_v4(PRECEDENCE)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let ended = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));

    let (begun, mut speaker) = (Instant::now(), Speaker::new(settings));
    let (mut states, mut routes) = (BTreeMap::new(), BTreeMap::new());
    let mut buffer = [0; 65_536];
    while !ended.is_finished() {
        if let Ok((len, IpAddr::V4(from))) = socket.recv_from(&mut buffer) {
            let header = usize::from(buffer[0] & 0x0f) * 4;
            if header < len {
                speaker.receive(begun.elapsed(), from, &buffer[header..len]);
            }
        }
        speaker.tick(begun.elapsed());
        for (to, packet) in speaker.out.drain(..) {
            if let Err(error) = socket.send_to(&packet, to.into()) {
                eprintln!("to {to}: {error}");
            }
        }
        tell_states(&speaker, &mut states);
        use_routes(&node, &speaker, &mut routes)?;
    }
    Ok(())
}

fn tell_states(speaker: &Speaker, told: &mut BTreeMap<Ipv4Addr, State>) {
    let states = speaker
        .neighbours
        .iter()
        .map(|(router, n)| (Ipv4Addr::from(*router), n.state));
    let states: BTreeMap<_, _> = states.collect();
    for (router, state) in &states {
        if told.get(router) != Some(state) {
            println!("neighbour {router} {state:?}");
        }
    }
    for router in told.keys().filter(|router| !states.contains_key(router)) {
        println!("neighbour {router} Down");
    }
    *told = states;
}

/// Gives the node the routes that are new.
fn use_routes(
    node: &Node,
    speaker: &Speaker,
    used: &mut BTreeMap<sockeye::Ipv4Net, (Ipv4Addr, u32)>,
) -> Result<(), Box<dyn Error>> {
    let routes = routes::compute(speaker);
    let device = node.interfaces()?.last().ok_or("no interface")?.id;
    for (net, (gateway, cost)) in &routes {
        if used.get(net) != Some(&(*gateway, *cost)) {
            println!("route {net} via {gateway} cost {cost}");
            node.add_route(IpNet::V4(*net), Some(IpAddr::V4(*gateway)), device, *cost)?;
        }
    }
    for (net, (gateway, _)) in used.iter().filter(|(net, _)| !routes.contains_key(net)) {
        println!("route {net} gone");
        node.remove_route(IpNet::V4(*net), Some(IpAddr::V4(*gateway)), device)?;
    }
    *used = routes;
    Ok(())
}
