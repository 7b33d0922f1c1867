//! The Berkeley calls of sockeye as a C library; `include/sockeye.h` says what each does.
//!
//! The calls are those of [`sockeye::Socket`] with the system's structures. A node and a socket are
//! named by a number, a *handle*, of one table with [`HANDLES_MAX`] places; handles lie where no
//! descriptor of the kernel does. A call that fails returns -1 and sets the thread's `errno`; the
//! thread's [`last error`](error::sockeye_error) tells it in words. A panic does not cross into C:
//! it is the error ENOTRECOVERABLE of the call.
//!
//! # What the functions ask of their callers
//! A pointer is NULL or leads to what its type and the length beside it say, which nobody else writes
//! during the call (nor reads, where the call writes); text ends with a NUL. NULL where
//! something is needed is EFAULT, a number that is no handle EBADF. A pointer to anything else can't
//! be noticed, and is as wrong here as in the C library.

#![deny(unsafe_code)]

mod address;
pub mod error;
mod memory;
pub mod message;
pub mod node;
pub mod socket;
mod table;
pub mod wait;

pub use table::{HANDLE_MIN, HANDLES_MAX};
