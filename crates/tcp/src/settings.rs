//! What the user sets on a socket, and what each option takes. An accepted connection shares its
//! listener's settings until one of them is changed.

use crate::State;
use crate::half_open;
use crate::rtt::{RTO_MAX, RTO_MIN};
use crate::saved_syn::SaveSyn;
use core::time::Duration;
use smallvec::SmallVec;
use sockeye_core::socket::{Domain, RECEIVE_BUFFER_MIN, SocketCommon};
use sockeye_core::{Config, Error, Instant, OptionValue, SocketOption};
use std::sync::Arc;

/// `net.ipv4.tcp_keepalive_time`: 2 hours (RFC 9293 §3.8.4, MUST-28).
const KEEP_IDLE: Duration = Duration::from_secs(7200);
/// `net.ipv4.tcp_keepalive_intvl`: 75 s.
const KEEP_INTERVAL: Duration = Duration::from_secs(75);
/// `net.ipv4.tcp_keepalive_probes`: 9.
const KEEP_COUNT: u32 = 9;
/// The least that TCP_MAXSEG takes, and the most (tcp(7)).
const MAX_SEGMENT: core::ops::RangeInclusive<i32> = 88..=32_767;
/// What tcp(7) says that TCP_MAXSEG is before a connection stands.
const MAX_SEGMENT_DEFAULT: i32 = 536;
/// The least that TCP_WINDOW_CLAMP holds the window to.
const WINDOW_CLAMP_MIN: i32 = (RECEIVE_BUFFER_MIN / 2) as i32;
/// The longest that TCP_LINGER2 waits.
const LINGER2_MAX: Duration = Duration::from_secs(120);
/// What the list of options counts their times in.
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const MICROSECOND: Duration = Duration::from_micros(1);
/// SO_BUF_LOCK: SOCK_SNDBUF_LOCK and SOCK_RCVBUF_LOCK.
const SEND_LOCK: i32 = 1;
const RECEIVE_LOCK: i32 = 2;

/// Keys that Fast Open cookies are made of, the one in use first.
pub(crate) type FastOpenKeys = SmallVec<[[u8; 16]; 2]>;

/// The options of a socket: those common to all, and tcp(7)'s.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Options of socket(7), ip(7), ipv6(7).
    pub(crate) common: SocketCommon,
    /// SO_DEBUG
    pub(crate) debug: bool,
    /// SO_DONTROUTE
    pub(crate) dont_route: bool,
    /// SO_KEEPALIVE, off (RFC 9293 §3.8.4, MUST-25)
    pub(crate) keep_alive: bool,
    /// SO_OOBINLINE
    pub(crate) oob_inline: bool,
    /// SO_NO_CHECK
    pub(crate) no_check: bool,
    /// SO_LINGER
    pub(crate) linger: Option<Duration>,
    /// SO_RCVBUF was set: the buffer does not tune itself any more.
    pub(crate) receive_buffer_locked: bool,
    /// SO_SNDBUF was set.
    pub(crate) send_buffer_locked: bool,
    /// SO_RCVLOWAT
    pub(crate) receive_low_water: usize,
    /// SO_RXQ_OVFL
    pub(crate) overflow_count: bool,
    /// SO_PEEK_OFF: where the next peek starts; below zero it is not kept.
    pub(crate) peek_offset: i32,
    /// SO_LOCK_FILTER
    pub(crate) lock_filter: bool,
    /// SO_SELECT_ERR_QUEUE
    pub(crate) select_error_queue: bool,
    /// SO_MAX_PACING_RATE, bytes a second; `u64::MAX` for no limit.
    pub(crate) max_pacing_rate: u64,
    /// SO_INCOMING_CPU
    incoming_cpu: i32,
    /// SO_TXREHASH
    pub(crate) transmit_rehash: bool,
    /// IP_BIND_ADDRESS_NO_PORT
    pub(crate) bind_address_no_port: bool,
    /// TCP_NODELAY
    pub(crate) no_delay: bool,
    /// TCP_CORK
    pub(crate) cork: bool,
    /// TCP_INQ
    pub(crate) inq: bool,
    /// TCP_MAXSEG, or 0.
    pub(crate) max_segment: u16,
    /// TCP_KEEPIDLE (RFC 9293 §3.8.4, MUST-27)
    pub(crate) keep_idle: Duration,
    /// TCP_KEEPINTVL
    pub(crate) keep_interval: Duration,
    /// TCP_KEEPCNT
    pub(crate) keep_count: u32,
    /// TCP_SYNCNT, or 0: what the node says of SYNs, or of SYNs and ACKs.
    pub(crate) syn_retries: u32,
    /// TCP_LINGER2; `None`: an orphan does not wait in FIN-WAIT-2.
    pub(crate) linger2: Option<Duration>,
    /// TCP_USER_TIMEOUT
    pub(crate) user_timeout: Option<Duration>,
    /// TCP_QUICKACK, before there is a connection.
    pub(crate) quick_ack: bool,
    /// TCP_CONGESTION, an index into `congestion::NAMES`.
    pub(crate) congestion: &'static str,
    /// TCP_THIN_LINEAR_TIMEOUTS
    pub(crate) thin_linear_timeouts: bool,
    /// TCP_NOTSENT_LOWAT, bytes; 0 for the node's, which is the other.
    pub(crate) not_sent_low_water: u32,
    not_sent_default: u32,
    /// TCP_WINDOW_CLAMP, bytes; 0 for none.
    pub(crate) window_clamp: u32,
    /// `net.ipv4.tcp_early_retrans`: tails are probed (RFC 8985 §7).
    pub(crate) tail_probes: bool,
    /// TCP_DEFER_ACCEPT, as the number of times that an answer to a SYN times out meanwhile; 0 for
    /// none.
    pub(crate) defer_accept: u8,
    /// TCP_SAVE_SYN
    pub(crate) save_syn: SaveSyn,
    /// TCP_FASTOPEN: connections of a listener that may be unproven at a time.
    pub(crate) fast_open_queue: u32,
    /// TCP_FASTOPEN_KEY, the key in use first.
    pub(crate) fast_open_keys: Option<FastOpenKeys>,
    /// TCP_FASTOPEN_CONNECT
    pub(crate) fast_open_connect: bool,
    /// TCP_FASTOPEN_NO_COOKIE
    pub(crate) fast_open_no_cookie: bool,
    /// TCP_RTO_MIN_US: the least that is added to SRTT.
    pub(crate) rto_min: Duration,
    /// TCP_RTO_MAX_MS
    pub(crate) rto_max: Duration,
    /// TCP_DELACK_MAX_US
    pub(crate) delayed_ack_max: Duration,
}

impl Settings {
    pub(crate) fn new(domain: Domain, config: &Config) -> Self {
        let mut common = SocketCommon::new(domain, config);
        common.stream = true;
        common.receive_buffer = config.tcp_rmem.1;
        common.send_buffer = config.tcp_wmem.1;
        Self {
            common,
            debug: false,
            dont_route: false,
            keep_alive: false,
            oob_inline: false,
            no_check: false,
            linger: None,
            receive_buffer_locked: false,
            send_buffer_locked: false,
            receive_low_water: 1,
            overflow_count: false,
            peek_offset: -1,
            lock_filter: false,
            select_error_queue: false,
            max_pacing_rate: u64::MAX,
            incoming_cpu: -1,
            transmit_rehash: true,
            bind_address_no_port: false,
            no_delay: false,
            cork: false,
            inq: false,
            max_segment: 0,
            keep_idle: KEEP_IDLE,
            keep_interval: KEEP_INTERVAL,
            keep_count: KEEP_COUNT,
            syn_retries: 0,
            linger2: Some(config.tcp_fin_timeout),
            user_timeout: None,
            quick_ack: true,
            congestion: congestion_name(&config.tcp_congestion).unwrap_or("reno"),
            thin_linear_timeouts: false,
            not_sent_low_water: 0,
            not_sent_default: config.tcp_notsent_lowat,
            window_clamp: 0,
            tail_probes: config.tcp_tail_probes,
            defer_accept: 0,
            save_syn: SaveSyn::Nothing,
            fast_open_queue: 0,
            fast_open_keys: None,
            fast_open_connect: false,
            fast_open_no_cookie: false,
            rto_min: RTO_MIN,
            rto_max: RTO_MAX,
            delayed_ack_max: RTO_MIN,
        }
    }

    /// What a connection has of its listener's: Linux keeps the IPv4 options from it.
    pub(crate) fn of_connection(mut listeners: Arc<Self>) -> Arc<Self> {
        let extras = listeners.common.internet.extras();
        if extras.is_some_and(|extras| extras.options.is_some()) {
            let internet = &mut Arc::make_mut(&mut listeners).common.internet;
            internet.forget_options();
        }
        listeners
    }

    /// What an accepted connection has of its listener's: all but what Linux begins anew.
    pub(crate) fn of_accepted(mut listeners: Arc<Self>) -> Arc<Self> {
        if listeners.common.tags.priority != 0 || listeners.defer_accept > 0 {
            let own = Arc::make_mut(&mut listeners);
            own.common.tags.priority = 0;
            own.defer_accept = 0;
        }
        listeners
    }

    /// Sets `option` where it is kept.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] when a stream has none of that name, [`Error::Invalid`] when the
    /// value is out of range or not for `state`, and what a program may not set.
    pub(crate) fn set(
        &mut self,
        state: State,
        option: SocketOption,
        value: &OptionValue,
        config: &Config,
    ) -> Result<(), Error> {
        if let Some(flag) = self.flag(option) {
            *flag = value.flag()?;
            return Ok(());
        }
        match option {
            SocketOption::Debug if value.flag()? && !config.net_admin => return Err(Error::Access),
            SocketOption::Debug => self.debug = value.flag()?,
            SocketOption::Linger => self.linger = value.time()?,
            SocketOption::ReceiveBuffer | SocketOption::ReceiveBufferForce => {
                self.common.set_option(option, value)?;
                self.receive_buffer_locked = true;
            }
            SocketOption::SendBuffer | SocketOption::SendBufferForce => {
                self.common.set_option(option, value)?;
                self.send_buffer_locked = true;
            }
            SocketOption::BufferLock => {
                let locks = option.number(value)?;
                self.send_buffer_locked = locks & SEND_LOCK != 0;
                self.receive_buffer_locked = locks & RECEIVE_LOCK != 0;
            }
            SocketOption::ReceiveLowWater => self.set_low_water(value.int()?, config),
            SocketOption::PeekOffset => self.peek_offset = value.int()?,
            // socket(7): once it is locked it stays so.
            SocketOption::LockFilter if self.lock_filter && !value.flag()? => {
                return Err(Error::NotPermitted);
            }
            SocketOption::LockFilter => self.lock_filter = value.flag()?,
            SocketOption::MaxPacingRate => self.max_pacing_rate = value.wide()?,
            SocketOption::IncomingCpu => self.incoming_cpu = value.int()?,
            SocketOption::TransmitRehash => self.transmit_rehash = option.number(value)? != 0,
            SocketOption::ConnectionAdvice => {
                value.int()?;
            }
            _ => return self.set_tcp(state, option, value, config),
        }
        Ok(())
    }

    /// The options of tcp(7), and at last those of every socket.
    fn set_tcp(
        &mut self,
        state: State,
        option: SocketOption,
        value: &OptionValue,
        config: &Config,
    ) -> Result<(), Error> {
        match option {
            SocketOption::MaxSegment => match value.int()? {
                0 => self.max_segment = 0,
                n if MAX_SEGMENT.contains(&n) => {
                    self.max_segment = u16::try_from(n).map_err(|_| Error::Invalid)?;
                }
                _ => return Err(Error::Invalid),
            },
            SocketOption::KeepIdle => self.keep_idle = option.time(value, SECOND)?,
            SocketOption::KeepInterval => self.keep_interval = option.time(value, SECOND)?,
            SocketOption::KeepCount => self.keep_count = option.number(value)?.cast_unsigned(),
            SocketOption::SynCount => self.syn_retries = option.number(value)?.cast_unsigned(),
            SocketOption::Linger2 => {
                self.linger2 = value.time()?.map(|wait| match wait {
                    Duration::ZERO => config.tcp_fin_timeout,
                    wait => wait.min(LINGER2_MAX),
                });
            }
            SocketOption::UserTimeout => {
                self.user_timeout = value.time()?.filter(|timeout| !timeout.is_zero());
            }
            SocketOption::QuickAck => self.quick_ack = value.flag()?,
            SocketOption::Inq => self.inq = option.number(value)? != 0,
            SocketOption::Congestion => {
                let OptionValue::Bytes(name) = value else {
                    return Err(Error::Invalid);
                };
                let name = core::str::from_utf8(name).map_err(|_| Error::NoEntry)?;
                self.congestion =
                    congestion_name(name.trim_end_matches('\0')).ok_or(Error::NoEntry)?;
            }
            SocketOption::ThinLinearTimeouts => {
                self.thin_linear_timeouts = option.number(value)? != 0;
            }
            SocketOption::ThinDupAck => {
                option.number(value)?;
            }
            SocketOption::NotSentLowWater => {
                self.not_sent_low_water = value.int()?.cast_unsigned();
            }
            SocketOption::WindowClamp => match value.int()? {
                0 if state != State::Closed => return Err(Error::Invalid),
                0 => self.window_clamp = 0,
                n => self.window_clamp = n.max(WINDOW_CLAMP_MIN).cast_unsigned(),
            },
            SocketOption::DeferAccept => {
                self.defer_accept = half_open::timeouts_within(value.time()?.unwrap_or_default());
            }
            SocketOption::SaveSyn => self.save_syn = SaveSyn::from_number(option.number(value)?)?,
            SocketOption::FastOpen
            | SocketOption::FastOpenKey
            | SocketOption::FastOpenConnect
            | SocketOption::FastOpenNoCookie => return self.set_fast_open(state, option, value),
            SocketOption::RtoMax => self.rto_max = option.time(value, MILLISECOND)?,
            SocketOption::RtoMin => self.rto_min = option.time(value, MICROSECOND)?,
            SocketOption::DelayedAckMax => {
                self.delayed_ack_max = option.time(value, MICROSECOND)?;
            }
            // It is for repair.
            SocketOption::TimestampClock => return Err(Error::NotPermitted),
            _ => return self.common.set_option(option, value),
        }
        Ok(())
    }

    /// SO_RCVLOWAT: 0 counts as 1, a negative one as the most; half the memory at the most, since
    /// the window is half of it.
    fn set_low_water(&mut self, asked: i32, config: &Config) {
        let memory = match self.receive_buffer_locked {
            true => self.common.receive_buffer,
            false => config.tcp_rmem.2,
        };
        let asked = usize::try_from(asked).unwrap_or(usize::MAX);
        self.receive_low_water = asked.min(memory / 2).max(1);
        let wanted = self.receive_low_water.saturating_mul(2);
        if !self.receive_buffer_locked && wanted > self.common.receive_buffer {
            self.common.receive_buffer = wanted;
        }
    }

    /// An option of a stream's own, as far as it is kept here.
    pub(crate) fn get(&self, option: SocketOption) -> Option<OptionValue> {
        let number = |n: u32| OptionValue::Int(i32::try_from(n).unwrap_or(i32::MAX));
        let bytes = |n: usize| OptionValue::Int(i32::try_from(n).unwrap_or(i32::MAX));
        // `flag` borrows mutably for `set`'s sake.
        if let Some(flag) = self.clone().flag(option) {
            return Some(OptionValue::Flag(*flag));
        }
        Some(match option {
            SocketOption::Debug => OptionValue::Flag(self.debug),
            SocketOption::Linger => OptionValue::Time(self.linger),
            SocketOption::BufferLock => {
                let locks = i32::from(self.send_buffer_locked) * SEND_LOCK
                    + i32::from(self.receive_buffer_locked) * RECEIVE_LOCK;
                OptionValue::Int(locks)
            }
            SocketOption::ReceiveLowWater => bytes(self.receive_low_water),
            SocketOption::SendLowWater => OptionValue::Int(1),
            SocketOption::PeekOffset => OptionValue::Int(self.peek_offset),
            SocketOption::LockFilter => OptionValue::Flag(self.lock_filter),
            SocketOption::MaxPacingRate => OptionValue::Wide(self.max_pacing_rate),
            SocketOption::IncomingCpu => OptionValue::Int(self.incoming_cpu),
            SocketOption::TransmitRehash => OptionValue::Flag(self.transmit_rehash),
            SocketOption::MaxSegment if self.max_segment == 0 => {
                OptionValue::Int(MAX_SEGMENT_DEFAULT)
            }
            SocketOption::MaxSegment => OptionValue::Int(self.max_segment.into()),
            SocketOption::Inq => OptionValue::Flag(self.inq),
            SocketOption::KeepIdle => OptionValue::Time(Some(self.keep_idle)),
            SocketOption::KeepInterval => OptionValue::Time(Some(self.keep_interval)),
            SocketOption::KeepCount => number(self.keep_count),
            SocketOption::SynCount => number(self.syn_retries),
            SocketOption::Linger2 => OptionValue::Time(self.linger2),
            SocketOption::UserTimeout => OptionValue::Time(self.user_timeout),
            SocketOption::QuickAck => OptionValue::Flag(self.quick_ack),
            SocketOption::Congestion => OptionValue::Bytes(self.congestion.into()),
            SocketOption::ThinLinearTimeouts => OptionValue::Flag(self.thin_linear_timeouts),
            SocketOption::NotSentLowWater => {
                OptionValue::Int(self.not_sent_low_water.cast_signed())
            }
            SocketOption::WindowClamp => OptionValue::Int(self.window_clamp.cast_signed()),
            SocketOption::DeferAccept => {
                OptionValue::Time(Some(half_open::time_of_timeouts(self.defer_accept)))
            }
            SocketOption::SaveSyn => OptionValue::Int(self.save_syn.number()),
            SocketOption::FastOpenConnect => OptionValue::Flag(self.fast_open_connect),
            SocketOption::FastOpenNoCookie => OptionValue::Flag(self.fast_open_no_cookie),
            SocketOption::RtoMax => OptionValue::Time(Some(self.rto_max)),
            SocketOption::RtoMin => OptionValue::Time(Some(self.rto_min)),
            SocketOption::DelayedAckMax => OptionValue::Time(Some(self.delayed_ack_max)),
            SocketOption::ThinDupAck | SocketOption::IncomingNapiId | SocketOption::IsMultipath => {
                OptionValue::Int(0)
            }
            _ => return None,
        })
    }

    /// `now`, where SO_TIMESTAMP or SO_TIMESTAMPNS wants it kept with the text.
    pub(crate) fn stamp(&self, now: Instant) -> Option<Instant> {
        self.common.stamp.map(|_| now)
    }

    /// Bytes of what is not sent that make a connection unwritable.
    pub(crate) fn not_sent_max(&self) -> usize {
        match (self.not_sent_low_water, self.not_sent_default) {
            (0, u32::MAX) | (u32::MAX, _) => usize::MAX,
            (0, bytes) | (bytes, _) => bytes as usize,
        }
    }

    /// Options that are kept as they are set.
    fn flag(&mut self, option: SocketOption) -> Option<&mut bool> {
        Some(match option {
            SocketOption::DontRoute => &mut self.dont_route,
            SocketOption::KeepAlive => &mut self.keep_alive,
            SocketOption::OobInline => &mut self.oob_inline,
            SocketOption::NoCheck => &mut self.no_check,
            SocketOption::OverflowCount => &mut self.overflow_count,
            SocketOption::SelectErrorQueue => &mut self.select_error_queue,
            SocketOption::BindAddressNoPort => &mut self.bind_address_no_port,
            SocketOption::NoDelay => &mut self.no_delay,
            SocketOption::Cork => &mut self.cork,
            _ => return None,
        })
    }
}

impl Settings {
    /// The options of RFC 7413.
    fn set_fast_open(
        &mut self,
        state: State,
        option: SocketOption,
        value: &OptionValue,
    ) -> Result<(), Error> {
        let fresh = matches!(state, State::Closed | State::Listen);
        match option {
            SocketOption::FastOpen if fresh => {
                self.fast_open_queue = option.number(value)?.cast_unsigned();
            }
            SocketOption::FastOpenConnect if state == State::Closed => {
                self.fast_open_connect = option.number(value)? != 0;
            }
            SocketOption::FastOpenNoCookie if fresh => {
                self.fast_open_no_cookie = option.number(value)? != 0;
            }
            SocketOption::FastOpenKey => {
                let OptionValue::Bytes(bytes) = value else {
                    return Err(Error::Invalid);
                };
                self.fast_open_keys = match bytes.as_chunks::<16>() {
                    (keys @ ([_] | [_, _]), []) => Some(keys.iter().copied().collect()),
                    _ => return Err(Error::Invalid),
                };
            }
            _ => return Err(Error::Invalid),
        }
        Ok(())
    }

    /// Whether its congestion control can't do without ECN (RFC 8257).
    pub(crate) fn needs_ecn(&self) -> bool {
        self.congestion == "dctcp"
    }
}

/// The controller's name as a constant, if there is one of that name.
pub(crate) fn congestion_name(name: &str) -> Option<&'static str> {
    let mut names = sockeye_core::congestion::NAMES.iter();
    names.find(|known| **known == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_water_grows_the_buffer_unless_it_is_locked() {
        let config = Config::default();
        let mut settings = Settings::new(Domain::V4, &config);
        let set = |settings: &mut Settings, option, n| {
            let value = OptionValue::Int(n);
            settings
                .set(State::Closed, option, &value, &config)
                .unwrap();
        };
        set(&mut settings, SocketOption::ReceiveLowWater, 1_000_000);
        assert_eq!(settings.common.receive_buffer, 2_000_000);
        set(&mut settings, SocketOption::ReceiveBuffer, 10_000);
        set(&mut settings, SocketOption::ReceiveLowWater, 1_000_000);
        assert_eq!(settings.receive_low_water, 10_000);
        assert_eq!(settings.common.receive_buffer, 20_000);
    }
}
