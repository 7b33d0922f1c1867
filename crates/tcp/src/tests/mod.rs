//! Two nodes' TCPs on one wire, in virtual time.

mod basics;
mod lossy;
mod pair;
