//! Packet formats: views that parse in place and emitters that write into headroom.
#![forbid(unsafe_code)]

mod protocol;

pub use protocol::IpProtocol;
