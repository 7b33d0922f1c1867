//! A node's settings, with Linux's names and defaults where Linux has them.

mod dccp;
mod ipv6;
mod sctp;

pub use ipv6::{AddrGenMode, Ipv6Config};
mod interface;

pub use dccp::DccpConfig;
pub use sctp::SctpConfig;

pub use interface::{FamilySettings, InterfaceSettings, Interfaces, ReversePath};

use crate::AddressPolicy;
use core::time::Duration;
use std::collections::BTreeMap;

/// Settings of a node. All have defaults; `Config { ttl: 1, ..Config::default() }` changes one.
#[derive(Clone, Debug)]
pub struct Config {
    /// `net.ipv4.ip_default_ttl`, and hop limit: 64.
    pub ttl: u8,
    /// `net.ipv4.ip_local_port_range`: 32768 to 60999.
    pub local_ports: (u16, u16),
    /// Sockets of a node in all: 1,048,576.
    pub sockets_max: usize,
    /// `net.core.somaxconn`: the largest backlog, 4096.
    pub backlog_max: usize,
    /// `net.unix.max_dgram_qlen`: datagrams that wait at a node-internal socket, 10.
    pub unix_max_dgram_qlen: usize,
    /// `net.ipv4.tcp_max_syn_backlog`: half-open connections of one listener, 4096.
    pub syn_backlog_max: usize,
    /// `net.ipv4.igmp_max_memberships`: IPv4 groups that one socket may join: 20.
    pub igmp_max_memberships: usize,
    /// `net.ipv4.igmp_max_msf` and `net.ipv6.mld_max_msf`: sources that one socket may list for a
    /// group: 10 and 64.
    pub igmp_max_msf: usize,
    /// See `igmp_max_msf`.
    pub mld_max_msf: usize,
    /// `net.ipv4.igmp_qrv` and `net.ipv6.mld_qrv`: how often a change is reported where no querier
    /// says it, 1 to 7: 2.
    pub igmp_qrv: u8,
    /// See `igmp_qrv`.
    pub mld_qrv: u8,
    /// `net.ipv4.igmp_link_local_mcast_reports`: groups of 224.0.0.0/24 are reported too: on.
    pub igmp_link_local_mcast_reports: bool,
    /// `net.ipv4.tcp_rmem`: min, default, max in bytes.
    pub tcp_rmem: (usize, usize, usize),
    /// `net.ipv4.tcp_wmem`: min, default, max in bytes.
    pub tcp_wmem: (usize, usize, usize),
    /// `net.ipv4.tcp_mem`: what connections hold in all, of received text and text to be sent: low,
    /// pressure and high in pages of 4096 bytes: 192, 256, 384 MiB.
    pub tcp_mem: (usize, usize, usize),
    /// `net.ipv4.tcp_moderate_rcvbuf`: receive buffers tune themselves: on.
    pub tcp_moderate_rcvbuf: bool,
    /// `net.ipv4.tcp_notsent_lowat`: where TCP_NOTSENT_LOWAT is 0; no limit.
    pub tcp_notsent_lowat: u32,
    /// `net.ipv4.tcp_max_orphans`: connections that nobody holds any more and that are not done;
    /// one more is reset: 65,536.
    pub tcp_max_orphans: usize,
    /// `net.core.rmem_default` and `rmem_max` in bytes, for datagram sockets.
    pub rmem: (usize, usize),
    /// `net.core.wmem_default` and `wmem_max` in bytes, for datagram sockets.
    pub wmem: (usize, usize),
    /// `net.ipv4.tcp_syn_retries`: 6.
    pub tcp_syn_retries: u32,
    /// `net.ipv4.tcp_synack_retries`: 5.
    pub tcp_synack_retries: u32,
    /// `net.ipv4.tcp_syn_linear_timeouts`: SYNs sent again without backing off. Linux says 4 since
    /// 6.5; here 0, as RFC 6298 §5 (5.5) and tcp(7) have it.
    pub tcp_syn_linear_timeouts: u32,
    /// `net.ipv4.tcp_syncookies`: when SYNs are answered with nothing kept of them.
    pub tcp_syn_cookies: SynCookies,
    /// `net.ipv4.tcp_abort_on_overflow`: a full accept queue resets who completes a handshake. Off.
    pub tcp_abort_on_overflow: bool,
    /// `net.ipv4.tcp_migrate_req`: what waits at a listener that closes goes to another one of its
    /// group (SO_REUSEPORT). Off.
    pub tcp_migrate_req: bool,
    /// `net.ipv4.tcp_fastopen`: on for clients.
    pub tcp_fast_open: FastOpenMode,
    /// `net.ipv4.tcp_fastopen_key`: the keys of cookies that this node gives out, the one in use
    /// first; without one they come from the node's randomness.
    pub tcp_fast_open_keys: Vec<[u8; 16]>,
    /// `net.ipv4.tcp_fastopen_blackhole_timeout_sec`: how long active Fast Open pauses when it seems
    /// to be dropped on the way; zero, as in Linux, for never.
    pub tcp_fast_open_pause: Duration,
    /// `net.ipv4.tcp_retries2`: 15.
    pub tcp_retries2: u32,
    /// `net.ipv4.tcp_fin_timeout`: 60 s.
    pub tcp_fin_timeout: Duration,
    /// How long a TCP connection has to be at rest, with others in use, before it is kept in as little
    /// memory as it needs; `None`: never; zero: at once. 1 s.
    pub tcp_pack_idle: Option<Duration>,
    /// TIME-WAIT lasts this long (2 MSL; Linux: 60 s).
    pub tcp_time_wait: Duration,
    /// `net.ipv4.tcp_max_tw_buckets`: 262,144.
    pub tcp_time_wait_max: usize,
    /// `net.ipv4.tcp_window_scaling`: on.
    pub tcp_window_scaling: bool,
    /// `net.ipv4.tcp_timestamps`: on.
    pub tcp_timestamps: bool,
    /// `net.ipv4.tcp_sack`: on.
    pub tcp_sack: bool,
    /// `net.ipv4.tcp_ecn`: 0 off, 1 asks for ECN and grants it, 2 grants it, 3 asks for accurate
    /// ECN and grants it, 4 asks for ECN and grants accurate ECN, 5 grants accurate ECN: 2.
    pub tcp_ecn: u8,
    /// `net.ipv4.tcp_early_retrans`: whether the tail of a flight is probed (RFC 8985 §7): on.
    pub tcp_tail_probes: bool,
    /// `net.ipv4.tcp_mtu_probing` (RFC 4821): 0 off, 1 when a path seems to be a black hole, 2 always: 1.
    pub tcp_mtu_probing: u8,
    /// `net.ipv4.tcp_base_mss`: where the search for a path's size begins: 1024 bytes.
    pub tcp_base_mss: u32,
    /// `net.ipv4.tcp_probe_interval`: a search that is over begins anew after this time, since the path may
    /// take more by then: 600 s.
    pub tcp_probe_interval: Duration,
    /// `net.ipv4.tcp_probe_threshold`: the search is over when fewer bytes than this are left between the
    /// sizes that arrive and those that don't: 8.
    pub tcp_probe_threshold: u32,
    /// `net.ipv4.tcp_frto`: whether spurious time-outs are found out (RFC 5682): on.
    pub tcp_frto: bool,
    /// `net.ipv4.tcp_slow_start_after_idle`: an idle sender starts again slowly (RFC 5681 §4.1). Off, and
    /// what a sender does not use of its window is kept for five minutes (RFC 7661).
    pub tcp_slow_start_after_idle: bool,
    /// Whether senders space what they send by the window and the round trip, as Linux does with the
    /// queueing discipline fq. BBR and `SO_MAX_PACING_RATE` do it anyhow: off.
    pub tcp_pacing: bool,
    /// `net.ipv4.tcp_pacing_ss_ratio` and `tcp_pacing_ca_ratio`: percent of the window that a paced round
    /// trip takes in slow start and after it: 200 and 120.
    pub tcp_pacing_ratios: (u32, u32),
    /// `net.ipv4.tcp_min_tso_segs`: segments of a burst at least: 2.
    pub tcp_min_tso_segs: u32,
    /// `net.ipv4.tcp_stdurg`: the urgent pointer means the last urgent octet, as RFC 1122 had it, not
    /// the one behind it; off. Unlike Linux's it holds for what is sent, too.
    pub tcp_stdurg: bool,
    /// How CUBIC's slow start ends without a loss: HyStart++ (RFC 9406); or as Linux's does.
    pub tcp_hystart: crate::congestion::HystartKind,
    /// `net.ipv4.tcp_congestion_control`: cubic.
    pub tcp_congestion: String,
    /// Programs may do to their sockets what takes CAP_NET_ADMIN on Linux: SO_DEBUG, SO_PRIORITY
    /// above 6, SO_RCVBUFFORCE and SO_SNDBUFFORCE.
    pub net_admin: bool,
    /// The capability of raw sockets: raw and packet sockets may be opened (else EPERM). Ping sockets
    /// need none. On.
    pub raw_sockets: bool,
    /// A second capability beside it: what raw and packet sockets send may come from addresses that
    /// are not the node's, of IP and of the link (else EPERM). Off.
    pub foreign_sources: bool,
    /// `net.ipv4.conf.default.accept_redirects`: routers may name a better one: on.
    pub accept_redirects: bool,
    /// Which addresses are chosen as sources, and tried first as destinations (RFC 6724 §2.1).
    pub address_policy: AddressPolicy,
    /// `net.ipv6.conf.default`: how interfaces configure themselves of which nothing else is said; see
    /// [`ipv6_of`](Self::ipv6_of).
    pub ipv6: Ipv6Config,
    /// `net.ipv6.conf.IFACE`: how single interfaces do.
    pub ipv6_named: BTreeMap<String, Ipv6Config>,
    /// Entries of the neighbour table of one interface: 1024 (`gc_thresh3`).
    pub neighbours_max: usize,
    /// Bytes held for reassembly in all: 4 MiB (`ipfrag_high_thresh`).
    pub reassembly_max: usize,
    /// ICMP errors a second, and in one burst: 1000 and 50 (`icmp_msgs_per_sec`, `_burst`).
    pub icmp_errors: (u32, u32),
    /// Time between ICMP errors to one destination, six of which it may get at once; zero for no
    /// such limit: 1 s (`net.ipv4.icmp_ratelimit`).
    pub icmp_ratelimit: Duration,
    /// The same for ICMPv6 (`net.ipv6.icmp.ratelimit`): 1 s.
    pub icmp_ratelimit_v6: Duration,
    /// `net.dccp`: how DCCP behaves.
    pub dccp: DccpConfig,
    /// `net.sctp`: how SCTP behaves.
    pub sctp: SctpConfig,
    /// What is set for single interfaces: `net.ipv4.conf`, `net.ipv6.conf`.
    pub interfaces: Interfaces,
    /// Intercepted flows that wait for an answer: 4096.
    pub intercept_backlog: usize,
}

impl Config {
    /// How the interface `name` configures itself.
    #[must_use]
    pub fn ipv6_of(&self, name: &str) -> &Ipv6Config {
        // The usual node has none of its own.
        self.ipv6_named.get(name).unwrap_or(&self.ipv6)
    }

    /// The same, to be changed for this interface alone.
    pub fn ipv6_of_mut(&mut self, name: &str) -> &mut Ipv6Config {
        let Self {
            ipv6, ipv6_named, ..
        } = self;
        ipv6_named
            .entry(name.into())
            .or_insert_with(|| ipv6.clone())
    }
}

/// When a listener answers SYNs statelessly (RFC 4987 §3.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SynCookies {
    /// Never: a full SYN queue drops (`tcp_syncookies` = 0).
    Never,
    /// When the SYN queue is full (1).
    #[default]
    WhenFull,
    /// Always (2): for tests.
    Always,
}

bitflags::bitflags! {
    /// What of TCP Fast Open is allowed (RFC 7413), in the bits of `net.ipv4.tcp_fastopen`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FastOpenMode: u32 {
        /// Connecting sockets may send text on their SYN.
        const CLIENT = 0x1;
        /// Listeners may take it.
        const SERVER = 0x2;
        /// Connecting sockets send it without a cookie too.
        const CLIENT_WITHOUT_COOKIE = 0x4;
        /// Listeners take it without a cookie too.
        const SERVER_WITHOUT_COOKIE = 0x200;
        /// Listeners take it without having TCP_FASTOPEN set.
        const SERVER_WITHOUT_OPTION = 0x400;
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: 64,
            local_ports: (32_768, 60_999),
            sockets_max: 1 << 20,
            backlog_max: 4096,
            unix_max_dgram_qlen: 10,
            syn_backlog_max: 4096,
            igmp_max_memberships: 20,
            igmp_max_msf: 10,
            mld_max_msf: 64,
            igmp_qrv: 2,
            mld_qrv: 2,
            igmp_link_local_mcast_reports: true,
            tcp_rmem: (4096, 131_072, 6_291_456),
            tcp_wmem: (4096, 16_384, 4_194_304),
            tcp_mem: (192 << 8, 256 << 8, 384 << 8),
            tcp_moderate_rcvbuf: true,
            tcp_notsent_lowat: u32::MAX,
            tcp_max_orphans: 65_536,
            rmem: (212_992, 212_992),
            wmem: (212_992, 212_992),
            tcp_syn_retries: 6,
            tcp_synack_retries: 5,
            tcp_syn_linear_timeouts: 0,
            tcp_syn_cookies: SynCookies::WhenFull,
            tcp_abort_on_overflow: false,
            tcp_migrate_req: false,
            tcp_fast_open: FastOpenMode::CLIENT,
            tcp_fast_open_keys: Vec::new(),
            tcp_fast_open_pause: Duration::ZERO,
            tcp_retries2: 15,
            tcp_fin_timeout: Duration::from_secs(60),
            tcp_pack_idle: Some(Duration::from_secs(1)),
            tcp_time_wait: Duration::from_secs(60),
            tcp_time_wait_max: 262_144,
            tcp_window_scaling: true,
            tcp_timestamps: true,
            tcp_sack: true,
            tcp_ecn: 2,
            tcp_tail_probes: true,
            tcp_mtu_probing: 1,
            tcp_base_mss: 1024,
            tcp_probe_interval: Duration::from_secs(600),
            tcp_probe_threshold: 8,
            tcp_frto: true,
            tcp_slow_start_after_idle: false,
            tcp_pacing: false,
            tcp_pacing_ratios: (200, 120),
            tcp_min_tso_segs: 2,
            tcp_stdurg: false,
            tcp_hystart: crate::congestion::HystartKind::PlusPlus,
            tcp_congestion: "cubic".into(),
            net_admin: false,
            raw_sockets: true,
            foreign_sources: false,
            accept_redirects: true,
            address_policy: AddressPolicy::default(),
            ipv6: Ipv6Config::default(),
            ipv6_named: BTreeMap::new(),
            neighbours_max: 1024,
            reassembly_max: 4 << 20,
            icmp_errors: (1000, 50),
            icmp_ratelimit: Duration::from_secs(1),
            icmp_ratelimit_v6: Duration::from_secs(1),
            dccp: DccpConfig::default(),
            sctp: SctpConfig::default(),
            interfaces: Interfaces::default(),
            intercept_backlog: 4096,
        }
    }
}
