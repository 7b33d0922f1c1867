//! SCTP (RFC 9260), without I/O: time, chance and packets are arguments.
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "the association uses it")]
mod auth;
#[allow(dead_code, reason = "the association uses it")]
mod cookie;
#[allow(dead_code, reason = "the association uses it")]
mod inbound;
#[allow(dead_code, reason = "the association uses it")]
mod outbound;
#[allow(dead_code, reason = "the association uses it")]
mod tcb;
