//! Node-internal sockets beside the kernel's AF_UNIX: the same calls on both, and what they return
//! has to be the same: numbers, data, errno, the bits of poll(2).
//!
//! `sides` makes the calls on either side and writes down what they return, `cases` is the table of
//! what unix(7) and the kernel's source tell, `random` draws sequences of calls, and `faces` is what
//! has no kernel beside it.
#![cfg_attr(
    not(loom),
    expect(clippy::unwrap_used, reason = "a test that cannot go on may end")
)]

#[cfg(not(loom))]
mod cases;
#[cfg(not(loom))]
mod faces;
#[cfg(not(loom))]
mod random;
#[cfg(not(loom))]
mod sides;
