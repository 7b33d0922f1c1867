//! The synchronization primitives of the pieces that loom checks.

#[cfg(all(loom, test))]
pub(crate) use loom::{
    sync::atomic,
    thread::{Thread, current, park},
};
#[cfg(not(all(loom, test)))]
pub(crate) use std::{
    sync::atomic,
    thread::{Thread, current},
};
