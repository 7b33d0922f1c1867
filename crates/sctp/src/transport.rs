//! How SCTP plugs into a node.

use crate::arrival::Arrival;
use crate::table::Entry;
use crate::{Sctp, Style};
use core::any::Any;
use sockeye_core::{
    AddressChange, Config, Context, Counter, Disposition, IcmpError, InterfaceId, IpInfo, Packet,
    SocketId, SocketSummary, Transport, TransportId,
};
use std::net::{IpAddr, SocketAddr};

impl Transport for Sctp {
    fn id(&self) -> TransportId {
        TransportId::SCTP
    }

    fn on_packet(&mut self, cx: &mut Context<'_>, ip: &IpInfo, packet: Packet) -> Disposition {
        cx.counters.add(Counter::SctpInSCTPPacks);
        // RFC 9260 §8.4 1): nothing from or to a group or broadcast address.
        let unicast = ip.is_unicast() && !ip.source.is_multicast() && !ip.source.is_unspecified();
        if !unicast || !ip.local {
            return Disposition::Taken;
        }
        match Arrival::read(ip, packet) {
            Ok(arrival) if arrival.no_checksum && !self.takes_without_checksum(&arrival) => {
                cx.drop_packet(Counter::SctpChecksumErrors);
            }
            Ok(mut arrival) => {
                let known = self.find_again(&arrival);
                if let Some(apart) = arrival.apart.take() {
                    match known {
                        Some(id) if self.takes_apart(id) => {
                            self.data_for(cx, id, &arrival, apart);
                            return Disposition::Taken;
                        }
                        _ => arrival.chunks = apart.join(),
                    }
                }
                match known.or_else(|| self.find_for(&arrival)) {
                    Some(id) => self.packet_for(cx, id, &arrival),
                    None => self.out_of_the_blue(cx, &arrival),
                }
            }
            Err(why) => cx.drop_packet(why),
        }
        Disposition::Taken
    }

    fn on_batch_end(&mut self, cx: &mut Context<'_>) {
        self.settle_all(cx);
    }

    fn on_icmp_error(&mut self, cx: &mut Context<'_>, error: &IcmpError<'_>) -> bool {
        self.icmp_error(cx, error)
    }

    fn on_path_mtu(&mut self, cx: &mut Context<'_>, remote: IpAddr, mtu: u32) {
        self.path_mtu(cx, remote, mtu);
    }

    fn on_address(&mut self, cx: &mut Context<'_>, change: AddressChange) {
        self.address_changed(cx, change);
    }

    fn on_timeout(&mut self, cx: &mut Context<'_>, socket: SocketId) {
        if let Some(association) = self.association_mut(socket) {
            association.on_timeout(cx);
            self.settle(cx, socket);
        }
    }

    fn on_config(&mut self, config: &Config) {
        self.ports.set_config(config);
    }

    fn sockets(&self) -> Vec<SocketSummary> {
        let rows = self.entries.iter();
        rows.filter_map(|(id, entry)| self.summary(id, entry))
            .collect()
    }

    fn has_output(&self, interface: InterfaceId) -> bool {
        self.pending.len(interface) > 0
    }

    fn poll_transmit(
        &mut self,
        cx: &mut Context<'_>,
        interface: InterfaceId,
        budget: usize,
    ) -> bool {
        self.pull(cx, interface, budget)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Sctp {
    /// Whether any association has something to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.pending.is_empty()
    }

    fn takes_without_checksum(&self, arrival: &Arrival) -> bool {
        let association = self.find_for(arrival).and_then(|id| self.association(id));
        association.is_some_and(|association| association.takes_without_checksum(arrival))
    }

    fn summary(&self, id: SocketId, entry: &Entry) -> Option<SocketSummary> {
        Some(match entry {
            Entry::Endpoint(endpoint) => {
                // A connected socket shows as its association.
                if endpoint.style == Style::OneToOne && endpoint.only().is_some() {
                    return None;
                }
                let common = &endpoint.settings.common;
                let unbound = SocketAddr::new(common.domain.unspecified(), 0);
                let bound = endpoint.bound.first();
                SocketSummary {
                    handle: Self::handle(id),
                    state: match endpoint.backlog {
                        Some(_) => "LISTEN",
                        None => "CLOSED",
                    },
                    local: bound.map_or(unbound, |bound| common.show(bound.local)),
                    remote: None,
                    recv_queue: endpoint.waiting.len(),
                    send_queue: endpoint.backlog.unwrap_or(0),
                }
            }
            Entry::Association(association) => {
                let common = &association.settings.common;
                let path = association.paths.get(association.primary)?;
                let ip = association.local.first().copied();
                let ip = ip.unwrap_or(common.domain.unspecified());
                let local = sockeye_core::Endpoint::new(ip, association.local_port);
                SocketSummary {
                    handle: Self::handle(association.owner.unwrap_or(id)),
                    state: association.state.ss_name(),
                    local: common.show(local),
                    remote: Some(common.show(path.remote)),
                    recv_queue: association.unread,
                    send_queue: association.send_held(),
                }
            }
        })
    }
}
