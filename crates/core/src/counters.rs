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
    /// IP packets delivered to a protocol.
    IpInDelivers,
    /// IP packets for others that were sent on.
    IpForwDatagrams,
    /// IP packets sent.
    IpOutRequests,
    /// IP packets dropped on the way out: a full queue.
    IpOutDiscards,
    /// IP packets without a route.
    IpOutNoRoutes,
    /// IP packets for others without a route.
    IpExtInNoRoutes,
    /// IP packets for others from or to addresses that no router sends on (RFC 1812 §5.3.7).
    IpInMartians,
    /// IP packets whose source is not reached by where they came from (RFC 3704).
    TcpExtIPReversePathFilter,
    /// IPv4 packets with a source route (RFC 7126 §4.3, §4.4).
    IpInSourceRoutes,
    /// IPv6 packets with more extension headers, options or padding than are followed.
    IpInHeaderLimits,
    /// IPv6 packets for others that do not fit the next link.
    Ip6InTooBigErrors,
    /// Fragments received.
    IpReasmReqds,
    /// Datagrams put together.
    IpReasmOKs,
    /// Fragments dropped and reassemblies given up, for any reason.
    IpReasmFails,
    /// Reassemblies given up as fragments were missing for too long.
    IpReasmTimeout,
    /// Reassemblies given up as fragments overlap or contradict each other (RFC 8200 §4.5).
    IpExtReasmOverlaps,
    /// Fragments and reassemblies dropped for want of room.
    IpReasmLimits,
    /// Fragments that lead beyond the longest packet.
    IpReasmOversize,
    /// Fragments that cut headers apart (RFC 1858, RFC 3128, RFC 7112).
    IpReasmTiny,
    /// Datagrams fragmented.
    IpFragOKs,
    /// Datagrams too large that may not be fragmented.
    IpFragFails,
    /// Fragments sent.
    IpFragCreates,
    /// IP packets received without ECT.
    IpExtInNoECTPkts,
    /// IP packets received with ECT(1).
    IpExtInECT1Pkts,
    /// IP packets received with ECT(0).
    IpExtInECT0Pkts,
    /// IP packets received with CE.
    IpExtInCEPkts,
    /// ICMP messages received.
    IcmpInMsgs,
    /// ICMP messages malformed or with a bad checksum.
    IcmpInErrors,
    /// ICMP messages sent.
    IcmpOutMsgs,
    /// ICMP redirects sent.
    IcmpOutRedirects,
    /// ICMP errors withheld by the rate limit of all (RFC 1812 §4.3.2.8, RFC 4443 §2.4).
    IcmpOutRateLimitGlobal,
    /// ICMP errors and redirects withheld by the rate limit of one destination.
    IcmpOutRateLimitHost,
    /// ICMP errors whose quote did not match a flow of ours.
    IcmpInUnmatched,
    /// ICMP redirects received.
    IcmpInRedirects,
    /// ICMPv6 redirects received.
    Icmp6InRedirects,
    /// Redirects not followed: not from the router that a packet goes by, to no neighbour, or off.
    RedirectsIgnored,
    /// Router advertisements received.
    Icmp6InRouterAdvertisements,
    /// Router solicitations sent.
    Icmp6OutRouterSolicits,
    /// Routers, prefixes, routes, addresses and name servers of router advertisements not taken for
    /// a full table.
    AutoconfTableFull,
    /// Addresses of ours that somebody else was found to have, or to want.
    AddressConflicts,
    /// ARP and ND packets dropped by a check.
    NeighbourInErrors,
    /// Neighbours not kept or driven out for a full table.
    NeighbourTableFull,
    /// Packets dropped as their neighbour did not answer.
    NeighbourUnreachable,
    /// TCP: active opens.
    TcpActiveOpens,
    /// TCP: passive opens.
    TcpPassiveOpens,
    /// TCP: connections that went from SYN-SENT or SYN-RECEIVED to CLOSED, or back to LISTEN.
    TcpAttemptFails,
    /// TCP: connections that went from ESTABLISHED or CLOSE-WAIT to CLOSED at once.
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
    /// TCP: packets sent again in fast recovery.
    TcpExtTCPFastRetrans,
    /// TCP: packets sent again after a time-out.
    TcpExtTCPSlowStartRetrans,
    /// TCP: recoveries that began by SACK.
    TcpExtTCPSackRecovery,
    /// TCP: recoveries that began by duplicate acknowledgments.
    TcpExtTCPRenoRecovery,
    /// TCP: reported data that the peer has thrown away (RFC 2018 §8).
    TcpExtTCPSACKReneging,
    /// TCP: reordering seen by SACK.
    TcpExtTCPSACKReorder,
    /// TCP: reordering seen by timestamps.
    TcpExtTCPTSReorder,
    /// TCP: recoveries undone whole.
    TcpExtTCPFullUndo,
    /// TCP: recoveries undone by a partial acknowledgment.
    TcpExtTCPPartialUndo,
    /// TCP: recoveries undone by D-SACK.
    TcpExtTCPDSACKUndo,
    /// TCP: time-outs undone.
    TcpExtTCPLossUndo,
    /// TCP: time-outs found spurious by F-RTO.
    TcpExtTCPSpuriousRTOs,
    /// TCP: tail loss probes sent.
    TcpExtTCPLossProbes,
    /// TCP: losses that a tail loss probe repaired.
    TcpExtTCPLossProbeRecovery,
    /// TCP: probes of a path's MTU sent (RFC 4821).
    TcpExtTCPMTUPProbes,
    /// TCP: probes of a path's MTU that arrived.
    TcpExtTCPMTUPSuccess,
    /// TCP: probes of a path's MTU that were lost.
    TcpExtTCPMTUPFail,
    /// TCP: D-SACKs received for data below the acknowledgment.
    TcpExtTCPDSACKRecv,
    /// TCP: D-SACKs received for data above it.
    TcpExtTCPDSACKOfoRecv,
    /// TCP: D-SACKs ignored as too old.
    TcpExtTCPDSACKIgnoredOld,
    /// TCP: D-SACKs ignored as nothing was to be undone.
    TcpExtTCPDSACKIgnoredNoUndo,
    /// TCP: D-SACKs ignored as the network doubles packets.
    TcpExtTCPDSACKIgnoredDubious,
    /// TCP: SACK blocks that can't be true.
    TcpExtTCPSACKDiscard,
    /// TCP: acknowledgments sent by the delay timer.
    TcpExtDelayedACKs,
    /// TCP: probes of closed windows.
    TcpExtTCPWinProbe,
    /// TCP: keep-alive probes.
    TcpExtTCPKeepAlive,
    /// TCP: challenge ACKs sent (RFC 5961).
    TcpExtTCPChallengeACK,
    /// TCP: segments dropped by PAWS (RFC 7323 §5).
    TcpExtPAWSEstab,
    /// TCP: connection requests dropped for a full accept queue.
    TcpExtListenOverflows,
    /// TCP: connection requests dropped for any reason.
    TcpExtListenDrops,
    /// TCP: connections that a listener which closed has left to another one.
    TcpExtTCPMigrateReqSuccess,
    /// TCP: connections for which such a listener found none that takes them.
    TcpExtTCPMigrateReqFailure,
    /// TCP: sockets whose time in TIME-WAIT is over.
    TcpExtTW,
    /// TCP: out-of-order data dropped for want of room.
    TcpExtOfoPruned,
    /// TCP: times that a receive queue was to be made smaller.
    TcpExtPruneCalled,
    /// TCP: receive queues copied together.
    TcpExtTCPRcvCollapsed,
    /// TCP: text in order dropped for want of memory.
    TcpExtTCPRcvQDrop,
    /// TCP: text out of order dropped for want of memory.
    TcpExtTCPOFODrop,
    /// TCP: times that memory became short.
    TcpExtTCPMemoryPressures,
    /// TCP: orphans reset as there were too many, or memory was short.
    TcpExtTCPAbortOnMemory,
    /// TCP: connections ended for data after close, or by a close that lingers for no time.
    TcpExtTCPAbortOnData,
    /// TCP: connections ended by a close with text unread.
    TcpExtTCPAbortOnClose,
    /// TCP: connections ended in FIN-WAIT-2 as nobody is to wait there (TCP_LINGER2).
    TcpExtTCPAbortOnLinger,
    /// TCP: connections ended by a time-out.
    TcpExtTCPAbortOnTimeout,
    /// TCP: SYNs dropped for a full request queue.
    TcpExtTCPReqQFullDrop,
    /// TCP: SYNs answered with a cookie for a full request queue.
    TcpExtTCPReqQFullDoCookies,
    /// TCP: SYN cookies sent.
    TcpExtSyncookiesSent,
    /// TCP: SYN cookies that came back.
    TcpExtSyncookiesRecv,
    /// TCP: acknowledgments that were no cookie of ours, while some were out.
    TcpExtSyncookiesFailed,
    /// TCP: ICMP errors that quote nothing in flight.
    TcpExtOutOfWindowIcmps,
    /// TCP: half-open connections reset.
    TcpExtEmbryonicRsts,
    /// TCP: bare acknowledgments dropped as TCP_DEFER_ACCEPT waits for text.
    TcpExtTCPDeferAcceptDrop,
    /// TCP: SYNs and ACKs refused for a timestamp that echoes nothing of ours.
    TcpExtPAWSActive,
    /// TCP: Fast Open as a client: text on the SYN was acknowledged.
    TcpExtTCPFastOpenActive,
    /// TCP: Fast Open as a client: it was not, or the SYN was lost.
    TcpExtTCPFastOpenActiveFail,
    /// TCP: Fast Open as a server: connections made by a SYN.
    TcpExtTCPFastOpenPassive,
    /// TCP: Fast Open as a server: cookies that were not valid.
    TcpExtTCPFastOpenPassiveFail,
    /// TCP: Fast Open as a server: cookies made by the older key.
    TcpExtTCPFastOpenPassiveAltKey,
    /// TCP: Fast Open as a server: requests over the listener's limit.
    TcpExtTCPFastOpenListenOverflow,
    /// TCP: Fast Open as a server: cookies asked for.
    TcpExtTCPFastOpenCookieReqd,
    /// TCP: Fast Open as a client: times that it was not used as it seems to be dropped on the way.
    TcpExtTCPFastOpenBlackhole,
    /// TCP: segments dropped for want of an MD5 signature (RFC 2385).
    TcpExtTCPMD5NotFound,
    /// TCP: segments dropped for an MD5 signature that nobody has a key for.
    TcpExtTCPMD5Unexpected,
    /// TCP: segments dropped for a wrong MD5 signature.
    TcpExtTCPMD5Failure,
    /// TCP: segments dropped for want of an authentication option (RFC 5925).
    TcpExtTCPAORequired,
    /// TCP: segments dropped for a smaller TTL or hop limit than IP_MINTTL or IPV6_MINHOPCOUNT.
    TcpExtTCPMinTTLDrop,
    /// TCP: segments dropped for a wrong authentication option.
    TcpExtTCPAOBad,
    /// TCP: segments dropped for an authentication option whose key is not known.
    TcpExtTCPAOKeyNotFound,
    /// TCP: segments with a right authentication option.
    TcpExtTCPAOGood,
    /// TCP: ICMP errors not believed for a connection with authentication (RFC 5925 §7.8).
    TcpExtTCPAODroppedIcmps,
    /// IGMP: queries received.
    IgmpInQueries,
    /// IGMP: reports of versions 1 and 2 received.
    IgmpInReports,
    /// IGMP: messages malformed, with a bad checksum, or queries not to be believed.
    IgmpInErrors,
    /// IGMP: reports sent.
    IgmpOutReports,
    /// IGMP: leaves sent.
    IgmpOutLeaves,
    /// MLD: queries received.
    Icmp6InGroupMembQueries,
    /// MLD: reports of version 1 received.
    Icmp6InGroupMembResponses,
    /// MLD: reports of version 1 sent.
    Icmp6OutGroupMembResponses,
    /// MLD: leaves (done) sent.
    Icmp6OutGroupMembReductions,
    /// MLD: reports of version 2 sent.
    Icmp6OutMLDv2Reports,
    /// IGMP and MLD: queries about more sources of a group than are kept; its whole state answers.
    MulticastSourcesOverflow,
    /// DCCP: packets received.
    DccpInSegs,
    /// DCCP: packets sent.
    DccpOutSegs,
    /// DCCP: Resets sent.
    DccpOutRsts,
    /// DCCP: packets malformed, or with a bad checksum.
    DccpInErrs,
    /// DCCP: connections opened from here.
    DccpActiveOpens,
    /// DCCP: connections opened by others.
    DccpPassiveOpens,
    /// DCCP: packets that belong to no connection.
    DccpNoPorts,
    /// DCCP: Requests for a Service Code that nobody listens for.
    DccpBadService,
    /// DCCP: Requests refused and handshakes held up by a full accept queue.
    DccpListenOverflows,
    /// DCCP: Resets not sent, for too many.
    DccpResetsLimited,
    /// DCCP: Syncs and SyncAcks not sent, for too many.
    DccpSyncsLimited,
    /// DCCP: Syncs and SyncAcks whose numbers are wrong.
    DccpInvalidSyncs,
    /// DCCP: packets that had been received already.
    DccpDuplicates,
    /// DCCP: options that nobody knows, or whose value is wrong.
    DccpUnknownOptions,
    /// DCCP: data dropped as too little of it is covered by the checksum.
    DccpCoverageErrors,
    /// DCCP: data dropped as nobody reads it any more.
    DccpNotListening,
    /// DCCP: data dropped for a full receive buffer.
    DccpRcvbufErrors,
    /// DCCP: data dropped as it is not what its Data Checksum says.
    DccpInCsumErrors,
    /// DCCP: messages dropped that the path no longer carries.
    DccpTooBig,
    /// DCCP: messages given up for others, in a full queue with priorities.
    DccpQueueOverflows,
    /// DCCP: connections that did not wait for old packets, for too many.
    DccpTimeWaitOverflow,
    /// DCCP: Init Cookies sent.
    DccpCookiesSent,
    /// DCCP: Init Cookies that came back.
    DccpCookiesReceived,
    /// DCCP: Init Cookies that were wrong.
    DccpCookiesFailed,
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
    /// UDP-Lite: datagrams delivered.
    UdpLiteInDatagrams,
    /// UDP-Lite: datagrams for a port nobody has.
    UdpLiteNoPorts,
    /// UDP-Lite: datagrams malformed.
    UdpLiteInErrors,
    /// UDP-Lite: datagrams dropped for a full receive buffer.
    UdpLiteRcvbufErrors,
    /// UDP-Lite: datagrams with a bad checksum, or one that covers too little.
    UdpLiteInCsumErrors,
    /// UDP-Lite: datagrams sent.
    UdpLiteOutDatagrams,
    /// SCTP: associations that are established or being shut down.
    SctpCurrEstab,
    /// SCTP: associations established by this side's INIT.
    SctpActiveEstabs,
    /// SCTP: associations established by the peer's INIT.
    SctpPassiveEstabs,
    /// SCTP: associations ended by an ABORT.
    SctpAborteds,
    /// SCTP: associations ended by a shutdown.
    SctpShutdowns,
    /// SCTP: packets out of the blue.
    SctpOutOfBlues,
    /// SCTP: packets with a bad checksum.
    SctpChecksumErrors,
    /// SCTP: control chunks sent.
    SctpOutCtrlChunks,
    /// SCTP: ordered DATA chunks sent.
    SctpOutOrderChunks,
    /// SCTP: unordered DATA chunks sent.
    SctpOutUnorderChunks,
    /// SCTP: control chunks received.
    SctpInCtrlChunks,
    /// SCTP: ordered DATA chunks received.
    SctpInOrderChunks,
    /// SCTP: unordered DATA chunks received.
    SctpInUnorderChunks,
    /// SCTP: messages that were sent in several chunks.
    SctpFragUsrMsgs,
    /// SCTP: messages put together from several chunks.
    SctpReasmUsrMsgs,
    /// SCTP: packets sent.
    SctpOutSCTPPacks,
    /// SCTP: packets received.
    SctpInSCTPPacks,
    /// SCTP: T1-init ran out.
    SctpT1InitExpireds,
    /// SCTP: T1-cookie ran out.
    SctpT1CookieExpireds,
    /// SCTP: T2-shutdown ran out.
    SctpT2ShutdownExpireds,
    /// SCTP: T3-rtx ran out.
    SctpT3RtxExpireds,
    /// SCTP: the timer of ASCONF ran out.
    SctpT4RtoExpireds,
    /// SCTP: T5-shutdown-guard ran out.
    SctpT5ShutdownGuardExpireds,
    /// SCTP: the delay of a SACK ran out.
    SctpDelaySackExpireds,
    /// SCTP: idle associations that were closed (SCTP_AUTOCLOSE).
    SctpAutocloseExpireds,
    /// SCTP: chunks sent again as T3-rtx ran out.
    SctpT3Retransmits,
    /// SCTP: chunks sent again as the path became narrower.
    SctpPmtudRetransmits,
    /// SCTP: chunks sent again as SACKs did not report them.
    SctpFastRetransmits,
    /// SCTP: packets dropped: malformed, a wrong verification tag, nothing that fits the state.
    SctpInPktDiscards,
    /// SCTP: DATA chunks dropped: no room, or a wrong stream.
    SctpInDataChunkDiscards,
    /// SCTP: packets with a verification tag that is not the association's.
    SctpInBadTags,
    /// SCTP: state cookies that this node did not make.
    SctpCookiesForged,
    /// SCTP: state cookies that came too late.
    SctpCookiesStale,
    /// SCTP: state cookies of associations that have ended.
    SctpCookiesSpent,
    /// SCTP: packets that belong to no association and were not answered, as too many were.
    SctpOutOfBluesLimited,
    /// SCTP: SACKs that acknowledge what was never sent.
    SctpBogusSacks,
    /// SCTP: associations refused for a full accept queue.
    SctpListenOverflows,
    /// SCTP: associations refused at the limit of associations or of addresses.
    SctpAssociationLimits,
    /// SCTP: messages and notifications dropped for want of room in a socket's queue.
    SctpEventOverflows,
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
