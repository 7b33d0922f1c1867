//! What travels beside a packet's bytes.

/// What is known of the transport checksum (TCP, UDP, ICMPv6) of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing: the receiver checks it itself. Outgoing: it is filled in.
    #[default]
    Unverified,
    /// The device or the link vouches for it.
    Verified,
    /// Not yet summed: the 16-bit field at `start + offset` holds the pseudo-header's sum (not
    /// inverted), and the sum of everything from `start` on is still to be folded in. Both are
    /// counted from the front of the packet; [`Packet::push`](crate::Packet::push) and
    /// [`pull`](crate::Packet::pull) keep `start` true. A packet received in this state comes from
    /// a peer on the same machine and counts as verified.
    Partial {
        /// Where the sum begins: the transport header.
        start: u16,
        /// Where the checksum field lies, from `start` on.
        offset: u16,
    },
}

/// Which protocol a super-segment is to be cut by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP datagrams of one size, over either (`UDP_SEGMENT`).
    Udp,
}

/// A super-segment: one set of headers before more payload than one packet may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// How it is cut.
    pub kind: GsoKind,
    /// Payload bytes of each wire packet but the last.
    pub size: u16,
}

/// The ports of a UDP encapsulation (SCTP over UDP, DCCP over UDP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpPorts {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// What travels beside a packet's bytes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Meta {
    /// The state of the transport checksum.
    pub checksum: Checksum,
    /// Set when this is a super-segment.
    pub gso: Option<Gso>,
    /// A hash of the flow, or 0: which queue or shard it belongs to.
    pub flow_hash: u32,
    /// The device queue it came by or goes to.
    pub queue: u16,
    /// The UDP header it travels in, where it does.
    pub encap: Option<UdpPorts>,
    /// What the sender's socket says of it.
    pub tags: Tags,
    /// The packet socket of this node that sent it, by SO_COOKIE, and that does not hear it; else 0.
    pub sender: u64,
    /// Received: bytes of the largest fragment that it came in, IP header included; 0 when it came
    /// whole.
    pub fragment_max: u16,
}

/// What a link may tell a node's packets apart by, beside what they say themselves (socket(7)). It is
/// for this node's links alone and never on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    /// SO_PRIORITY; 0 unless something sets it.
    pub priority: i32,
    /// SO_MARK; 0 unless something sets it.
    pub mark: u32,
}
