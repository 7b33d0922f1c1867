//! What a socket call may fail with. The faces map each to an errno and an `io::ErrorKind`, in
//! one table of theirs.

/// Why a call failed; each is named after the errno that POSIX gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// EAGAIN
    #[error("the operation would block")]
    WouldBlock,
    /// EINPROGRESS
    #[error("the connection is being established")]
    InProgress,
    /// EALREADY
    #[error("a connection attempt is already under way")]
    Already,
    /// EISCONN
    #[error("the socket is already connected")]
    IsConnected,
    /// ENOTCONN
    #[error("the socket is not connected")]
    NotConnected,
    /// EDESTADDRREQ
    #[error("no destination was given and the socket has no peer")]
    DestinationRequired,
    /// ECONNREFUSED
    #[error("the peer refused the connection")]
    ConnectionRefused,
    /// ECONNRESET
    #[error("the peer reset the connection")]
    ConnectionReset,
    /// ECONNABORTED
    #[error("the connection was aborted")]
    ConnectionAborted,
    /// EPIPE
    #[error("the connection is closed for writing")]
    BrokenPipe,
    /// ETIMEDOUT
    #[error("the peer did not answer in time")]
    TimedOut,
    /// EHOSTUNREACH
    #[error("no route leads to the host")]
    HostUnreachable,
    /// ENETUNREACH
    #[error("no route leads to the network")]
    NetworkUnreachable,
    /// ENETDOWN
    #[error("the interface is down")]
    NetworkDown,
    /// ENOPROTOOPT as a received error: protocol unreachable
    #[error("the host does not know the protocol")]
    ProtocolUnreachable,
    /// EADDRINUSE
    #[error("the address is already in use")]
    AddressInUse,
    /// EADDRNOTAVAIL
    #[error("the address is not one of this node's, or no port is free")]
    AddressNotAvailable,
    /// EAFNOSUPPORT
    #[error("the address family does not fit the socket")]
    AddressFamily,
    /// EINVAL
    #[error("the argument or the socket's state does not allow it")]
    Invalid,
    /// EACCES
    #[error("not permitted without the option that allows it")]
    Access,
    /// EPERM
    #[error("not permitted on this node")]
    NotPermitted,
    /// EMSGSIZE
    #[error("the message is too long")]
    MessageSize,
    /// ENOBUFS
    #[error("no buffer space is left")]
    NoBufferSpace,
    /// ENOPROTOOPT
    #[error("the socket does not have this option")]
    NoProtocolOption,
    /// EOPNOTSUPP
    #[error("the socket does not support the operation")]
    NotSupported,
    /// EPROTONOSUPPORT
    #[error("the protocol is not supported")]
    ProtocolNotSupported,
    /// EBADF: the handle names no socket any more
    #[error("the socket is closed")]
    BadSocket,
    /// EMFILE / ENFILE: the node's limit of sockets
    #[error("the node has as many sockets as it may have")]
    TooManySockets,
    /// EPROTO
    #[error("the peer broke the protocol")]
    Protocol,
    /// ENXIO
    #[error("the address names no interface")]
    NoAddress,
    /// ENODEV
    #[error("there is no such interface")]
    NoDevice,
    /// ENOENT
    #[error("there is none of that name")]
    NoEntry,
    /// EEXIST
    #[error("there is one already")]
    Exists,
    /// EBUSY
    #[error("it is in use")]
    Busy,
    /// ENOMEM
    #[error("there are as many as there may be")]
    NoMemory,
    /// EPROTOTYPE
    #[error("the socket of that name is of another type")]
    WrongType,
    /// ETOOMANYREFS
    #[error("as many objects are under way as may be")]
    TooManyReferences,
    /// EKEYREJECTED
    #[error("the key does not fit the socket's other keys or its peer")]
    KeyRejected,
    /// EIO
    #[error("the link or the protocol can't do it")]
    InputOutput,
    /// EUSERS
    #[error("the peer has no room for another connection")]
    Users,
    /// EDQUOT
    #[error("the peer says that congestion control was not kept to")]
    Quota,
    /// ENOMSG
    #[error("the peer did not expect a packet of this type")]
    NoMessage,
    /// EBADR
    #[error("the peer did not know its cookie again")]
    BadRequest,
    /// EBADRQC
    #[error("nobody there listens for the service code")]
    BadRequestCode,
    /// EILSEQ
    #[error("the peer could not read an option")]
    IllegalSequence,
    /// ESHUTDOWN
    #[error("the node has been shut down")]
    Shutdown,
}
