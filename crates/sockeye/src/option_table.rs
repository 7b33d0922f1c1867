//! Bytes of setsockopt(2) and getsockopt(2) to the core's options and back, by the core's list
//! ([`sockeye_core::option::list`]).
//!
//! What a value means and which are valid is the core's business; what an option can't be on a
//! socket is ENOPROTOOPT. Memberships, which name a group, are `socket::raw_option`'s.

use crate::error::{os, to_io};
use sockeye_core::option::{Access, Layout, Row, Standing};
use sockeye_core::{Error, OptionValue, SocketOption};
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Bytes of a device name with its NUL.
const IFNAMSIZ: usize = 16;
/// Bytes of a congestion control's name with its NUL.
const TCP_CA_NAME_MAX: usize = 16;

/// What the table asks of a node's interfaces.
pub(crate) trait Devices {
    /// The index of an interface by its name.
    fn index(&self, name: &str) -> Option<u32>;
    /// Its name.
    fn name(&self, index: u32) -> Option<String>;
    /// The index of the interface that has an address.
    fn with_address(&self, address: Ipv4Addr) -> Option<u32>;
}

/// The option that setsockopt(2) means, and how its bytes are read.
///
/// # Errors
/// [`Error::NoProtocolOption`] for what nobody has or what can't be set, and what the list says of
/// one that is refused. Linux looks first whether there is an int.
pub(crate) fn to_set(level: i32, name: i32, bytes: &[u8]) -> Result<(SocketOption, Layout), Error> {
    let row = Row::find(level, name);
    if let Some(row) = row
        && let Standing::Works { option, layout, .. } = row.standing
        && matches!(layout, Layout::Device | Layout::Name)
    {
        return Ok((option, layout));
    }
    if matches!(level, libc::SOL_SOCKET | libc::IPPROTO_TCP) {
        int_at(bytes, 0)?;
    }
    match row.map(|row| row.standing) {
        Some(Standing::Works {
            access: Access::ReadOnly,
            ..
        })
        | None => Err(Error::NoProtocolOption),
        // Linux: no byte at all counts as zero, but for these.
        Some(Standing::Works { option, .. })
            if level == libc::IPPROTO_IP && bytes.is_empty() && wants_a_byte(option) =>
        {
            Err(Error::Invalid)
        }
        Some(Standing::Works { option, layout, .. }) => Ok((option, layout)),
        Some(Standing::Refused { set, .. }) => Err(set),
    }
}

const fn wants_a_byte(option: SocketOption) -> bool {
    matches!(
        option,
        SocketOption::FreeBind
            | SocketOption::Ttl
            | SocketOption::MinTtl
            | SocketOption::Transparent
            | SocketOption::MulticastTtl
            | SocketOption::MulticastLoop
            | SocketOption::MulticastAll
    )
}

/// The option that getsockopt(2) means, and how its bytes are written.
///
/// # Errors
/// As for [`to_set`].
pub(crate) fn to_get(level: i32, name: i32) -> Result<(SocketOption, Layout), Error> {
    match Row::find(level, name).map(|row| row.standing) {
        Some(Standing::Works {
            access: Access::WriteOnly,
            ..
        })
        | None => Err(Error::NoProtocolOption),
        Some(Standing::Works { option, layout, .. }) => Ok((option, layout)),
        Some(Standing::Refused { get, .. }) => Err(get),
    }
}

/// The value that setsockopt(2) was given.
///
/// # Errors
/// EINVAL for a value of the wrong size, ENODEV and EADDRNOTAVAIL for interfaces that are not
/// there, EDOM for a time that is none.
pub(crate) fn read(
    devices: &dyn Devices,
    level: i32,
    layout: Layout,
    bytes: &[u8],
) -> io::Result<OptionValue> {
    let number = || int(level, bytes).map_err(to_io);
    let seconds = |n: i32| u64::try_from(n).map(Duration::from_secs);
    let unsigned = |n: i32| u64::try_from(n).map_err(|_| os(libc::EINVAL));
    Ok(match layout {
        Layout::Flag => OptionValue::Flag(number()? != 0),
        Layout::LooseFlag => OptionValue::Flag(number().unwrap_or(0) != 0),
        Layout::Int => OptionValue::Int(number()?),
        Layout::Word => match bytes.try_into() {
            Ok(word) => OptionValue::Int(i32::from_ne_bytes(word)),
            Err(_) => return Err(os(libc::EINVAL)),
        },
        Layout::Seconds => OptionValue::Time(Some(Duration::from_secs(unsigned(number()?)?))),
        Layout::SecondsOrNone => OptionValue::Time(seconds(number()?).ok()),
        Layout::SecondsOrZero => {
            OptionValue::Time(seconds(number()?).ok().filter(|time| !time.is_zero()))
        }
        Layout::Millis => OptionValue::Time(Some(Duration::from_millis(unsigned(number()?)?))),
        Layout::Micros => OptionValue::Time(Some(Duration::from_micros(unsigned(number()?)?))),
        Layout::Linger => {
            let on = int_at(bytes, 0).map_err(to_io)? != 0;
            // As in the kernel, a negative time is a very long one.
            let time = int_at(bytes, 4).map_err(to_io)?.cast_unsigned();
            OptionValue::Time(on.then_some(Duration::from_secs(time.into())))
        }
        Layout::Timeval => OptionValue::Time(timeval(bytes)?),
        Layout::Rate => OptionValue::Wide(match bytes.first_chunk::<8>() {
            Some(long) => u64::from_ne_bytes(*long),
            // Linux: all ones is no limit, in 32 bits as in 64.
            None => match number()?.cast_unsigned() {
                u32::MAX => u64::MAX,
                rate => rate.into(),
            },
        }),
        Layout::Name => {
            let name = text(bytes, TCP_CA_NAME_MAX);
            if bytes.is_empty() {
                return Err(os(libc::EINVAL));
            }
            OptionValue::Bytes(name.to_vec())
        }
        Layout::Device => {
            let name = text(bytes, IFNAMSIZ);
            let name = std::str::from_utf8(name).map_err(|_| to_io(Error::NoDevice))?;
            match name {
                "" => index(0),
                name => index(devices.index(name).ok_or_else(|| to_io(Error::NoDevice))?),
            }
        }
        Layout::MulticastDevice => {
            let missing = Error::AddressNotAvailable;
            let (address, index) = multicast_device(devices, bytes, missing).map_err(to_io)?;
            OptionValue::Bytes([address.octets(), index.to_ne_bytes()].concat())
        }
        Layout::Mask(len) => {
            let mask = bytes.get(..len.min(bytes.len())).unwrap_or(bytes);
            if mask.is_empty() {
                return Err(os(libc::EINVAL));
            }
            OptionValue::Bytes(mask.to_vec())
        }
        Layout::Keys => OptionValue::Bytes(bytes.to_vec()),
        Layout::Struct(len) | Layout::Exact(len) => {
            OptionValue::Bytes(bytes[..len.min(bytes.len())].to_vec())
        }
        Layout::Cookie | Layout::Membership => return Err(to_io(Error::NoProtocolOption)),
    })
}

/// Writes a value as getsockopt(2) returns it, and says how many bytes it has.
///
/// # Errors
/// [`Error::Invalid`] when `out` is too short for one that is not cut.
pub(crate) fn write(
    devices: &dyn Devices,
    level: i32,
    layout: Layout,
    value: &OptionValue,
    out: &mut [u8],
) -> Result<usize, Error> {
    let whole = |n: u128| i32::try_from(n).unwrap_or(i32::MAX);
    let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
    Ok(match layout {
        Layout::Flag | Layout::LooseFlag | Layout::Int | Layout::Word => {
            put_int(level, value.int()?, out)
        }
        Layout::Seconds | Layout::SecondsOrZero => {
            put_int(level, value.time()?.map_or(0, seconds), out)
        }
        Layout::SecondsOrNone => put_int(level, value.time()?.map_or(-1, seconds), out),
        Layout::Millis => {
            let time = value.time()?.unwrap_or_default();
            put_int(level, whole(time.as_millis()), out)
        }
        Layout::Micros => {
            let time = value.time()?.unwrap_or_default();
            put_int(level, whole(time.as_micros()), out)
        }
        Layout::Linger => {
            let time = value.time()?;
            let on = u32::from(time.is_some()).to_ne_bytes();
            let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
            let time = time.map_or(0, seconds).to_ne_bytes();
            put(&[on, time].concat(), out)
        }
        Layout::Timeval => put_timeval(value.time()?, out),
        Layout::Rate => match value.wide()? {
            rate if out.len() >= size_of::<u64>() => put(&rate.to_ne_bytes(), out),
            rate => put(&u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes(), out),
        },
        Layout::Cookie if out.len() < size_of::<u64>() => return Err(Error::Invalid),
        Layout::Cookie => put(&value.wide()?.to_ne_bytes(), out),
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
        Layout::MulticastDevice => match value {
            OptionValue::Bytes(bytes) => put(&bytes[..bytes.len().min(4)], out),
            _ => return Err(Error::Invalid),
        },
        Layout::Exact(len) if out.len() < len => return Err(Error::Invalid),
        Layout::Mask(_) | Layout::Struct(_) | Layout::Exact(_) | Layout::Keys => match value {
            OptionValue::Bytes(bytes) => put(bytes, out),
            // Some are set as a list and read as the one that counts.
            OptionValue::Int(n) => put(&n.to_ne_bytes(), out),
            _ => return Err(Error::Invalid),
        },
        Layout::Membership => return Err(Error::NoProtocolOption),
    })
}

/// struct timeval, of two numbers as long as a pointer or of two with 64 bits; zero is none.
fn timeval(bytes: &[u8]) -> io::Result<Option<Duration>> {
    let at = |offset: usize| {
        let long = bytes.get(offset..).and_then(<[u8]>::first_chunk);
        long.map(|long| i64::from_ne_bytes(*long))
    };
    let (seconds, micros) = match (at(0), at(8)) {
        (Some(seconds), Some(micros)) => (seconds, micros),
        // Where time has 32 bits, so has the structure.
        _ if cfg!(target_pointer_width = "32") && bytes.len() >= 8 => (
            int_at(bytes, 0).map_err(to_io)?.into(),
            int_at(bytes, 4).map_err(to_io)?.into(),
        ),
        _ => return Err(os(libc::EINVAL)),
    };
    let micros = u32::try_from(micros)
        .ok()
        .filter(|micros| *micros < 1_000_000)
        .ok_or_else(|| os(libc::EDOM))?;
    // socket(7) does not say it: a negative time is one that has run out at once.
    let Ok(seconds) = u64::try_from(seconds) else {
        return Ok(Some(Duration::ZERO));
    };
    let time = Duration::new(seconds, micros * 1000);
    Ok((!time.is_zero()).then_some(time))
}

fn put_timeval(time: Option<Duration>, out: &mut [u8]) -> usize {
    let time = time.unwrap_or_default();
    let micros = time.subsec_micros();
    if cfg!(target_pointer_width = "32") && out.len() < 16 {
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        return put(&[seconds.to_ne_bytes(), micros.to_ne_bytes()].concat(), out);
    }
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    put(
        &[seconds.to_ne_bytes(), i64::from(micros).to_ne_bytes()].concat(),
        out,
    )
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

/// The address and the number of the interface in struct ip_mreqn {multiaddr, address, ifindex},
/// ip_mreq {multiaddr, interface} or in_addr.
///
/// # Errors
/// `missing` when there is no such interface.
pub(crate) fn multicast_device(
    devices: &dyn Devices,
    bytes: &[u8],
    missing: Error,
) -> Result<(Ipv4Addr, u32), Error> {
    let at = if bytes.len() < 8 { 0 } else { 4 };
    let octets = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    let address = Ipv4Addr::from(*octets.ok_or(Error::Invalid)?);
    let index = match bytes.len() {
        12.. => int_at(bytes, 8)?.cast_unsigned(),
        _ => 0,
    };
    let index = match index {
        0 if address.is_unspecified() => 0,
        0 => devices.with_address(address).ok_or(missing)?,
        index => devices.name(index).map(|_| index).ok_or(missing)?,
    };
    Ok((address, index))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::error::errno;
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
    }

    fn ints(ints: &[i32]) -> Vec<u8> {
        ints.iter().flat_map(|int| int.to_ne_bytes()).collect()
    }

    /// The list has the numbers of asm-generic; this machine may have others.
    #[test]
    fn the_numbers_are_those_of_this_machine() {
        for (level, number, name) in [
            (libc::SOL_SOCKET, libc::SO_REUSEADDR, "SO_REUSEADDR"),
            (libc::SOL_SOCKET, libc::SO_RCVBUF, "SO_RCVBUF"),
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO, "SO_RCVTIMEO"),
            (libc::SOL_SOCKET, libc::SO_REUSEPORT, "SO_REUSEPORT"),
            (libc::SOL_SOCKET, libc::SO_DOMAIN, "SO_DOMAIN"),
            (libc::IPPROTO_TCP, libc::TCP_NODELAY, "TCP_NODELAY"),
            (
                libc::IPPROTO_TCP,
                libc::TCP_NOTSENT_LOWAT,
                "TCP_NOTSENT_LOWAT",
            ),
            (libc::IPPROTO_UDP, libc::UDP_SEGMENT, "UDP_SEGMENT"),
            (
                libc::IPPROTO_IP,
                libc::IP_MULTICAST_LOOP,
                "IP_MULTICAST_LOOP",
            ),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, "IPV6_TCLASS"),
        ] {
            assert_eq!(Row::find(level, number).map(|row| row.name), Some(name));
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
                255,
                1,
                vec![1, 2, 3, 4],
                OptionValue::Bytes(vec![1, 2, 3, 4]),
            ),
        ] {
            let (_, layout) = to_set(level, name, &bytes).unwrap();
            assert_eq!(read(&Eth0, level, layout, &bytes).unwrap(), value);
            let mut out = [0xee; 64];
            let len = write(&Eth0, level, layout, &value, &mut out).unwrap();
            assert_eq!(&out[..len], bytes, "level {level}, name {name}");
        }
    }

    #[test]
    fn short_values_are_refused_or_taken_as_linux_does() {
        let set = |level, name, bytes: &[u8]| {
            let (option, layout) = to_set(level, name, bytes).map_err(errno)?;
            let value = read(&Eth0, level, layout, bytes);
            let value = value.map_err(|error| error.raw_os_error().unwrap())?;
            Ok((option, value))
        };
        let nodelay = (libc::IPPROTO_TCP, libc::TCP_NODELAY);
        assert_eq!(set(nodelay.0, nodelay.1, &[1]), Err(libc::EINVAL));
        let ttl = (libc::IPPROTO_IP, libc::IP_TTL);
        let nine = Ok((O::Ttl, OptionValue::Int(9)));
        assert_eq!(set(ttl.0, ttl.1, &[9]), nine);
        assert_eq!(set(ttl.0, ttl.1, &ints(&[9])), nine);
        let mut byte = [0; 1];
        let wrote = write(&Eth0, ttl.0, Layout::Int, &OptionValue::Int(9), &mut byte);
        assert_eq!((wrote, byte), (Ok(1), [9]));
        assert_eq!(
            set(libc::SOL_SOCKET, libc::SO_LINGER, &ints(&[1])),
            Err(libc::EINVAL)
        );
        assert_eq!(
            set(libc::SOL_SOCKET, 9999, &ints(&[1])),
            Err(libc::ENOPROTOOPT)
        );
    }

    #[test]
    fn multicast_interface_by_address_or_index() {
        let set = |bytes: &[u8]| {
            read(&Eth0, libc::IPPROTO_IP, Layout::MulticastDevice, bytes)
                .map_err(|error| error.raw_os_error().unwrap())
        };
        let device = |address: [u8; 4], index: i32| {
            let bytes = [address, index.to_ne_bytes()].concat();
            Ok(OptionValue::Bytes(bytes))
        };
        let own = [10, 0, 0, 1];
        assert_eq!(set(&own), device(own, 2));
        assert_eq!(set(&[224, 0, 0, 1, 10, 0, 0, 1]), device(own, 2));
        let by_index = [[0; 8].as_slice(), &ints(&[2])].concat();
        assert_eq!(set(&by_index), device([0; 4], 2));
        assert_eq!(
            set(&[[0; 8].as_slice(), &ints(&[3])].concat()),
            Err(libc::EADDRNOTAVAIL)
        );
        assert_eq!(set(&[0, 0, 0, 0]), device([0; 4], 0));
        assert_eq!(set(&[10, 0, 0, 9]), Err(libc::EADDRNOTAVAIL));
        assert_eq!(set(&[10, 0]), Err(libc::EINVAL));
    }
}
