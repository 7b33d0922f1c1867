//! Network sockets in user space.
#![deny(unsafe_code)]

pub mod error;
mod option_table;
mod parker;
mod sync;
mod token;
mod waiters;
