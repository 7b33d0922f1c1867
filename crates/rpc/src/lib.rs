//! ONC RPC (RFC 5531): procedures of another program, called as if they were one's own.
//!
//! - What is said: [`xdr`] (RFC 4506), [`message`] and [`record`] (RFC 5531 §9, §11). They do no
//!   I/O.
//! - What it is said over: [`transport`], which sockeye's sockets and the system's are.
//! - Who says it: [`Client`] and [`Server`], blocking; `tokio` (feature `tokio`) has them as
//!   futures, and with TLS (feature `tls`, RFC 9289). [`dispatch`] finds the procedure,
//!   [`duplicate`] remembers answers, [`backoff`] says when to ask again.
//! - Where a program is: [`rpcbind`] (RFC 1833).
//!
//! Types, clients and server traits are generated from an interface in the RPC language by
//! `sockeye-rpcgen`, in a build script or by `sockeye rpcgen`; this crate is what they need.
#![forbid(unsafe_code)]

pub mod backoff;
mod client;
pub mod dispatch;
pub mod duplicate;
pub mod message;
pub mod record;
pub mod rpcbind;
mod server;
#[cfg(test)]
mod testing;
#[cfg(feature = "tokio")]
pub mod tokio;
pub mod transport;
pub mod xdr;

pub use client::{CALLS_MAX, CallError, Cancellation, Client};
pub use dispatch::{AsyncService, Call, CallFuture, Fault, Peer, Programs, Service, service_fn};
pub use server::{Limits, Server, ServerCounters};
