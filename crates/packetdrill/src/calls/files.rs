//! What every descriptor has.

use crate::descriptors::{Object, error};
use crate::interface::UserData;
use crate::pointers::place;
use crate::world::call;
use libc::{c_int, c_ulong};

/// Of linux/sockios.h; libc does not have them.
const SIOCATMARK: c_ulong = 0x8905;
const SIOCOUTQNSD: c_ulong = 0x894B;

pub(crate) extern "C" fn close(userdata: UserData, fd: c_int) -> c_int {
    call(userdata, |world| {
        // The table is free again before the object goes: the end of a socket may wait.
        let object = world.descriptors().remove(fd)?;
        drop(object);
        Ok(0)
    })
}

pub(crate) extern "C" fn fcntl(
    userdata: UserData,
    fd: c_int,
    command: c_int,
    argument: usize,
) -> c_int {
    call(userdata, |world| {
        let object = world.object(fd)?;
        let Object::Socket(socket) = object else {
            return match command {
                libc::F_GETFL | libc::F_SETFL => Ok(0),
                _ => Err(error(libc::EINVAL)),
            };
        };
        match command {
            libc::F_GETFL => Ok(match socket.is_nonblocking() {
                true => libc::O_RDWR | libc::O_NONBLOCK,
                false => libc::O_RDWR,
            }),
            libc::F_SETFL => {
                socket.set_nonblocking(argument & libc::O_NONBLOCK as usize != 0)?;
                Ok(0)
            }
            libc::F_GETFD | libc::F_SETFD => Ok(0),
            _ => Err(error(libc::EINVAL)),
        }
    })
}

pub(crate) unsafe extern "C" fn ioctl(
    userdata: UserData,
    fd: c_int,
    request: c_ulong,
    argument: usize,
) -> c_int {
    call(userdata, |world| {
        let socket = world.socket(fd)?;
        // SAFETY: all requests below take a pointer to an int, which the caller has to give.
        let int = unsafe { place(std::ptr::with_exposed_provenance_mut::<c_int>(argument)) };
        *int? = match request {
            libc::FIONBIO => {
                // SAFETY: as above; the reference before is gone.
                let on =
                    unsafe { place(std::ptr::with_exposed_provenance_mut::<c_int>(argument))? };
                socket.set_nonblocking(*on != 0)?;
                *on
            }
            libc::FIONREAD => bounded(socket.queued()?.readable),
            libc::TIOCOUTQ => {
                let queued = socket.queued()?;
                bounded(queued.unsent + queued.unacknowledged)
            }
            SIOCATMARK => c_int::from(socket.at_mark()?),
            SIOCOUTQNSD => bounded(socket.queued()?.unsent),
            _ => return Err(error(libc::ENOTTY)),
        };
        Ok(0)
    })
}

fn bounded(bytes: usize) -> c_int {
    c_int::try_from(bytes).unwrap_or(c_int::MAX)
}
