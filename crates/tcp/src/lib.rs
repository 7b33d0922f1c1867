//! TCP by RFC 9293, without I/O.
