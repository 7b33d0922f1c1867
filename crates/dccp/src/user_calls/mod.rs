//! The user's calls, by their names in sockets. None of them waits: what can't be done now is
//! [`WouldBlock`](sockeye_core::Error::WouldBlock).

mod close;
mod data;
mod open;
mod status;

pub use status::Info;
