//! TUN and TAP devices of Linux, with checksum and segmentation offloads.
//!
//! The device is opened with `IFF_VNET_HDR`: before every packet stands a `virtio_net_hdr`, which
//! [`header`](self) translates to and from [`Meta`](sockeye_link::Meta), so that super-segments and
//! partial checksums cross in both directions. A packet whose header makes no sense is dropped and
//! counted ([`Tun::dropped`]).

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use sockeye_link::{
    Batch, Capabilities, Checksum, Gso, GsoKind, GsoKinds, Instant, Link, MacAddr, Medium, Packet,
};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// `struct virtio_net_hdr` without the count of merged buffers: what a TUN device uses by default.
const HEADER_LEN: usize = 10;
/// The largest packet: an IP packet of 65,535 bytes behind an Ethernet header.
const PACKET_MAX: usize = 65_535 + 14;
/// A packet that fills less than this share of its buffer is copied out, and the buffer used again.
const COPY_BELOW: usize = PACKET_MAX / 4;
/// Slices of one packet handed to the kernel at once; a packet of more is made one first.
const SLICES_MAX: usize = 64;
/// The longest name of an interface (IFNAMSIZ less its NUL).
const NAME_MAX: usize = 15;

/// A TUN device: bare IP packets.
#[derive(Debug)]
pub struct Tun(Device);

/// A TAP device: Ethernet frames. The node's MAC address is its own, not the kernel's side's.
#[derive(Debug)]
pub struct Tap(Device);

impl Tun {
    /// Opens the TUN device `name`, making it where it isn't there.
    ///
    /// # Errors
    /// With a sentence that says what to do: there is no `/dev/net/tun`, this user may not use it, or
    /// the device has another owner or is in use.
    pub fn open(name: &str) -> io::Result<Self> {
        Ok(Self(Device::open(name, libc::IFF_TUN, Medium::Ip)?))
    }

    /// Packets dropped, either way, because the kernel or this driver refused them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped
    }
}

impl Tap {
    /// Opens the TAP device `name`, making it where it isn't there.
    ///
    /// # Errors
    /// See [`Tun::open`].
    pub fn open(name: &str) -> io::Result<Self> {
        Ok(Self(Device::open(
            name,
            libc::IFF_TAP,
            Medium::Ethernet(own_mac(name)),
        )?))
    }

    /// Gives the node's end this address instead of the one made for it.
    #[must_use]
    pub fn with_mac(mut self, mac: MacAddr) -> Self {
        self.0.capabilities.medium = Medium::Ethernet(mac);
        self
    }

    /// See [`Tun::dropped`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped
    }
}

/// A locally administered address that no other node of this machine has.
fn own_mac(name: &str) -> MacAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let numbers = [std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)];
    let bytes = name
        .bytes()
        .chain(numbers.iter().flat_map(|n| n.to_ne_bytes()));
    // FNV-1a
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let [a, b, c, d, e, ..] = hash.to_be_bytes();
    MacAddr([0x02, a, b, c, d, e])
}

#[derive(Debug)]
struct Device {
    fd: OwnedFd,
    capabilities: Capabilities,
    /// What the next packet is read into.
    buffer: Vec<u8>,
    dropped: u64,
}

impl Device {
    fn open(name: &str, kind: libc::c_int, medium: Medium) -> io::Result<Self> {
        let fd = open(
            "/dev/net/tun",
            OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| explain_open(name, errno))?;
        attach(&fd, name, kind).map_err(|error| explain_attach(name, &error))?;
        let gso = offer_offloads(&fd)?;
        let capabilities = Capabilities {
            medium,
            mtu: mtu(name)?,
            tx_checksum: true,
            gso,
            gso_max: 65_535,
            queues: 1,
        };
        Ok(Self {
            fd,
            capabilities,
            buffer: Vec::new(),
            dropped: 0,
        })
    }

    /// The next packet; `None` when the device has none. Nonsense is dropped, and the next one taken.
    fn recv(&mut self) -> io::Result<Option<Packet>> {
        loop {
            self.buffer.clear();
            self.buffer.reserve(HEADER_LEN + PACKET_MAX);
            match rustix::io::read(&self.fd, rustix::buffer::spare_capacity(&mut self.buffer)) {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            let Some((checksum, gso)) = header::parse(&self.buffer) else {
                self.dropped += 1;
                continue;
            };
            let mut packet = if self.buffer.len() < COPY_BELOW {
                Packet::from_slice(&self.buffer[HEADER_LEN..])
            } else {
                Packet::from_vec_at(std::mem::take(&mut self.buffer), HEADER_LEN)
            };
            packet.meta.checksum = checksum;
            packet.meta.gso = gso;
            return Ok(Some(packet));
        }
    }

    /// Whether the device took the packet (or will never take it: that is counted).
    fn send(&mut self, packet: &mut Packet) -> io::Result<bool> {
        if packet.payload().len() > SLICES_MAX {
            packet.linearize();
        }
        let header = header::emit(packet);
        let mut slices = [IoSlice::new(&[]); SLICES_MAX + 2];
        slices[0] = IoSlice::new(&header);
        let mut count = 1;
        for chunk in packet.chunks() {
            slices[count] = IoSlice::new(chunk);
            count += 1;
        }
        loop {
            return match rustix::io::writev(&self.fd, &slices[..count]) {
                Ok(_) => Ok(true),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN | Errno::NOBUFS) => Ok(false),
                // The interface is down, or the kernel finds the packet malformed: as on a wire
                // that is cut, it is lost, and the device goes on.
                Err(Errno::IO | Errno::INVAL | Errno::MSGSIZE) => {
                    self.dropped += 1;
                    Ok(true)
                }
                Err(errno) => Err(errno.into()),
            };
        }
    }
}

fn recv_batch(device: &mut Device, rx: &mut Batch, max: usize) -> io::Result<usize> {
    for count in 0..max {
        match device.recv()? {
            Some(packet) => rx.push_back(packet),
            None => return Ok(count),
        }
    }
    Ok(max)
}

fn send_batch(device: &mut Device, tx: &mut Batch) -> io::Result<usize> {
    let mut count = 0;
    while let Some(packet) = tx.front_mut() {
        if !device.send(packet)? {
            break;
        }
        tx.pop_front();
        count += 1;
    }
    Ok(count)
}

macro_rules! link {
    ($name:ident) => {
        impl Link for $name {
            fn capabilities(&self) -> Capabilities {
                self.0.capabilities
            }
            fn recv_batch(
                &mut self,
                _now: Instant,
                rx: &mut Batch,
                max: usize,
            ) -> io::Result<usize> {
                recv_batch(&mut self.0, rx, max)
            }
            fn send_batch(&mut self, _now: Instant, tx: &mut Batch) -> io::Result<usize> {
                send_batch(&mut self.0, tx)
            }
            fn as_raw_fd(&self) -> Option<RawFd> {
                Some(self.0.fd.as_raw_fd())
            }
        }
    };
}
link!(Tun);
link!(Tap);

/// `struct virtio_net_hdr`: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, the numbers
/// in the machine's byte order (the device's default).
mod header {
    use super::{Checksum, Gso, GsoKind, HEADER_LEN, Packet};

    const NEEDS_CSUM: u8 = 1;
    const DATA_VALID: u8 = 2;
    const GSO_NONE: u8 = 0;
    const GSO_TCPV4: u8 = 1;
    const GSO_TCPV6: u8 = 4;
    const GSO_UDP_L4: u8 = 5;
    const GSO_ECN: u8 = 0x80;

    fn number(bytes: &[u8], at: usize) -> Option<u16> {
        bytes
            .get(at..)?
            .first_chunk()
            .map(|b| u16::from_ne_bytes(*b))
    }

    /// What the header at the front of `buffer` says of the packet behind it; `None` when it is
    /// none, or speaks of bytes that aren't there.
    pub(super) fn parse(buffer: &[u8]) -> Option<(Checksum, Option<Gso>)> {
        let packet_len = buffer
            .len()
            .checked_sub(HEADER_LEN)
            .filter(|len| *len > 0)?;
        let (start, offset) = (number(buffer, 6)?, number(buffer, 8)?);
        let checksum = match buffer[0] {
            flags if flags & NEEDS_CSUM != 0 => {
                let end = usize::from(start) + usize::from(offset) + 2;
                (end <= packet_len).then_some(Checksum::Partial { start, offset })?
            }
            flags if flags & DATA_VALID != 0 => Checksum::Verified,
            _ => Checksum::Unverified,
        };
        let kind = match buffer[1] & !GSO_ECN {
            GSO_NONE => return Some((checksum, None)),
            GSO_TCPV4 => GsoKind::TcpV4,
            GSO_TCPV6 => GsoKind::TcpV6,
            GSO_UDP_L4 => GsoKind::Udp,
            _ => return None,
        };
        let size = number(buffer, 4).filter(|size| *size > 0)?;
        Some((checksum, Some(Gso { kind, size })))
    }

    /// The header for `packet`.
    pub(super) fn emit(packet: &Packet) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let Checksum::Partial { start, offset } = packet.meta.checksum else {
            return header;
        };
        header[0] = NEEDS_CSUM;
        header[6..8].copy_from_slice(&start.to_ne_bytes());
        header[8..10].copy_from_slice(&offset.to_ne_bytes());
        if let Some(Gso { kind, size }) = packet.meta.gso {
            let start = usize::from(start);
            // TCP's data offset counts 32-bit words in the upper half of byte 12.
            let tcp = || {
                packet
                    .head()
                    .get(start + 12)
                    .map_or(20, |b| usize::from(b >> 4) * 4)
            };
            let (code, transport) = match kind {
                GsoKind::TcpV4 => (GSO_TCPV4, tcp()),
                GsoKind::TcpV6 => (GSO_TCPV6, tcp()),
                GsoKind::Udp => (GSO_UDP_L4, 8),
            };
            header[1] = code;
            header[2..4].copy_from_slice(
                &u16::try_from(start + transport)
                    .unwrap_or(u16::MAX)
                    .to_ne_bytes(),
            );
            header[4..6].copy_from_slice(&size.to_ne_bytes());
        }
        header
    }
}

/// A `struct ifreq` with the interface's name.
fn request(name: &str) -> io::Result<libc::ifreq> {
    if name.is_empty()
        || name.len() > NAME_MAX
        || name
            .bytes()
            .any(|b| b == 0 || b == b'/' || b.is_ascii_whitespace())
    {
        let message = format!(
            "{name:?} is no name of an interface: 1 to {NAME_MAX} bytes without spaces and slashes"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    // SAFETY: `ifreq` is plain old data, for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

fn attach(fd: &OwnedFd, name: &str, kind: libc::c_int) -> io::Result<()> {
    let mut request = request(name)?;
    let flags = kind | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives on this frame.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

/// Tells the kernel which super-segments it may hand over; a kernel before 6.2 knows none of UDP.
fn offer_offloads(fd: &OwnedFd) -> io::Result<GsoKinds> {
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let offers = [
        (tcp | libc::TUN_F_USO4 | libc::TUN_F_USO6, GsoKinds::ALL),
        (
            tcp,
            GsoKinds {
                udp: false,
                ..GsoKinds::ALL
            },
        ),
        (libc::TUN_F_CSUM, GsoKinds::NONE),
    ];
    let mut error = None;
    for (offer, kinds) in offers {
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        match check(unsafe {
            libc::ioctl(
                fd.as_raw_fd(),
                libc::TUNSETOFFLOAD,
                libc::c_ulong::from(offer),
            )
        }) {
            Ok(()) => return Ok(kinds),
            Err(why) => error = Some(why),
        }
    }
    Err(error.unwrap_or_else(|| io::ErrorKind::Unsupported.into()))
}

fn mtu(name: &str) -> io::Result<u32> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    let mut request = request(name)?;
    // SAFETY: SIOCGIFMTU reads and writes one `ifreq`, which lives on this frame.
    check(unsafe {
        libc::ioctl(
            socket.as_fd().as_raw_fd(),
            libc::SIOCGIFMTU,
            &raw mut request,
        )
    })?;
    // SAFETY: SIOCGIFMTU has just written this member of the union.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    u32::try_from(mtu).map_err(io::Error::other)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn explain_open(name: &str, errno: Errno) -> io::Error {
    let what = match errno {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => {
            "this kernel has no TUN/TAP: `modprobe tun`, or choose another --link"
        }
        Errno::ACCESS | Errno::PERM => {
            "this user may not open it: `chmod 0666 /dev/net/tun` as root, or run as root"
        }
        _ => "it can't be opened",
    };
    let error = io::Error::from(errno);
    io::Error::new(
        error.kind(),
        format!("device {name}: /dev/net/tun: {error}; {what}"),
    )
}

fn explain_attach(name: &str, error: &io::Error) -> io::Error {
    let what = match error.raw_os_error() {
        Some(libc::EPERM) => {
            "give it to this user once, as root: `ip tuntap add mode tap user USER name NAME`"
                .to_owned()
        }
        Some(libc::EBUSY) => "another program has it open".to_owned(),
        Some(libc::EINVAL) => "an interface of that name exists and is of another kind".to_owned(),
        _ => "it can't be attached".to_owned(),
    };
    io::Error::new(error.kind(), format!("device {name}: {error}; {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_super_segment_keeps_its_fields_through_the_header() {
        let mut packet = Packet::from_slice(&[0x45; 80]);
        // An IPv4 header of 20 bytes, then TCP with 12 bytes of options.
        packet.head_mut()[32] = 8 << 4;
        packet.meta.checksum = Checksum::Partial {
            start: 20,
            offset: 16,
        };
        packet.meta.gso = Some(Gso {
            kind: GsoKind::TcpV4,
            size: 14,
        });
        let header = header::emit(&packet);
        assert_eq!(
            u16::from_ne_bytes([header[2], header[3]]),
            52,
            "headers before the payload"
        );
        let buffer = [&header[..], packet.head()].concat();
        assert_eq!(
            header::parse(&buffer),
            Some((packet.meta.checksum, packet.meta.gso))
        );
    }

    #[test]
    fn a_plain_packet_has_an_empty_header() {
        let packet = Packet::from_slice(&[0; 40]);
        assert_eq!(header::emit(&packet), [0; HEADER_LEN]);
        assert_eq!(header::parse(&[0; 50]), Some((Checksum::Unverified, None)));
        let valid = [&[2][..], &[0; 49]].concat();
        assert_eq!(header::parse(&valid), Some((Checksum::Verified, None)));
    }

    #[test]
    fn a_header_that_speaks_of_missing_bytes_is_refused() {
        let header = |flags: u8, gso: u8, size: u16, start: u16, offset: u16| {
            let mut buffer = vec![flags, gso, 0, 0];
            for n in [size, start, offset] {
                buffer.extend_from_slice(&n.to_ne_bytes());
            }
            buffer.resize(HEADER_LEN + 40, 0);
            header::parse(&buffer)
        };
        assert!(header(1, 0, 0, 20, 16).is_some());
        assert!(header(1, 0, 0, 24, 16).is_none(), "a sum behind the end");
        assert!(header(1, 0, 0, u16::MAX, u16::MAX).is_none());
        assert!(
            header(1, 1, 0, 20, 16).is_none(),
            "a super-segment without a size"
        );
        assert!(header(0, 3, 100, 0, 0).is_none(), "UFO was never offered");
        assert!(
            header::parse(&[0; HEADER_LEN]).is_none(),
            "no packet behind it"
        );
        assert!(header::parse(&[0; 3]).is_none());
    }

    #[test]
    fn names_are_checked_before_the_kernel_sees_them() {
        for name in ["", "a/b", "sixteen-bytes-xx", "with space"] {
            assert_eq!(
                request(name).map(drop).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{name}"
            );
        }
        assert!(request("fifteen-bytes-x").is_ok());
    }
}
