//! The one table of socket options: Linux's level, number and byte layout on one side, the typed
//! [`SocketOption`] on the other. `Socket`, `run` and every other face read it.
//!
//! An option that is not in here, or that the socket's transport does not know, is ENOPROTOOPT:
//! none is silently ignored. SO_TYPE, SO_ERROR, SO_RCVTIMEO and others that the face itself
//! answers are marked [`Owner::Face`].

use sockeye_core::{Error, OptionValue, SocketOption};
use std::time::Duration;

/// How an option's bytes are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A C int, of which zero or not counts.
    Flag,
    /// A C int.
    Int,
    /// A C int, or on the older multicast options a single byte.
    ByteOrInt,
    /// A C int of whole seconds.
    Seconds,
    /// A C int of milliseconds.
    Millis,
    /// `struct linger`.
    Linger,
    /// `struct timeval`.
    TimeVal,
    /// A name, NUL-terminated or not.
    Name,
    /// Bytes of this length.
    Bytes(usize),
}

/// Who answers an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The socket's transport.
    Transport(SocketOption),
    /// The face.
    Face(FaceOption),
}

/// Options that the face itself answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaceOption {
    /// SO_TYPE
    Type,
    /// SO_DOMAIN
    Domain,
    /// SO_PROTOCOL
    Protocol,
    /// SO_ERROR
    Error,
    /// SO_ACCEPTCONN
    AcceptConn,
    /// SO_RCVTIMEO
    ReceiveTimeout,
    /// SO_SNDTIMEO
    SendTimeout,
    /// TCP_INFO
    TcpInfo,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// SOL_SOCKET, IPPROTO_TCP, …
    pub level: i32,
    /// SO_…, TCP_…
    pub number: i32,
    /// Its C name.
    pub name: &'static str,
    /// Its bytes.
    pub layout: Layout,
    /// Who answers it.
    pub owner: Owner,
}

macro_rules! rows {
    ($($level:ident $number:ident $layout:ident $(($len:literal))? => $kind:ident $option:ident;)*) => {
        &[$(Row {
            level: libc::$level,
            number: libc::$number,
            name: stringify!($number),
            layout: Layout::$layout $(($len))?,
            owner: rows!(@ $kind $option),
        },)*]
    };
    (@ transport $option:ident) => { Owner::Transport(SocketOption::$option) };
    (@ face $option:ident) => { Owner::Face(FaceOption::$option) };
}

/// All of them.
pub const TABLE: &[Row] = rows! {
    SOL_SOCKET SO_REUSEADDR Flag => transport ReuseAddress;
    SOL_SOCKET SO_REUSEPORT Flag => transport ReusePort;
    SOL_SOCKET SO_KEEPALIVE Flag => transport KeepAlive;
    SOL_SOCKET SO_BROADCAST Flag => transport Broadcast;
    SOL_SOCKET SO_OOBINLINE Flag => transport OobInline;
    SOL_SOCKET SO_LINGER Linger => transport Linger;
    SOL_SOCKET SO_RCVBUF Int => transport ReceiveBuffer;
    SOL_SOCKET SO_SNDBUF Int => transport SendBuffer;
    SOL_SOCKET SO_RCVLOWAT Int => transport ReceiveLowWater;
    SOL_SOCKET SO_PRIORITY Int => transport Priority;
    SOL_SOCKET SO_BINDTODEVICE Name => transport BindToDevice;
    SOL_SOCKET SO_BINDTOIFINDEX Int => transport BindToDevice;
    SOL_SOCKET SO_TYPE Int => face Type;
    SOL_SOCKET SO_DOMAIN Int => face Domain;
    SOL_SOCKET SO_PROTOCOL Int => face Protocol;
    SOL_SOCKET SO_ERROR Int => face Error;
    SOL_SOCKET SO_ACCEPTCONN Int => face AcceptConn;
    SOL_SOCKET SO_RCVTIMEO TimeVal => face ReceiveTimeout;
    SOL_SOCKET SO_SNDTIMEO TimeVal => face SendTimeout;
    IPPROTO_TCP TCP_NODELAY Flag => transport NoDelay;
    IPPROTO_TCP TCP_MAXSEG Int => transport MaxSegment;
    IPPROTO_TCP TCP_CORK Flag => transport Cork;
    IPPROTO_TCP TCP_KEEPIDLE Seconds => transport KeepIdle;
    IPPROTO_TCP TCP_KEEPINTVL Seconds => transport KeepInterval;
    IPPROTO_TCP TCP_KEEPCNT Int => transport KeepCount;
    IPPROTO_TCP TCP_SYNCNT Int => transport SynCount;
    IPPROTO_TCP TCP_LINGER2 Seconds => transport Linger2;
    IPPROTO_TCP TCP_USER_TIMEOUT Millis => transport UserTimeout;
    IPPROTO_TCP TCP_QUICKACK Flag => transport QuickAck;
    IPPROTO_TCP TCP_CONGESTION Name => transport Congestion;
    IPPROTO_TCP TCP_NOTSENT_LOWAT Int => transport NotSentLowWater;
    IPPROTO_TCP TCP_WINDOW_CLAMP Int => transport WindowClamp;
    IPPROTO_TCP TCP_DEFER_ACCEPT Seconds => transport DeferAccept;
    IPPROTO_TCP TCP_INFO Bytes(232) => face TcpInfo;
    IPPROTO_IP IP_TTL Int => transport Ttl;
    IPPROTO_IP IP_TOS ByteOrInt => transport Tos;
    IPPROTO_IP IP_MTU_DISCOVER Int => transport MtuDiscover;
    IPPROTO_IP IP_MTU Int => transport Mtu;
    IPPROTO_IP IP_RECVERR Flag => transport ReceiveErrors;
    IPPROTO_IP IP_PKTINFO Flag => transport PacketInfo;
    IPPROTO_IP IP_RECVTTL Flag => transport ReceiveTtl;
    IPPROTO_IP IP_RECVTOS Flag => transport ReceiveTos;
    IPPROTO_IP IP_HDRINCL Flag => transport HeaderIncluded;
    IPPROTO_IP IP_FREEBIND Flag => transport FreeBind;
    IPPROTO_IP IP_MULTICAST_TTL ByteOrInt => transport MulticastTtl;
    IPPROTO_IP IP_MULTICAST_LOOP ByteOrInt => transport MulticastLoop;
    IPPROTO_IPV6 IPV6_UNICAST_HOPS Int => transport UnicastHops;
    IPPROTO_IPV6 IPV6_MULTICAST_HOPS Int => transport MulticastHops;
    IPPROTO_IPV6 IPV6_MULTICAST_LOOP Flag => transport MulticastLoopV6;
    IPPROTO_IPV6 IPV6_MULTICAST_IF Int => transport MulticastInterfaceV6;
    IPPROTO_IPV6 IPV6_V6ONLY Flag => transport OnlyV6;
    IPPROTO_IPV6 IPV6_TCLASS Int => transport TrafficClass;
    IPPROTO_IPV6 IPV6_MTU_DISCOVER Int => transport MtuDiscoverV6;
    IPPROTO_IPV6 IPV6_RECVERR Flag => transport ReceiveErrorsV6;
    IPPROTO_IPV6 IPV6_RECVPKTINFO Flag => transport ReceivePacketInfoV6;
    IPPROTO_IPV6 IPV6_RECVHOPLIMIT Flag => transport ReceiveHopLimit;
    IPPROTO_IPV6 IPV6_RECVTCLASS Flag => transport ReceiveTrafficClass;
    IPPROTO_IPV6 IPV6_CHECKSUM Int => transport ChecksumOffset;
};

/// Options whose numbers the libc crate lacks.
const MORE: &[Row] = &[
    // linux/icmp.h: level SOL_RAW (255).
    Row { level: 255, number: 1, name: "ICMP_FILTER", layout: Layout::Bytes(4), owner: Owner::Transport(SocketOption::IcmpFilter) },
    // linux/icmpv6.h
    Row {
        level: libc::IPPROTO_ICMPV6,
        number: 1,
        name: "ICMPV6_FILTER",
        layout: Layout::Bytes(32),
        owner: Owner::Transport(SocketOption::Icmp6Filter),
    },
];

/// The row of an option, if it is one of ours.
#[must_use]
pub fn find(level: i32, number: i32) -> Option<&'static Row> {
    TABLE.iter().chain(MORE).find(|row| (row.level, row.number) == (level, number))
}

impl Row {
    /// Reads a value as the program laid it out.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is too short or names no time.
    pub fn parse(&self, bytes: &[u8]) -> Result<OptionValue, Error> {
        Ok(match self.layout {
            Layout::Flag => OptionValue::Flag(int(bytes)? != 0),
            Layout::Int => OptionValue::Int(int(bytes)?),
            Layout::ByteOrInt if bytes.len() < 4 => OptionValue::Int(i32::from(*bytes.first().ok_or(Error::Invalid)?)),
            Layout::ByteOrInt => OptionValue::Int(int(bytes)?),
            Layout::Seconds => OptionValue::Time(duration(int(bytes)?, Duration::from_secs)),
            Layout::Millis => OptionValue::Time(duration(int(bytes)?, Duration::from_millis)),
            Layout::Linger => {
                let (on, seconds) = (int(bytes)?, int(bytes.get(4..).ok_or(Error::Invalid)?)?);
                let time = duration(seconds.max(0), Duration::from_secs);
                OptionValue::Time(time.filter(|_| on != 0))
            }
            Layout::TimeVal => OptionValue::Time(time_val(bytes)?),
            Layout::Name => OptionValue::Bytes(bytes.iter().copied().take_while(|b| *b != 0).collect()),
            Layout::Bytes(len) => OptionValue::Bytes(bytes.get(..len).ok_or(Error::Invalid)?.to_vec()),
        })
    }

    /// Lays a value out as the kernel does. A buffer that is shorter gets the front of it.
    #[must_use]
    pub fn emit(&self, value: &OptionValue) -> Vec<u8> {
        let number = match value {
            OptionValue::Flag(on) => i32::from(*on),
            OptionValue::Int(n) => *n,
            OptionValue::Time(time) => self.time_as_int(*time),
            OptionValue::Bytes(bytes) => return self.emit_bytes(bytes),
        };
        match (self.layout, value) {
            (Layout::Linger, OptionValue::Time(time)) => {
                [i32::from(time.is_some()).to_ne_bytes(), number.to_ne_bytes()].concat()
            }
            (Layout::TimeVal, OptionValue::Time(time)) => {
                let time = time.unwrap_or_default();
                let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
                [seconds.to_ne_bytes(), i64::from(time.subsec_micros()).to_ne_bytes()].concat()
            }
            _ => number.to_ne_bytes().to_vec(),
        }
    }

    fn emit_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if self.layout == Layout::Name && !bytes.is_empty() {
            // TCP_CONGESTION answers TCP_CA_NAME_MAX bytes, a device its name with its NUL.
            bytes.resize(if self.number == libc::TCP_CONGESTION { 16 } else { bytes.len() + 1 }, 0);
        }
        bytes
    }

    fn time_as_int(&self, time: Option<Duration>) -> i32 {
        let Some(time) = time else { return if self.layout == Layout::Seconds { -1 } else { 0 } };
        let number = if self.layout == Layout::Millis { time.as_millis() } else { u128::from(time.as_secs()) };
        i32::try_from(number).unwrap_or(i32::MAX)
    }
}

fn int(bytes: &[u8]) -> Result<i32, Error> {
    let bytes = bytes.first_chunk().ok_or(Error::Invalid)?;
    Ok(i32::from_ne_bytes(*bytes))
}

/// A negative number is no time.
fn duration(number: i32, unit: fn(u64) -> Duration) -> Option<Duration> {
    u64::try_from(number).ok().map(unit)
}

/// `struct timeval`: zero is "no time-out" (socket(7)), a negative one times out at once, and
/// microseconds beyond a second are no number (EDOM; the nearest of ours is `Invalid`).
fn time_val(bytes: &[u8]) -> Result<Option<Duration>, Error> {
    let (seconds, rest) = bytes.split_first_chunk().ok_or(Error::Invalid)?;
    let micros = rest.first_chunk().ok_or(Error::Invalid)?;
    let (seconds, micros) = (i64::from_ne_bytes(*seconds), i64::from_ne_bytes(*micros));
    if !(0..1_000_000).contains(&micros) {
        return Err(Error::Invalid);
    }
    if seconds < 0 {
        return Ok(Some(Duration::from_nanos(1)));
    }
    let time = Duration::from_secs(seconds.unsigned_abs()) + Duration::from_micros(micros.unsigned_abs());
    Ok(Some(time).filter(|time| !time.is_zero()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(level: i32, number: i32) -> &'static Row {
        find(level, number).unwrap()
    }

    #[test]
    fn no_option_stands_twice() {
        for (n, row) in TABLE.iter().chain(MORE).enumerate() {
            let first = TABLE.iter().chain(MORE).position(|r| (r.level, r.number) == (row.level, row.number));
            assert_eq!(first, Some(n), "{}", row.name);
        }
    }

    #[test]
    fn values_are_laid_out_as_the_kernel_does() {
        let linger = row(libc::SOL_SOCKET, libc::SO_LINGER);
        let bytes = [1_i32.to_ne_bytes(), 5_i32.to_ne_bytes()].concat();
        assert_eq!(linger.parse(&bytes), Ok(OptionValue::Time(Some(Duration::from_secs(5)))));
        assert_eq!(linger.emit(&OptionValue::Time(Some(Duration::from_secs(5)))), bytes);
        assert_eq!(linger.emit(&OptionValue::Time(None)), [0; 8]);
        let timeout = row(libc::SOL_SOCKET, libc::SO_RCVTIMEO);
        let bytes = [2_i64.to_ne_bytes(), 500_000_i64.to_ne_bytes()].concat();
        assert_eq!(timeout.parse(&bytes), Ok(OptionValue::Time(Some(Duration::from_millis(2500)))));
        assert_eq!(timeout.emit(&OptionValue::Time(Some(Duration::from_millis(2500)))), bytes);
        assert_eq!(timeout.parse(&[0; 16]), Ok(OptionValue::Time(None)));
        let user = row(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT);
        assert_eq!(user.parse(&1500_i32.to_ne_bytes()), Ok(OptionValue::Time(Some(Duration::from_millis(1500)))));
        let congestion = row(libc::IPPROTO_TCP, libc::TCP_CONGESTION);
        assert_eq!(congestion.emit(&OptionValue::Bytes(b"reno".to_vec())), *b"reno\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(congestion.parse(b"reno\0junk"), Ok(OptionValue::Bytes(b"reno".to_vec())));
    }

    #[test]
    fn short_values_are_refused() {
        assert_eq!(row(libc::SOL_SOCKET, libc::SO_REUSEADDR).parse(&[1]), Err(Error::Invalid));
        assert_eq!(row(libc::SOL_SOCKET, libc::SO_LINGER).parse(&[1; 7]), Err(Error::Invalid));
        assert_eq!(row(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL).parse(&[9]), Ok(OptionValue::Int(9)));
        assert!(find(libc::SOL_SOCKET, 0x7fff).is_none());
    }
}
