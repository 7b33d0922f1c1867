//! The program that hands an interface's frames to a socket: bpf(2), made of six instructions.
#![expect(
    unsafe_code,
    reason = "no library here has bpf(2); each block below proves itself"
)]

use libc::c_int;
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

// linux/bpf.h.
const BPF_MAP_CREATE: c_int = 0;
const BPF_MAP_UPDATE_ELEM: c_int = 2;
const BPF_PROG_LOAD: c_int = 5;
const BPF_LINK_CREATE: c_int = 28;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
/// `bpf_redirect_map`.
const REDIRECT_MAP: i32 = 51;
/// The frame goes on to the host: what is done where the map has no socket for its queue.
const XDP_PASS: i32 = 2;
/// Where `struct xdp_md` has the frame's queue.
const RX_QUEUE_INDEX: i16 = 16;
/// In the place of a source register: the immediate value is a map's descriptor.
const PSEUDO_MAP_FD: u8 = 1;

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// By the driver, before there is a packet buffer (`XDP_FLAGS_DRV_MODE`).
    Driver,
    /// By the kernel, for any interface (`XDP_FLAGS_SKB_MODE`).
    Generic,
}

impl Mode {
    const fn flags(self) -> u32 {
        match self {
            Self::Generic => 1 << 1,
            Self::Driver => 1 << 2,
        }
    }
}

/// A program that is attached, until this is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    _link: OwnedFd,
    _program: OwnedFd,
    _map: OwnedFd,
}

/// Has what arrives by `queue` of the interface `index` go to `socket`.
pub(super) fn attach(index: u32, mode: Mode, socket: impl AsFd, queue: u32) -> Result<Attached> {
    let map = socket_map(queue)?;
    put(&map, queue, &socket)?;
    let program = load(&map)?;
    let link = link(&program, index, mode)?;
    Ok(Attached {
        _link: link,
        _program: program,
        _map: map,
    })
}

/// Whether the kernel takes such a program of this process.
pub(super) fn check() -> Result<()> {
    load(&socket_map(0)?).map(|_| ())
}

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    /// The target in the lower half, the source in the upper one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    // The halves change places on big-endian machines.
    let registers = if cfg!(target_endian = "little") {
        source << 4 | target
    } else {
        target << 4 | source
    };
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

fn instructions(map: &OwnedFd) -> [Instruction; 6] {
    [
        // r2 = context->rx_queue_index
        instruction(0x61, 2, 1, RX_QUEUE_INDEX, 0),
        // r1 = map, in two instructions
        instruction(0x18, 1, PSEUDO_MAP_FD, 0, map.as_raw_fd()),
        instruction(0, 0, 0, 0, 0),
        // r3 = XDP_PASS
        instruction(0xb7, 3, 0, 0, XDP_PASS),
        // r0 = bpf_redirect_map(r1, r2, r3)
        instruction(0x85, 0, 0, 0, REDIRECT_MAP),
        // return r0
        instruction(0x95, 0, 0, 0, 0),
    ]
}

/// A map from queues to sockets with room for `queue`.
fn socket_map(queue: u32) -> Result<OwnedFd> {
    #[repr(C)]
    struct Request {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    let request = Request {
        map_type: BPF_MAP_TYPE_XSKMAP,
        key_size: 4,
        value_size: 4,
        max_entries: queue.checked_add(1).ok_or(Errno::INVAL)?,
        map_flags: 0,
    };
    // SAFETY: the request has no pointers.
    descriptor(unsafe { bpf(BPF_MAP_CREATE, &request) })
}

fn put(map: &OwnedFd, queue: u32, socket: &impl AsFd) -> Result<()> {
    #[repr(C)]
    struct Request {
        map_fd: i32,
        padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let value = socket.as_fd().as_raw_fd();
    let request = Request {
        map_fd: map.as_raw_fd(),
        padding: 0,
        key: (&raw const queue).addr() as u64,
        value: (&raw const value).addr() as u64,
        flags: 0,
    };
    // SAFETY: key and value are read, have the four bytes that the map was made with, and live
    // until after the call.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &request) }.map(|_| ())
}

fn load(map: &OwnedFd) -> Result<OwnedFd> {
    #[repr(C)]
    struct Request {
        program_type: u32,
        instruction_count: u32,
        instructions: u64,
        licence: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
    }
    let instructions = instructions(map);
    let request = Request {
        program_type: BPF_PROG_TYPE_XDP,
        instruction_count: instructions.len() as u32,
        instructions: (&raw const instructions).addr() as u64,
        licence: c"MIT OR Apache-2.0".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    // SAFETY: the instructions and the text, which ends with a zero, are read, and live until after
    // the call.
    descriptor(unsafe { bpf(BPF_PROG_LOAD, &request) })
}

fn link(program: &OwnedFd, index: u32, mode: Mode) -> Result<OwnedFd> {
    #[repr(C)]
    struct Request {
        program_fd: i32,
        target_index: u32,
        attach_type: u32,
        flags: u32,
    }
    let request = Request {
        program_fd: program.as_raw_fd(),
        target_index: index,
        attach_type: BPF_XDP,
        flags: mode.flags(),
    };
    // SAFETY: the request has no pointers.
    descriptor(unsafe { bpf(BPF_LINK_CREATE, &request) })
}

/// bpf(2).
///
/// # Safety
/// `request` is what `command` takes from its start on, without padding, and what its pointers point
/// at is as the command asks.
unsafe fn bpf<T>(command: c_int, request: &T) -> Result<c_int> {
    // SAFETY: the kernel reads the request, whose size is told; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(request),
            size_of::<T>(),
        )
    };
    c_int::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(|| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

fn descriptor(result: Result<c_int>) -> Result<OwnedFd> {
    // SAFETY: the commands that this is called for return a new descriptor, close-on-exec, that is
    // nobody else's.
    result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}
