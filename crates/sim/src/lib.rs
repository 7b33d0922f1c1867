//! Worlds of many nodes in virtual time, from one seed.
