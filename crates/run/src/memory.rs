//! The program's memory: every pointer and every length in it is hostile.
//!
//! Nothing is allocated by the program's word beyond the limits named here, a pointer that leads nowhere is `EFAULT`, and what
//! was read counts only if the call was still waiting afterwards, so that a thread's number given anew cannot mislead us.

use crate::backend::Errno;
use crate::sys::{self, Call, Listener};
use std::mem::size_of;

/// The longest datagram that any socket here sends or receives, with its headers.
pub(crate) const DATAGRAM_MAX: usize = 65_535;

/// The longest socket option value, in octets: `group_filter` with 64 sources.
pub(crate) const OPTION_MAX: usize = 8336;

/// Buffers in one message: the kernel's own `UIO_MAXIOV`.
pub(crate) const BUFFERS_MAX: usize = 1024;

/// Messages in one call of sendmmsg or recvmmsg: the kernel's own limit.
pub(crate) const MESSAGES_MAX: usize = 1024;

/// The memory of the thread that made a call, for as long as the call waits.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    listener: &'a Listener,
    call: &'a Call,
}

/// A buffer of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) address: u64,
    pub(crate) len: usize,
}

/// A `msghdr` of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) name: u64,
    pub(crate) name_len: i32,
    pub(crate) buffers: u64,
    pub(crate) buffer_count: usize,
    pub(crate) control: u64,
    pub(crate) control_len: usize,
}

impl Message {
    /// `sizeof(struct msghdr)` of the 64-bit ABIs.
    pub(crate) const SIZE: usize = 56;
    /// `sizeof(struct mmsghdr)`.
    pub(crate) const STRIDE: usize = 64;
    const NAME_LEN: u64 = 8;
    const CONTROL_LEN: u64 = 40;
    const FLAGS: u64 = 48;

    fn parse(octets: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| octets[at + i]));
        Self {
            name: word(0),
            name_len: word(8) as u32 as i32,
            buffers: word(16),
            buffer_count: usize::try_from(word(24)).unwrap_or(usize::MAX),
            control: word(32),
            control_len: usize::try_from(word(40)).unwrap_or(usize::MAX),
        }
    }
}

const _: () = assert!(
    size_of::<libc::msghdr>() == Message::SIZE && size_of::<libc::mmsghdr>() == Message::STRIDE
);

impl<'a> Memory<'a> {
    pub(crate) fn of(listener: &'a Listener, call: &'a Call) -> Self {
        Self { listener, call }
    }

    /// Fills `into` from the program.
    pub(crate) fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        sys::read_memory(self.call.tid, address, into)?;
        self.still_waits()
    }

    /// Writes into the program, if the call still waits.
    pub(crate) fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        self.still_waits()?;
        sys::write_memory(self.call.tid, address, from)
    }

    /// A call that was interrupted has no memory any more: its thread has gone on.
    fn still_waits(&self) -> Result<(), Errno> {
        if self.listener.waits(self.call.id) {
            Ok(())
        } else {
            Err(Errno::INTR)
        }
    }

    /// An `int`.
    pub(crate) fn read_int(&self, address: u64) -> Result<i32, Errno> {
        let mut octets = [0; 4];
        self.read(address, &mut octets)?;
        Ok(i32::from_ne_bytes(octets))
    }

    /// Writes an `int`.
    pub(crate) fn write_int(&self, address: u64, value: i32) -> Result<(), Errno> {
        self.write(address, &value.to_ne_bytes())
    }

    /// A `msghdr`.
    pub(crate) fn read_message(&self, address: u64) -> Result<Message, Errno> {
        let mut octets = [0; Message::SIZE];
        self.read(address, &mut octets)?;
        Ok(Message::parse(&octets))
    }

    /// A message's buffers, checked as the kernel checks them.
    pub(crate) fn read_buffers(&self, message: &Message) -> Result<Vec<Span>, Errno> {
        if message.buffer_count > BUFFERS_MAX {
            return Err(Errno::MSGSIZE);
        }
        let mut octets = vec![0; message.buffer_count * size_of::<libc::iovec>()];
        self.read(message.buffers, &mut octets)?;
        let mut total = 0_usize;
        octets
            .chunks_exact(size_of::<libc::iovec>())
            .map(|pair| {
                let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| pair[at + i]));
                let len = isize::try_from(word(8)).map_err(|_| Errno::INVAL)? as usize;
                total = total
                    .checked_add(len)
                    .filter(|total| isize::try_from(*total).is_ok())
                    .ok_or(Errno::INVAL)?;
                Ok(Span {
                    address: word(0),
                    len,
                })
            })
            .collect()
    }

    /// The buffers of read(2), write(2), readv(2) or writev(2).
    pub(crate) fn read_spans(&self, call: &Call) -> Result<Vec<Span>, Errno> {
        let [_, at, len, ..] = call.args;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match call.nr {
            libc::SYS_readv | libc::SYS_writev => self.read_buffers(&Message {
                buffers: at,
                buffer_count: len,
                ..Message::default()
            }),
            _ => Ok(vec![Span { address: at, len }]),
        }
    }

    /// What the buffers hold, as one message: `EMSGSIZE` if it is longer than it may be.
    pub(crate) fn gather(&self, buffers: &[Span], most: usize) -> Result<Vec<u8>, Errno> {
        let total = buffers
            .iter()
            .fold(0_usize, |sum, span| sum.saturating_add(span.len));
        if total > most {
            return Err(Errno::MSGSIZE);
        }
        let mut data = vec![0; total];
        let mut rest = &mut data[..];
        for span in buffers {
            let (part, after) = rest.split_at_mut(span.len);
            self.read(span.address, part)?;
            rest = after;
        }
        Ok(data)
    }

    /// What the buffers hold, up to `most` octets of it.
    pub(crate) fn gather_some(&self, buffers: &[Span], most: usize) -> Result<Vec<u8>, Errno> {
        let mut left = most;
        let cut = buffers.iter().map(|span| {
            let len = span.len.min(left);
            left -= len;
            Span { len, ..*span }
        });
        self.gather(&cut.collect::<Vec<_>>(), most)
    }

    /// Spreads a datagram over the buffers; what does not fit is cut. Returns the octets written.
    pub(crate) fn scatter(&self, buffers: &[Span], data: &[u8]) -> Result<usize, Errno> {
        let mut rest = data;
        for span in buffers {
            let (part, after) = rest.split_at(span.len.min(rest.len()));
            self.write(span.address, part)?;
            rest = after;
        }
        Ok(data.len() - rest.len())
    }

    /// Writes what a receive returns in the `msghdr` itself.
    pub(crate) fn finish_message(
        &self,
        at: u64,
        name_len: u32,
        control_len: usize,
        flags: i32,
    ) -> Result<(), Errno> {
        self.write(at.wrapping_add(Message::NAME_LEN), &name_len.to_ne_bytes())?;
        self.write(
            at.wrapping_add(Message::CONTROL_LEN),
            &control_len.to_ne_bytes(),
        )?;
        self.write(at.wrapping_add(Message::FLAGS), &flags.to_ne_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_own_process_and_nothing_else() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let (source, mut copy) = (*b"hello", [0; 5]);
        sys::read_memory(tid, source.as_ptr() as u64, &mut copy).unwrap();
        assert_eq!(copy, source);
        for address in [0, 1, u64::MAX, u64::MAX - 4, 0xffff_8000_0000_0000] {
            assert_eq!(
                sys::read_memory(tid, address, &mut copy),
                Err(Errno::FAULT),
                "{address:#x}"
            );
            assert_eq!(
                sys::write_memory(tid, address, &source),
                Err(Errno::FAULT),
                "{address:#x}"
            );
        }
        assert_eq!(
            sys::read_memory(tid, 0, &mut []),
            Ok(()),
            "nothing is read from nowhere"
        );
    }

    #[test]
    fn a_read_that_ends_outside_is_a_fault() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let page = 1 << 16;
        // SAFETY: a new private mapping that nobody else knows; its second page is made unreadable before it is used.
        let base = unsafe {
            use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
            let base = mmap_anonymous(
                std::ptr::null_mut(),
                2 * page,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            );
            let base = base.unwrap();
            mprotect(base.byte_add(page), page, MprotectFlags::empty()).unwrap();
            base as u64
        };
        let mut copy = [0; 8];
        assert_eq!(
            sys::read_memory(tid, base + page as u64 - 8, &mut copy),
            Ok(())
        );
        assert_eq!(
            sys::read_memory(tid, base + page as u64 - 7, &mut copy),
            Err(Errno::FAULT)
        );
    }

    #[test]
    fn a_message_header_is_read_as_the_kernel_lays_it_out() {
        let mut octets = [0; Message::SIZE];
        for (at, value) in [
            (0, 0x1000_u64),
            (8, 0xdead_beef_0000_0010),
            (16, 0x2000),
            (24, 3),
            (32, 0x3000),
            (40, 64),
        ] {
            octets[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        }
        let expected = Message {
            name: 0x1000,
            name_len: 16,
            buffers: 0x2000,
            buffer_count: 3,
            control: 0x3000,
            control_len: 64,
        };
        assert_eq!(
            Message::parse(&octets),
            expected,
            "padding beside the name's length is no part of it"
        );
    }
}
