//! The user's calls (RFC 9293 §3.10.1 to §3.10.6), by their names in sockets.
//!
//! | RFC | here |
//! |---|---|
//! | OPEN, passive | [`listen`](crate::Tcp::listen), [`accept`](crate::Tcp::accept) |
//! | OPEN, active | [`connect`](crate::Tcp::connect) |
//! | SEND | [`send`](crate::Tcp::send), [`send_bytes`](crate::Tcp::send_bytes), [`send_urgent`](crate::Tcp::send_urgent) |
//! | RECEIVE | [`recv`](crate::Tcp::recv), [`peek`](crate::Tcp::peek), [`recv_bytes`](crate::Tcp::recv_bytes), [`recv_slices`](crate::Tcp::recv_slices), [`recv_urgent`](crate::Tcp::recv_urgent) |
//! | CLOSE | [`shutdown`](crate::Tcp::shutdown), [`close`](crate::Tcp::close) |
//! | ABORT | [`abort`](crate::Tcp::abort) |
//! | STATUS | [`state`](crate::Tcp::state), [`info`](crate::Tcp::info) |
//!
//! None of them waits: what can't be done now is [`WouldBlock`](sockeye_core::Error::WouldBlock). What the RFC queues in
//! SYN-SENT and SYN-RECEIVED is not taken yet: the queue has no room before ESTABLISHED.

mod close;
mod open;
mod receive;
mod send;
mod status;

pub use status::Queued;
