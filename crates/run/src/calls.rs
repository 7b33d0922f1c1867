//! The trapped system calls, a family a file.

pub(crate) mod accept;
pub(crate) mod associations;
pub(crate) mod connect;
pub(crate) mod datagram;
mod interface;
pub(crate) mod listen;
pub(crate) mod message;
mod names;
mod netlink;
mod options;
mod receive;
mod send;
mod shutdown;
mod socket;
mod stream;
mod unix;
