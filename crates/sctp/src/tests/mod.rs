//! Two nodes' SCTPs on wires, in virtual time.

mod basics;
mod lossy;
mod multihomed;
mod pair;
