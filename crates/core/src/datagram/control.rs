//! What recvmsg tells beside a datagram (ip(7), ipv6(7), udp(7), socket(7)).

use super::{Datagram, DatagramSocket};
use crate::demux::Endpoint;
use crate::internet_options::Switches;
use crate::ip::extras::Ipv4Options;
use crate::socket::{Domain, Stamp};
use crate::{Context, Instant, InterfaceId};
use bytes::Bytes;
use sockeye_wire::{IpProtocol, ipv4, ipv6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv6's traffic class and flow label, in the first word of its header.
const FLOW_INFO_MASK: u32 = 0x0fff_ffff;

/// One control message, of those that a datagram comes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// SO_TIMESTAMP, SO_TIMESTAMPNS: when it arrived.
    Arrived(Stamp, Instant),
    /// SO_RXQ_OVFL: datagrams that had been dropped by then, where there were any.
    Dropped(u32),
    /// UDP_GRO: the data is datagrams of so many bytes.
    Segment(u16),
    /// IP_PKTINFO
    PacketInfo {
        /// Where it came in.
        interface: InterfaceId,
        /// The node's own address, from which an answer would come.
        local: Ipv4Addr,
        /// Whom it was sent to.
        destination: Ipv4Addr,
    },
    /// IPV6_PKTINFO
    PacketInfoV6 {
        /// RFC 2292's.
        old: bool,
        /// Where it came in.
        interface: InterfaceId,
        /// Whom it was sent to; an IPv4 address as a mapped one.
        destination: Ipv6Addr,
    },
    /// IP_TTL
    Ttl(u8),
    /// IP_TOS
    Tos(u8),
    /// IP_RECVOPTS: the options as they stood in the header.
    Options(Bytes),
    /// IP_RETOPTS: the options to answer with.
    ReturnOptions(Bytes),
    /// IP_ORIGDSTADDR, IPV6_ORIGDSTADDR
    OriginalDestination(Endpoint),
    /// IP_RECVFRAGSIZE, IPV6_RECVFRAGSIZE.
    FragmentSize {
        /// Of an IPv6 packet.
        v6: bool,
        /// Bytes of the largest fragment.
        bytes: u32,
    },
    /// IPV6_HOPLIMIT
    HopLimit {
        /// RFC 2292's.
        old: bool,
        /// Hops that it had left.
        hops: u8,
    },
    /// IPV6_TCLASS
    TrafficClass(u8),
    /// IPV6_FLOWINFO: traffic class and flow label.
    FlowInfo(u32),
    /// IPV6_HOPOPTS, IPV6_RTHDR, IPV6_DSTOPTS
    Header {
        /// RFC 2292's.
        old: bool,
        /// What kind of extension header it is.
        kind: IpProtocol,
        /// The whole of it.
        bytes: Bytes,
    },
    /// IPV6_PATHMTU: not of a datagram, but of one that was not sent.
    PathMtu {
        /// Bytes that the path carries.
        mtu: u32,
        /// Where to.
        to: Endpoint,
    },
}

impl DatagramSocket {
    /// What recvmsg tells of `datagram`, in Linux's order.
    #[must_use]
    pub fn controls(&self, cx: &Context<'_>, datagram: &Datagram) -> Vec<Control> {
        let mut controls = Vec::new();
        let common = &self.common;
        controls.extend(
            common
                .stamp
                .map(|stamp| Control::Arrived(stamp, datagram.at)),
        );
        if self.settings.overflow_count && datagram.dropped > 0 {
            controls.push(Control::Dropped(datagram.dropped));
        }
        controls.extend(datagram.segment.map(Control::Segment));
        if common.domain == Domain::V6 && common.packet_info.1 {
            controls.push(packet_info_v6(datagram, false));
        }
        match datagram.to.ip {
            IpAddr::V4(destination) => self.controls_v4(cx, datagram, destination, &mut controls),
            IpAddr::V6(_) => self.controls_v6(datagram, &mut controls),
        }
        controls
    }

    fn controls_v4(
        &self,
        cx: &Context<'_>,
        datagram: &Datagram,
        destination: Ipv4Addr,
        controls: &mut Vec<Control>,
    ) {
        let switches = self.common.internet.switches;
        let options = datagram.headers.get(ipv4::HEADER_LEN..).unwrap_or_default();
        if self.common.packet_info.0 {
            controls.push(Control::PacketInfo {
                interface: datagram.interface,
                local: answering(cx, datagram.interface, destination),
                destination,
            });
        }
        if self.common.receive_ttl.0 {
            controls.push(Control::Ttl(datagram.ttl));
        }
        if self.common.receive_tos.0 {
            controls.push(Control::Tos(datagram.tos));
        }
        if switches.contains(Switches::OPTIONS) && !options.is_empty() {
            controls.push(Control::Options(Bytes::copy_from_slice(options)));
        }
        if switches.contains(Switches::RETURN_OPTIONS) && !options.is_empty() {
            let answer = Ipv4Options::answer(options);
            controls.push(Control::ReturnOptions(answer.into()));
        }
        if switches.contains(Switches::ORIGINAL_DESTINATION) {
            controls.push(Control::OriginalDestination(datagram.to));
        }
        if switches.contains(Switches::FRAGMENT_SIZE) && datagram.fragment_max > 0 {
            let bytes = datagram.fragment_max;
            controls.push(Control::FragmentSize { v6: false, bytes });
        }
    }

    fn controls_v6(&self, datagram: &Datagram, controls: &mut Vec<Control>) {
        let switches = self.common.internet.switches;
        let on = |switch| switches.contains(switch);
        if self.common.receive_ttl.1 {
            let hops = datagram.ttl;
            controls.push(Control::HopLimit { old: false, hops });
        }
        if self.common.receive_tos.1 {
            controls.push(Control::TrafficClass(datagram.tos));
        }
        let info = flow_info(datagram);
        if on(Switches::FLOW_INFO) && info != 0 {
            controls.push(Control::FlowInfo(info));
        }
        let headers = extension_headers(&datagram.headers);
        let mut tell = |wanted: &[(Switches, IpProtocol)], old| {
            for (kind, bytes) in &headers {
                if wanted.iter().any(|(switch, of)| of == kind && on(*switch)) {
                    let (kind, bytes) = (*kind, bytes.clone());
                    controls.push(Control::Header { old, kind, bytes });
                }
            }
        };
        tell(&[(Switches::HOP_OPTIONS, IpProtocol::HOP_BY_HOP)], false);
        let others = [
            (
                Switches::DESTINATION_OPTIONS,
                IpProtocol::DESTINATION_OPTIONS,
            ),
            (Switches::ROUTING_HEADER, IpProtocol::ROUTING),
        ];
        tell(&others, false);
        if on(Switches::OLD_PACKET_INFO) {
            controls.push(packet_info_v6(datagram, true));
        }
        if on(Switches::OLD_HOP_LIMIT) {
            let hops = datagram.ttl;
            controls.push(Control::HopLimit { old: true, hops });
        }
        let mut tell = |switch: Switches, of| {
            for (kind, bytes) in headers.iter().filter(|(kind, _)| *kind == of) {
                if on(switch) {
                    let (kind, bytes) = (*kind, bytes.clone());
                    controls.push(Control::Header {
                        old: true,
                        kind,
                        bytes,
                    });
                }
            }
        };
        tell(Switches::OLD_HOP_OPTIONS, IpProtocol::HOP_BY_HOP);
        tell(
            Switches::OLD_DESTINATION_OPTIONS,
            IpProtocol::DESTINATION_OPTIONS,
        );
        tell(Switches::OLD_ROUTING_HEADER, IpProtocol::ROUTING);
        if on(Switches::ORIGINAL_DESTINATION_V6) {
            controls.push(Control::OriginalDestination(datagram.to));
        }
        if on(Switches::FRAGMENT_SIZE_V6) && datagram.fragment_max > 0 {
            let bytes = datagram.fragment_max;
            controls.push(Control::FragmentSize { v6: true, bytes });
        }
    }
}

fn packet_info_v6(datagram: &Datagram, old: bool) -> Control {
    Control::PacketInfoV6 {
        old,
        interface: datagram.interface,
        destination: match datagram.to.ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        },
    }
}

/// RFC 1122 §4.1.3.5: the address that an answer would come from: the one it was sent to, or one of
/// the interface, where that was a group's or a broadcast.
fn answering(cx: &Context<'_>, interface: InterfaceId, destination: Ipv4Addr) -> Ipv4Addr {
    if cx.inet.is_local(destination.into()) {
        return destination;
    }
    let own = cx.inet.interface(interface).and_then(|interface| {
        let mut addresses = interface.addresses().iter();
        addresses.find_map(|address| match address.net.addr() {
            IpAddr::V4(v4) if address.is_usable() => Some(v4),
            _ => None,
        })
    });
    own.unwrap_or(Ipv4Addr::UNSPECIFIED)
}

fn flow_info(datagram: &Datagram) -> u32 {
    u32::from(datagram.tos) << 20 & FLOW_INFO_MASK | datagram.flow_label
}

/// The extension headers behind the IPv6 header that `headers` begin with. The internet layer has
/// followed them already.
fn extension_headers(headers: &Bytes) -> Vec<(IpProtocol, Bytes)> {
    let mut found = Vec::new();
    let Some(&first) = headers.get(6) else {
        return found;
    };
    let (mut kind, mut at) = (IpProtocol(first), ipv6::HEADER_LEN);
    while let Some(&[next, units]) = headers.get(at..).and_then(|rest| rest.first_chunk()) {
        let len = match kind {
            IpProtocol::FRAGMENT => 8,
            _ => 8 + 8 * usize::from(units),
        };
        if at + len > headers.len() {
            break;
        }
        found.push((kind, headers.slice(at..at + len)));
        (kind, at) = (IpProtocol(next), at + len);
    }
    found
}
