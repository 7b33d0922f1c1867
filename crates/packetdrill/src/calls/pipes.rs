//! Pipes, and moving what a socket received into one.

use crate::descriptors::{Object, error};
use crate::interface::UserData;
use crate::pointers::bytes_mut;
use crate::world::{World, call};
use libc::{c_int, c_uint, c_void, loff_t, size_t};
use sockeye::MessageFlags;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that a pipe holds (pipe(7)).
const CAPACITY: usize = 65_536;

/// One end of a pipe. None of its calls waits: a script has nobody to wait for.
pub(crate) struct PipeEnd {
    held: Arc<Mutex<VecDeque<u8>>>,
    writes: bool,
}

impl PipeEnd {
    fn pair() -> [Self; 2] {
        let held = Arc::new(Mutex::default());
        [false, true].map(|writes| Self {
            held: Arc::clone(&held),
            writes,
        })
    }

    pub(crate) fn read(&self, out: &mut [u8]) -> io::Result<usize> {
        if self.writes {
            return Err(error(libc::EBADF));
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_empty() && !out.is_empty() {
            return Err(error(libc::EAGAIN));
        }
        let n = out.len().min(held.len());
        for (to, from) in out.iter_mut().zip(held.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        if !self.writes {
            return Err(error(libc::EBADF));
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let n = data.len().min(CAPACITY - held.len());
        if n == 0 && !data.is_empty() {
            return Err(error(libc::EAGAIN));
        }
        held.extend(&data[..n]);
        Ok(n)
    }

    fn room(&self) -> usize {
        CAPACITY
            - self
                .held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .len()
    }
}

pub(crate) unsafe extern "C" fn pipe(userdata: UserData, ends: *mut c_int) -> c_int {
    call(userdata, |world| {
        // SAFETY: pipe(2)'s contract with its caller: room for two numbers.
        let out = unsafe { bytes_mut(ends.cast::<c_void>(), 2 * size_of::<c_int>())? };
        for (end, out) in PipeEnd::pair()
            .into_iter()
            .zip(out.chunks_mut(size_of::<c_int>()))
        {
            let fd = world.descriptors().insert(Object::Pipe(Arc::new(end)))?;
            out.copy_from_slice(&fd.to_ne_bytes());
        }
        Ok(0)
    })
}

/// splice(2). The tool points to offsets where a script has NULL; neither end here has any.
pub(crate) unsafe extern "C" fn splice(
    userdata: UserData,
    from: c_int,
    _: *mut loff_t,
    to: c_int,
    _: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> c_int {
    call(userdata, |world| {
        let moved = spliced(world, from, to, len, flags)?;
        c_int::try_from(moved).map_err(|_| error(libc::EINVAL))
    })
}

fn spliced(world: &World, from: c_int, to: c_int, len: usize, flags: c_uint) -> io::Result<usize> {
    let (from, to) = (world.object(from)?, world.object(to)?);
    let mut flag = MessageFlags::empty();
    if flags & libc::SPLICE_F_NONBLOCK != 0 {
        flag |= MessageFlags::DONT_WAIT;
    }
    match (from, to) {
        (Object::Socket(socket), Object::Pipe(pipe)) => {
            // As Linux's splice, it does not wait behind urgent data that nobody takes out.
            if socket.at_mark()? && socket.queued()?.readable == 0 {
                return Ok(0);
            }
            let mut buffer = vec![0; len.min(pipe.room())];
            let n = socket.recv_with(&mut buffer, flag)?;
            pipe.write(&buffer[..n])
        }
        (Object::Pipe(pipe), Object::Socket(socket)) => {
            let mut buffer = vec![0; len.min(CAPACITY)];
            let n = pipe.read(&mut buffer)?;
            socket.send(&buffer[..n])
        }
        _ => Err(error(libc::EINVAL)),
    }
}
