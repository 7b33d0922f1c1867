//! UDP, without I/O.
