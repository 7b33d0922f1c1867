//! Opening an AF_XDP socket, and what to do when that fails.

use super::program::{self, Attached, Mode};
use super::ring::{Consumer, Descriptor, FRAME_LEN, Frames, Producer};
use super::{RX_FRAMES, TX_FRAMES};
use crate::af_packet;
use crate::interface::Interface;
use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING,
    XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use sockeye_link::{Capabilities, GsoKinds, MacAddr, Medium};
use std::fmt;
use std::io;
use std::time::Duration;

/// What the kernel keeps free before a frame's packet (`XDP_PACKET_HEADROOM`).
const KERNEL_HEADROOM: usize = 256;
/// Bytes of an Ethernet header, with a VLAN tag.
const LINK_HEADER_LEN: usize = 18;
/// The longest MTU whose packets fit into a frame.
const MTU_MAX: u32 = (FRAME_LEN - KERNEL_HEADROOM - LINK_HEADER_LEN) as u32;

/// How often a queue in use is tried, and the pauses between.
const BIND_TRIES: u32 = 50;
const BIND_PAUSE: Duration = Duration::from_millis(20);

/// Why an interface could not be attached to. Its text says what to do.
#[derive(Debug)]
pub struct OpenError {
    name: String,
    step: Step,
    cause: io::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Interface,
    NoEthernet,
    OwnAddress,
    Mtu(u32),
    Socket,
    Queue(u32),
    Program,
}

impl OpenError {
    /// What the system said.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, step, cause } = self;
        let errno = cause.raw_os_error().map(Errno::from_raw_os_error);
        match (step, errno) {
            (Step::Interface, Some(Errno::NODEV)) => write!(
                f,
                "there is no interface {name} ({cause}): `ip link` names those that there are"
            ),
            (Step::Interface, _) => write!(f, "{name} can't be attached to: {cause}"),
            (Step::NoEthernet, _) => write!(f, "{name} is no Ethernet interface"),
            (Step::OwnAddress, _) => write!(
                f,
                "{name} has the node's own Ethernet address: give the node another"
            ),
            (Step::Mtu(mtu), _) => write!(
                f,
                "{name} has an MTU of {mtu} bytes, and AF_XDP's frames here hold {MTU_MAX}: set a lower one with `ip link set {name} mtu {MTU_MAX}`"
            ),
            (Step::Socket, Some(Errno::AFNOSUPPORT)) => write!(
                f,
                "this kernel has no AF_XDP ({cause}): attach to {name} by a packet socket (`--link packet:{name}`)"
            ),
            (Step::Socket | Step::Program, Some(Errno::PERM | Errno::ACCESS)) => write!(
                f,
                "AF_XDP on {name} is not allowed ({cause}): run as root, or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF"
            ),
            (Step::Socket, _) => write!(f, "there can be no AF_XDP socket for {name}: {cause}"),
            (Step::Queue(queue), Some(Errno::BUSY)) => write!(
                f,
                "the queue {queue} of {name} is in use ({cause}): another AF_XDP socket is bound to it"
            ),
            (Step::Queue(queue), Some(Errno::INVAL)) => write!(
                f,
                "{name} has no queue {queue} ({cause}): `ethtool -l {name}` says how many there are"
            ),
            (Step::Queue(queue), _) => {
                write!(f, "the queue {queue} of {name} can't be bound to: {cause}")
            }
            (Step::Program, Some(Errno::BUSY | Errno::EXIST)) => write!(
                f,
                "{name} has an XDP program already ({cause}): `ip link set {name} xdp off` takes it away"
            ),
            (Step::Program, _) => {
                write!(f, "{name} takes no program that hands it frames: {cause}")
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        Self::new(error.cause.kind(), error)
    }
}

/// A bound socket with its memory.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) socket: OwnedFd,
    pub(super) frames: Frames,
    pub(super) fill: Producer<u64>,
    pub(super) completion: Consumer<u64>,
    pub(super) rx: Consumer<Descriptor>,
    pub(super) tx: Producer<Descriptor>,
    pub(super) interface: Interface,
    pub(super) mode: Mode,
    pub(super) capabilities: Capabilities,
    /// Kept open: the first hands the frames over, the second has them arrive.
    pub(super) _program: Attached,
    pub(super) _promiscuous: OwnedFd,
}

/// Opens a socket on the `queue` of the interface `name` for a node with the address `own`.
pub(super) fn open(name: &str, queue: u32, own: MacAddr) -> std::result::Result<Opened, OpenError> {
    let failed = |step, cause: io::Error| OpenError {
        name: name.to_owned(),
        step,
        cause,
    };
    let interface = Interface::find(name).map_err(|e| failed(Step::Interface, e))?;
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    match interface.host {
        None => return Err(failed(Step::NoEthernet, invalid())),
        Some(host) if host == own => {
            return Err(failed(Step::OwnAddress, io::ErrorKind::AddrInUse.into()));
        }
        Some(_) if interface.mtu > MTU_MAX => {
            return Err(failed(Step::Mtu(interface.mtu), invalid()));
        }
        Some(_) => {}
    }
    let (socket, frames) = socket().map_err(|e| failed(Step::Socket, e.into()))?;
    let (fill, completion, rx, tx) = rings(&socket).map_err(|e| failed(Step::Socket, e.into()))?;
    bind_to(&socket, interface.index, queue).map_err(|e| failed(Step::Queue(queue), e.into()))?;
    let promiscuous =
        af_packet::promiscuous(interface.index).map_err(|e| failed(Step::Socket, e.into()))?;
    let attach = |mode| {
        program::attach(interface.index, mode, &socket, queue).map(|program| (program, mode))
    };
    let (program, mode) = attach(Mode::Driver)
        .or_else(|errno| match errno {
            Errno::BUSY | Errno::EXIST | Errno::PERM => Err(errno),
            // The driver has no XDP.
            _ => attach(Mode::Generic),
        })
        .map_err(|e| failed(Step::Program, e.into()))?;
    Ok(Opened {
        socket,
        frames,
        fill,
        completion,
        rx,
        tx,
        mode,
        capabilities: Capabilities {
            medium: Medium::Ethernet(own),
            mtu: interface.mtu,
            tx_checksum: false,
            gso: GsoKinds::NONE,
            gso_max: 0,
            queues: 1,
        },
        interface,
        _program: program,
        _promiscuous: promiscuous,
    })
}

/// Whether this process may have AF_XDP sockets, whatever the interface.
///
/// # Errors
/// What the system says to a socket, its memory or its program.
pub fn check() -> io::Result<()> {
    socket()?;
    Ok(program::check()?)
}

/// A socket with its frames.
fn socket() -> Result<(OwnedFd, Frames)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::XDP, SocketType::RAW, flags, None)?;
    let frames = Frames::new((RX_FRAMES + TX_FRAMES) as usize)?;
    let (addr, len) = frames.region();
    let request = XdpUmemReg {
        addr,
        len,
        chunk_size: FRAME_LEN as u32,
        headroom: 0,
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    };
    sockopt::set_xdp_umem_reg(&socket, request)?;
    // In copy mode, what was sent counts until the interface has taken it.
    af_packet::widen_buffers(&socket)?;
    Ok((socket, frames))
}

/// Binds to the queue, for which a predecessor may still be waited: the kernel frees a queue some time
/// after its socket was closed.
fn bind_to(socket: &OwnedFd, index: u32, queue: u32) -> Result<()> {
    let address = SocketAddrXdp::new(SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP, index, queue);
    for _ in 1..BIND_TRIES {
        match bind(socket, &address) {
            Err(Errno::BUSY) => std::thread::sleep(BIND_PAUSE),
            result => return result,
        }
    }
    bind(socket, &address)
}

type Rings = (
    Producer<u64>,
    Consumer<u64>,
    Consumer<Descriptor>,
    Producer<Descriptor>,
);

fn rings(socket: &OwnedFd) -> Result<Rings> {
    sockopt::set_xdp_umem_fill_ring_size(socket, RX_FRAMES)?;
    sockopt::set_xdp_umem_completion_ring_size(socket, TX_FRAMES)?;
    sockopt::set_xdp_rx_ring_size(socket, RX_FRAMES)?;
    sockopt::set_xdp_tx_ring_size(socket, TX_FRAMES)?;
    let at = sockopt::xdp_mmap_offsets(socket)?;
    Ok((
        Producer::new(socket, &at.fr, RX_FRAMES, XDP_UMEM_PGOFF_FILL_RING)?,
        Consumer::new(socket, &at.cr, TX_FRAMES, XDP_UMEM_PGOFF_COMPLETION_RING)?,
        Consumer::new(socket, &at.rx, RX_FRAMES, XDP_PGOFF_RX_RING)?,
        Producer::new(socket, &at.tx, TX_FRAMES, XDP_PGOFF_TX_RING)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let text = |step, errno: Errno| {
            OpenError {
                name: "eth7".into(),
                step,
                cause: errno.into(),
            }
            .to_string()
        };
        assert!(text(Step::Interface, Errno::NODEV).contains("no interface eth7"));
        assert!(text(Step::Socket, Errno::AFNOSUPPORT).contains("--link packet:eth7"));
        assert!(text(Step::Program, Errno::PERM).contains("CAP_NET_ADMIN"));
        assert!(text(Step::Program, Errno::BUSY).contains("ip link set eth7 xdp off"));
        assert!(text(Step::Queue(3), Errno::INVAL).contains("has no queue 3"));
        assert!(text(Step::Mtu(9000), Errno::INVAL).contains("mtu 3822"));
    }

    #[test]
    fn an_interface_that_fails_is_refused_before_anything_is_opened() {
        let own = MacAddr([2, 0, 0, 0, 0, 1]);
        let error = open("no-such-if", 0, own).unwrap_err();
        assert_eq!(error.step, Step::Interface);
    }
}
