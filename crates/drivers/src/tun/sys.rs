//! The `ioctl` calls of TUN devices and of the interface table: netdevice(7), linux/if_tun.h.
#![expect(
    unsafe_code,
    reason = "rustix has no safe call for these requests; each block below proves itself"
)]

use rustix::fd::AsFd;
use rustix::io::Result;
use rustix::ioctl::{IntegerSetter, Opcode, Setter, Updater, ioctl};

/// Bytes of an interface's name, its final zero among them.
pub(super) const NAME_LEN: usize = libc::IFNAMSIZ;
const VALUE_LEN: usize = size_of::<libc::ifreq>() - NAME_LEN;

/// `struct ifreq`: an interface's name and a value whose form depends on the request.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub(super) struct IfReq {
    pub(super) name: [u8; NAME_LEN],
    pub(super) value: [u8; VALUE_LEN],
}

const _: () = assert!(
    size_of::<IfReq>() == size_of::<libc::ifreq>()
        && align_of::<IfReq>() >= align_of::<libc::ifreq>()
);

/// `struct in6_ifreq`: an address for an interface.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct In6IfReq {
    pub(super) address: [u8; 16],
    pub(super) prefix_len: u32,
    pub(super) index: i32,
}

const _: () = assert!(size_of::<In6IfReq>() == 24);

/// A request about an interface, whose `ifreq` the kernel reads and may write back.
#[derive(Clone, Copy, Debug)]
pub(super) enum InterfaceRequest {
    Flags,
    SetFlags,
    Mtu,
    SetMtu,
    HardwareAddress,
    Index,
    SetAddress,
    SetNetmask,
}

/// Asks about the interface that `req` names, or changes it. `socket` is any socket.
pub(super) fn interface(
    socket: impl AsFd,
    request: InterfaceRequest,
    req: &mut IfReq,
) -> Result<()> {
    match request {
        InterfaceRequest::Flags => update::<{ libc::SIOCGIFFLAGS as Opcode }>(socket, req),
        InterfaceRequest::SetFlags => update::<{ libc::SIOCSIFFLAGS as Opcode }>(socket, req),
        InterfaceRequest::Mtu => update::<{ libc::SIOCGIFMTU as Opcode }>(socket, req),
        InterfaceRequest::SetMtu => update::<{ libc::SIOCSIFMTU as Opcode }>(socket, req),
        InterfaceRequest::HardwareAddress => {
            update::<{ libc::SIOCGIFHWADDR as Opcode }>(socket, req)
        }
        InterfaceRequest::Index => update::<{ libc::SIOCGIFINDEX as Opcode }>(socket, req),
        InterfaceRequest::SetAddress => update::<{ libc::SIOCSIFADDR as Opcode }>(socket, req),
        InterfaceRequest::SetNetmask => update::<{ libc::SIOCSIFNETMASK as Opcode }>(socket, req),
    }
}

/// Adds an IPv6 address. `socket` is an IPv6 socket.
pub(super) fn add_address_v6(socket: impl AsFd, req: In6IfReq) -> Result<()> {
    // SAFETY: on an IPv6 socket, SIOCSIFADDR reads a `struct in6_ifreq` and writes nothing;
    // `In6IfReq` has that struct's layout (checked above) and no padding.
    unsafe {
        let request = Setter::<{ libc::SIOCSIFADDR as Opcode }, In6IfReq>::new(req);
        ioctl(socket, request)
    }
}

/// Attaches an open `/dev/net/tun` to the device that `req` names with the flags in it; the
/// kernel writes back the name.
pub(super) fn attach(tun: impl AsFd, req: &mut IfReq) -> Result<()> {
    update::<{ libc::TUNSETIFF as Opcode }>(tun, req)
}

/// Says which offloads the reader of an attached device understands (`TUN_F_*`).
pub(super) fn set_offload(tun: impl AsFd, flags: u32) -> Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its flags by value and touches no memory of this process.
    unsafe {
        let request = IntegerSetter::<{ libc::TUNSETOFFLOAD as Opcode }>::new_usize(flags as usize);
        ioctl(tun, request)
    }
}

/// Sets the length of the header before each packet.
pub(super) fn set_vnet_header_len(tun: impl AsFd, len: i32) -> Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one C int.
    unsafe {
        ioctl(
            tun,
            Setter::<{ libc::TUNSETVNETHDRSZ as Opcode }, i32>::new(len),
        )
    }
}

/// Makes that header little-endian, whatever the machine is.
pub(super) fn set_vnet_little_endian(tun: impl AsFd) -> Result<()> {
    // SAFETY: TUNSETVNETLE reads one C int.
    unsafe { ioctl(tun, Setter::<{ libc::TUNSETVNETLE as Opcode }, i32>::new(1)) }
}

fn update<const OPCODE: Opcode>(fd: impl AsFd, req: &mut IfReq) -> Result<()> {
    // SAFETY: this function is private, and each request it is made for in this file reads and
    // writes a `struct ifreq` at most; `IfReq` has that struct's size and alignment (checked
    // above), and all its bytes are initialized and valid whatever the kernel writes. Pointers in
    // the union are not used by these requests.
    unsafe { ioctl(fd, Updater::<OPCODE, IfReq>::new(req)) }
}
