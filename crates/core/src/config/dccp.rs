//! Settings of DCCP, by the names of `net.dccp`. Those of RFC 6773 have none in Linux, and are named as
//! `net.sctp` names the like.

/// How DCCP behaves.
#[derive(Clone, Debug, Default)]
pub struct DccpConfig {
    /// `udp_port`: DCCP in UDP is taken at it (RFC 6773: 6511); 0 for none.
    pub udp_port: u16,
    /// `encap_port`: the peers' port of DCCP in UDP, unless a socket has one of its own; 0 for bare IP.
    pub encap_port: u16,
}
