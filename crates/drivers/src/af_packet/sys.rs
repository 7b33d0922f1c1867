//! The system calls of packet sockets: packet(7), recvmmsg(2), sendmmsg(2).
#![expect(
    unsafe_code,
    reason = "rustix has no packet sockets and no batches of messages; each block below proves itself"
)]

use crate::vnet;
use libc::{c_int, c_uint};
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use smallvec::SmallVec;
use sockeye_link::Packet;
use std::mem;
use std::ptr;

/// Most messages of one call.
pub(super) const MESSAGES_MAX: usize = 32;

/// Room for the control message with the packet's auxiliary data, and aligned as one must be.
const CONTROL_WORDS: usize = 8;
type Control = [u64; CONTROL_WORDS];

// SAFETY: CMSG_SPACE only counts.
const _: () = assert!(
    unsafe { libc::CMSG_SPACE(size_of::<libc::tpacket_auxdata>() as c_uint) } as usize
        <= size_of::<Control>()
        && align_of::<Control>() >= align_of::<libc::cmsghdr>()
);

/// What one call received in one buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    /// It did not fit.
    pub(super) truncated: bool,
    /// The kernel took an 802.1Q tag out of it.
    pub(super) tagged: bool,
}

/// A packet socket that hears nothing until it is bound.
pub(super) fn socket() -> Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket touches no memory of this process.
    match unsafe { libc::socket(libc::AF_PACKET, kind, 0) } {
        -1 => Err(last_error()),
        // SAFETY: the descriptor is new, and nobody else's.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// Binds to all protocols of one interface.
pub(super) fn bind(socket: impl AsFd, index: u32) -> Result<()> {
    // SAFETY: all of a sockaddr_ll's fields are integers.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index.cast_signed();
    // SAFETY: bind reads the address, whose length is told.
    let result = unsafe {
        libc::bind(
            socket.as_fd().as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as c_uint,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_error())
    }
}

/// Has the interface take frames for every address, as long as the socket is open.
pub(super) fn set_promiscuous(socket: impl AsFd, index: u32) -> Result<()> {
    // SAFETY: all of a packet_mreq's fields are integers.
    let mut request: libc::packet_mreq = unsafe { mem::zeroed() };
    request.mr_ifindex = index.cast_signed();
    request.mr_type = libc::PACKET_MR_PROMISC as u16;
    set(
        socket,
        libc::SOL_PACKET,
        libc::PACKET_ADD_MEMBERSHIP,
        &request,
    )
}

/// Sets an option that is a C int.
pub(super) fn set_int(socket: impl AsFd, level: c_int, name: c_int, value: c_int) -> Result<()> {
    set(socket, level, name, &value)
}

fn set<T>(socket: impl AsFd, level: c_int, name: c_int, value: &T) -> Result<()> {
    // SAFETY: setsockopt reads `value`, whose length is told.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            ptr::from_ref(value).cast(),
            size_of::<T>() as c_uint,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_error())
    }
}

/// Receives as many packets as there are, each with its virtio header before it, into one of
/// `buffers`, whose lengths it sets; says how many. `buffers` and `received` are equally long.
pub(super) fn receive(
    socket: impl AsFd,
    buffers: &mut [Vec<u8>],
    received: &mut [Received],
) -> Result<usize> {
    debug_assert!(buffers.len() == received.len() && buffers.len() <= MESSAGES_MAX);
    let count = buffers.len().min(received.len()).min(MESSAGES_MAX);
    let mut controls = [Control::default(); MESSAGES_MAX];
    // SAFETY: null pointers and zeros are valid.
    let mut slices: [libc::iovec; MESSAGES_MAX] = unsafe { mem::zeroed() };
    // SAFETY: likewise.
    let mut messages: [libc::mmsghdr; MESSAGES_MAX] = unsafe { mem::zeroed() };
    let parts = buffers.iter_mut().zip(&mut slices).zip(&mut controls);
    for (((buffer, slice), control), message) in parts.zip(&mut messages) {
        buffer.clear();
        let spare = buffer.spare_capacity_mut();
        slice.iov_base = spare.as_mut_ptr().cast();
        slice.iov_len = spare.len();
        message.msg_hdr.msg_iov = slice;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_control = control.as_mut_ptr().cast();
        message.msg_hdr.msg_controllen = size_of::<Control>() as _;
    }
    // SAFETY: the first `count` messages each point at a slice, and that at memory of a buffer that
    // is borrowed mutably for the whole call, with its length; likewise their control memory.
    let result = unsafe {
        libc::recvmmsg(
            socket.as_fd().as_raw_fd(),
            messages.as_mut_ptr(),
            count as c_uint,
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let Ok(filled) = usize::try_from(result) else {
        return Err(last_error());
    };
    let parts = buffers.iter_mut().zip(received.iter_mut());
    for ((buffer, received), message) in parts.zip(&messages).take(filled) {
        let len = (message.msg_len as usize).min(buffer.capacity());
        // SAFETY: the kernel has written the first `msg_len` bytes, which are not more than the
        // capacity that it was told.
        unsafe { buffer.set_len(len) };
        *received = Received {
            truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            tagged: is_tagged(&message.msg_hdr),
        };
    }
    Ok(filled)
}

/// Whether the message's auxiliary data tells of an 802.1Q tag.
fn is_tagged(message: &libc::msghdr) -> bool {
    // SAFETY: the kernel has filled the control memory and set its length; the macros walk it
    // within that length, and data of this kind is a tpacket_auxdata, read without assuming its
    // alignment.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = next.as_ref() {
            if (header.cmsg_level, header.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
                let data = libc::CMSG_DATA(next).cast::<libc::tpacket_auxdata>();
                return data.read_unaligned().tp_status & libc::TP_STATUS_VLAN_VALID != 0;
            }
            next = libc::CMSG_NXTHDR(message, next);
        }
    }
    false
}

/// Sends `packets` in order, each behind its header; says how many were taken. An error is the first
/// one's. At most [`MESSAGES_MAX`] are looked at.
pub(super) fn send(
    socket: impl AsFd,
    headers: &[[u8; vnet::LEN]],
    packets: &[&Packet],
) -> Result<usize> {
    let count = headers.len().min(packets.len()).min(MESSAGES_MAX);
    let mut slices = SmallVec::<[libc::iovec; 4 * MESSAGES_MAX]>::new();
    let mut ends = [0; MESSAGES_MAX];
    let parts = headers.iter().zip(packets).take(count);
    for ((header, packet), end) in parts.zip(&mut ends) {
        slices.push(slice_of(header));
        slices.extend(packet.chunks().map(slice_of));
        *end = slices.len();
    }
    // SAFETY: null pointers and zeros are valid.
    let mut messages: [libc::mmsghdr; MESSAGES_MAX] = unsafe { mem::zeroed() };
    let mut rest = slices.as_mut_slice();
    let mut taken = 0;
    for (message, end) in messages.iter_mut().zip(ends).take(count) {
        let (own, others) = mem::take(&mut rest).split_at_mut(end - taken);
        message.msg_hdr.msg_iov = own.as_mut_ptr();
        message.msg_hdr.msg_iovlen = own.len() as _;
        (rest, taken) = (others, end);
    }
    // SAFETY: the first `count` messages each point at slices that live until the end of this
    // function, and those at memory of `headers` and `packets`, which are borrowed; the kernel only
    // reads them.
    let result = unsafe {
        libc::sendmmsg(
            socket.as_fd().as_raw_fd(),
            messages.as_mut_ptr(),
            count as c_uint,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(result).map_err(|_| last_error())
}

fn slice_of(bytes: &(impl AsRef<[u8]> + ?Sized)) -> libc::iovec {
    let bytes = bytes.as_ref();
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
