//! Sockets, their addresses and connections.

use crate::descriptors::{Object, error};
use crate::interface::UserData;
use crate::pointers::{address, address_or_none, put_address};
use crate::world::call;
use libc::{c_int, sockaddr, socklen_t};
use sockeye::{Domain, Protocol, Socket, Type};
use std::net::Shutdown;
use std::sync::Arc;

pub(crate) extern "C" fn socket(
    userdata: UserData,
    domain: c_int,
    ty: c_int,
    protocol: c_int,
) -> c_int {
    call(userdata, |world| {
        let nonblocking = ty & libc::SOCK_NONBLOCK != 0;
        let ty = ty & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
        let protocol = (protocol != 0).then(|| Protocol::from(protocol));
        let socket = Socket::new_on(&world.node, Domain::from(domain), Type::from(ty), protocol)?;
        socket.set_nonblocking(nonblocking)?;
        let object = Object::Socket(Arc::new(socket));
        world.descriptors().insert(object)
    })
}

pub(crate) unsafe extern "C" fn bind(
    userdata: UserData,
    fd: c_int,
    name: *const sockaddr,
    len: socklen_t,
) -> c_int {
    call(userdata, |world| {
        let socket = world.socket(fd)?;
        // SAFETY: bind(2)'s contract with its caller.
        let name = unsafe { address(name, len)? };
        socket.bind(name)?;
        Ok(0)
    })
}

pub(crate) extern "C" fn listen(userdata: UserData, fd: c_int, backlog: c_int) -> c_int {
    call(userdata, |world| {
        world.socket(fd)?.listen(backlog)?;
        Ok(0)
    })
}

pub(crate) unsafe extern "C" fn accept(
    userdata: UserData,
    fd: c_int,
    peer: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    call(userdata, |world| {
        let (socket, from) = world.socket(fd)?.accept()?;
        // SAFETY: accept(2)'s contract with its caller.
        unsafe { put_address(from, peer, len)? };
        let object = Object::Socket(Arc::new(socket));
        world.descriptors().insert(object)
    })
}

pub(crate) unsafe extern "C" fn connect(
    userdata: UserData,
    fd: c_int,
    peer: *const sockaddr,
    len: socklen_t,
) -> c_int {
    call(userdata, |world| {
        let socket = world.socket(fd)?;
        // SAFETY: connect(2)'s contract with its caller.
        match unsafe { address_or_none(peer, len)? } {
            Some(peer) => socket.connect(peer)?,
            None => socket.disconnect()?,
        }
        Ok(0)
    })
}

pub(crate) extern "C" fn shutdown(userdata: UserData, fd: c_int, how: c_int) -> c_int {
    call(userdata, |world| {
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(error(libc::EINVAL)),
        };
        world.socket(fd)?.shutdown(how)?;
        Ok(0)
    })
}
