//! Counters, by the names that nstat(8) and the MIBs (RFC 4022, 4113, 4293) give them.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Counter { $($(#[$doc])* $name,)* }

        impl Counter {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, as nstat prints it where nstat has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

counters! {
    /// IP packets received.
    IpInReceives,
    /// IP packets dropped for a malformed header.
    IpInHdrErrors,
    /// IP packets for an address that is not ours.
    IpInAddrErrors,
    /// IP packets of a protocol nobody handles.
    IpInUnknownProtos,
    /// IP packets cut short.
    IpInTruncatedPkts,
    /// IP packets dropped for want of room.
    IpInDiscards,
    /// IP packets delivered to a protocol.
    IpInDelivers,
    /// IP packets sent.
    IpOutRequests,
    /// IP packets dropped on the way out: a full queue.
    IpOutDiscards,
    /// IP packets without a route.
    IpOutNoRoutes,
    /// Fragments received.
    IpReasmReqds,
    /// Datagrams put together.
    IpReasmOKs,
    /// Reassemblies given up.
    IpReasmFails,
    /// Datagrams fragmented.
    IpFragOKs,
    /// Datagrams too large that may not be fragmented.
    IpFragFails,
    /// Fragments sent.
    IpFragCreates,
    /// ICMP messages received.
    IcmpInMsgs,
    /// ICMP messages malformed or with a bad checksum.
    IcmpInErrors,
    /// ICMP messages sent.
    IcmpOutMsgs,
    /// ICMP errors withheld by the rate limit (RFC 1812 §4.3.2.8, RFC 4443 §2.4).
    IcmpOutRateLimited,
    /// ICMP errors whose quote did not match a flow of ours.
    IcmpInUnmatched,
    /// ARP and ND packets dropped by a check.
    NeighbourInErrors,
    /// Neighbours not kept or packets not queued for a full table.
    NeighbourTableFull,
    /// Packets dropped as their neighbour did not answer.
    NeighbourUnreachable,
    /// TCP: active opens.
    TcpActiveOpens,
    /// TCP: passive opens.
    TcpPassiveOpens,
    /// TCP: failed attempts.
    TcpAttemptFails,
    /// TCP: resets in ESTABLISHED or CLOSE-WAIT.
    TcpEstabResets,
    /// TCP: segments received.
    TcpInSegs,
    /// TCP: segments sent (a super-segment counts as its wire packets).
    TcpOutSegs,
    /// TCP: segments retransmitted.
    TcpRetransSegs,
    /// TCP: segments malformed or with a bad checksum.
    TcpInErrs,
    /// TCP: resets sent.
    TcpOutRsts,
    /// TCP: retransmission timer expiries.
    TcpExtTCPTimeouts,
    /// TCP: entries to fast recovery.
    TcpExtTCPFastRetrans,
    /// TCP: challenge ACKs sent (RFC 5961).
    TcpExtTCPChallengeACK,
    /// TCP: segments dropped by PAWS (RFC 7323 §5).
    TcpExtPAWSEstab,
    /// TCP: connection requests dropped for a full accept queue.
    TcpExtListenOverflows,
    /// TCP: connection requests dropped for any reason.
    TcpExtListenDrops,
    /// TCP: sockets that passed into TIME-WAIT.
    TcpExtTW,
    /// TCP: out-of-order data dropped for want of room.
    TcpExtOfoPruned,
    /// TCP: connections ended for data after close.
    TcpExtTCPAbortOnData,
    /// TCP: connections ended by a time-out.
    TcpExtTCPAbortOnTimeout,
    /// TCP: SYNs dropped for a full request queue.
    TcpExtTCPReqQFullDrop,
    /// UDP: datagrams delivered.
    UdpInDatagrams,
    /// UDP: datagrams for a port nobody has.
    UdpNoPorts,
    /// UDP: datagrams malformed.
    UdpInErrors,
    /// UDP: datagrams dropped for a full receive buffer.
    UdpRcvbufErrors,
    /// UDP: datagrams with a bad checksum.
    UdpInCsumErrors,
    /// UDP: datagrams sent.
    UdpOutDatagrams,
    /// Raw and packet sockets: packets dropped for a full receive buffer.
    RawRcvbufErrors,
    /// Intercepted flows dropped for a full queue.
    InterceptOverflows,
}

/// The counters of a node.
#[derive(Clone, Debug)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::ALL.len()])
    }
}

impl Counters {
    /// Adds one.
    pub fn add(&mut self, counter: Counter) {
        self.add_n(counter, 1);
    }

    /// Adds `n`.
    pub fn add_n(&mut self, counter: Counter, n: u64) {
        let value = &mut self.0[counter as usize];
        *value = value.wrapping_add(n);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Those that are not zero, in the order of [`Counter::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> {
        Counter::ALL
            .iter()
            .map(|&c| (c, self.get(c)))
            .filter(|(_, n)| *n > 0)
    }
}
