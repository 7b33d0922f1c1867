//! Sorts packets and events by connection.

use crate::connection::Connection;
use crate::report::{Facts, Report};
use crate::segment;
use sockeye_core::TransportId;
use sockeye_core::{Endpoint, Event, Flow, Handle, Instant, Medium, Packet};
use sockeye_wire::tcp;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Connections that are drawn at most; later ones are counted.
pub const CONNECTIONS_MAX: usize = 64;

/// Which way a packet went, as seen from the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The node sent it.
    Sent,
    /// The node received it.
    Received,
}

impl Way {
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Sent => 0,
            Self::Received => 1,
        }
    }
}

/// Keeps what a [`Report`] is drawn from.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    connections: Vec<Connection>,
    /// The newest connection between these ends.
    by_ends: BTreeMap<(SocketAddr, SocketAddr), usize>,
    by_socket: BTreeMap<Handle, usize>,
    left_out: u64,
}

impl Recorder {
    /// Without anything seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet passed a link of `medium`: what was sent as the link took it, what was received as
    /// the node gets it.
    pub fn on_packet(&mut self, at: Instant, medium: Medium, way: Way, packet: &Packet) {
        let Some(segment) = segment::parse(medium, way, packet) else {
            return;
        };
        let ends = (segment.local, segment.remote);
        let known = self.by_ends.get(&ends).copied();
        let known = known.filter(|n| !self.connections[*n].is_over_for(way, &segment.header));
        let number = match known {
            Some(number) => number,
            None => {
                // What belongs to no connection, or to one that was left out, begins none.
                let flags = segment.header.flags;
                if !flags.contains(tcp::Flags::SYN) || flags.contains(tcp::Flags::ACK) {
                    return;
                }
                let Some(number) = self.begin(at, ends) else {
                    return;
                };
                number
            }
        };
        self.connections[number].on_segment(at, way, &segment);
    }

    /// Something happened in the node.
    pub fn on_event(&mut self, at: Instant, event: &Event) {
        let socket = match event {
            Event::State { socket, .. }
            | Event::Recovery { socket, .. }
            | Event::Window { socket, .. }
            | Event::RoundTrip { socket, .. }
            | Event::TimedOut { socket, .. } => *socket,
            _ => return,
        };
        if socket.transport != TransportId::TCP {
            return;
        }
        if let Event::State {
            flow: Some(flow), ..
        } = event
        {
            self.meet(at, socket, flow);
        }
        if let Some(number) = self.by_socket.get(&socket) {
            self.connections[*number].on_event(at, event);
        }
        if matches!(event, Event::State { to: "CLOSED", .. }) {
            self.by_socket.remove(&socket);
        }
    }

    /// Learns which connection is the socket's.
    fn meet(&mut self, at: Instant, socket: Handle, flow: &Flow) {
        if self.by_socket.contains_key(&socket) {
            return;
        }
        let [local, remote] = [flow.local, flow.remote].map(address);
        let known = self.by_ends.get(&(local, remote)).copied();
        // Who opens tells before the SYN leaves; who is opened, after it has come.
        let known = known.filter(|n| self.connections[*n].state != Some("CLOSED"));
        let number = known.or_else(|| self.begin(at, (local, remote)));
        if let Some(number) = number {
            self.by_socket.insert(socket, number);
        }
    }

    fn begin(&mut self, at: Instant, ends: (SocketAddr, SocketAddr)) -> Option<usize> {
        let number = self.connections.len();
        if number == CONNECTIONS_MAX {
            self.left_out += 1;
            return None;
        }
        self.connections.push(Connection::new(at, ends.0, ends.1));
        self.by_ends.insert(ends, number);
        Some(number)
    }

    /// The report of all that was seen.
    #[must_use]
    pub fn report(&self, facts: Facts) -> Report<'_> {
        Report {
            facts,
            connections: &self.connections,
            left_out: self.left_out,
        }
    }
}

/// As it stands in packets, which name no interface.
fn address(end: Endpoint) -> SocketAddr {
    let ip: IpAddr = end.ip;
    SocketAddr::new(ip, end.port)
}
