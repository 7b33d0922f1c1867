//! x
mod parker;
mod sync;
mod token;
mod waiters;
