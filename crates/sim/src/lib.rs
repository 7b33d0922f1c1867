//! Worlds of many nodes in virtual time, from one seed.
#![forbid(unsafe_code)]
