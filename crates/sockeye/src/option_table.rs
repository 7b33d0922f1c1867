//! The one table between Linux's socket options (level, name, byte layout) and the core's.
//!
//! Numbers and layouts are those of socket(7), ip(7), ipv6(7), tcp(7), udp(7), icmp(7) and raw(7).
//! What a value means and which are valid is the core's business; what an option can't be on a
//! socket is ENOPROTOOPT. Options of the face itself (SO_TYPE, SO_RCVTIMEO, memberships) are in
//! `socket::option`.

use sockeye_core::{Error, OptionValue, SocketOption};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Bytes of a device name with its NUL.
const IFNAMSIZ: usize = 16;
/// Bytes of a congestion control's name with its NUL.
const TCP_CA_NAME_MAX: usize = 16;
/// Of linux/icmp.h; libc does not have it.
const ICMP_FILTER: i32 = 1;
/// Of linux/icmpv6.h.
const ICMPV6_FILTER: i32 = 1;
/// Of linux/ipv6.h: the raw socket's checksum offset.
const SOL_RAW: i32 = 255;

/// How an option's bytes are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// An int that is on or off.
    Flag,
    /// An int.
    Int,
    /// An int of seconds.
    Seconds,
    /// An int of seconds; below zero means none.
    SecondsOrNone,
    /// An unsigned int of milliseconds.
    Millis,
    /// struct linger.
    Linger,
    /// The name of a congestion control.
    Name,
    /// The name of a device.
    Device,
    /// struct in_addr, ip_mreq or ip_mreqn.
    MulticastDevice,
    /// This many bytes.
    Mask(usize),
}

struct Row(i32, i32, SocketOption, Layout);

#[rustfmt::skip]
static TABLE: &[Row] = &[
    Row(libc::SOL_SOCKET, libc::SO_REUSEADDR, SocketOption::ReuseAddress, Layout::Flag),
    Row(libc::SOL_SOCKET, libc::SO_REUSEPORT, SocketOption::ReusePort, Layout::Flag),
    Row(libc::SOL_SOCKET, libc::SO_KEEPALIVE, SocketOption::KeepAlive, Layout::Flag),
    Row(libc::SOL_SOCKET, libc::SO_BROADCAST, SocketOption::Broadcast, Layout::Flag),
    Row(libc::SOL_SOCKET, libc::SO_OOBINLINE, SocketOption::OobInline, Layout::Flag),
    Row(libc::SOL_SOCKET, libc::SO_LINGER, SocketOption::Linger, Layout::Linger),
    Row(libc::SOL_SOCKET, libc::SO_RCVBUF, SocketOption::ReceiveBuffer, Layout::Int),
    Row(libc::SOL_SOCKET, libc::SO_SNDBUF, SocketOption::SendBuffer, Layout::Int),
    Row(libc::SOL_SOCKET, libc::SO_RCVLOWAT, SocketOption::ReceiveLowWater, Layout::Int),
    Row(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, SocketOption::BindToDevice, Layout::Device),
    Row(libc::SOL_SOCKET, libc::SO_PRIORITY, SocketOption::Priority, Layout::Int),

    Row(libc::IPPROTO_TCP, libc::TCP_NODELAY, SocketOption::NoDelay, Layout::Flag),
    Row(libc::IPPROTO_TCP, libc::TCP_MAXSEG, SocketOption::MaxSegment, Layout::Int),
    Row(libc::IPPROTO_TCP, libc::TCP_CORK, SocketOption::Cork, Layout::Flag),
    Row(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, SocketOption::KeepIdle, Layout::Seconds),
    Row(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, SocketOption::KeepInterval, Layout::Seconds),
    Row(libc::IPPROTO_TCP, libc::TCP_KEEPCNT, SocketOption::KeepCount, Layout::Int),
    Row(libc::IPPROTO_TCP, libc::TCP_SYNCNT, SocketOption::SynCount, Layout::Int),
    Row(libc::IPPROTO_TCP, libc::TCP_LINGER2, SocketOption::Linger2, Layout::SecondsOrNone),
    Row(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, SocketOption::UserTimeout, Layout::Millis),
    Row(libc::IPPROTO_TCP, libc::TCP_QUICKACK, SocketOption::QuickAck, Layout::Flag),
    Row(libc::IPPROTO_TCP, libc::TCP_CONGESTION, SocketOption::Congestion, Layout::Name),
    Row(libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, SocketOption::NotSentLowWater, Layout::Int),
    Row(libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP, SocketOption::WindowClamp, Layout::Int),
    Row(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, SocketOption::DeferAccept, Layout::Seconds),

    Row(libc::IPPROTO_UDP, libc::UDP_SEGMENT, SocketOption::UdpSegment, Layout::Int),
    Row(libc::IPPROTO_UDP, libc::UDP_GRO, SocketOption::UdpGro, Layout::Flag),

    Row(libc::IPPROTO_IP, libc::IP_TTL, SocketOption::Ttl, Layout::Int),
    Row(libc::IPPROTO_IP, libc::IP_TOS, SocketOption::Tos, Layout::Int),
    Row(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, SocketOption::MtuDiscover, Layout::Int),
    Row(libc::IPPROTO_IP, libc::IP_MTU, SocketOption::Mtu, Layout::Int),
    Row(libc::IPPROTO_IP, libc::IP_RECVERR, SocketOption::ReceiveErrors, Layout::Flag),
    Row(libc::IPPROTO_IP, libc::IP_PKTINFO, SocketOption::PacketInfo, Layout::Flag),
    Row(libc::IPPROTO_IP, libc::IP_RECVTTL, SocketOption::ReceiveTtl, Layout::Flag),
    Row(libc::IPPROTO_IP, libc::IP_RECVTOS, SocketOption::ReceiveTos, Layout::Flag),
    Row(libc::IPPROTO_IP, libc::IP_HDRINCL, SocketOption::HeaderIncluded, Layout::Flag),
    Row(libc::IPPROTO_IP, libc::IP_FREEBIND, SocketOption::FreeBind, Layout::Flag),
    Row(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, SocketOption::MulticastTtl, Layout::Int),
    Row(libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, SocketOption::MulticastLoop, Layout::Flag),
    Row(libc::IPPROTO_IP, libc::IP_MULTICAST_IF, SocketOption::MulticastInterface, Layout::MulticastDevice),

    Row(libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, SocketOption::UnicastHops, Layout::Int),
    Row(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, SocketOption::MulticastHops, Layout::Int),
    Row(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, SocketOption::MulticastLoopV6, Layout::Flag),
    Row(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, SocketOption::MulticastInterfaceV6, Layout::Int),
    Row(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, SocketOption::OnlyV6, Layout::Flag),
    Row(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, SocketOption::TrafficClass, Layout::Int),
    Row(libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, SocketOption::MtuDiscoverV6, Layout::Int),
    Row(libc::IPPROTO_IPV6, libc::IPV6_MTU, SocketOption::Mtu, Layout::Int),
    Row(libc::IPPROTO_IPV6, libc::IPV6_RECVERR, SocketOption::ReceiveErrorsV6, Layout::Flag),
    Row(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, SocketOption::ReceivePacketInfoV6, Layout::Flag),
    Row(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, SocketOption::ReceiveHopLimit, Layout::Flag),
    Row(libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, SocketOption::ReceiveTrafficClass, Layout::Flag),

    Row(libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, SocketOption::ChecksumOffset, Layout::Int),
    Row(SOL_RAW, libc::IPV6_CHECKSUM, SocketOption::ChecksumOffset, Layout::Int),
    Row(SOL_RAW, ICMP_FILTER, SocketOption::IcmpFilter, Layout::Mask(4)),
    Row(libc::IPPROTO_ICMPV6, ICMPV6_FILTER, SocketOption::Icmp6Filter, Layout::Mask(32)),
];

/// What the table asks of a node's interfaces.
pub(crate) trait Devices {
    /// The index of an interface by its name.
    fn index(&self, name: &str) -> Option<u32>;
    /// Its name.
    fn name(&self, index: u32) -> Option<String>;
    /// The index of the interface that has an address.
    fn with_address(&self, address: Ipv4Addr) -> Option<u32>;
    /// An address of the interface.
    fn address(&self, index: u32) -> Option<Ipv4Addr>;
}

/// The option under `level` and `name`.
fn find(level: i32, name: i32) -> Result<(SocketOption, Layout), Error> {
    let row = TABLE.iter().find(|row| row.0 == level && row.1 == name);
    row.map(|row| (row.2, row.3)).ok_or(Error::NoProtocolOption)
}

/// Which option `level` and `name` mean.
///
/// # Errors
/// [`Error::NoProtocolOption`].
pub(crate) fn option(level: i32, name: i32) -> Result<SocketOption, Error> {
    find(level, name).map(|(option, _)| option)
}

/// The value that setsockopt(2) was given.
///
/// # Errors
/// [`Error::NoProtocolOption`] for an option that is not in the table, [`Error::Invalid`] for a
/// value of the wrong size, [`Error::NoDevice`] and [`Error::AddressNotAvailable`] for interfaces
/// that are not there.
pub(crate) fn read(
    devices: &dyn Devices,
    level: i32,
    name: i32,
    bytes: &[u8],
) -> Result<(SocketOption, OptionValue), Error> {
    let (option, layout) = find(level, name)?;
    let number = || int(level, bytes);
    let seconds = |n: i32| u64::try_from(n).map(Duration::from_secs);
    let value = match layout {
        Layout::Flag => OptionValue::Flag(number()? != 0),
        Layout::Int => OptionValue::Int(number()?),
        Layout::Seconds => OptionValue::Time(Some(seconds(number()?).map_err(|_| Error::Invalid)?)),
        Layout::SecondsOrNone => OptionValue::Time(seconds(number()?).ok()),
        Layout::Millis => {
            let millis = u64::try_from(number()?).map_err(|_| Error::Invalid)?;
            OptionValue::Time(Some(Duration::from_millis(millis)))
        }
        Layout::Linger => {
            let on = int_at(bytes, 0)? != 0;
            // As in the kernel, a negative time is a very long one.
            let time = Duration::from_secs(int_at(bytes, 4)?.cast_unsigned().into());
            OptionValue::Time(on.then_some(time))
        }
        Layout::Name => {
            let name = text(bytes, TCP_CA_NAME_MAX);
            if name.is_empty() {
                return Err(Error::Invalid);
            }
            OptionValue::Bytes(name.to_vec())
        }
        Layout::Device => {
            let name = text(bytes, IFNAMSIZ);
            let name = std::str::from_utf8(name).map_err(|_| Error::NoDevice)?;
            match name {
                "" => index(0),
                name => index(devices.index(name).ok_or(Error::NoDevice)?),
            }
        }
        Layout::MulticastDevice => index(multicast_device(devices, bytes)?),
        Layout::Mask(len) => {
            let mask = bytes.get(..len.min(bytes.len())).unwrap_or(bytes);
            if mask.is_empty() {
                return Err(Error::Invalid);
            }
            let mut whole = mask.to_vec();
            whole.resize(len, 0);
            OptionValue::Bytes(whole)
        }
    };
    Ok((option, value))
}

/// Writes a value as getsockopt(2) returns it, and says how many bytes it has.
///
/// # Errors
/// [`Error::NoProtocolOption`] for an option that is not in the table, [`Error::Invalid`] when
/// `out` is too short for one that is not cut.
pub(crate) fn write(
    devices: &dyn Devices,
    level: i32,
    name: i32,
    value: &OptionValue,
    out: &mut [u8],
) -> Result<usize, Error> {
    let (_, layout) = find(level, name)?;
    let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
    Ok(match layout {
        Layout::Flag | Layout::Int => put_int(level, value.int()?, out),
        Layout::Seconds => put_int(level, value.time()?.map_or(0, seconds), out),
        Layout::SecondsOrNone => put_int(level, value.time()?.map_or(-1, seconds), out),
        Layout::Millis => {
            let millis = value.time()?.unwrap_or_default().as_millis();
            put_int(level, i32::try_from(millis).unwrap_or(i32::MAX), out)
        }
        Layout::Linger => {
            let time = value.time()?;
            let on = i32::from(time.is_some()).to_ne_bytes();
            let time = time.map_or(0, seconds).to_ne_bytes();
            put(&[on, time].concat(), out)
        }
        Layout::Name => {
            let OptionValue::Bytes(name) = value else {
                return Err(Error::Invalid);
            };
            let mut padded = name.clone();
            padded.resize(TCP_CA_NAME_MAX, 0);
            put(&padded, out)
        }
        Layout::Device => match u32::try_from(value.int()?).ok().filter(|n| *n != 0) {
            None => 0,
            Some(_) if out.len() < IFNAMSIZ => return Err(Error::Invalid),
            Some(index) => {
                let mut name = devices.name(index).ok_or(Error::NoDevice)?.into_bytes();
                name.truncate(IFNAMSIZ - 1);
                name.push(0);
                put(&name, out)
            }
        },
        Layout::MulticastDevice => {
            let index = u32::try_from(value.int()?).unwrap_or(0);
            let address = devices.address(index).unwrap_or(Ipv4Addr::UNSPECIFIED);
            put(&address.octets(), out)
        }
        Layout::Mask(_) => match value {
            OptionValue::Bytes(mask) => put(mask, out),
            _ => return Err(Error::Invalid),
        },
    })
}

/// The int in `bytes`. At the level IP a single byte counts as well.
pub(crate) fn int(level: i32, bytes: &[u8]) -> Result<i32, Error> {
    match (level, bytes) {
        (libc::IPPROTO_IP, []) => Ok(0),
        (libc::IPPROTO_IP, [byte] | [byte, _] | [byte, _, _]) => Ok((*byte).into()),
        _ => int_at(bytes, 0),
    }
}

/// The int at `offset`.
pub(crate) fn int_at(bytes: &[u8], offset: usize) -> Result<i32, Error> {
    let int = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    int.map(|int| i32::from_ne_bytes(*int))
        .ok_or(Error::Invalid)
}

/// Writes an int, cut to what `out` takes; at the level IP a small one in a short buffer is a
/// single byte.
pub(crate) fn put_int(level: i32, value: i32, out: &mut [u8]) -> usize {
    match u8::try_from(value) {
        Ok(byte) if level == libc::IPPROTO_IP && (1..4).contains(&out.len()) => put(&[byte], out),
        _ => put(&value.to_ne_bytes(), out),
    }
}

/// Writes what of `bytes` fits.
pub(crate) fn put(bytes: &[u8], out: &mut [u8]) -> usize {
    let len = bytes.len().min(out.len());
    out[..len].copy_from_slice(&bytes[..len]);
    len
}

/// `bytes` up to the first NUL, and so far that one fits.
fn text(bytes: &[u8], max: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(max - 1)];
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn index(index: u32) -> OptionValue {
    OptionValue::Int(i32::try_from(index).unwrap_or(i32::MAX))
}

/// struct ip_mreqn {multiaddr, address, ifindex}, ip_mreq {multiaddr, interface} or in_addr.
pub(crate) fn multicast_device(devices: &dyn Devices, bytes: &[u8]) -> Result<u32, Error> {
    let address_at = |offset: usize| {
        let octets = bytes.get(offset..).and_then(<[u8]>::first_chunk::<4>);
        octets
            .map(|octets| Ipv4Addr::from(*octets))
            .ok_or(Error::Invalid)
    };
    let address = match bytes.len() {
        12.. => {
            let index = int_at(bytes, 8)?.cast_unsigned();
            if index != 0 {
                return match devices.name(index) {
                    Some(_) => Ok(index),
                    None => Err(Error::NoDevice),
                };
            }
            address_at(4)?
        }
        8.. => address_at(4)?,
        _ => address_at(0)?,
    };
    if address.is_unspecified() {
        return Ok(0);
    }
    let index = devices.with_address(address);
    index.ok_or(Error::AddressNotAvailable)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use SocketOption as O;

    /// One interface: 2, eth0, 10.0.0.1.
    struct Eth0;

    impl Devices for Eth0 {
        fn index(&self, name: &str) -> Option<u32> {
            (name == "eth0").then_some(2)
        }
        fn name(&self, index: u32) -> Option<String> {
            (index == 2).then(|| "eth0".into())
        }
        fn with_address(&self, address: Ipv4Addr) -> Option<u32> {
            (address.octets() == [10, 0, 0, 1]).then_some(2)
        }
        fn address(&self, index: u32) -> Option<Ipv4Addr> {
            (index == 2).then_some(Ipv4Addr::new(10, 0, 0, 1))
        }
    }

    fn ints(ints: &[i32]) -> Vec<u8> {
        ints.iter().flat_map(|int| int.to_ne_bytes()).collect()
    }

    #[test]
    fn rows_are_unique() {
        for (i, a) in TABLE.iter().enumerate() {
            for b in &TABLE[i + 1..] {
                assert!((a.0, a.1) != (b.0, b.1), "{:?} and {:?}", a.2, b.2);
            }
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let secs = |n| OptionValue::Time(Some(Duration::from_secs(n)));
        let flag = OptionValue::Flag(true);
        for (level, name, bytes, value) in [
            (libc::SOL_SOCKET, libc::SO_KEEPALIVE, ints(&[1]), flag),
            (libc::SOL_SOCKET, libc::SO_LINGER, ints(&[1, 5]), secs(5)),
            (
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                ints(&[0, 0]),
                OptionValue::Time(None),
            ),
            (
                libc::SOL_SOCKET,
                libc::SO_BINDTODEVICE,
                b"eth0\0".to_vec(),
                OptionValue::Int(2),
            ),
            (
                libc::IPPROTO_TCP,
                libc::TCP_KEEPIDLE,
                ints(&[7200]),
                secs(7200),
            ),
            (
                libc::IPPROTO_TCP,
                libc::TCP_USER_TIMEOUT,
                ints(&[1500]),
                OptionValue::Time(Some(Duration::from_millis(1500))),
            ),
            (
                libc::IPPROTO_TCP,
                libc::TCP_LINGER2,
                ints(&[-1]),
                OptionValue::Time(None),
            ),
            (
                libc::IPPROTO_IP,
                libc::IP_TTL,
                ints(&[-1]),
                OptionValue::Int(-1),
            ),
            (
                SOL_RAW,
                ICMP_FILTER,
                vec![1, 2, 3, 4],
                OptionValue::Bytes(vec![1, 2, 3, 4]),
            ),
        ] {
            let read = read(&Eth0, level, name, &bytes);
            assert_eq!(read, Ok((option(level, name).unwrap(), value.clone())));
            let mut out = [0xee; 64];
            let len = write(&Eth0, level, name, &value, &mut out).unwrap();
            assert_eq!(&out[..len], bytes, "level {level}, name {name}");
        }
    }

    #[test]
    fn short_values_are_refused_or_taken_as_linux_does() {
        let set = |level, name, bytes: &[u8]| read(&Eth0, level, name, bytes);
        let nodelay = (libc::IPPROTO_TCP, libc::TCP_NODELAY);
        assert_eq!(set(nodelay.0, nodelay.1, &[1]), Err(Error::Invalid));
        let ttl = (libc::IPPROTO_IP, libc::IP_TTL);
        let nine = Ok((O::Ttl, OptionValue::Int(9)));
        assert_eq!(set(ttl.0, ttl.1, &[9]), nine);
        assert_eq!(set(ttl.0, ttl.1, &ints(&[9])), nine);
        let mut byte = [0; 1];
        let wrote = write(&Eth0, ttl.0, ttl.1, &OptionValue::Int(9), &mut byte);
        assert_eq!((wrote, byte), (Ok(1), [9]));
        assert_eq!(
            set(libc::SOL_SOCKET, libc::SO_LINGER, &ints(&[1])),
            Err(Error::Invalid)
        );
        assert_eq!(
            set(libc::SOL_SOCKET, 9999, &ints(&[1])),
            Err(Error::NoProtocolOption)
        );
    }

    #[test]
    fn multicast_interface_by_address_or_index() {
        let set = |bytes: &[u8]| {
            read(&Eth0, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, bytes).map(|(_, v)| v)
        };
        let two = Ok(OptionValue::Int(2));
        assert_eq!(set(&[10, 0, 0, 1]), two);
        assert_eq!(set(&[224, 0, 0, 1, 10, 0, 0, 1]), two);
        assert_eq!(set(&[[0; 8].as_slice(), &ints(&[2])].concat()), two);
        assert_eq!(
            set(&[[0; 8].as_slice(), &ints(&[3])].concat()),
            Err(Error::NoDevice)
        );
        assert_eq!(set(&[0, 0, 0, 0]), Ok(OptionValue::Int(0)));
        assert_eq!(set(&[10, 0, 0, 9]), Err(Error::AddressNotAvailable));
        assert_eq!(set(&[10, 0]), Err(Error::Invalid));
    }
}
