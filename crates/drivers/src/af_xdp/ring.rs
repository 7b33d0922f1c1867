//! Memory that is shared with the kernel: the frames of packets (UMEM), and the four rings in which
//! they change hands.
#![expect(
    unsafe_code,
    reason = "the kernel reads and writes this memory; each block below proves itself"
)]

use rustix::fd::AsFd;
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::net::xdp::XdpRingOffset;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a frame, a power of two.
pub(super) const FRAME_LEN: usize = 4096;

/// `XDP_RING_NEED_WAKEUP`: the kernel waits for a system call.
const NEED_WAKEUP: u32 = 1;

/// Where a packet lies (`struct xdp_desc`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    /// Its first byte, from the start of the frames on.
    pub(super) at: u64,
    /// Its bytes.
    pub(super) len: u32,
    /// Zero here: a packet lies in one frame.
    pub(super) options: u32,
}

/// What a ring may hold: integers alone, of the kernel's layout.
pub(super) trait Entry: Copy {}
impl Entry for u64 {}
impl Entry for Descriptor {}

const _: () = assert!(size_of::<Descriptor>() == 16);

/// Mapped memory, given back when it is dropped.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to this value alone, and whoever holds it reaches it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Memory that nothing else of this process knows.
    fn anonymous(len: usize) -> Result<Self> {
        // SAFETY: the kernel chooses an address where nothing is mapped.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        Self::new(start.cast(), len)
    }

    /// Memory of a socket.
    fn of_socket(socket: impl AsFd, len: usize, offset: u64) -> Result<Self> {
        // SAFETY: as above.
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                socket,
                offset,
            )?
        };
        Self::new(start.cast(), len)
    }

    fn new(start: *mut u8, len: usize) -> Result<Self> {
        let start = NonNull::new(start).ok_or(Errno::NOMEM)?;
        Ok(Self { start, len })
    }

    /// A pointer to `count` values `offset` bytes into the memory, where they lie in it whole.
    fn part<T>(&self, offset: u64, count: usize) -> Result<NonNull<T>> {
        let offset = usize::try_from(offset).map_err(|_| Errno::OVERFLOW)?;
        let end = size_of::<T>()
            .checked_mul(count)
            .and_then(|len| len.checked_add(offset));
        if end.is_none_or(|end| end > self.len) {
            return Err(Errno::OVERFLOW);
        }
        // SAFETY: the offset lies within the mapping.
        let start = unsafe { self.start.add(offset) }.cast::<T>();
        if start.is_aligned() {
            Ok(start)
        } else {
            Err(Errno::OVERFLOW)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the memory was mapped by this type with this length, and nothing points into it
        // any more: pointers live in values that own the mapping. It fails for no reason that could
        // be acted on.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The frames.
#[derive(Debug)]
pub(super) struct Frames(Mapping);

impl Frames {
    /// So many frames, all of them this side's.
    pub(super) fn new(count: usize) -> Result<Self> {
        Mapping::anonymous(count * FRAME_LEN).map(Self)
    }

    /// Where they lie and how many bytes they are.
    pub(super) fn region(&self) -> (u64, u64) {
        (self.0.start.as_ptr().addr() as u64, self.0.len as u64)
    }

    /// A copy of the packet that `descriptor`, which the kernel has handed over, says; `None` where
    /// it lies outside.
    pub(super) fn read(&self, descriptor: Descriptor) -> Option<Vec<u8>> {
        let len = descriptor.len as usize;
        let start = self.0.part::<u8>(descriptor.at, len).ok()?;
        let mut packet = Vec::with_capacity(len);
        // SAFETY: `len` bytes from `start` on lie in the mapping and were initialized when it was
        // made; the kernel does not write a frame that it has handed over. The target has room for
        // them and does not overlap with it.
        unsafe {
            ptr::copy_nonoverlapping(start.as_ptr(), packet.as_mut_ptr(), len);
            packet.set_len(len);
        }
        Some(packet)
    }

    /// Writes `chunks` one after the other into the frame at `at`, which is this side's; says how
    /// many bytes they are, and `None` where they do not fit.
    pub(super) fn write<'a>(
        &mut self,
        at: u64,
        chunks: impl Iterator<Item = &'a [u8]>,
    ) -> Option<u32> {
        let frame = self.0.part::<u8>(at, FRAME_LEN).ok()?;
        let mut used = 0;
        for chunk in chunks {
            if chunk.len() > FRAME_LEN - used {
                return None;
            }
            // SAFETY: the chunk fits into what is left of the frame, which lies in the mapping; the
            // kernel does not touch a frame that is this side's, and nothing borrows it.
            unsafe {
                let target = frame.as_ptr().add(used);
                ptr::copy_nonoverlapping(chunk.as_ptr(), target, chunk.len());
            }
            used += chunk.len();
        }
        u32::try_from(used).ok()
    }
}

/// A ring of the kernel's: one side puts entries in, the other takes them out.
#[derive(Debug)]
struct Ring<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: Option<NonNull<AtomicU32>>,
    entries: NonNull<T>,
    /// A power of two.
    len: u32,
    _memory: Mapping,
    _entries: PhantomData<T>,
}

// SAFETY: its pointers point into the mapping that it owns.
unsafe impl<T: Entry> Send for Ring<T> {}

impl<T: Entry> Ring<T> {
    fn new(socket: impl AsFd, offsets: &XdpRingOffset, len: u32, page: u64) -> Result<Self> {
        assert!(len.is_power_of_two(), "positions are cut by a mask");
        let bytes = offsets.desc + u64::from(len) * size_of::<T>() as u64;
        let bytes = usize::try_from(bytes).map_err(|_| Errno::OVERFLOW)?;
        let memory = Mapping::of_socket(socket, bytes, page)?;
        Ok(Self {
            producer: memory.part(offsets.producer, 1)?,
            consumer: memory.part(offsets.consumer, 1)?,
            flags: offsets.flags.map(|at| memory.part(at, 1)).transpose()?,
            entries: memory.part(offsets.desc, len as usize)?,
            len,
            _memory: memory,
            _entries: PhantomData,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: it points at an aligned integer in the mapping, which lives as long as `self`,
        // and both sides touch it atomically alone.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    /// Whether the kernel waits for a system call.
    fn needs_wakeup(&self) -> bool {
        // SAFETY: as above.
        let flags = self.flags.map(|flags| unsafe { flags.as_ref() });
        flags.is_none_or(|flags| flags.load(Ordering::Relaxed) & NEED_WAKEUP != 0)
    }

    fn entry(&self, position: u32) -> *mut T {
        let at = (position & (self.len - 1)) as usize;
        // SAFETY: `at` is less than the ring's length, and so many entries lie in the mapping.
        unsafe { self.entries.add(at).as_ptr() }
    }
}

/// A ring that this side fills.
#[derive(Debug)]
pub(super) struct Producer<T> {
    ring: Ring<T>,
    /// The next position to fill; what lies before it and was not published is not seen yet.
    next: u32,
}

impl<T: Entry> Producer<T> {
    /// The ring of `socket` at `page`, of the length that it was set to.
    pub(super) fn new(
        socket: impl AsFd,
        offsets: &XdpRingOffset,
        len: u32,
        page: u64,
    ) -> Result<Self> {
        let ring = Ring::new(socket, offsets, len, page)?;
        let next = ring.producer().load(Ordering::Relaxed);
        Ok(Self { ring, next })
    }

    /// Entries that wait for the kernel, or for [`publish`](Self::publish).
    pub(super) fn waiting(&self) -> u32 {
        let taken = self.ring.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(taken)
    }

    /// Puts an entry in, for the next [`publish`](Self::publish); says whether there was room.
    pub(super) fn push(&mut self, entry: T) -> bool {
        if self.waiting() >= self.ring.len {
            return false;
        }
        // SAFETY: the position lies in the ring, and the kernel reads it only when it is published.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Shows the kernel what was put in.
    pub(super) fn publish(&self) {
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// Whether the kernel waits for a system call.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring that the kernel fills.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    /// The next position to take.
    next: u32,
}

impl<T: Entry> Consumer<T> {
    /// The ring of `socket` at `page`, of the length that it was set to.
    pub(super) fn new(
        socket: impl AsFd,
        offsets: &XdpRingOffset,
        len: u32,
        page: u64,
    ) -> Result<Self> {
        let ring = Ring::new(socket, offsets, len, page)?;
        let next = ring.consumer().load(Ordering::Relaxed);
        Ok(Self { ring, next })
    }

    /// Takes the next entry; the kernel sees that at the next [`release`](Self::release).
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.ring.producer().load(Ordering::Acquire) == self.next {
            return None;
        }
        // SAFETY: the position lies in the ring, and the kernel, which has published it, writes it
        // anew only when it was released; any bits are a value.
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Gives the places of what was taken back.
    pub(super) fn release(&self) {
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}
