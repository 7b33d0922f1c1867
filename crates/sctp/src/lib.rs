//! SCTP (RFC 9260), without I/O: time, chance and packets are arguments.
#![forbid(unsafe_code)]
