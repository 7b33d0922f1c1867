//! The trapped system calls, a family a file.

pub(crate) mod accept;
pub(crate) mod associations;
pub(crate) mod connect;
pub(crate) mod datagram;
pub(crate) mod listen;
mod message;
mod names;
mod options;
mod receive;
mod send;
mod shutdown;
mod socket;
mod unix;
