//! The one table between the core's errors, errno and `io::Error`.
//!
//! ```
//! use sockeye::net::TcpStream;
//! use std::io::ErrorKind;
//!
//! let node = sockeye::Node::builder().build()?;
//! let error = TcpStream::connect_on(&node, "127.0.0.1:1").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
//! assert_eq!(error.raw_os_error(), Some(111)); // ECONNREFUSED of Linux
//! # std::io::Result::Ok(())
//! ```

use sockeye_core::Error;
use std::io;

/// The errno that the man pages give for `error`.
#[must_use]
pub const fn errno(error: Error) -> i32 {
    match error {
        Error::WouldBlock => libc::EAGAIN,
        Error::InProgress => libc::EINPROGRESS,
        Error::Already => libc::EALREADY,
        Error::IsConnected => libc::EISCONN,
        Error::NotConnected => libc::ENOTCONN,
        Error::DestinationRequired => libc::EDESTADDRREQ,
        Error::ConnectionRefused => libc::ECONNREFUSED,
        Error::ConnectionReset => libc::ECONNRESET,
        Error::ConnectionAborted => libc::ECONNABORTED,
        Error::BrokenPipe => libc::EPIPE,
        Error::TimedOut => libc::ETIMEDOUT,
        Error::HostUnreachable => libc::EHOSTUNREACH,
        Error::NetworkUnreachable => libc::ENETUNREACH,
        Error::NetworkDown => libc::ENETDOWN,
        Error::ProtocolUnreachable | Error::NoProtocolOption => libc::ENOPROTOOPT,
        Error::AddressInUse => libc::EADDRINUSE,
        Error::AddressNotAvailable => libc::EADDRNOTAVAIL,
        Error::AddressFamily => libc::EAFNOSUPPORT,
        Error::Invalid => libc::EINVAL,
        Error::Access => libc::EACCES,
        Error::NotPermitted => libc::EPERM,
        Error::MessageSize => libc::EMSGSIZE,
        Error::NoBufferSpace => libc::ENOBUFS,
        Error::NotSupported => libc::EOPNOTSUPP,
        Error::ProtocolNotSupported => libc::EPROTONOSUPPORT,
        Error::BadSocket => libc::EBADF,
        Error::TooManySockets => libc::ENFILE,
        Error::Protocol => libc::EPROTO,
        Error::NoAddress => libc::ENXIO,
        Error::NoDevice => libc::ENODEV,
        Error::NoEntry => libc::ENOENT,
        Error::Exists => libc::EEXIST,
        Error::Busy => libc::EBUSY,
        Error::NoMemory => libc::ENOMEM,
        Error::WrongType => libc::EPROTOTYPE,
        Error::TooManyReferences => libc::ETOOMANYREFS,
        Error::KeyRejected => libc::EKEYREJECTED,
        Error::InputOutput => libc::EIO,
        Error::Users => libc::EUSERS,
        Error::Quota => libc::EDQUOT,
        Error::NoMessage => libc::ENOMSG,
        Error::BadRequest => libc::EBADR,
        Error::BadRequestCode => libc::EBADRQC,
        Error::IllegalSequence => libc::EILSEQ,
        Error::Shutdown => libc::ESHUTDOWN,
        // The enum is open to the core's additions; none may pass as a success.
        _ => libc::EIO,
    }
}

/// `error` as the standard library has it: with its errno, and the kind that follows from it.
#[must_use]
pub fn to_io(error: Error) -> io::Error {
    io::Error::from_raw_os_error(errno(error))
}

/// No node is current, and none was given.
pub(crate) fn no_node() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "no node is current on this thread: enter one with Node::enter, or use the `_on` form that \
         takes the node",
    )
}

/// An errno that the core does not know.
pub(crate) fn os(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// The kinds that std gives to what a kernel's socket returns.
    #[test]
    fn kinds_are_those_of_std() {
        for (error, kind) in [
            (Error::WouldBlock, ErrorKind::WouldBlock),
            (Error::NotConnected, ErrorKind::NotConnected),
            (Error::ConnectionRefused, ErrorKind::ConnectionRefused),
            (Error::ConnectionReset, ErrorKind::ConnectionReset),
            (Error::ConnectionAborted, ErrorKind::ConnectionAborted),
            (Error::BrokenPipe, ErrorKind::BrokenPipe),
            (Error::TimedOut, ErrorKind::TimedOut),
            (Error::HostUnreachable, ErrorKind::HostUnreachable),
            (Error::NetworkUnreachable, ErrorKind::NetworkUnreachable),
            (Error::NetworkDown, ErrorKind::NetworkDown),
            (Error::AddressInUse, ErrorKind::AddrInUse),
            (Error::AddressNotAvailable, ErrorKind::AddrNotAvailable),
            (Error::Invalid, ErrorKind::InvalidInput),
            (Error::Access, ErrorKind::PermissionDenied),
            (Error::NotPermitted, ErrorKind::PermissionDenied),
        ] {
            assert_eq!(to_io(error).kind(), kind, "{error:?}");
            assert_eq!(to_io(error).raw_os_error(), Some(errno(error)));
        }
    }
}
