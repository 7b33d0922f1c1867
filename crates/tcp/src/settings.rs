//! What the user sets on a socket. An accepted connection shares its listener's settings until
//! one of them is changed.

use core::time::Duration;
use sockeye_core::Config;
use sockeye_core::socket::{Domain, SocketCommon};

/// `net.ipv4.tcp_keepalive_time`: 2 hours.
const KEEP_IDLE: Duration = Duration::from_secs(7200);
/// `net.ipv4.tcp_keepalive_intvl`: 75 s.
const KEEP_INTERVAL: Duration = Duration::from_secs(75);
/// `net.ipv4.tcp_keepalive_probes`: 9.
const KEEP_COUNT: u32 = 9;

/// The options of a socket: those common to all, and tcp(7)'s.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Options of socket(7), ip(7), ipv6(7).
    pub(crate) common: SocketCommon,
    /// SO_KEEPALIVE
    pub(crate) keep_alive: bool,
    /// SO_OOBINLINE
    pub(crate) oob_inline: bool,
    /// SO_LINGER
    pub(crate) linger: Option<Duration>,
    /// SO_RCVBUF was set: the buffer does not tune itself any more.
    pub(crate) receive_buffer_locked: bool,
    /// SO_SNDBUF was set.
    pub(crate) send_buffer_locked: bool,
    /// SO_RCVLOWAT
    pub(crate) receive_low_water: usize,
    /// TCP_NODELAY
    pub(crate) no_delay: bool,
    /// TCP_CORK
    pub(crate) cork: bool,
    /// TCP_MAXSEG, or 0.
    pub(crate) max_segment: u16,
    /// TCP_KEEPIDLE
    pub(crate) keep_idle: Duration,
    /// TCP_KEEPINTVL
    pub(crate) keep_interval: Duration,
    /// TCP_KEEPCNT
    pub(crate) keep_count: u32,
    /// TCP_SYNCNT
    pub(crate) syn_retries: u32,
    /// TCP_LINGER2; `None`: an orphan does not wait in FIN-WAIT-2.
    pub(crate) linger2: Option<Duration>,
    /// TCP_USER_TIMEOUT
    pub(crate) user_timeout: Option<Duration>,
    /// TCP_CONGESTION, an index into `congestion::NAMES`.
    pub(crate) congestion: &'static str,
    /// TCP_NOTSENT_LOWAT, bytes.
    pub(crate) not_sent_low_water: u32,
    /// TCP_WINDOW_CLAMP, bytes; 0 for none.
    pub(crate) window_clamp: u32,
    /// TCP_DEFER_ACCEPT
    pub(crate) defer_accept: Option<Duration>,
}

impl Settings {
    pub(crate) fn new(domain: Domain, config: &Config) -> Self {
        let mut common = SocketCommon::new(domain, config);
        common.stream = true;
        common.receive_buffer = config.tcp_rmem.1;
        common.send_buffer = config.tcp_wmem.1;
        Self {
            common,
            keep_alive: false,
            oob_inline: false,
            linger: None,
            receive_buffer_locked: false,
            send_buffer_locked: false,
            receive_low_water: 1,
            no_delay: false,
            cork: false,
            max_segment: 0,
            keep_idle: KEEP_IDLE,
            keep_interval: KEEP_INTERVAL,
            keep_count: KEEP_COUNT,
            syn_retries: config.tcp_syn_retries,
            linger2: Some(config.tcp_fin_timeout),
            user_timeout: None,
            congestion: congestion_name(&config.tcp_congestion).unwrap_or("reno"),
            not_sent_low_water: u32::MAX,
            window_clamp: 0,
            defer_accept: None,
        }
    }
}

/// The controller's name as a constant, if there is one of that name.
pub(crate) fn congestion_name(name: &str) -> Option<&'static str> {
    let mut names = sockeye_core::congestion::NAMES.iter();
    names.find(|known| **known == name).copied()
}
