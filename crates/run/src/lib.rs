//! Runs an unmodified program on a sockeye node.
