//! The options of ip(7) and ipv6(7) that a socket keeps beside those that
//! [`SocketCommon`](crate::SocketCommon) has by name: what recvmsg tells of each packet, what every
//! packet is sent with, and whom it is taken from.

use crate::ip::extras::{Extras, Ipv4Options};
use crate::{Error, InterfaceId, OptionValue, SocketOption};
use core::ops::RangeInclusive;
use sockeye_wire::IpProtocol;
use std::net::{IpAddr, Ipv6Addr};

bitflags::bitflags! {
    /// Options that are on or off.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Switches: u64 {
        /// IP_ROUTER_ALERT
        const ROUTER_ALERT = 1;
        /// IP_RECVOPTS
        const OPTIONS = 1 << 1;
        /// IP_RETOPTS
        const RETURN_OPTIONS = 1 << 2;
        /// IP_PASSSEC
        const PASS_SECURITY = 1 << 3;
        /// IP_TRANSPARENT, IPV6_TRANSPARENT
        const TRANSPARENT = 1 << 4;
        /// IP_RECVORIGDSTADDR
        const ORIGINAL_DESTINATION = 1 << 5;
        /// IP_NODEFRAG
        const NO_DEFRAGMENT = 1 << 6;
        /// IP_CHECKSUM
        const CHECKSUM = 1 << 7;
        /// IP_RECVFRAGSIZE
        const FRAGMENT_SIZE = 1 << 8;
        /// IPV6_2292PKTINFO
        const OLD_PACKET_INFO = 1 << 16;
        /// IPV6_2292HOPLIMIT
        const OLD_HOP_LIMIT = 1 << 17;
        /// IPV6_2292HOPOPTS
        const OLD_HOP_OPTIONS = 1 << 18;
        /// IPV6_2292DSTOPTS
        const OLD_DESTINATION_OPTIONS = 1 << 19;
        /// IPV6_2292RTHDR
        const OLD_ROUTING_HEADER = 1 << 20;
        /// IPV6_FLOWINFO
        const FLOW_INFO = 1 << 21;
        /// IPV6_ROUTER_ALERT_ISOLATE
        const ROUTER_ALERT_ISOLATE = 1 << 22;
        /// IPV6_FLOWINFO_SEND
        const SEND_FLOW_INFO = 1 << 24;
        /// IPV6_RECVHOPOPTS
        const HOP_OPTIONS = 1 << 25;
        /// IPV6_RECVRTHDR
        const ROUTING_HEADER = 1 << 26;
        /// IPV6_RECVDSTOPTS
        const DESTINATION_OPTIONS = 1 << 27;
        /// IPV6_RECVPATHMTU
        const PATH_MTU = 1 << 28;
        /// IPV6_DONTFRAG
        const DONT_FRAGMENT = 1 << 29;
        /// IPV6_AUTOFLOWLABEL
        const AUTO_FLOW_LABEL = 1 << 30;
        /// IPV6_RECVORIGDSTADDR
        const ORIGINAL_DESTINATION_V6 = 1 << 31;
        /// IPV6_RECVFRAGSIZE
        const FRAGMENT_SIZE_V6 = 1 << 32;
    }
}

impl Switches {
    /// The switch of an option, if it is one.
    #[must_use]
    pub const fn of(option: SocketOption) -> Option<Self> {
        Some(match option {
            SocketOption::RouterAlert => Self::ROUTER_ALERT,
            SocketOption::ReceiveOptions => Self::OPTIONS,
            SocketOption::ReturnOptions => Self::RETURN_OPTIONS,
            SocketOption::PassSecurity => Self::PASS_SECURITY,
            SocketOption::Transparent => Self::TRANSPARENT,
            SocketOption::OriginalDestination => Self::ORIGINAL_DESTINATION,
            SocketOption::NoDefragment => Self::NO_DEFRAGMENT,
            SocketOption::ReceiveChecksum => Self::CHECKSUM,
            SocketOption::ReceiveFragmentSize => Self::FRAGMENT_SIZE,
            SocketOption::OldPacketInfo => Self::OLD_PACKET_INFO,
            SocketOption::OldHopLimit => Self::OLD_HOP_LIMIT,
            SocketOption::OldHopOptions => Self::OLD_HOP_OPTIONS,
            SocketOption::OldDestinationOptions => Self::OLD_DESTINATION_OPTIONS,
            SocketOption::OldRoutingHeader => Self::OLD_ROUTING_HEADER,
            SocketOption::ReceiveFlowInfo => Self::FLOW_INFO,
            SocketOption::RouterAlertIsolate => Self::ROUTER_ALERT_ISOLATE,
            SocketOption::SendFlowInfo => Self::SEND_FLOW_INFO,
            SocketOption::ReceiveHopOptions => Self::HOP_OPTIONS,
            SocketOption::ReceiveRoutingHeader => Self::ROUTING_HEADER,
            SocketOption::ReceiveDestinationOptions => Self::DESTINATION_OPTIONS,
            SocketOption::ReceivePathMtu => Self::PATH_MTU,
            SocketOption::DontFragment => Self::DONT_FRAGMENT,
            SocketOption::AutoFlowLabel => Self::AUTO_FLOW_LABEL,
            SocketOption::OriginalDestinationV6 => Self::ORIGINAL_DESTINATION_V6,
            SocketOption::ReceiveFragmentSizeV6 => Self::FRAGMENT_SIZE_V6,
            _ => return None,
        })
    }

    /// Whether an IPv4 socket does not have it.
    #[must_use]
    pub const fn is_v6(self) -> bool {
        self.bits() >= Self::OLD_PACKET_INFO.bits()
    }
}

/// What kind of socket the options are of: some are not for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// It carries a stream.
    pub stream: bool,
    /// It is a raw one.
    pub raw: bool,
    /// Its program has what CAP_NET_RAW gives.
    pub net_raw: bool,
    /// Its program has what CAP_NET_ADMIN gives.
    pub net_admin: bool,
}

/// Options of one socket.
#[derive(Clone, Debug)]
pub struct InternetOptions {
    /// Those that are on or off.
    pub switches: Switches,
    /// IP_MINTTL
    pub min_ttl: u8,
    /// IPV6_MINHOPCOUNT
    pub min_hop_count: u8,
    /// IP_LOCAL_PORT_RANGE: the lower and the upper end; 0 for the node's.
    pub local_ports: (u16, u16),
    /// IP_UNICAST_IF
    pub unicast_interface: Option<InterfaceId>,
    /// IPV6_UNICAST_IF
    pub unicast_interface_v6: Option<InterfaceId>,
    /// IPV6_ADDR_PREFERENCES
    pub preferences: AddressPreferences,
    /// IPV6_MTU: bytes of the packets that are sent; 0 for what the path carries.
    pub mtu_v6: u32,
    /// Headers, and what IPV6_PKTINFO fixed. Few sockets have any.
    sticky: Option<Box<Sticky>>,
}

/// What every packet is sent with.
#[derive(Clone, Debug, Default)]
struct Sticky {
    extras: Extras,
    /// IPV6_PKTINFO
    interface: Option<InterfaceId>,
    source: Option<Ipv6Addr>,
}

impl Default for InternetOptions {
    fn default() -> Self {
        Self {
            // RFC 6437 §3: each flow has its label.
            switches: Switches::AUTO_FLOW_LABEL,
            min_ttl: 0,
            min_hop_count: 0,
            local_ports: (0, 0),
            unicast_interface: None,
            unicast_interface_v6: None,
            preferences: AddressPreferences::default(),
            mtu_v6: 0,
            sticky: None,
        }
    }
}

impl InternetOptions {
    /// Sets an option, if it is one of these. That an interface exists is the caller's to check.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values out of range, [`Error::NotPermitted`] for what takes a grant,
    /// [`Error::NoProtocolOption`] for what `owner` does not have.
    pub fn set(
        &mut self,
        owner: Owner,
        option: SocketOption,
        value: &OptionValue,
    ) -> Option<Result<(), Error>> {
        if let Some(switch) = Switches::of(option) {
            return Some(self.switch(owner, option, switch, value));
        }
        Some(match option {
            SocketOption::MinTtl => byte(option, value).map(|n| self.min_ttl = n),
            SocketOption::MinHopCount => byte(option, value).map(|n| self.min_hop_count = n),
            SocketOption::LocalPortRange => self.set_local_ports(value),
            SocketOption::UnicastInterface => {
                interface(value).map(|index| self.unicast_interface = index)
            }
            SocketOption::UnicastInterfaceV6 => {
                interface(value).map(|index| self.unicast_interface_v6 = index)
            }
            SocketOption::AddressPreferences => {
                let asked = value.int().map(i32::cast_unsigned);
                asked.and_then(|asked| self.preferences.set(asked))
            }
            SocketOption::MtuV6 => self.set_mtu_v6(value),
            SocketOption::StickyPacketInfo => self.set_packet_info(value),
            SocketOption::RouterAlertV6 => Err(Error::NoProtocolOption),
            SocketOption::IpOptions
            | SocketOption::HopOptions
            | SocketOption::RoutingDestinationOptions
            | SocketOption::RoutingHeader
            | SocketOption::DestinationOptions => self.set_header(owner, option, value),
            _ => return None,
        })
    }

    /// What an option is set to, if it is one of these.
    #[must_use]
    pub fn get(&self, option: SocketOption) -> Option<OptionValue> {
        if let Some(switch) = Switches::of(option) {
            return Some(OptionValue::Flag(self.switches.contains(switch)));
        }
        let header = |bytes: Option<&[u8]>| OptionValue::Bytes(bytes.unwrap_or(&[]).to_vec());
        let extras = self.sticky.as_ref().map(|sticky| &sticky.extras);
        Some(match option {
            SocketOption::MinTtl => OptionValue::Int(self.min_ttl.into()),
            SocketOption::MinHopCount => OptionValue::Int(self.min_hop_count.into()),
            SocketOption::LocalPortRange => {
                let (low, high) = self.local_ports;
                let both = u32::from(high) << 16 | u32::from(low);
                OptionValue::Int(both.cast_signed())
            }
            SocketOption::UnicastInterface => in_network_order(self.unicast_interface),
            SocketOption::UnicastInterfaceV6 => in_network_order(self.unicast_interface_v6),
            SocketOption::AddressPreferences => {
                OptionValue::Int(self.preferences.number().cast_signed())
            }
            SocketOption::RouterAlertV6 => {
                OptionValue::Int(self.switches.contains(Switches::ROUTER_ALERT).into())
            }
            SocketOption::IpOptions => {
                let options = extras.and_then(|extras| extras.options.as_ref());
                header(options.map(Ipv4Options::as_set))
            }
            SocketOption::HopOptions => header(extras.and_then(|e| e.hop_options.as_deref())),
            SocketOption::RoutingDestinationOptions => {
                header(extras.and_then(|e| e.routing_options.as_deref()))
            }
            SocketOption::RoutingHeader => header(None),
            SocketOption::DestinationOptions => {
                header(extras.and_then(|e| e.destination_options.as_deref()))
            }
            _ => return None,
        })
    }

    /// The headers that every packet carries.
    #[must_use]
    pub fn extras(&self) -> Option<&Extras> {
        self.sticky.as_ref().map(|sticky| &sticky.extras)
    }

    /// Forgets the IPv4 options.
    pub fn forget_options(&mut self) {
        if let Some(sticky) = &mut self.sticky {
            sticky.extras.options = None;
        }
    }

    /// IPV6_PKTINFO: the interface that packets leave by, and their source.
    #[must_use]
    pub fn packet_info(&self) -> (Option<InterfaceId>, Option<Ipv6Addr>) {
        let sticky = self.sticky.as_ref();
        sticky.map_or((None, None), |sticky| (sticky.interface, sticky.source))
    }

    /// Whether a packet from `source` that still has `hops` to go is heard: RFC 5082 §3, what comes from
    /// near has not lost many.
    #[must_use]
    pub fn hears(&self, source: IpAddr, hops: u8) -> bool {
        match source {
            IpAddr::V4(_) => hops >= self.min_ttl,
            IpAddr::V6(_) => hops >= self.min_hop_count,
        }
    }

    /// The ports that the socket may get by itself, where the node's are `node`: the part of its own
    /// range that lies in the node's, if any does.
    #[must_use]
    pub fn ports_within(&self, node: RangeInclusive<u16>) -> RangeInclusive<u16> {
        let (low, high) = (*node.start(), *node.end());
        // Linux: an end that lies outside of the node's range does not count.
        let within = |port: u16| node.contains(&port);
        match self.local_ports {
            (own_low, own_high) if within(own_low) && within(own_high) => own_low..=own_high,
            (own_low, _) if within(own_low) => own_low..=high,
            (_, own_high) if within(own_high) => low..=own_high,
            _ => node,
        }
    }

    /// The interface of choice for hosts of `destination`'s family.
    #[must_use]
    pub const fn unicast_interface(&self, destination: IpAddr) -> Option<InterfaceId> {
        match destination {
            IpAddr::V4(_) => self.unicast_interface,
            IpAddr::V6(_) => self.unicast_interface_v6,
        }
    }

    fn switch(
        &mut self,
        owner: Owner,
        option: SocketOption,
        switch: Switches,
        value: &OptionValue,
    ) -> Result<(), Error> {
        let on = value.flag()?;
        match option {
            SocketOption::RouterAlert if !owner.raw => return Err(Error::Invalid),
            SocketOption::NoDefragment if !owner.raw => return Err(Error::NoProtocolOption),
            SocketOption::ReceiveFragmentSize if owner.stream => return Err(Error::Invalid),
            SocketOption::Transparent if on && !owner.net_raw && !owner.net_admin => {
                return Err(Error::NotPermitted);
            }
            _ => {}
        }
        self.switches.set(switch, on);
        Ok(())
    }

    fn set_local_ports(&mut self, value: &OptionValue) -> Result<(), Error> {
        let both = value.int()?.cast_unsigned();
        let (low, high) = ((both & 0xffff) as u16, (both >> 16) as u16);
        if low != 0 && high != 0 && low > high {
            return Err(Error::Invalid);
        }
        self.local_ports = (low, high);
        Ok(())
    }

    fn set_mtu_v6(&mut self, value: &OptionValue) -> Result<(), Error> {
        const MIN: u32 = sockeye_wire::ipv6::MTU_MIN as u32;
        let mtu = u32::try_from(value.int()?).map_err(|_| Error::Invalid)?;
        if mtu != 0 && mtu < MIN {
            return Err(Error::Invalid);
        }
        self.mtu_v6 = mtu;
        Ok(())
    }

    fn set_packet_info(&mut self, value: &OptionValue) -> Result<(), Error> {
        let OptionValue::Bytes(bytes) = value else {
            return Err(Error::Invalid);
        };
        let source: [u8; 16] = *bytes.first_chunk().ok_or(Error::Invalid)?;
        let index: [u8; 4] = *bytes[16..].first_chunk().ok_or(Error::Invalid)?;
        let index = u32::from_ne_bytes(index);
        let source = Ipv6Addr::from(source);
        let sticky = self.sticky.get_or_insert_default();
        sticky.interface = (index != 0).then_some(InterfaceId(index));
        sticky.source = (!source.is_unspecified()).then_some(source);
        Ok(())
    }

    fn set_header(
        &mut self,
        owner: Owner,
        option: SocketOption,
        value: &OptionValue,
    ) -> Result<(), Error> {
        let OptionValue::Bytes(bytes) = value else {
            return Err(Error::Invalid);
        };
        if option == SocketOption::IpOptions {
            let options = Ipv4Options::new(bytes, owner.net_raw)?;
            // RFC 7126 §4.3, §4.4: nobody would send its segments on.
            if owner.stream && options.as_ref().is_some_and(Ipv4Options::is_source_route) {
                return Err(Error::NotPermitted);
            }
            self.sticky.get_or_insert_default().extras.options = options;
            return Ok(());
        }
        let kind = match option {
            SocketOption::HopOptions => IpProtocol::HOP_BY_HOP,
            SocketOption::RoutingHeader => IpProtocol::ROUTING,
            _ => IpProtocol::DESTINATION_OPTIONS,
        };
        // RFC 3542 §7 and §9: both kinds of options are for who may do more than others.
        if kind != IpProtocol::ROUTING && !owner.net_raw {
            return Err(Error::NotPermitted);
        }
        let header = Extras::header(kind, bytes)?;
        let extras = &mut self.sticky.get_or_insert_default().extras;
        match option {
            SocketOption::HopOptions => extras.hop_options = header,
            SocketOption::RoutingDestinationOptions => extras.routing_options = header,
            SocketOption::DestinationOptions => extras.destination_options = header,
            _ => {}
        }
        Ok(())
    }
}

/// IPV6_PREFER_SRC_* of linux/in6.h (RFC 5014 §3).
const TEMPORARY: u32 = 0x1;
const PUBLIC: u32 = 0x2;
const CARE_OF: u32 = 0x4;
const GENERATED: u32 = 0x8;
const DEFAULT: u32 = 0x100;
const HOME: u32 = 0x400;
const NOT_GENERATED: u32 = 0x800;

/// Which of its addresses a socket likes to send from (RFC 5014).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressPreferences {
    /// Temporary addresses before public ones, or the other way round; `None` for what the node has
    /// as its default.
    pub temporary: Option<bool>,
    care_of: bool,
}

impl AddressPreferences {
    /// Takes what IPV6_ADDR_PREFERENCES says; as on Linux what it does not mention is as by default.
    fn set(&mut self, asked: u32) -> Result<(), Error> {
        let mut new = Self::default();
        match asked & (TEMPORARY | PUBLIC | DEFAULT) {
            0 => {}
            TEMPORARY => new.temporary = Some(true),
            PUBLIC => new.temporary = Some(false),
            DEFAULT => new.temporary = None,
            // RFC 5014 §5: what contradicts itself is refused.
            _ => return Err(Error::Invalid),
        }
        match asked & (HOME | CARE_OF) {
            0 => {}
            HOME => new.care_of = false,
            CARE_OF => new.care_of = true,
            _ => return Err(Error::Invalid),
        }
        if asked & (GENERATED | NOT_GENERATED) == GENERATED | NOT_GENERATED {
            return Err(Error::Invalid);
        }
        *self = new;
        Ok(())
    }

    const fn number(self) -> u32 {
        let temporary = match self.temporary {
            Some(true) => TEMPORARY,
            Some(false) => PUBLIC,
            None => DEFAULT,
        };
        temporary | if self.care_of { CARE_OF } else { HOME }
    }
}

fn byte(option: SocketOption, value: &OptionValue) -> Result<u8, Error> {
    u8::try_from(option.number(value)?).map_err(|_| Error::Invalid)
}

/// An index in network byte order.
fn interface(value: &OptionValue) -> Result<Option<InterfaceId>, Error> {
    let index = u32::from_be(value.int()?.cast_unsigned());
    Ok((index != 0).then_some(InterfaceId(index)))
}

fn in_network_order(interface: Option<InterfaceId>) -> OptionValue {
    let index = interface.map_or(0, |interface| interface.0);
    OptionValue::Int(index.to_be().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: Owner = Owner {
        stream: false,
        raw: true,
        net_raw: true,
        net_admin: false,
    };

    #[test]
    fn preferences_that_contradict_are_refused() {
        let mut preferences = AddressPreferences::default();
        let table = [
            (0, Ok(()), DEFAULT | HOME),
            (TEMPORARY, Ok(()), TEMPORARY | HOME),
            (CARE_OF, Ok(()), DEFAULT | CARE_OF),
            (TEMPORARY | PUBLIC, Err(Error::Invalid), DEFAULT | CARE_OF),
            (HOME | CARE_OF, Err(Error::Invalid), DEFAULT | CARE_OF),
            (
                GENERATED | NOT_GENERATED,
                Err(Error::Invalid),
                DEFAULT | CARE_OF,
            ),
            (PUBLIC | HOME | GENERATED, Ok(()), PUBLIC | HOME),
            (DEFAULT, Ok(()), DEFAULT | HOME),
        ];
        for (asked, set, reads) in table {
            assert_eq!(preferences.set(asked), set, "{asked:#x}");
            assert_eq!(preferences.number(), reads, "{asked:#x}");
        }
    }

    #[test]
    fn ports_of_a_socket_lie_within_the_nodes() {
        let mut options = InternetOptions::default();
        for (own, ports) in [
            ((0, 0), 100..=200),
            ((120, 130), 120..=130),
            ((150, 0), 150..=200),
            ((0, 150), 100..=150),
            ((1, 9), 100..=200),
            ((90, 130), 100..=130),
            ((190, 300), 190..=200),
        ] {
            options.local_ports = own;
            assert_eq!(options.ports_within(100..=200), ports, "{own:?}");
        }
    }

    #[test]
    fn headers_are_read_as_they_were_set() {
        let mut options = InternetOptions::default();
        let header = OptionValue::Bytes(vec![0, 0, 1, 4, 0, 0, 0, 0]);
        for option in [
            SocketOption::HopOptions,
            SocketOption::RoutingDestinationOptions,
            SocketOption::DestinationOptions,
        ] {
            let none = OptionValue::Bytes(Vec::new());
            assert_eq!(options.get(option), Some(none.clone()));
            assert_eq!(options.set(RAW, option, &header), Some(Ok(())));
            assert_eq!(options.get(option), Some(header.clone()));
            let ordinary = Owner {
                net_raw: false,
                ..RAW
            };
            let refused = options.set(ordinary, option, &header);
            assert_eq!(refused, Some(Err(Error::NotPermitted)));
            assert_eq!(options.set(RAW, option, &none), Some(Ok(())));
            assert_eq!(options.get(option), Some(none));
        }
        let routing = options.set(RAW, SocketOption::RoutingHeader, &header);
        assert_eq!(routing, Some(Err(Error::Invalid)));
    }
}
