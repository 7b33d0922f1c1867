//! Options of tcp(7), and those of socket(7) that mean something to a stream.

use crate::output::QUICK_ACKS;
use crate::settings::{Settings, congestion_name};
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use core::time::Duration;
use sockeye_core::{Context, Error, OptionValue, SocketId, SocketOption, congestion};

/// The least that TCP_MAXSEG takes, and the most (tcp(7)).
const MAX_SEGMENT: core::ops::RangeInclusive<i32> = 88..=32_767;
/// TCP_KEEPIDLE and TCP_KEEPINTVL (tcp(7)).
const KEEP_TIME: core::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(32_767);
/// TCP_KEEPCNT and TCP_SYNCNT.
const COUNT: core::ops::RangeInclusive<i32> = 1..=127;
/// The longest that TCP_LINGER2 waits.
const LINGER2_MAX: Duration = Duration::from_secs(120);

impl Tcp {
    /// Sets an option.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] when a stream has none of that name, [`Error::Invalid`] when the
    /// value is out of range or not for this state.
    pub fn set_option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        let socket = self.held_mut(id)?;
        let state = socket.state();
        let settings = socket.settings_mut().ok_or(Error::BadSocket)?;
        set(settings, state, option, &value)?;
        if let Some(tcb) = socket.tcb_mut() {
            tcb.option_was_set(cx, option, &value);
        }
        self.reshare(id);
        self.settle(cx, id);
        Ok(())
    }

    /// SO_REUSEADDR and SO_REUSEPORT count after bind, too.
    fn reshare(&mut self, id: SocketId) {
        let Some(Socket::Fresh(fresh)) = self.sockets.get_mut(id) else {
            return;
        };
        let sharing = fresh.settings.common.sharing();
        if let Some(bound) = &mut fresh.bound
            && bound.claim.sharing != sharing
        {
            self.demux.reshare(&mut bound.claim, sharing);
        }
    }

    /// What an option is set to.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] when a stream has none of that name.
    pub fn option(
        &self,
        cx: &Context<'_>,
        id: SocketId,
        option: SocketOption,
    ) -> Result<OptionValue, Error> {
        let socket = self.held(id)?;
        let settings = socket.settings().ok_or(Error::BadSocket)?;
        let tcb = socket.tcb();
        let int = |n: usize| Ok(OptionValue::Int(i32::try_from(n).unwrap_or(i32::MAX)));
        match (option, tcb) {
            (SocketOption::ReceiveBuffer, Some(tcb)) => int(tcb.rcv.buffer),
            (SocketOption::SendBuffer, Some(tcb)) => int(tcb.send_buffer),
            (SocketOption::MaxSegment, Some(tcb)) => int(tcb.mss as usize),
            (SocketOption::Mtu, Some(tcb)) => match &tcb.route {
                Some(route) => int(route.mtu as usize),
                None => Err(Error::NotConnected),
            },
            (SocketOption::Mtu, None) => Err(Error::NotConnected),
            (SocketOption::QuickAck, Some(tcb)) => {
                Ok(OptionValue::Flag(tcb.marks.quick_ack || tcb.quick_acks > 0))
            }
            _ => match get(settings, option) {
                Some(value) => Ok(value),
                None => settings.common.option(option, cx.config),
            },
        }
    }
}

/// Sets `option` where it is kept.
fn set(
    settings: &mut Settings,
    state: State,
    option: SocketOption,
    value: &OptionValue,
) -> Result<(), Error> {
    match option {
        SocketOption::KeepAlive => settings.keep_alive = value.flag()?,
        SocketOption::OobInline => settings.oob_inline = value.flag()?,
        SocketOption::Linger => settings.linger = value.time()?,
        SocketOption::ReceiveBuffer => {
            settings.common.set_option(option, value)?;
            settings.receive_buffer_locked = true;
        }
        SocketOption::SendBuffer => {
            settings.common.set_option(option, value)?;
            settings.send_buffer_locked = true;
        }
        SocketOption::ReceiveLowWater => {
            // socket(7): 0 counts as 1, a negative one as the most.
            let low = usize::try_from(value.int()?).unwrap_or(i32::MAX as usize);
            settings.receive_low_water = low.max(1);
        }
        SocketOption::NoDelay => settings.no_delay = value.flag()?,
        SocketOption::Cork => settings.cork = value.flag()?,
        SocketOption::MaxSegment => match value.int()? {
            0 => settings.max_segment = 0,
            n if MAX_SEGMENT.contains(&n) => {
                settings.max_segment = u16::try_from(n).map_err(|_| Error::Invalid)?;
            }
            _ => return Err(Error::Invalid),
        },
        _ => return set_more(settings, state, option, value),
    }
    Ok(())
}

/// The rest of [`set`]: times, counts and limits.
fn set_more(
    settings: &mut Settings,
    state: State,
    option: SocketOption,
    value: &OptionValue,
) -> Result<(), Error> {
    match option {
        SocketOption::KeepIdle => settings.keep_idle = time_in(value, KEEP_TIME)?,
        SocketOption::KeepInterval => settings.keep_interval = time_in(value, KEEP_TIME)?,
        SocketOption::KeepCount => settings.keep_count = count(value)?,
        SocketOption::SynCount => settings.syn_retries = count(value)?,
        SocketOption::Linger2 => {
            settings.linger2 = value.time()?.map(|wait| wait.min(LINGER2_MAX));
        }
        SocketOption::UserTimeout => {
            settings.user_timeout = value.time()?.filter(|timeout| !timeout.is_zero());
        }
        SocketOption::QuickAck => {
            value.flag()?;
        }
        SocketOption::Congestion => {
            let OptionValue::Bytes(name) = value else {
                return Err(Error::Invalid);
            };
            let name = core::str::from_utf8(name).map_err(|_| Error::Invalid)?;
            // Linux answers ENOENT for a name that it does not know.
            settings.congestion =
                congestion_name(name.trim_end_matches('\0')).ok_or(Error::Invalid)?;
        }
        SocketOption::NotSentLowWater => {
            settings.not_sent_low_water = match u32::try_from(value.int()?) {
                Ok(0) | Err(_) => u32::MAX,
                Ok(n) => n,
            };
        }
        SocketOption::WindowClamp => match u32::try_from(value.int()?) {
            Ok(0) if state != State::Closed => return Err(Error::Invalid),
            Ok(n) => settings.window_clamp = n,
            Err(_) => return Err(Error::Invalid),
        },
        SocketOption::DeferAccept => {
            settings.defer_accept = value.time()?.filter(|wait| !wait.is_zero());
        }
        _ => settings.common.set_option(option, value)?,
    }
    Ok(())
}

/// An option of a stream's own.
fn get(settings: &Settings, option: SocketOption) -> Option<OptionValue> {
    let number = |n: u32| OptionValue::Int(i32::try_from(n).unwrap_or(i32::MAX));
    Some(match option {
        SocketOption::KeepAlive => OptionValue::Flag(settings.keep_alive),
        SocketOption::OobInline => OptionValue::Flag(settings.oob_inline),
        SocketOption::Linger => OptionValue::Time(settings.linger),
        SocketOption::ReceiveLowWater => {
            OptionValue::Int(i32::try_from(settings.receive_low_water).unwrap_or(i32::MAX))
        }
        SocketOption::NoDelay => OptionValue::Flag(settings.no_delay),
        SocketOption::Cork => OptionValue::Flag(settings.cork),
        // tcp(7): before a connection stands, the default.
        SocketOption::MaxSegment if settings.max_segment == 0 => OptionValue::Int(536),
        SocketOption::MaxSegment => OptionValue::Int(settings.max_segment.into()),
        SocketOption::KeepIdle => OptionValue::Time(Some(settings.keep_idle)),
        SocketOption::KeepInterval => OptionValue::Time(Some(settings.keep_interval)),
        SocketOption::KeepCount => number(settings.keep_count),
        SocketOption::SynCount => number(settings.syn_retries),
        SocketOption::Linger2 => OptionValue::Time(settings.linger2),
        SocketOption::UserTimeout => OptionValue::Time(settings.user_timeout),
        SocketOption::QuickAck => OptionValue::Flag(true),
        SocketOption::Congestion => OptionValue::Bytes(settings.congestion.into()),
        SocketOption::NotSentLowWater => number(settings.not_sent_low_water),
        SocketOption::WindowClamp => number(settings.window_clamp),
        SocketOption::DeferAccept => OptionValue::Time(settings.defer_accept),
        _ => return None,
    })
}

fn time_in(
    value: &OptionValue,
    range: core::ops::RangeInclusive<Duration>,
) -> Result<Duration, Error> {
    value
        .time()?
        .filter(|time| range.contains(time))
        .ok_or(Error::Invalid)
}

fn count(value: &OptionValue) -> Result<u32, Error> {
    let n = value.int()?;
    if COUNT.contains(&n) {
        u32::try_from(n).map_err(|_| Error::Invalid)
    } else {
        Err(Error::Invalid)
    }
}

impl Tcb {
    /// What an option changes on a connection that is there already.
    fn option_was_set(&mut self, cx: &mut Context<'_>, option: SocketOption, value: &OptionValue) {
        match option {
            SocketOption::KeepAlive | SocketOption::KeepIdle => self.restart_keep_alive(cx.now),
            SocketOption::ReceiveBuffer => self.rcv.buffer = self.settings.common.receive_buffer,
            SocketOption::SendBuffer => self.send_buffer = self.settings.common.send_buffer,
            // tcp(7): setting it sends what waits, TCP_CORK or not.
            SocketOption::NoDelay if self.settings.no_delay => self.marks.override_sws = true,
            SocketOption::MaxSegment => {
                if let Some(route) = self.route {
                    self.update_mss(&route);
                }
            }
            SocketOption::QuickAck => {
                let on = value.flag().unwrap_or(false);
                self.quick_acks = if on { QUICK_ACKS } else { 0 };
                if on && self.unacknowledged > 0 {
                    self.marks.ack_now = true;
                }
            }
            SocketOption::Congestion if self.congestion.name() != self.settings.congestion => {
                if let Some(new) = congestion::by_name(self.settings.congestion, self.mss) {
                    self.congestion = new;
                }
            }
            SocketOption::BindToDevice => {
                self.interface = self
                    .settings
                    .common
                    .device
                    .or(self.flow.remote.scope_interface());
                self.route = None;
            }
            _ => {}
        }
    }
}
