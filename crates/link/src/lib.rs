//! Packets, their metadata and the trait that a network device implements.
