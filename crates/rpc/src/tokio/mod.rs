//! The same for tokio: calls are futures, and so are servers.
//!
//! Streams are whatever is `AsyncRead` and `AsyncWrite`: tokio's, `sockeye::tokio`'s, and those
//! that encrypt. [`AsyncDatagram`] and [`AsyncListener`] are both kinds of sockets.

mod channel;
mod client;
mod server;
#[cfg(feature = "tls")]
mod tls;
mod transport;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use transport::{AsyncDatagram, AsyncListener};
