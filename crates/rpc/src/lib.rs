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
//! ```
//! use sockeye::net::{TcpListener, TcpStream};
//! use sockeye_rpc::{Client, Fault, Programs, Server, service_fn};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = sockeye::Node::builder().build()?;
//! let double = service_fn(0x2000_0000, 1, |call, arguments, results| match call.procedure {
//!     0 => Ok(()),
//!     1 => Ok(results.u32(arguments.u32()?.wrapping_mul(2))?),
//!     _ => Err(Fault::ProcedureUnavailable),
//! });
//! let listener = TcpListener::bind_on(&node, "127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = Server::new(Programs::new().with(double));
//! std::thread::spawn(move || server.serve(&listener));
//!
//! let stream = TcpStream::connect_on(&node, address)?;
//! let client = Client::stream(stream, 0x2000_0000, 1);
//! assert_eq!(client.call::<u32>(1, &21u32)?, 42);
//! # Ok(())
//! # }
//! ```
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
