//! The internet layer and what every transport needs, without I/O.
