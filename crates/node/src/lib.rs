//! One network node, assembled and without I/O.
