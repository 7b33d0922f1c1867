//! What a socket is set to, and what its associations take over from it.

use crate::auth::{Algorithms, ChunkSet, SharedKeys};
use crate::info::{Events, InitMsg, PrInfo, SndInfo};
use crate::outbound::Discipline;
use crate::reconfig::Grants;
use crate::rto::RtoBounds;
use core::time::Duration;
use sockeye_core::demux::Endpoint;
use sockeye_core::socket::{Domain, SocketCommon};
use sockeye_core::{Config, Instant};
use std::net::SocketAddr;

/// The most streams that are asked for and allowed unless a socket says otherwise (Linux: 10 and
/// 65,535).
const STREAMS: (u16, u16) = (10, 65_535);
/// RFC 9260 §6.2: an acknowledgment for at least every second packet.
const SACK_FREQUENCY: u32 = 2;

/// RFC 9653 §8: the alternate error detection method of a lower layer that is DTLS.
const LOWER_LAYER_DTLS: u32 = 1;

/// `ps_retrans`: the primary path stays what it is.
const PS_NEVER: u32 = 0xffff;

/// What belongs to one path (SCTP_PEER_ADDR_PARAMS, SCTP_PEER_ADDR_THLDS,
/// SCTP_REMOTE_UDP_ENCAPS_PORT, SCTP_PLPMTUD_PROBE_INTERVAL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathSettings {
    /// Heartbeats are sent.
    pub heartbeat: bool,
    /// HB.interval.
    pub heartbeat_interval: Duration,
    /// Path.Max.Retrans.
    pub retransmits_max: u32,
    /// Errors after which it is potentially failed (RFC 7829).
    pub potentially_failed_at: u32,
    /// Errors of the primary path after which another that answers takes its place (RFC 7829 §5:
    /// PSMR); [`u32::MAX`] for never.
    pub switch_primary_at: u32,
    /// Its MTU is discovered; else it is `mtu`.
    pub pmtu_discovery: bool,
    /// The MTU that its user fixed; 0 for none.
    pub mtu: u32,
    /// The peer's port of SCTP over UDP; 0 for bare IP.
    pub encap_port: u16,
    /// DSCP and ECN bits where they differ from the socket's.
    pub traffic_class: Option<u8>,
    /// The flow label of IPv6.
    pub flow_label: u32,
    /// How long a probe of its MTU waits for its answer (RFC 8899); zero: it is not probed.
    pub probe_interval: Duration,
}

/// What a socket is set to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The options of every socket.
    pub(crate) common: SocketCommon,
    /// RTO.Initial, RTO.Min, RTO.Max (SCTP_RTOINFO).
    pub rto: RtoBounds,
    /// How an association is begun (SCTP_INITMSG).
    pub init: InitMsg,
    /// Association.Max.Retrans.
    pub retransmits_max: u32,
    /// Valid.Cookie.Life.
    pub cookie_life: Duration,
    /// What new paths are set to (SCTP_PEER_ADDR_PARAMS).
    pub path: PathSettings,
    /// How long an acknowledgment waits (SCTP_DELAYED_SACK).
    pub sack_delay: Duration,
    /// With how many packets it waits no longer; 1 for none.
    pub sack_frequency: u32,
    /// SCTP_NODELAY.
    pub no_delay: bool,
    /// SCTP_DISABLE_FRAGMENTS.
    pub no_fragments: bool,
    /// SCTP_MAXSEG; 0 for what the path takes.
    pub fragment_max: u32,
    /// SCTP_MAX_BURST; 0 for no limit.
    pub max_burst: u32,
    /// Notifications that its user reads (SCTP_EVENT).
    pub events: Events,
    /// SCTP_DEFAULT_SNDINFO.
    pub send_info: SndInfo,
    /// SCTP_CONTEXT.
    pub context: u32,
    /// SO_LINGER.
    pub linger: Option<Duration>,
    /// SCTP_AUTOCLOSE; zero for none.
    pub autoclose: Duration,
    /// SCTP_ADAPTATION_LAYER.
    pub adaptation: Option<u32>,
    /// SCTP_ECN_SUPPORTED.
    pub ecn: bool,
    /// SCTP_PR_SUPPORTED.
    pub partial_reliability: bool,
    /// SCTP_RECONFIG_SUPPORTED.
    pub reconfiguration: bool,
    /// SCTP_INTERLEAVING_SUPPORTED.
    pub interleaving: bool,
    /// SCTP_AUTH_SUPPORTED.
    pub authentication: bool,
    /// SCTP_ASCONF_SUPPORTED.
    pub address_configuration: bool,
    /// `addip_noauth_enable`: addresses change without authentication, too.
    pub(crate) unsigned_addresses: bool,
    /// SCTP_ENABLE_STREAM_RESET.
    pub grants: Grants,
    /// SCTP_STREAM_SCHEDULER.
    pub(crate) discipline: Discipline,
    /// SCTP_PARTIAL_DELIVERY_POINT; 0 for never.
    pub partial_delivery_point: usize,
    /// SCTP_DEFAULT_PRINFO.
    pub reliability: PrInfo,
    /// SCTP_AUTH_CHUNK: what is taken authenticated only.
    pub(crate) signed_chunks: ChunkSet,
    /// SCTP_AUTH_KEY, SCTP_AUTH_ACTIVE_KEY.
    pub(crate) keys: SharedKeys,
    /// The alternate error detection method that the layer below has (RFC 9653), if any.
    pub(crate) error_detection: Option<u32>,
    /// SCTP_AUTO_ASCONF (RFC 6458 §8.1.23): addresses that the node gets and loses are added to and
    /// struck from the associations of a socket that is bound to all of them.
    pub auto_asconf: bool,
    /// SCTP_EXPOSE_POTENTIALLY_FAILED_STATE.
    pub pf_exposure: PfExposure,
    /// SCTP_HMAC_IDENT.
    pub(crate) algorithms: Algorithms,
    /// What the face of the socket heeds.
    pub told: Told,
}

/// What a user learns of paths that are potentially failed (RFC 7829 §7.3, with Linux's third way).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PfExposure {
    /// SCTP_PF_EXPOSE_UNSET: the state, when it is asked for.
    #[default]
    State,
    /// SCTP_PF_EXPOSE_DISABLE: nothing.
    Nothing,
    /// SCTP_PF_EXPOSE_ENABLE: notifications, too.
    Notifications,
}

/// What a user is told with what is read, which is the face's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// SCTP_EVENTS' sctp_data_io_event: SCTP_SNDRCV with each message.
    pub data_io: bool,
    /// SCTP_RECVRCVINFO: SCTP_RCVINFO with each message.
    pub receive_info: bool,
    /// SCTP_RECVNXTINFO: SCTP_NXTINFO where there is a next message.
    pub next_info: bool,
    /// What could not be sent is told as SCTP_SEND_FAILED, with SCTP_SNDRCV's structure.
    pub old_send_failed: bool,
    /// SCTP_FRAGMENT_INTERLEAVE: 0 to 2.
    pub interleave: u32,
    /// SCTP_I_WANT_MAPPED_V4_ADDR is off.
    pub plain_v4: bool,
}

impl Settings {
    /// The number of the scheduler, as [`set_scheduler`](crate::Sctp::set_scheduler) takes it.
    #[must_use]
    pub fn scheduler(&self) -> u32 {
        self.discipline.number()
    }

    /// Bytes of the receive buffer (SO_RCVBUF).
    #[must_use]
    pub const fn receive_buffer(&self) -> usize {
        self.common.receive_buffer
    }

    /// An address as the socket's user sees it: one of IPv4 mapped into IPv6 where the socket is one of
    /// IPv6, unless he wants it plain (SCTP_I_WANT_MAPPED_V4_ADDR).
    pub(crate) fn show(&self, endpoint: Endpoint) -> SocketAddr {
        let shown = self.common.show(endpoint);
        match self.told.plain_v4 {
            true => SocketAddr::new(shown.ip().to_canonical(), shown.port()),
            false => shown,
        }
    }

    /// SCTP_REUSE_PORT, which is SO_REUSEPORT.
    #[must_use]
    pub const fn reuse_port(&self) -> bool {
        self.common.reuse_port
    }

    pub(crate) fn new(domain: Domain, config: &Config) -> Self {
        let sctp = &config.sctp;
        let mut common = SocketCommon::new(domain, config);
        common.receive_buffer = sctp.rmem.1;
        common.send_buffer = sctp.wmem.1;
        Self {
            common,
            rto: RtoBounds {
                initial: sctp.rto_initial,
                min: sctp.rto_min,
                max: sctp.rto_max,
            },
            init: InitMsg {
                out_streams: STREAMS.0,
                in_streams_max: STREAMS.1,
                attempts_max: u16::try_from(sctp.max_init_retransmits).unwrap_or(u16::MAX),
                timeout_max: Duration::ZERO,
            },
            retransmits_max: sctp.association_max_retrans,
            cookie_life: sctp.valid_cookie_life,
            path: PathSettings {
                heartbeat: true,
                heartbeat_interval: sctp.hb_interval,
                retransmits_max: sctp.path_max_retrans,
                potentially_failed_at: match sctp.pf_enable {
                    true => sctp.pf_retrans,
                    false => u32::MAX,
                },
                switch_primary_at: match sctp.ps_retrans {
                    PS_NEVER => u32::MAX,
                    errors => errors,
                },
                pmtu_discovery: true,
                mtu: 0,
                encap_port: sctp.encap_port,
                traffic_class: None,
                flow_label: 0,
                probe_interval: sctp.plpmtud_probe_interval,
            },
            sack_delay: sctp.sack_timeout.min(SACK_DELAY_MAX),
            sack_frequency: SACK_FREQUENCY,
            no_delay: false,
            no_fragments: false,
            fragment_max: 0,
            max_burst: sctp.max_burst,
            events: Events::default(),
            send_info: SndInfo::default(),
            context: 0,
            linger: None,
            autoclose: Duration::ZERO,
            adaptation: None,
            ecn: sctp.ecn_enable,
            partial_reliability: sctp.prsctp_enable,
            reconfiguration: sctp.reconf_enable,
            interleaving: sctp.intl_enable,
            authentication: sctp.auth_enable,
            address_configuration: sctp.addip_enable,
            unsigned_addresses: sctp.addip_noauth_enable,
            grants: Grants::empty(),
            discipline: Discipline::default(),
            partial_delivery_point: 0,
            reliability: PrInfo::None,
            signed_chunks: ChunkSet::default(),
            keys: SharedKeys::default(),
            error_detection: sctp.zero_checksum.then_some(LOWER_LAYER_DTLS),
            auto_asconf: sctp.default_auto_asconf,
            pf_exposure: match sctp.pf_expose {
                1 => PfExposure::Nothing,
                2 => PfExposure::Notifications,
                _ => PfExposure::State,
            },
            algorithms: Algorithms::default(),
            told: Told::default(),
        }
    }
}

/// RFC 9260 §6.2: SACK.Delay must not be more than 500 ms.
pub(crate) const SACK_DELAY_MAX: Duration = Duration::from_millis(500);

/// When something that lasts `time` from `now` ends; zero is never.
pub(crate) fn end_of(now: Instant, time: Duration) -> Instant {
    match time {
        Duration::ZERO => Instant::FAR,
        time => now + time,
    }
}
