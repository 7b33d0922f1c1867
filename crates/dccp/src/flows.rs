//! Whose packet it is: by the ends of its connection, and by the UDP ports between which it travels.

use crate::packet::Incoming;
use core::hash::Hash;
use sockeye_core::demux::{Binding, Demux, Flow, Keyed, KeyedMap};
use sockeye_core::{InterfaceId, Rng, SocketId};
use sockeye_link::UdpPorts;

/// RFC 6773 §3.8: what identifies a connection: four addresses and ports, in UDP six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    pub(crate) flow: Flow,
    /// The UDP ports as they stand in what we send.
    pub(crate) encap: Option<UdpPorts>,
}

impl Tuple {
    /// Of the connection to which `packet` belongs.
    pub(crate) fn of(flow: Flow, packet: &Incoming) -> Self {
        Self {
            flow,
            encap: packet.encap.map(|ports| UdpPorts {
                source: ports.destination,
                destination: ports.source,
            }),
        }
    }
}

/// The connections of a node by their tuples, and who has which port.
///
/// RFC 6773 §3.8, the second method: any number of connections share a pair of UDP ports, and each is
/// found by all six, so that two clients behind one translator are two.
#[derive(Debug)]
pub(crate) struct Flows {
    /// Ports, listeners, and the connections on bare IP.
    pub(crate) demux: Demux,
    in_udp: KeyedMap<(Flow, UdpPorts), SocketId>,
}

impl Flows {
    pub(crate) fn new(demux: Demux, rng: &mut Rng) -> Self {
        Self {
            demux,
            in_udp: KeyedMap::with_hasher(Keyed::new(rng)),
        }
    }

    /// Packets of `tuple` are for `id` from now on; on bare IP and with `tie`, by that interface.
    pub(crate) fn connect(&mut self, id: SocketId, tuple: &Tuple, tie: Option<InterfaceId>) {
        match tuple.encap {
            None => self.demux.connect(id, tuple.flow, tie, false),
            Some(ports) => {
                self.in_udp.insert((tuple.flow, ports), id);
            }
        }
    }

    /// Ends [`connect`](Self::connect).
    pub(crate) fn disconnect(&mut self, id: SocketId, tuple: &Tuple) {
        match tuple.encap {
            None => self.demux.disconnect(id, tuple.flow),
            Some(ports) => {
                let removed = self.in_udp.remove(&(tuple.flow, ports));
                debug_assert_eq!(removed, Some(id), "an entry is removed once");
            }
        }
    }

    /// Whose `tuple` is.
    pub(crate) fn connected(&self, tuple: &Tuple, interface: InterfaceId) -> Option<SocketId> {
        match tuple.encap {
            None => self.demux.connected(&tuple.flow, interface),
            Some(ports) => self.in_udp.get(&(tuple.flow, ports)).copied(),
        }
    }

    /// Whether some connection has this tuple.
    pub(crate) fn has(&self, tuple: &Tuple) -> bool {
        match tuple.encap {
            None => self.demux.has_flow(&tuple.flow),
            Some(ports) => self.in_udp.contains_key(&(tuple.flow, ports)),
        }
    }

    /// Whether a connection may begin as `tuple` from a port of `binding`.
    pub(crate) fn may_connect(&self, binding: &Binding, tuple: &Tuple) -> bool {
        !self.has(tuple) && self.demux.may_connect(binding, &tuple.flow)
    }
}
