//! The kernel's side of a TUN or TAP device: its address, its MTU, whether it is up.
//!
//! Enough to make a device usable in a network namespace without other tools. Everything but
//! asking needs `CAP_NET_ADMIN` there.

use super::sys::{self, IfReq, In6IfReq, InterfaceRequest, NAME_LEN};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use sockeye_link::MacAddr;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// Sets the interface up.
///
/// # Errors
/// There is no such interface, or it may not be changed.
pub fn set_up(name: &str) -> io::Result<()> {
    let (socket, mut req) = begin(name)?;
    sys::interface(&socket, InterfaceRequest::Flags, &mut req)?;
    let flags = i16::from_ne_bytes([req.value[0], req.value[1]]) | libc::IFF_UP as i16;
    req.value[..2].copy_from_slice(&flags.to_ne_bytes());
    sys::interface(&socket, InterfaceRequest::SetFlags, &mut req)?;
    Ok(())
}

/// The largest IP packet in bytes.
///
/// # Errors
/// There is no such interface.
pub fn mtu(name: &str) -> io::Result<u32> {
    let mtu = ask(name, InterfaceRequest::Mtu)?;
    u32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Sets the largest IP packet in bytes.
///
/// # Errors
/// There is no such interface, it may not be changed, or the kernel does not accept the value.
pub fn set_mtu(name: &str, mtu: u32) -> io::Result<()> {
    let (socket, mut req) = begin(name)?;
    let mtu = i32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidInput)?;
    req.value[..4].copy_from_slice(&mtu.to_ne_bytes());
    sys::interface(&socket, InterfaceRequest::SetMtu, &mut req)?;
    Ok(())
}

/// The kernel's own Ethernet address on the interface; zeros where it is no Ethernet.
///
/// # Errors
/// There is no such interface.
pub fn hardware_address(name: &str) -> io::Result<MacAddr> {
    let (socket, mut req) = begin(name)?;
    sys::interface(&socket, InterfaceRequest::HardwareAddress, &mut req)?;
    // A `struct sockaddr`: the family, then the address.
    let mut address = [0; 6];
    address.copy_from_slice(&req.value[2..8]);
    Ok(MacAddr(address))
}

/// The kernel's own address on the interface where it is an Ethernet (`ARPHRD_ETHER`).
///
/// # Errors
/// There is no such interface.
pub(crate) fn ethernet_address(name: &str) -> io::Result<Option<MacAddr>> {
    let (socket, mut req) = begin(name)?;
    sys::interface(&socket, InterfaceRequest::HardwareAddress, &mut req)?;
    let [k0, k1, address @ ..] = req.value;
    let kind = u16::from_ne_bytes([k0, k1]);
    let address = address.first_chunk().map(|address| MacAddr(*address));
    Ok(address.filter(|_| kind == libc::ARPHRD_ETHER))
}

/// The interface's index.
///
/// # Errors
/// There is no such interface.
pub fn index(name: &str) -> io::Result<u32> {
    let index = ask(name, InterfaceRequest::Index)?;
    u32::try_from(index).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Gives the kernel an address on the interface, and a route to its network. An interface has one
/// IPv4 address set this way; IPv6 addresses add up.
///
/// # Errors
/// There is no such interface, it may not be changed, or the prefix is longer than an address.
pub fn add_address(name: &str, address: IpAddr, prefix_len: u8) -> io::Result<()> {
    match address {
        IpAddr::V4(address) => {
            let mask = match prefix_len {
                0 => 0,
                1..=32 => u32::MAX << (32 - prefix_len),
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
            let (socket, mut req) = begin(name)?;
            put_address(&mut req, address);
            sys::interface(&socket, InterfaceRequest::SetAddress, &mut req)?;
            put_address(&mut req, Ipv4Addr::from_bits(mask));
            sys::interface(&socket, InterfaceRequest::SetNetmask, &mut req)?;
        }
        IpAddr::V6(address) => {
            let index = ask(name, InterfaceRequest::Index)?;
            let socket = socket_of(AddressFamily::INET6)?;
            let req = In6IfReq {
                address: address.octets(),
                prefix_len: u32::from(prefix_len),
                index,
            };
            sys::add_address_v6(socket, req)?;
        }
    }
    Ok(())
}

/// Switches duplicate address detection off on the interface, before it is set up and before
/// addresses are added: they can be used at once then.
///
/// # Errors
/// There is no such interface, or it may not be changed.
pub fn disable_dad(name: &str) -> io::Result<()> {
    begin(name)?;
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_dad"), "0")
}

/// A `struct ifreq` for the interface `name`.
pub(super) fn request_for(name: &str) -> io::Result<IfReq> {
    let valid = !name.is_empty()
        && name.len() < NAME_LEN
        && name != "."
        && name != ".."
        && !name
            .bytes()
            .any(|b| b == b'/' || b == 0 || b == b':' || b.is_ascii_whitespace());
    if !valid {
        let message = format!(
            "{name:?} is no interface name: it has 1 to {} bytes without space, `/` and `:`",
            NAME_LEN - 1
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut req = IfReq {
        name: [0; NAME_LEN],
        value: [0; size_of::<IfReq>() - NAME_LEN],
    };
    req.name[..name.len()].copy_from_slice(name.as_bytes());
    Ok(req)
}

fn begin(name: &str) -> io::Result<(OwnedFd, IfReq)> {
    Ok((socket_of(AddressFamily::INET)?, request_for(name)?))
}

fn socket_of(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(family, SocketType::DGRAM, flags, None)?)
}

fn ask(name: &str, request: InterfaceRequest) -> io::Result<i32> {
    let (socket, mut req) = begin(name)?;
    sys::interface(&socket, request, &mut req)?;
    let [a, b, c, d, ..] = req.value;
    Ok(i32::from_ne_bytes([a, b, c, d]))
}

/// Puts a `struct sockaddr_in` into the request.
fn put_address(req: &mut IfReq, address: Ipv4Addr) {
    req.value.fill(0);
    req.value[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    req.value[4..8].copy_from_slice(&address.octets());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_can_be_asked() {
        assert!(mtu("lo").unwrap() >= 1280);
        assert_eq!(hardware_address("lo").unwrap(), MacAddr::UNSPECIFIED);
        assert_eq!(ethernet_address("lo").unwrap(), None);
        assert!(index("lo").unwrap() >= 1);
        assert!(mtu("no-such-if").is_err());
    }

    #[test]
    fn names_are_checked() {
        for name in ["", "..", "a/b", "a b", "0123456789abcdef", "a\0"] {
            let error = request_for(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        assert!(request_for("0123456789abcde").is_ok());
    }
}
