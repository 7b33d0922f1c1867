//! The clock and the wire: where time moves.

use crate::descriptors::error;
use crate::interface::{TimeVal, UserData};
use crate::pointers::{bytes, bytes_mut, place};
use crate::world::{World, call, die, enter};
use libc::{c_int, c_longlong, c_uint, c_void, size_t};
use std::time::Duration;

/// How far the clock runs ahead for a packet that a script waits for: keepalives come after two
/// hours.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// The process ends with the world in it.
pub(crate) extern "C" fn free(_: UserData) {}

/// Sends a script's packet to the node, and sees to it that all that follows from it has happened.
pub(crate) unsafe extern "C" fn netdev_send(
    userdata: UserData,
    packet: *const c_void,
    len: size_t,
) -> c_int {
    call(userdata, |world| {
        // SAFETY: the interface's contract: `len` bytes of packet.
        world.wire.inject(unsafe { bytes(packet, len)? }.to_vec());
        world.clock.settle();
        Ok(0)
    })
}

/// The next packet that leaves the node. Where none has, time runs on until one does.
pub(crate) unsafe extern "C" fn netdev_receive(
    userdata: UserData,
    packet: *mut c_void,
    len: *mut size_t,
    at: *mut c_longlong,
) -> c_int {
    enter(World::of(userdata), |world| {
        let since = world.clock.now();
        world.clock.settle();
        let (bytes, when) = loop {
            if let Some(taken) = world.wire.take() {
                break taken;
            }
            let waited = world.clock.now() - since;
            if waited > PATIENCE || !world.clock.advance_to_next() {
                die("the script waits for a packet, and none will ever leave the node");
            }
        };
        // SAFETY: the interface's contract: where to put them.
        let (len, at) = unsafe { (place(len)?, place(at)?) };
        // SAFETY: as above; `len` is the room there.
        let out = unsafe { bytes_mut(packet, *len)? };
        if bytes.len() > out.len() {
            return Err(error(libc::EMSGSIZE));
        }
        out[..bytes.len()].copy_from_slice(&bytes);
        *len = bytes.len();
        let micros = world.shown(when).as_micros();
        *at = c_longlong::try_from(micros).unwrap_or(c_longlong::MAX);
        Ok(0)
    })
}

pub(crate) extern "C" fn usleep(userdata: UserData, micros: c_uint) -> c_int {
    let world = World::of(userdata);
    world.let_others_return();
    enter(world, |world| {
        world.clock.advance(Duration::from_micros(micros.into()));
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn gettimeofday(
    userdata: UserData,
    time: *mut TimeVal,
    _: *mut c_void,
) -> c_int {
    let now = World::of(userdata).read_clock();
    // SAFETY: gettimeofday(2)'s contract with its caller.
    if let Ok(time) = unsafe { place(time) } {
        time.seconds = now.as_secs().cast_signed();
        time.micros = now.subsec_micros().into();
    }
    0
}
