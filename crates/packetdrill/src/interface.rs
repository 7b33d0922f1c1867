//! The structure that the tool hands over to be filled in.

use crate::calls::{events, files, names, options, pipes, time, transfer};
use crate::world::World;
use libc::{
    c_char, c_int, c_longlong, c_uint, c_ulong, c_void, epoll_event, iovec, loff_t, msghdr, nfds_t,
    pollfd, size_t, sockaddr, socklen_t, ssize_t, suseconds_t, time_t,
};

/// What every function is given first: the world.
pub(crate) type UserData = *mut c_void;

/// `struct timeval`.
#[repr(C)]
#[derive(Debug)]
pub struct TimeVal {
    pub(crate) seconds: time_t,
    pub(crate) micros: suseconds_t,
}

/// `struct packetdrill_interface`: functions of the shape of their namesakes in libc, after what
/// they work on. `fcntl` and `ioctl` are variadic there; a word more in the place of the variable
/// argument is passed alike on x86-64 and AArch64.
#[repr(C)]
#[rustfmt::skip]
#[derive(Debug)]
pub struct Interface {
    userdata: UserData,
    free: extern "C" fn(UserData),
    socket: extern "C" fn(UserData, c_int, c_int, c_int) -> c_int,
    bind: unsafe extern "C" fn(UserData, c_int, *const sockaddr, socklen_t) -> c_int,
    listen: extern "C" fn(UserData, c_int, c_int) -> c_int,
    accept: unsafe extern "C" fn(UserData, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    connect: unsafe extern "C" fn(UserData, c_int, *const sockaddr, socklen_t) -> c_int,
    read: unsafe extern "C" fn(UserData, c_int, *mut c_void, size_t) -> ssize_t,
    readv: unsafe extern "C" fn(UserData, c_int, *const iovec, c_int) -> ssize_t,
    recv: unsafe extern "C" fn(UserData, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    recvfrom: unsafe extern "C" fn(UserData, c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t,
    recvmsg: unsafe extern "C" fn(UserData, c_int, *mut msghdr, c_int) -> ssize_t,
    write: unsafe extern "C" fn(UserData, c_int, *const c_void, size_t) -> ssize_t,
    writev: unsafe extern "C" fn(UserData, c_int, *const iovec, c_int) -> ssize_t,
    send: unsafe extern "C" fn(UserData, c_int, *const c_void, size_t, c_int) -> ssize_t,
    sendto: unsafe extern "C" fn(UserData, c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t,
    sendmsg: unsafe extern "C" fn(UserData, c_int, *const msghdr, c_int) -> ssize_t,
    fcntl: extern "C" fn(UserData, c_int, c_int, usize) -> c_int,
    ioctl: unsafe extern "C" fn(UserData, c_int, c_ulong, usize) -> c_int,
    close: extern "C" fn(UserData, c_int) -> c_int,
    shutdown: extern "C" fn(UserData, c_int, c_int) -> c_int,
    getsockopt: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    setsockopt: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    poll: unsafe extern "C" fn(UserData, *mut pollfd, nfds_t, c_int) -> c_int,
    netdev_send: unsafe extern "C" fn(UserData, *const c_void, size_t) -> c_int,
    netdev_receive: unsafe extern "C" fn(UserData, *mut c_void, *mut size_t, *mut c_longlong) -> c_int,
    usleep: extern "C" fn(UserData, c_uint) -> c_int,
    gettimeofday: unsafe extern "C" fn(UserData, *mut TimeVal, *mut c_void) -> c_int,
    epoll_create: extern "C" fn(UserData, c_int) -> c_int,
    epoll_ctl: unsafe extern "C" fn(UserData, c_int, c_int, c_int, *const epoll_event) -> c_int,
    epoll_wait: unsafe extern "C" fn(UserData, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    pipe: unsafe extern "C" fn(UserData, *mut c_int) -> c_int,
    splice: unsafe extern "C" fn(UserData, c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint) -> c_int,
}

/// Makes the world and fills `interface` in. `flags` are those of `--so_flags`.
///
/// # Safety
/// `flags` is null or a C string, `interface` points to a structure of the layout above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(
    flags: *const c_char,
    interface: *mut Interface,
) {
    // SAFETY: the caller's promise, see above; the string outlives this call.
    let flags = (!flags.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(flags) });
    let flags = flags.map_or_else(Default::default, |flags| flags.to_string_lossy());
    let world = World::install(&flags);
    let filled = Interface {
        userdata: std::ptr::from_ref(world).cast_mut().cast(),
        free: time::free,
        socket: names::socket,
        bind: names::bind,
        listen: names::listen,
        accept: names::accept,
        connect: names::connect,
        read: transfer::read,
        readv: transfer::readv,
        recv: transfer::recv,
        recvfrom: transfer::recvfrom,
        recvmsg: transfer::recvmsg,
        write: transfer::write,
        writev: transfer::writev,
        send: transfer::send,
        sendto: transfer::sendto,
        sendmsg: transfer::sendmsg,
        fcntl: files::fcntl,
        ioctl: files::ioctl,
        close: files::close,
        shutdown: names::shutdown,
        getsockopt: options::getsockopt,
        setsockopt: options::setsockopt,
        poll: events::poll,
        netdev_send: time::netdev_send,
        netdev_receive: time::netdev_receive,
        usleep: time::usleep,
        gettimeofday: time::gettimeofday,
        epoll_create: events::epoll_create,
        epoll_ctl: events::epoll_ctl,
        epoll_wait: events::epoll_wait,
        pipe: pipes::pipe,
        splice: pipes::splice,
    };
    // SAFETY: the caller's promise; nothing of it was in use before, so nothing is dropped.
    unsafe { interface.write(filled) };
}
