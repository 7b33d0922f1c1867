//! What plugs into the node: of packets there are none.

use crate::socket::{Socket, State};
use crate::{Unix, handle};
use sockeye_core::{
    Context, Disposition, InterfaceId, IpInfo, Packet, SocketId, SocketSummary, Transport,
    TransportId,
};
use std::any::Any;
use std::net::Ipv4Addr;

impl Transport for Unix {
    fn id(&self) -> TransportId {
        TransportId::UNIX
    }

    fn on_packet(&mut self, _: &mut Context<'_>, _: &IpInfo, packet: Packet) -> Disposition {
        Disposition::NoSocket(packet)
    }

    /// Their names are no addresses of hosts: these stand unspecified.
    fn sockets(&self) -> Vec<SocketSummary> {
        let summary = |(id, socket): (SocketId, &Socket)| SocketSummary {
            handle: handle(id),
            state: match socket.state {
                State::Closed => "UNCONN",
                State::Listening => "LISTEN",
                State::Established => "ESTAB",
            },
            local: (Ipv4Addr::UNSPECIFIED, 0).into(),
            remote: None,
            recv_queue: match socket.state {
                State::Listening => socket.pending.len(),
                State::Closed | State::Established => {
                    socket.queue.iter().map(|message| message.data.len()).sum()
                }
            },
            send_queue: match socket.state {
                State::Listening => socket.backlog,
                State::Closed | State::Established => socket.charged,
            },
        };
        self.sockets.iter().map(summary).collect()
    }

    fn has_output(&self, _: InterfaceId) -> bool {
        false
    }

    fn poll_transmit(&mut self, _: &mut Context<'_>, _: InterfaceId, _: usize) -> bool {
        false
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
