//! Where a receive puts what it received, and the ancillary data that goes along.

use crate::address;
use crate::backend::{Control, Errno, Received};
use crate::memory::{Memory, Message, Span};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ancillary data that a program has asked for, and what brings it: level and name of the option.
const OPTIONS: [(i32, i32, Wanted); 8] = [
    (libc::SOL_SOCKET, libc::SO_TIMESTAMP, Wanted::TIMESTAMP),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, Wanted::TIMESTAMP_NS),
    (libc::IPPROTO_IP, libc::IP_PKTINFO, Wanted::PACKET_INFO),
    (libc::IPPROTO_IP, libc::IP_RECVTTL, Wanted::TTL),
    (libc::IPPROTO_IP, libc::IP_RECVTOS, Wanted::TOS),
    (
        libc::IPPROTO_IPV6,
        libc::IPV6_RECVPKTINFO,
        Wanted::PACKET_INFO,
    ),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, Wanted::TTL),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, Wanted::TOS),
];

/// One kind of ancillary data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted(u32);

impl Wanted {
    const TIMESTAMP: Self = Self(1);
    const TIMESTAMP_NS: Self = Self(2);
    const PACKET_INFO: Self = Self(4);
    const TTL: Self = Self(8);
    const TOS: Self = Self(16);

    /// What an option asks for, if it asks for ancillary data at all.
    pub(crate) fn by_option(level: i32, name: i32) -> Option<Self> {
        OPTIONS
            .iter()
            .find(|option| (option.0, option.1) == (level, name))
            .map(|option| option.2)
    }

    /// Whether the supervisor itself knows it, so that the node need not.
    pub(crate) fn is_time(self) -> bool {
        self == Self::TIMESTAMP || self == Self::TIMESTAMP_NS
    }
}

/// All the kinds that a socket's program has asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked(AtomicU32);

impl Asked {
    pub(crate) fn set(&self, wanted: Wanted, on: bool) {
        if on {
            self.0.fetch_or(wanted.0, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!wanted.0, Ordering::Relaxed);
        }
    }

    pub(crate) fn has(&self, wanted: Wanted) -> bool {
        self.0.load(Ordering::Relaxed) & wanted.0 != 0
    }

    /// The ancillary data of a message.
    pub(crate) fn of(&self, received: Option<&Received>, at: Option<i64>) -> Vec<Control> {
        let mut pieces = Vec::new();
        if let Some(at) = at {
            let (seconds, nanoseconds) =
                (at.div_euclid(1_000_000_000), at.rem_euclid(1_000_000_000));
            if self.has(Wanted::TIMESTAMP_NS) {
                pieces.push((
                    libc::SOL_SOCKET,
                    libc::SCM_TIMESTAMPNS,
                    pair(seconds, nanoseconds),
                ));
            } else if self.has(Wanted::TIMESTAMP) {
                pieces.push((
                    libc::SOL_SOCKET,
                    libc::SCM_TIMESTAMP,
                    pair(seconds, nanoseconds / 1000),
                ));
            }
        }
        let Some(received) = received else {
            return pieces;
        };
        pieces.extend(received.control.iter().cloned());
        let v6 = received.source.is_some_and(|source| source.is_ipv6());
        if self.has(Wanted::PACKET_INFO) {
            match received.destination {
                Some(IpAddr::V4(to)) => {
                    let value =
                        [received.interface.to_ne_bytes(), to.octets(), to.octets()].concat();
                    pieces.push((libc::IPPROTO_IP, libc::IP_PKTINFO, value));
                }
                Some(IpAddr::V6(to)) => {
                    let value = [&to.octets()[..], &received.interface.to_ne_bytes()].concat();
                    pieces.push((libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, value));
                }
                None => {}
            }
        }
        if let Some(ttl) = received.ttl.filter(|_| self.has(Wanted::TTL)) {
            let (level, kind) = if v6 {
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
            } else {
                (libc::IPPROTO_IP, libc::IP_TTL)
            };
            pieces.push((level, kind, i32::from(ttl).to_ne_bytes().to_vec()));
        }
        if let Some(class) = received.traffic_class.filter(|_| self.has(Wanted::TOS)) {
            pieces.push(if v6 {
                (
                    libc::IPPROTO_IPV6,
                    libc::IPV6_TCLASS,
                    i32::from(class).to_ne_bytes().to_vec(),
                )
            } else {
                (libc::IPPROTO_IP, libc::IP_TOS, vec![class])
            });
        }
        pieces
    }
}

/// A timeval or a timespec.
fn pair(seconds: i64, fraction: i64) -> Vec<u8> {
    [seconds.to_ne_bytes(), fraction.to_ne_bytes()].concat()
}

/// Octets of a `cmsghdr`, and what control data is aligned to.
const CONTROL_HEADER: usize = 16;
const CONTROL_ALIGN: usize = 8;

/// Lays out ancillary data in at most `room` octets. False says that not all found room: `MSG_CTRUNC`.
pub(crate) fn lay_out(pieces: &[Control], room: usize) -> (Vec<u8>, bool) {
    let mut octets = Vec::new();
    for (level, kind, value) in pieces {
        let len = CONTROL_HEADER + value.len();
        if octets.len() + len > room {
            return (octets, false);
        }
        octets.extend(len.to_ne_bytes());
        octets.extend(level.to_ne_bytes());
        octets.extend(kind.to_ne_bytes());
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(CONTROL_ALIGN).min(room), 0);
    }
    (octets, true)
}

/// Where a receive puts a datagram.
pub(crate) struct Target {
    pub(crate) buffers: Vec<Span>,
    /// Where the source address goes, if anywhere.
    name: Name,
    control: Span,
}

/// Where a source address goes.
enum Name {
    /// Nowhere.
    Untold,
    /// recvfrom: an address, and a length that is read and written.
    At(u64, u64),
    /// recvmsg: an address with room, in this `msghdr`.
    InMessage {
        message_at: u64,
        at: u64,
        room: usize,
    },
}

impl Target {
    /// Of recvfrom's arguments.
    pub(crate) fn of_recvfrom(args: &[u64; 6]) -> Self {
        let len = usize::try_from(args[2]).unwrap_or(usize::MAX);
        Self {
            buffers: vec![Span {
                address: args[1],
                len,
            }],
            name: match args[4] {
                0 => Name::Untold,
                at => Name::At(at, args[5]),
            },
            control: Span::default(),
        }
    }

    /// Of buffers alone.
    pub(crate) fn of_spans(buffers: Vec<Span>) -> Self {
        Self {
            buffers,
            name: Name::Untold,
            control: Span::default(),
        }
    }

    /// Of a `msghdr`.
    pub(crate) fn of_message(memory: &Memory<'_>, message_at: u64) -> Result<Self, Errno> {
        let message = memory.read_message(message_at)?;
        let room = usize::try_from(message.name_len)
            .map_err(|_| Errno::INVAL)?
            .min(address::STORAGE);
        let buffers = memory.read_buffers(&message)?;
        let Message {
            name,
            control,
            control_len,
            ..
        } = message;
        Ok(Self {
            buffers,
            name: Name::InMessage {
                message_at,
                at: name,
                room,
            },
            control: Span {
                address: control,
                len: control_len,
            },
        })
    }

    /// Octets that find room.
    pub(crate) fn room(&self) -> usize {
        let lengths = self.buffers.iter().map(|span| span.len);
        lengths.fold(0, usize::saturating_add)
    }

    /// Writes a part of a stream behind `done` octets that are there already. Nobody is said to have sent it.
    pub(crate) fn write_behind(
        &self,
        memory: &Memory<'_>,
        done: usize,
        data: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        let mut skipped = done;
        let behind = self.buffers.iter().map(|span| {
            let passed = skipped.min(span.len);
            skipped -= passed;
            Span {
                address: span.address.wrapping_add(passed as u64),
                len: span.len - passed,
            }
        });
        memory.scatter(&behind.collect::<Vec<_>>(), data)?;
        match self.name {
            Name::Untold => Ok(()),
            Name::At(_, len_at) => memory.write_int(len_at, 0),
            Name::InMessage { message_at, .. } => memory.finish_message(message_at, 0, 0, flags),
        }
    }

    /// Whether it is to be told who sent what is received.
    pub(crate) fn wants_name(&self) -> bool {
        match self.name {
            Name::Untold => false,
            Name::At(at, _) | Name::InMessage { at, .. } => at != 0,
        }
    }

    /// Writes a message there, with `flags` among those that recvmsg returns. Returns the octets that found room.
    pub(crate) fn write(
        &self,
        memory: &Memory<'_>,
        data: &[u8],
        source: Option<SocketAddr>,
        pieces: &[Control],
        flags: i32,
    ) -> Result<usize, Errno> {
        let source = source.map(address::emit);
        self.write_from(memory, data, source.as_deref(), pieces, flags)
    }

    /// The same, from an address of whatever family.
    pub(crate) fn write_from(
        &self,
        memory: &Memory<'_>,
        data: &[u8],
        source: Option<&[u8]>,
        pieces: &[Control],
        flags: i32,
    ) -> Result<usize, Errno> {
        let written = memory.scatter(&self.buffers, data)?;
        match self.name {
            Name::Untold => {}
            Name::At(at, len_at) => match source {
                Some(source) => memory.write_name(at, len_at, source)?,
                None => memory.write_int(len_at, 0)?,
            },
            Name::InMessage {
                message_at,
                at,
                room,
            } => {
                let mut name_len = 0;
                if let Some(source) = source.filter(|_| at != 0) {
                    memory.write(at, &source[..room.min(source.len())])?;
                    name_len = source.len() as u32;
                }
                let room = if self.control.address == 0 {
                    0
                } else {
                    self.control.len
                };
                let (control, whole) = lay_out(pieces, room);
                memory.write(self.control.address, &control)?;
                let cut = if written < data.len() {
                    libc::MSG_TRUNC
                } else {
                    0
                };
                let flags = flags | cut | if whole { 0 } else { libc::MSG_CTRUNC };
                memory.finish_message(message_at, name_len, control.len(), flags)?;
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_data_is_laid_out_as_cmsg_does() {
        let pieces = [
            (0, libc::IP_TTL, vec![64, 0, 0, 0]),
            (0, libc::IP_TOS, vec![7]),
        ];
        let (octets, whole) = lay_out(&pieces, 64);
        assert!(whole);
        assert_eq!(octets.len(), 24 + 24);
        assert_eq!(octets[..8], 20_usize.to_ne_bytes());
        assert_eq!(
            octets[12..20],
            [2_i32.to_ne_bytes(), [64, 0, 0, 0]].concat()
        );
        assert_eq!(octets[24..32], 17_usize.to_ne_bytes());
        assert_eq!(
            lay_out(&pieces, 47).0.len(),
            47,
            "padding may be cut, a piece not"
        );
        assert_eq!(lay_out(&pieces, 40), (octets[..24].to_vec(), false));
        assert_eq!(lay_out(&pieces, 0), (vec![], false));
    }
}
