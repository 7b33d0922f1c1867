//! The functions of the interface, each with its namesake's meaning in libc.

pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod pipes;
pub(crate) mod time;
pub(crate) mod transfer;
