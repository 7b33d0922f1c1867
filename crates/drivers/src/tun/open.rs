//! Opening a TUN or TAP device, and what to do when that fails.

use super::setup;
use super::sys;
use crate::vnet;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sockeye_link::{Capabilities, GsoKinds, Medium};
use std::fmt;
use std::io;

const DEVICE: &str = "/dev/net/tun";

/// Why a device could not be opened. Its text says what to do.
#[derive(Debug)]
pub struct OpenError {
    name: String,
    step: Step,
    cause: io::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Name,
    Open,
    Attach { tap: bool },
    Configure,
    OwnAddress,
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
            (Step::Name, _) => write!(f, "{cause}"),
            (Step::Open, Some(Errno::NOENT | Errno::NODEV | Errno::NXIO)) => write!(
                f,
                "this system has no {DEVICE} ({cause}): load the module with `modprobe tun`, or pass the device into the container"
            ),
            (Step::Open, Some(Errno::ACCESS | Errno::PERM)) => write!(
                f,
                "{DEVICE} may not be opened ({cause}): make it accessible with `chmod 0666 {DEVICE}`, as it is by default, or allow the device in the container"
            ),
            (Step::Open, _) => write!(f, "{DEVICE} cannot be opened: {cause}"),
            (Step::Attach { tap }, Some(Errno::PERM | Errno::ACCESS)) => {
                let mode = if *tap { "tap" } else { "tun" };
                write!(
                    f,
                    "{name} may not be made or attached to ({cause}): have root make it for you with `ip tuntap add dev {name} mode {mode} user $USER`, or run with CAP_NET_ADMIN"
                )
            }
            (Step::Attach { .. }, Some(Errno::BUSY)) => write!(
                f,
                "{name} is in use ({cause}): another program is attached to it, or it is an interface of another kind"
            ),
            (Step::Attach { tap }, Some(Errno::INVAL)) => {
                let kind = if *tap { "TAP" } else { "TUN" };
                write!(
                    f,
                    "{name} cannot be attached to ({cause}): an interface of this name exists that is no {kind} device, or one with many queues"
                )
            }
            (Step::Attach { .. }, _) => write!(f, "{name} cannot be attached to: {cause}"),
            (Step::Configure, _) => write!(f, "{name} cannot be configured: {cause}"),
            (Step::OwnAddress, _) => write!(
                f,
                "{name} has the node's own Ethernet address on the kernel's side: give one of them another"
            ),
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

/// Opens the device `name`, which is made where it does not exist, and says what it can do. The
/// kernel may have chosen the name, where a pattern such as `tap%d` was asked for.
pub(super) fn open(
    name: &str,
    medium: Medium,
) -> Result<(OwnedFd, String, Capabilities), OpenError> {
    let failed = |step, cause: io::Error| OpenError {
        name: name.to_owned(),
        step,
        cause,
    };
    let mut req = setup::request_for(name).map_err(|e| failed(Step::Name, e))?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd =
        rustix::fs::open(DEVICE, flags, Mode::empty()).map_err(|e| failed(Step::Open, e.into()))?;
    let tap = matches!(medium, Medium::Ethernet(_));
    let kind = if tap { libc::IFF_TAP } else { libc::IFF_TUN };
    // All three lie in the low 16 bits.
    let flags = (kind | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as u16;
    req.value[..2].copy_from_slice(&flags.to_ne_bytes());
    sys::attach(&fd, &mut req).map_err(|e| failed(Step::Attach { tap }, e.into()))?;
    let name_len = req.name.iter().position(|&b| b == 0);
    let name =
        String::from_utf8_lossy(&req.name[..name_len.unwrap_or(req.name.len())]).into_owned();
    let configured = configure(&fd, &name);
    let (mtu, gso) = configured.map_err(|e| failed(Step::Configure, e))?;
    if let Medium::Ethernet(own) = medium {
        let kernel = setup::hardware_address(&name).map_err(|e| failed(Step::Configure, e))?;
        if kernel == own {
            return Err(failed(Step::OwnAddress, io::ErrorKind::AddrInUse.into()));
        }
    }
    let capabilities = Capabilities {
        medium,
        mtu,
        tx_checksum: true,
        gso,
        gso_max: 65_535,
        queues: 1,
    };
    Ok((fd, name, capabilities))
}

fn configure(fd: &OwnedFd, name: &str) -> io::Result<(u32, GsoKinds)> {
    sys::set_vnet_header_len(fd, vnet::LEN as i32)?;
    sys::set_vnet_little_endian(fd)?;
    // What the kernel may hand to the reader. Writing needs no consent, but a kernel that does
    // not know a kind in one direction does not in the other.
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let udp = match sys::set_offload(fd, tcp | udp) {
        Ok(()) => true,
        // Before Linux 6.2.
        Err(Errno::INVAL) => {
            sys::set_offload(fd, tcp)?;
            false
        }
        Err(errno) => return Err(errno.into()),
    };
    let gso = GsoKinds {
        udp,
        ..GsoKinds::ALL
    };
    Ok((setup::mtu(name)?, gso))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(step: Step, errno: Errno) -> String {
        OpenError {
            name: "tap7".into(),
            step,
            cause: errno.into(),
        }
        .to_string()
    }

    #[test]
    fn errors_say_what_to_do() {
        assert!(text(Step::Open, Errno::NOENT).contains("modprobe tun"));
        assert!(text(Step::Open, Errno::ACCESS).contains("chmod 0666 /dev/net/tun"));
        let attach = Step::Attach { tap: true };
        assert!(text(attach, Errno::PERM).contains("ip tuntap add dev tap7 mode tap user $USER"));
        assert!(text(attach, Errno::BUSY).contains("another program"));
        assert!(text(attach, Errno::INVAL).contains("no TAP device"));
    }

    #[test]
    fn a_bad_name_is_refused_before_anything_is_opened() {
        let error = open("a/b", Medium::Ip).unwrap_err();
        assert_eq!(error.step, Step::Name);
        assert!(error.to_string().contains("1 to 15 bytes"));
    }
}
