//! Connections to addresses that nobody has, taken by a node that routes for them.

use crate::common::{LINK, carry, link, node};
use sockeye_core::{Domain, Medium, Scope, SocketId};
use sockeye_node::{Error, Instant, IpProtocol, Node};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

const NOW: Instant = Instant::from_millis(1000);
const FOREIGN: &str = "198.51.100.7:80";

/// A client whose default route leads to a gateway.
fn pair() -> (Node, Node) {
    let mut client = node(1, link(Medium::Ip, 1500), &["10.0.0.1/24"]);
    let gateway = Some("10.0.0.2".parse().unwrap());
    client
        .add_route("0.0.0.0/0".parse().unwrap(), gateway, LINK, 0)
        .unwrap();
    (client, node(2, link(Medium::Ip, 1500), &["10.0.0.2/24"]))
}

fn intercept(node: &mut Node, scope: Option<Scope>) {
    let (tcp, mut cx) = node.tcp(NOW);
    tcp.set_intercept(&mut cx, scope);
}

/// The two ends of a connection that was accepted in the name of [`FOREIGN`].
fn connection(client: &mut Node, gateway: &mut Node) -> (SocketId, SocketId) {
    let foreign: SocketAddr = FOREIGN.parse().unwrap();
    let (tcp, mut cx) = client.tcp(NOW);
    let near = tcp.open(&mut cx, Domain::V4).unwrap();
    let started = tcp.connect(&mut cx, near, foreign);
    assert_eq!(started, Err(Error::InProgress));
    carry(NOW, client, gateway, |_| false);
    let (tcp, mut cx) = gateway.tcp(NOW);
    let incoming = tcp.incoming(&mut cx).unwrap();
    assert_eq!(incoming.local, foreign);
    let far = tcp.accept_incoming(&mut cx, incoming.id).unwrap();
    carry(NOW, client, gateway, |_| false);
    (near, far)
}

fn send(node: &mut Node, id: SocketId, data: &[u8]) {
    let (tcp, mut cx) = node.tcp(NOW);
    let sent = tcp.send(&mut cx, id, &[IoSlice::new(data)]);
    assert_eq!(sent, Ok(data.len()));
}

fn receive(node: &mut Node, id: SocketId) -> Result<Vec<u8>, Error> {
    let mut buffer = [0; 64];
    let (tcp, mut cx) = node.tcp(NOW);
    let len = tcp.recv(&mut cx, id, &mut buffer)?;
    Ok(buffer[..len].to_vec())
}

fn close(node: &mut Node, id: SocketId) {
    let (tcp, mut cx) = node.tcp(NOW);
    tcp.close(&mut cx, id).unwrap();
}

fn intercepts(node: &mut Node) -> bool {
    node.context(NOW).inet.intercepts(IpProtocol::TCP)
}

/// Packets for an accepted connection go on coming when nothing new is caught any more, until it
/// has left TIME-WAIT.
#[test]
fn an_accepted_connection_outlives_interception() {
    let (mut client, mut gateway) = pair();
    intercept(&mut gateway, Some(Scope::Foreign));
    let (near, far) = connection(&mut client, &mut gateway);
    intercept(&mut gateway, None);

    send(&mut client, near, b"still here");
    carry(NOW, &mut client, &mut gateway, |_| false);
    assert_eq!(receive(&mut gateway, far).unwrap(), b"still here");
    send(&mut gateway, far, b"and here");
    carry(NOW, &mut client, &mut gateway, |_| false);
    assert_eq!(receive(&mut client, near).unwrap(), b"and here");

    close(&mut gateway, far);
    carry(NOW, &mut client, &mut gateway, |_| false);
    close(&mut client, near);
    carry(NOW, &mut client, &mut gateway, |_| false);
    assert!(intercepts(&mut gateway), "the gateway is in TIME-WAIT");
    gateway.handle_timeout(NOW + Duration::from_secs(61));
    assert!(!intercepts(&mut gateway));
}

#[test]
fn a_reset_ends_it_at_once() {
    let (mut client, mut gateway) = pair();
    intercept(&mut gateway, Some(Scope::Foreign));
    let (_, far) = connection(&mut client, &mut gateway);
    intercept(&mut gateway, None);
    assert!(intercepts(&mut gateway));
    let (tcp, mut cx) = gateway.tcp(NOW);
    tcp.abort(&mut cx, far).unwrap();
    assert!(!intercepts(&mut gateway));
}
