//! Fixed scenarios: nodes without I/O in one thread, in virtual time, all chance seeded, so that
//! every run does the same.

pub mod crowd;
pub mod dccp;
pub mod nodes;
pub mod pair;
pub mod sctp;
