//! Opening a packet socket, and what to do when that fails.

use super::sys;
use crate::interface::Interface;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use sockeye_link::{Capabilities, GsoKinds, MacAddr, Medium};
use std::fmt;
use std::io;

/// Bytes that the socket holds in each direction, where the kernel lets it: 64 super-segments.
const BUFFER_LEN: i32 = 4 << 20;

/// The first Linux whose packet sockets carry super-segments of UDP.
const UDP_SINCE: (u32, u32) = (6, 2);

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
    Socket,
    Configure,
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
            (Step::NoEthernet, _) => write!(
                f,
                "{name} is no Ethernet interface: attach to one, or route to a TUN device by `--link tun:NAME`"
            ),
            (Step::OwnAddress, _) => write!(
                f,
                "{name} has the node's own Ethernet address: give the node another, since the host answers for this one"
            ),
            (Step::Socket, Some(Errno::PERM | Errno::ACCESS)) => write!(
                f,
                "a packet socket on {name} is not allowed ({cause}): run as root or with CAP_NET_RAW, or in a network namespace of your own (`unshare -rn`)"
            ),
            (Step::Socket, _) => write!(f, "there can be no packet socket on {name}: {cause}"),
            (Step::Configure, _) => {
                write!(
                    f,
                    "the packet socket on {name} can't be configured: {cause}"
                )
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

/// Opens a socket on the interface `name` for a node with the address `own`; says what was
/// found of it and what it can do.
pub(super) fn open(
    name: &str,
    own: MacAddr,
) -> Result<(OwnedFd, Interface, Capabilities), OpenError> {
    let failed = |step, cause: io::Error| OpenError {
        name: name.to_owned(),
        step,
        cause,
    };
    let interface = Interface::find(name).map_err(|e| failed(Step::Interface, e))?;
    match interface.host {
        None => return Err(failed(Step::NoEthernet, io::ErrorKind::InvalidInput.into())),
        Some(host) if host == own => {
            return Err(failed(Step::OwnAddress, io::ErrorKind::AddrInUse.into()));
        }
        Some(_) => {}
    }
    let socket = sys::socket().map_err(|e| failed(Step::Socket, e.into()))?;
    configure(&socket, interface.index).map_err(|e| failed(Step::Configure, e.into()))?;
    let capabilities = Capabilities {
        medium: Medium::Ethernet(own),
        mtu: interface.mtu,
        tx_checksum: true,
        gso: GsoKinds {
            udp: kernel_is_since(UDP_SINCE),
            ..GsoKinds::ALL
        },
        gso_max: 65_535,
        queues: 1,
    };
    Ok((socket, interface, capabilities))
}

fn configure(socket: &OwnedFd, index: u32) -> rustix::io::Result<()> {
    let packet = |name| sys::set_int(socket, libc::SOL_PACKET, name, 1);
    packet(libc::PACKET_VNET_HDR)?;
    packet(libc::PACKET_AUXDATA)?;
    packet(libc::PACKET_IGNORE_OUTGOING)?;
    widen_buffers(socket)?;
    sys::set_promiscuous(socket, index)?;
    sys::bind(socket, index)
}

/// Lets the socket hold as much as it may, up to [`BUFFER_LEN`] in each direction.
pub(crate) fn widen_buffers(socket: &OwnedFd) -> rustix::io::Result<()> {
    for (force, plain) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ] {
        // Beyond the system's limit with CAP_NET_ADMIN alone.
        let level = libc::SOL_SOCKET;
        sys::set_int(socket, level, force, BUFFER_LEN)
            .or_else(|_| sys::set_int(socket, level, plain, BUFFER_LEN))?;
    }
    Ok(())
}

/// Whether the running kernel is `since` or later.
fn kernel_is_since(since: (u32, u32)) -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse().ok());
    next().zip(next()).is_some_and(|release| release >= since)
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
        assert!(text(Step::Socket, Errno::PERM).contains("CAP_NET_RAW"));
        assert!(text(Step::NoEthernet, Errno::INVAL).contains("no Ethernet"));
    }

    #[test]
    fn an_interface_that_fails_is_refused_before_anything_is_opened() {
        let own = MacAddr([2, 0, 0, 0, 0, 1]);
        assert_eq!(open("no-such-if", own).unwrap_err().step, Step::Interface);
        assert_eq!(open("a/b", own).unwrap_err().step, Step::Interface);
    }

    #[test]
    fn kernels_are_compared_by_number() {
        assert!(kernel_is_since((3, 10)));
        assert!(!kernel_is_since((1000, 0)));
    }
}
