//! Settings of SCTP, by the names of `net.sctp`.

use core::time::Duration;

/// How SCTP behaves. The defaults are those of RFC 9260 §16 where it names one, else Linux's.
#[derive(Clone, Debug)]
pub struct SctpConfig {
    /// `rto_initial`: the RTO before any measurement: 1 s.
    pub rto_initial: Duration,
    /// `rto_min`: 1 s.
    pub rto_min: Duration,
    /// `rto_max`: 60 s.
    pub rto_max: Duration,
    /// `max_burst`: packets of new data that one SACK lets go: 4.
    pub max_burst: u32,
    /// `association_max_retrans`: 10.
    pub association_max_retrans: u32,
    /// `path_max_retrans`: 5.
    pub path_max_retrans: u32,
    /// `pf_retrans`: errors in a row after which a path is potentially failed (RFC 7829): 0.
    pub pf_retrans: u32,
    /// `pf_enable`: whether there is that state: on.
    pub pf_enable: bool,
    /// `pf_expose`: what users learn of that state: 0 the state when they ask, 1 nothing, 2 notifications
    /// too. 0, as in Linux.
    pub pf_expose: u32,
    /// `ps_retrans`: errors in a row of the primary path after which another takes its place for good
    /// (RFC 7829 §5); 65,535, as in Linux, for never.
    pub ps_retrans: u32,
    /// `max_init_retransmits`: 8.
    pub max_init_retransmits: u32,
    /// `valid_cookie_life`: 60 s.
    pub valid_cookie_life: Duration,
    /// `cookie_preserve_enable`: a peer may ask for a longer life: on.
    pub cookie_preserve_enable: bool,
    /// `hb_interval`: 30 s.
    pub hb_interval: Duration,
    /// `sack_timeout`: how long a SACK is delayed: 200 ms, at most 500.
    pub sack_timeout: Duration,
    /// `ecn_enable`: on.
    pub ecn_enable: bool,
    /// `prsctp_enable` (RFC 3758): on.
    pub prsctp_enable: bool,
    /// `reconf_enable` (RFC 6525): off, as in Linux.
    pub reconf_enable: bool,
    /// `intl_enable` (RFC 8260): off, as in Linux.
    pub intl_enable: bool,
    /// `auth_enable` (RFC 4895): off, as in Linux.
    pub auth_enable: bool,
    /// `addip_enable` (RFC 5061; it takes AUTH): off, as in Linux.
    pub addip_enable: bool,
    /// `default_auto_asconf`: new sockets have SCTP_AUTO_ASCONF (RFC 6458 §8.1.23): off, as in Linux.
    pub default_auto_asconf: bool,
    /// `addip_noauth_enable`: ASCONF is taken without AUTH, as no RFC wants it: off.
    pub addip_noauth_enable: bool,
    /// Checksums of zero are taken and sent where the lower layer protects data (RFC 9653): off.
    pub zero_checksum: bool,
    /// `udp_port`: SCTP over UDP is taken at it (RFC 6951: 9899); 0 for none.
    pub udp_port: u16,
    /// `encap_port`: the peers' port of SCTP over UDP; 0 for bare IP.
    pub encap_port: u16,
    /// `plpmtud_probe_interval`: time between probes of a path's MTU (RFC 8899); zero, as in Linux,
    /// for none.
    pub plpmtud_probe_interval: Duration,
    /// `sctp_rmem`: the receive buffer: min, default, max in bytes.
    pub rmem: (usize, usize, usize),
    /// `sctp_wmem`: the send buffer: min, default, max in bytes.
    pub wmem: (usize, usize, usize),
    /// Associations of a node in all: 65,536.
    pub associations_max: usize,
}

impl SctpConfig {
    /// The shortest [`plpmtud_probe_interval`](Self::plpmtud_probe_interval) but for none, as in Linux.
    pub const PROBE_INTERVAL_MIN: Duration = Duration::from_secs(5);
}

impl Default for SctpConfig {
    fn default() -> Self {
        Self {
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_secs(1),
            rto_max: Duration::from_secs(60),
            max_burst: 4,
            association_max_retrans: 10,
            path_max_retrans: 5,
            pf_retrans: 0,
            pf_enable: true,
            pf_expose: 0,
            ps_retrans: 0xffff,
            max_init_retransmits: 8,
            valid_cookie_life: Duration::from_secs(60),
            cookie_preserve_enable: true,
            hb_interval: Duration::from_secs(30),
            sack_timeout: Duration::from_millis(200),
            ecn_enable: true,
            prsctp_enable: true,
            reconf_enable: false,
            intl_enable: false,
            auth_enable: false,
            addip_enable: false,
            default_auto_asconf: false,
            addip_noauth_enable: false,
            zero_checksum: false,
            udp_port: 0,
            encap_port: 0,
            plpmtud_probe_interval: Duration::ZERO,
            rmem: (4096, 865_500, 4_194_304),
            wmem: (4096, 524_288, 4_194_304),
            associations_max: 65_536,
        }
    }
}
