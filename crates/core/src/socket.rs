//! What sockets of every transport have in common: their domain, the options of socket(7), ip(7)
//! and ipv6(7), and the way from the addresses a program says to those on the wire.
//!
//! Not here: options of one protocol (TCP_*, ICMP_FILTER, …) and group memberships, which need the
//! interfaces.

mod addresses;
mod kinds;

pub use kinds::{Domain, MtuDiscover, Shutdown, Stamp};

use crate::datagram::SendOptions;
use crate::internet_options::{InternetOptions, Owner, Switches};
use crate::{Config, Error, InterfaceId, OptionValue, SocketOption, Tags};
use std::net::{IpAddr, Ipv4Addr};

/// The least that SO_RCVBUF sets, in bytes (Linux: SOCK_MIN_RCVBUF).
pub const RECEIVE_BUFFER_MIN: usize = 2304;
/// The least that SO_SNDBUF sets, in bytes (Linux: SOCK_MIN_SNDBUF).
pub const SEND_BUFFER_MIN: usize = 4608;

/// Linux's numbers of the families.
const AF_INET: i32 = 2;
/// See IPV6_ADDRFORM.
pub const AF_INET6: i32 = 10;

/// The most that SO_RCVBUFFORCE and SO_SNDBUFFORCE take: the value that is read is twice as much
/// and has to be an int.
const BUFFER_FORCED_MAX: usize = (i32::MAX / 2) as usize;

/// The options and addresses common to all sockets, with Linux's defaults.
#[derive(Clone, Debug)]
pub struct SocketCommon {
    /// Its address family.
    pub domain: Domain,
    /// Bytes on a stream: some options have no meaning there.
    pub stream: bool,
    /// It is a raw one: some options are for these alone.
    pub raw: bool,
    /// It has a port: IPV6_V6ONLY can't change any more. The transport keeps this true.
    pub bound: bool,
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// SO_BROADCAST.
    pub broadcast: bool,
    /// SO_ZEROCOPY.
    pub zero_copy: bool,
    /// SO_TIMESTAMP or SO_TIMESTAMPNS, whichever was set last; one of them unset is both unset.
    pub stamp: Option<Stamp>,
    /// SO_BINDTODEVICE.
    pub device: Option<InterfaceId>,
    /// SO_PRIORITY and SO_MARK.
    pub tags: Tags,
    /// The limit that SO_RCVBUF set, in bytes: twice what was asked for.
    pub receive_buffer: usize,
    /// The limit that SO_SNDBUF set, in bytes: twice what was asked for.
    pub send_buffer: usize,
    /// IPV6_V6ONLY.
    pub only_v6: bool,
    /// IP_FREEBIND.
    pub free_bind: bool,
    /// IP_TTL; `None` for the node's default.
    pub ttl: Option<u8>,
    /// IPV6_UNICAST_HOPS; `None` for the node's default.
    pub unicast_hops: Option<u8>,
    /// IP_TOS.
    pub tos: u8,
    /// IPV6_TCLASS.
    pub traffic_class: u8,
    /// IP_MTU_DISCOVER.
    pub mtu_discover: MtuDiscover,
    /// IPV6_MTU_DISCOVER.
    pub mtu_discover_v6: MtuDiscover,
    /// IP_MULTICAST_TTL.
    pub multicast_ttl: u8,
    /// IPV6_MULTICAST_HOPS.
    pub multicast_hops: u8,
    /// IP_MULTICAST_LOOP.
    pub multicast_loop: bool,
    /// IPV6_MULTICAST_LOOP.
    pub multicast_loop_v6: bool,
    /// IP_MULTICAST_ALL: it hears groups of its port that others have joined.
    pub multicast_all: bool,
    /// IPV6_MULTICAST_ALL.
    pub multicast_all_v6: bool,
    /// IP_MULTICAST_IF.
    pub multicast_interface: Option<InterfaceId>,
    /// IP_MULTICAST_IF by address: that is also what groups are reached from.
    pub multicast_source: Option<Ipv4Addr>,
    /// IPV6_MULTICAST_IF.
    pub multicast_interface_v6: Option<InterfaceId>,
    /// IP_RECVERR, IPV6_RECVERR.
    pub receive_errors: (bool, bool),
    /// IP_PKTINFO, IPV6_RECVPKTINFO.
    pub packet_info: (bool, bool),
    /// IP_RECVTTL, IPV6_RECVHOPLIMIT.
    pub receive_ttl: (bool, bool),
    /// IP_RECVTOS, IPV6_RECVTCLASS.
    pub receive_tos: (bool, bool),
    /// Further options of ip(7) and ipv6(7).
    pub internet: InternetOptions,
    buffer_max: (usize, usize),
    net_admin: bool,
    net_raw: bool,
}

impl SocketCommon {
    /// A datagram or raw socket's options. A stream sets `stream` and its own buffers after.
    #[must_use]
    pub fn new(domain: Domain, config: &Config) -> Self {
        Self {
            domain,
            stream: false,
            raw: false,
            bound: false,
            reuse_address: false,
            reuse_port: false,
            broadcast: false,
            zero_copy: false,
            stamp: None,
            device: None,
            tags: Tags::default(),
            receive_buffer: config.rmem.0,
            send_buffer: config.wmem.0,
            only_v6: false,
            free_bind: false,
            ttl: None,
            unicast_hops: None,
            tos: 0,
            traffic_class: 0,
            mtu_discover: MtuDiscover::default(),
            mtu_discover_v6: MtuDiscover::default(),
            multicast_ttl: 1,
            multicast_hops: 1,
            multicast_loop: true,
            multicast_loop_v6: true,
            // As on Linux, where what an IPv6 socket is born with leaves it out.
            multicast_all: matches!(domain, Domain::V4),
            multicast_all_v6: true,
            multicast_interface: None,
            multicast_source: None,
            multicast_interface_v6: None,
            receive_errors: (false, false),
            packet_info: (false, false),
            receive_ttl: (false, false),
            receive_tos: (false, false),
            internet: InternetOptions::default(),
            buffer_max: (config.rmem.1, config.wmem.1),
            net_admin: config.net_admin,
            net_raw: config.raw_sockets,
        }
    }

    /// Sets an option. That an interface exists is the caller's to check.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] when it is none of these, or one of IPv6 on an IPv4 socket;
    /// [`Error::Invalid`] when the value is out of range or of the wrong kind;
    /// [`Error::NotPermitted`] for what takes [`Config::net_admin`] or [`Config::raw_sockets`].
    pub fn set_option(&mut self, option: SocketOption, value: &OptionValue) -> Result<(), Error> {
        if is_v6(option) && self.domain == Domain::V4 {
            return Err(Error::NoProtocolOption);
        }
        if let Some(flag) = self.flag(option) {
            *flag = option.number(value)? != 0;
            return Ok(());
        }
        if let Some(stamp) = Stamp::of(option) {
            self.stamp = value.flag()?.then_some(stamp);
            return Ok(());
        }
        if let Some(set) = self.set_internet_option(option, value) {
            return set;
        }
        match option {
            SocketOption::BsdCompat => {
                value.flag()?;
            }
            SocketOption::OnlyV6 if self.bound => return Err(Error::Invalid),
            SocketOption::OnlyV6 => self.only_v6 = value.flag()?,
            // Linux: a first one needs no capability, another one CAP_NET_RAW.
            SocketOption::BindToDevice | SocketOption::BindToIndex
                if self.device.is_some() && !self.net_raw =>
            {
                return Err(Error::NotPermitted);
            }
            SocketOption::BindToDevice => self.device = interface(value)?,
            SocketOption::BindToIndex => {
                self.device = interface(&OptionValue::Int(option.number(value)?))?;
            }
            SocketOption::ZeroCopy => self.zero_copy = option.number(value)? != 0,
            SocketOption::Priority => match value.int()? {
                priority if self.net_admin || (0..=6).contains(&priority) => {
                    self.tags.priority = priority;
                }
                _ => return Err(Error::NotPermitted),
            },
            SocketOption::Mark if !(self.net_admin || self.net_raw) => {
                return Err(Error::NotPermitted);
            }
            SocketOption::Mark => self.tags.mark = value.int()?.cast_unsigned(),
            SocketOption::ReceiveBufferForce | SocketOption::SendBufferForce if !self.net_admin => {
                return Err(Error::NotPermitted);
            }
            SocketOption::ReceiveBufferForce => {
                let value = OptionValue::Int(value.int()?.max(0));
                self.receive_buffer = buffer(&value, BUFFER_FORCED_MAX, RECEIVE_BUFFER_MIN)?;
            }
            SocketOption::SendBufferForce => {
                let value = OptionValue::Int(value.int()?.max(0));
                self.send_buffer = buffer(&value, BUFFER_FORCED_MAX, SEND_BUFFER_MIN)?;
            }
            SocketOption::ReceiveBuffer => {
                self.receive_buffer = buffer(value, self.buffer_max.0, RECEIVE_BUFFER_MIN)?;
            }
            SocketOption::SendBuffer => {
                self.send_buffer = buffer(value, self.buffer_max.1, SEND_BUFFER_MIN)?;
            }
            SocketOption::Ttl => self.ttl = hops(value, 1)?,
            SocketOption::UnicastHops => self.unicast_hops = hops(value, 0)?,
            SocketOption::Tos => self.set_tos(value.int()?),
            SocketOption::TrafficClass => {
                let class = hops(value, 0)?.unwrap_or(0);
                self.traffic_class = self.without_own_ecn(class, self.traffic_class);
            }
            SocketOption::MtuDiscover => self.mtu_discover = MtuDiscover::from_value(value.int()?)?,
            SocketOption::MtuDiscoverV6 => {
                self.mtu_discover_v6 = MtuDiscover::from_value(value.int()?)?;
            }
            SocketOption::MulticastTtl if self.stream => return Err(Error::Invalid),
            SocketOption::MulticastTtl => self.multicast_ttl = hops(value, 0)?.unwrap_or(1),
            SocketOption::MulticastHops | SocketOption::MulticastInterfaceV6 if self.stream => {
                return Err(Error::NoProtocolOption);
            }
            SocketOption::MulticastHops => self.multicast_hops = hops(value, 0)?.unwrap_or(1),
            SocketOption::MulticastInterface if self.stream => return Err(Error::Invalid),
            SocketOption::MulticastInterface => self.set_multicast_interface(value)?,
            SocketOption::MulticastInterfaceV6 => {
                self.multicast_interface_v6 = self.beside_device(interface(value)?)?;
            }
            _ => return Err(Error::NoProtocolOption),
        }
        Ok(())
    }

    /// An option of [`InternetOptions`], if it is one.
    fn set_internet_option(
        &mut self,
        option: SocketOption,
        value: &OptionValue,
    ) -> Option<Result<(), Error>> {
        let owner = Owner {
            stream: self.stream,
            raw: self.raw,
            net_raw: self.net_raw,
            net_admin: self.net_admin,
        };
        let bound = self.device.is_some();
        let elsewhere = |value: &OptionValue| value.int().is_ok_and(|index| index != 0) && bound;
        match option {
            // Linux: what is bound to an interface has no choice.
            SocketOption::UnicastInterface | SocketOption::UnicastInterfaceV6
                if elsewhere(value) =>
            {
                Some(Err(Error::Invalid))
            }
            _ => self.internet.set(owner, option, value),
        }
    }

    /// What an option is set to.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] as in [`set_option`](Self::set_option).
    pub fn option(&self, option: SocketOption, config: &Config) -> Result<OptionValue, Error> {
        if is_v6(option) && self.domain == Domain::V4 {
            return Err(Error::NoProtocolOption);
        }
        // `flag` borrows mutably for `set_option`'s sake; the copy is a hundred bytes.
        if let Some(flag) = self.clone().flag(option) {
            return Ok(OptionValue::Flag(*flag));
        }
        if let Some(stamp) = Stamp::of(option) {
            return Ok(OptionValue::Flag(self.stamp == Some(stamp)));
        }
        if let Some(value) = self.internet.get(option) {
            return Ok(value);
        }
        let index = |interface: Option<InterfaceId>| {
            interface.map_or(0, |id| i32::try_from(id.0).unwrap_or(i32::MAX))
        };
        let bytes = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Ok(OptionValue::Int(match option {
            SocketOption::BsdCompat | SocketOption::HeaderIncluded => {
                return Ok(OptionValue::Flag(false));
            }
            SocketOption::OnlyV6 => return Ok(OptionValue::Flag(self.only_v6)),
            SocketOption::ZeroCopy => return Ok(OptionValue::Flag(self.zero_copy)),
            SocketOption::BindToDevice | SocketOption::BindToIndex => index(self.device),
            SocketOption::Priority => self.tags.priority,
            SocketOption::Mark => self.tags.mark.cast_signed(),
            SocketOption::ReceiveBuffer => bytes(self.receive_buffer),
            SocketOption::SendBuffer => bytes(self.send_buffer),
            SocketOption::Ttl => self.ttl.unwrap_or(config.ttl).into(),
            SocketOption::UnicastHops => self.unicast_hops.unwrap_or(config.ttl).into(),
            SocketOption::Tos => self.tos.into(),
            SocketOption::TrafficClass => self.traffic_class.into(),
            SocketOption::MtuDiscover => self.mtu_discover.value(),
            SocketOption::MtuDiscoverV6 => self.mtu_discover_v6.value(),
            SocketOption::MulticastTtl => self.multicast_ttl.into(),
            SocketOption::MulticastHops => self.multicast_hops.into(),
            SocketOption::MulticastInterface => {
                let address = self.multicast_source.unwrap_or(Ipv4Addr::UNSPECIFIED);
                let index = index(self.multicast_interface).to_ne_bytes();
                return Ok(OptionValue::Bytes([address.octets(), index].concat()));
            }
            SocketOption::MulticastInterfaceV6 => index(self.multicast_interface_v6),
            _ => return Err(Error::NoProtocolOption),
        }))
    }

    /// IPV6_ADDRFORM: a socket that is connected to a mapped address would become one of IPv4.
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`], as none does here; before that Linux's, without a peer
    /// [`Error::NotConnected`], for another form [`Error::Invalid`].
    pub fn set_address_form(&self, value: &OptionValue, connected: bool) -> Result<(), Error> {
        match (self.domain, value.int()?) {
            (Domain::V4, _) => Err(Error::NoProtocolOption),
            (Domain::V6, AF_INET) if !connected => Err(Error::NotConnected),
            (Domain::V6, AF_INET) => Err(Error::AddressNotAvailable),
            (Domain::V6, _) => Err(Error::Invalid),
        }
    }

    /// IP_FREEBIND, IP_TRANSPARENT: it may be bound to what is not the node's.
    #[must_use]
    pub const fn may_bind_anywhere(&self) -> bool {
        self.free_bind || self.internet.switches.contains(Switches::TRANSPARENT)
    }

    /// What of a datagram's ancillary data takes a grant.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without it.
    pub fn may_send_with(&self, to: IpAddr, options: &SendOptions) -> Result<(), Error> {
        let extras = &options.extras;
        let headers = [
            &extras.hop_options,
            &extras.routing_options,
            &extras.destination_options,
        ];
        let extended = to.is_ipv6() && headers.iter().any(|header| header.is_some());
        let marked = options.mark.is_some() && !self.net_admin;
        let important = options.priority.is_some_and(|n| !(0..=6).contains(&n));
        if !self.net_raw && (extended || marked) || important && !self.net_admin {
            return Err(Error::NotPermitted);
        }
        Ok(())
    }

    /// IP_MULTICAST_IF: an interface by number, or four bytes of address and four of number.
    fn set_multicast_interface(&mut self, value: &OptionValue) -> Result<(), Error> {
        let (address, index) = multicast_device(value)?;
        let interface = (index != 0).then_some(InterfaceId(index));
        self.multicast_interface = self.beside_device(interface)?;
        self.multicast_source = Some(address).filter(|address| !address.is_unspecified());
        Ok(())
    }

    /// An interface for groups, which can't be another than SO_BINDTODEVICE says.
    fn beside_device(&self, interface: Option<InterfaceId>) -> Result<Option<InterfaceId>, Error> {
        match (self.device, interface) {
            (Some(device), Some(interface)) if device != interface => Err(Error::Invalid),
            _ => Ok(interface),
        }
    }

    /// A stream's ECN bits are TCP's own.
    fn set_tos(&mut self, tos: i32) {
        let tos = u8::try_from(tos & 0xff).unwrap_or(0);
        self.tos = self.without_own_ecn(tos, self.tos);
    }

    const fn without_own_ecn(&self, new: u8, old: u8) -> u8 {
        const ECN: u8 = 0b11;
        if self.stream {
            (new & !ECN) | (old & ECN)
        } else {
            new
        }
    }

    fn flag(&mut self, option: SocketOption) -> Option<&mut bool> {
        Some(match option {
            SocketOption::ReuseAddress => &mut self.reuse_address,
            SocketOption::ReusePort => &mut self.reuse_port,
            SocketOption::Broadcast => &mut self.broadcast,
            SocketOption::FreeBind => &mut self.free_bind,
            SocketOption::MulticastLoop => &mut self.multicast_loop,
            SocketOption::MulticastLoopV6 => &mut self.multicast_loop_v6,
            SocketOption::MulticastAll => &mut self.multicast_all,
            SocketOption::MulticastAllV6 => &mut self.multicast_all_v6,
            SocketOption::ReceiveErrors => &mut self.receive_errors.0,
            SocketOption::ReceiveErrorsV6 => &mut self.receive_errors.1,
            SocketOption::PacketInfo => &mut self.packet_info.0,
            SocketOption::ReceivePacketInfoV6 => &mut self.packet_info.1,
            SocketOption::ReceiveTtl => &mut self.receive_ttl.0,
            SocketOption::ReceiveHopLimit => &mut self.receive_ttl.1,
            SocketOption::ReceiveTos => &mut self.receive_tos.0,
            SocketOption::ReceiveTrafficClass => &mut self.receive_tos.1,
            _ => return None,
        })
    }
}

const fn is_v6(option: SocketOption) -> bool {
    if let Some(switch) = Switches::of(option) {
        return switch.is_v6();
    }
    matches!(
        option,
        SocketOption::UnicastHops
            | SocketOption::MulticastHops
            | SocketOption::MulticastLoopV6
            | SocketOption::MulticastAllV6
            | SocketOption::MulticastInterfaceV6
            | SocketOption::OnlyV6
            | SocketOption::TrafficClass
            | SocketOption::MtuDiscoverV6
            | SocketOption::ReceiveErrorsV6
            | SocketOption::ReceivePacketInfoV6
            | SocketOption::ReceiveHopLimit
            | SocketOption::ReceiveTrafficClass
            | SocketOption::AddressForm
            | SocketOption::RouterAlertV6
            | SocketOption::MtuV6
            | SocketOption::StickyPacketInfo
            | SocketOption::HopOptions
            | SocketOption::RoutingDestinationOptions
            | SocketOption::RoutingHeader
            | SocketOption::DestinationOptions
            | SocketOption::PathMtu
            | SocketOption::AddressPreferences
            | SocketOption::MinHopCount
            | SocketOption::UnicastInterfaceV6
    )
}

/// A byte from `low` on, or -1 for the default.
fn hops(value: &OptionValue, low: u8) -> Result<Option<u8>, Error> {
    match value.int()? {
        -1 => Ok(None),
        n => match u8::try_from(n) {
            Ok(n) if n >= low => Ok(Some(n)),
            _ => Err(Error::Invalid),
        },
    }
}

/// The address and the number that IP_MULTICAST_IF is set to.
pub(crate) fn multicast_device(value: &OptionValue) -> Result<(Ipv4Addr, u32), Error> {
    let OptionValue::Bytes(bytes) = value else {
        let index = u32::try_from(value.int()?).map_err(|_| Error::Invalid)?;
        return Ok((Ipv4Addr::UNSPECIFIED, index));
    };
    match bytes[..] {
        [a, b, c, d, e, f, g, h] => {
            Ok((Ipv4Addr::new(a, b, c, d), u32::from_ne_bytes([e, f, g, h])))
        }
        _ => Err(Error::Invalid),
    }
}

fn interface(value: &OptionValue) -> Result<Option<InterfaceId>, Error> {
    let index = u32::try_from(value.int()?).map_err(|_| Error::Invalid)?;
    Ok((index != 0).then_some(InterfaceId(index)))
}

/// socket(7): the value is held below `max`, doubled for bookkeeping, and never below `min`.
fn buffer(value: &OptionValue, max: usize, min: usize) -> Result<usize, Error> {
    let asked = usize::try_from(value.int()?).unwrap_or(max);
    Ok(asked.min(max).saturating_mul(2).max(min))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn common(domain: Domain) -> SocketCommon {
        SocketCommon::new(domain, &Config::default())
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// ip(7), ipv6(7): what each option takes.
    #[test]
    fn values_out_of_range_are_refused() {
        use SocketOption::{
            MtuDiscover, MulticastHops, MulticastTtl, Priority, TrafficClass, Ttl, UnicastHops,
        };
        let table: &[(SocketOption, &[i32], &[i32])] = &[
            (Ttl, &[-1, 1, 64, 255], &[-2, 0, 256]),
            (UnicastHops, &[-1, 0, 255], &[-2, 256]),
            (MulticastTtl, &[-1, 0, 1, 255], &[-2, 256]),
            (MulticastHops, &[-1, 0, 1, 255], &[-2, 256]),
            (TrafficClass, &[-1, 0, 255], &[-2, 256]),
            (MtuDiscover, &[0, 1, 2, 3, 4, 5], &[-1, 6]),
            (Priority, &[0, 6], &[]),
        ];
        for (option, good, bad) in table {
            let mut socket = common(Domain::V6);
            for &n in *good {
                let set = socket.set_option(*option, &OptionValue::Int(n));
                assert_eq!(set, Ok(()), "{option:?} = {n}");
            }
            let before = socket.option(*option, &Config::default());
            for &n in *bad {
                let set = socket.set_option(*option, &OptionValue::Int(n));
                assert_eq!(set, Err(Error::Invalid), "{option:?} = {n}");
            }
            assert_eq!(socket.option(*option, &Config::default()), before);
        }
    }

    #[test]
    fn what_was_set_is_read_back() {
        let config = Config::default();
        let mut socket = common(Domain::V4);
        let ttl = SocketOption::Ttl;
        assert_eq!(socket.option(ttl, &config), Ok(OptionValue::Int(64)));
        socket.set_option(ttl, &OptionValue::Int(9)).unwrap();
        assert_eq!(socket.option(ttl, &config), Ok(OptionValue::Int(9)));
        socket.set_option(ttl, &OptionValue::Int(-1)).unwrap();
        assert_eq!(socket.option(ttl, &config), Ok(OptionValue::Int(64)));

        let size = SocketOption::ReceiveBuffer;
        for (asked, got) in [
            (1000, 2304),
            (65_536, 131_072),
            (i32::MAX, 425_984),
            (-1, 425_984),
        ] {
            socket.set_option(size, &OptionValue::Int(asked)).unwrap();
            assert_eq!(socket.option(size, &config), Ok(OptionValue::Int(got)));
        }
    }

    #[test]
    fn options_of_the_other_family_and_of_no_socket_are_unknown() {
        let mut v4 = common(Domain::V4);
        for option in [
            SocketOption::OnlyV6,
            SocketOption::UnicastHops,
            SocketOption::NoDelay,
        ] {
            let set = v4.set_option(option, &OptionValue::Int(1));
            assert_eq!(set, Err(Error::NoProtocolOption), "{option:?}");
        }
        let mut v6 = common(Domain::V6);
        v6.bound = true;
        let set = v6.set_option(SocketOption::OnlyV6, &OptionValue::Flag(true));
        assert_eq!(set, Err(Error::Invalid));
    }

    #[test]
    fn a_stream_keeps_the_ecn_bits_to_itself() {
        let mut stream = common(Domain::V4);
        stream.stream = true;
        stream
            .set_option(SocketOption::Tos, &OptionValue::Int(0xff))
            .unwrap();
        assert_eq!(stream.tos, 0xfc);
        let mut datagram = common(Domain::V4);
        datagram
            .set_option(SocketOption::Tos, &OptionValue::Int(0xff))
            .unwrap();
        assert_eq!(datagram.tos, 0xff);
    }

    #[test]
    fn addresses_from_the_program_to_the_wire_and_back() {
        let v4 = common(Domain::V4);
        let dual = common(Domain::V6);
        let mut only = common(Domain::V6);
        only.only_v6 = true;

        let peer = dual.remote(addr("[::ffff:10.0.0.1]:53")).unwrap();
        assert_eq!(peer, v4.remote(addr("10.0.0.1:53")).unwrap());
        assert_eq!(v4.show(peer), addr("10.0.0.1:53"));
        assert_eq!(dual.show(peer), addr("[::ffff:10.0.0.1]:53"));

        assert_eq!(v4.remote(addr("[::1]:1")), Err(Error::AddressFamily));
        assert_eq!(v4.local(addr("[::1]:1")), Err(Error::AddressFamily));
        assert_eq!(dual.local(addr("127.0.0.1:1")), Err(Error::AddressFamily));
        assert_eq!(only.local(addr("[::ffff:1.2.3.4]:1")), Err(Error::Invalid));
        let mapped = only.remote(addr("[::ffff:1.2.3.4]:1"));
        assert_eq!(mapped, Err(Error::NetworkUnreachable));

        let to_any = dual.remote(addr("[::]:7")).unwrap();
        assert_eq!(dual.show(to_any), addr("[::1]:7"));
    }

    #[test]
    fn a_link_local_address_needs_its_interface() {
        let mut socket = common(Domain::V6);
        assert_eq!(socket.remote(addr("[fe80::1]:1")), Err(Error::Invalid));
        let scoped = socket.remote(addr("[fe80::1%3]:1")).unwrap();
        assert_eq!(socket.out_interface(scoped), Some(InterfaceId(3)));
        assert_eq!(socket.show(scoped), addr("[fe80::1%3]:1"));
        socket.device = Some(InterfaceId(4));
        assert_eq!(socket.remote(addr("[fe80::1%3]:1")), Err(Error::Invalid));
        assert_eq!(socket.remote(addr("[fe80::1]:1")).unwrap().scope, 4);
        // A global address has no scope, whatever was said.
        assert_eq!(socket.remote(addr("[2001:db8::1%9]:1")).unwrap().scope, 0);
    }
}
