//! The options of socket(7) that datagram sockets have for themselves.

use crate::socket::SocketCommon;
use crate::{Config, Error, OptionValue, SocketOption};
use core::time::Duration;

/// SO_BUF_LOCK: SOCK_SNDBUF_LOCK and SOCK_RCVBUF_LOCK.
const SEND_LOCK: i32 = 1;
const RECEIVE_LOCK: i32 = 2;

/// What a datagram socket keeps of socket(7) beside [`SocketCommon`]. Much of it means nothing to
/// datagrams, and is kept as Linux keeps it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// SO_DONTROUTE
    pub dont_route: bool,
    /// SO_NO_CHECK
    pub no_check: bool,
    /// IP_BIND_ADDRESS_NO_PORT
    pub bind_address_no_port: bool,
    /// SO_RXQ_OVFL
    pub overflow_count: bool,
    /// SO_PEEK_OFF: where the next peek starts; below zero it is not kept.
    pub peek_offset: i32,
    debug: bool,
    keep_alive: bool,
    oob_inline: bool,
    select_error_queue: bool,
    lock_filter: bool,
    linger: Option<Duration>,
    receive_low_water: i32,
    max_pacing_rate: u64,
    incoming_cpu: i32,
    locks: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dont_route: false,
            no_check: false,
            bind_address_no_port: false,
            overflow_count: false,
            peek_offset: -1,
            debug: false,
            keep_alive: false,
            oob_inline: false,
            select_error_queue: false,
            lock_filter: false,
            linger: None,
            receive_low_water: 1,
            max_pacing_rate: u64::MAX,
            incoming_cpu: -1,
            locks: 0,
        }
    }
}

impl Settings {
    /// Sets an option, if it is one of these; the buffers are `common`'s.
    ///
    /// # Errors
    /// As socket(7) tells.
    pub(super) fn set(
        &mut self,
        common: &mut SocketCommon,
        option: SocketOption,
        value: &OptionValue,
        config: &Config,
    ) -> Option<Result<(), Error>> {
        if let Some(flag) = self.flag(option) {
            return Some(value.flag().map(|on| *flag = on));
        }
        Some(match option {
            SocketOption::Debug => match value.flag() {
                Ok(true) if !config.net_admin => Err(Error::Access),
                on => on.map(|on| self.debug = on),
            },
            SocketOption::Linger => value.time().map(|linger| self.linger = linger),
            SocketOption::ReceiveLowWater => value.int().map(|n| {
                self.receive_low_water = match n {
                    0 => 1,
                    n if n < 0 => i32::MAX,
                    n => n,
                };
            }),
            SocketOption::PeekOffset => value.int().map(|offset| self.peek_offset = offset),
            // socket(7): once it is locked it stays so.
            SocketOption::LockFilter => match value.flag() {
                Ok(false) if self.lock_filter => Err(Error::NotPermitted),
                on => on.map(|on| self.lock_filter = on),
            },
            SocketOption::MaxPacingRate => value.wide().map(|rate| self.max_pacing_rate = rate),
            SocketOption::IncomingCpu => value.int().map(|cpu| self.incoming_cpu = cpu),
            SocketOption::BufferLock => option.number(value).map(|locks| self.locks = locks),
            SocketOption::ConnectionAdvice => value.int().map(|_| ()),
            // Linux: of a stream alone.
            SocketOption::TransmitRehash => Err(Error::NotSupported),
            SocketOption::ReceiveBuffer | SocketOption::ReceiveBufferForce => {
                let set = common.set_option(option, value);
                self.locks |= if set.is_ok() { RECEIVE_LOCK } else { 0 };
                set
            }
            SocketOption::SendBuffer | SocketOption::SendBufferForce => {
                let set = common.set_option(option, value);
                self.locks |= if set.is_ok() { SEND_LOCK } else { 0 };
                set
            }
            _ => return None,
        })
    }

    /// What an option is set to, if it is one of these.
    pub(super) fn get(&self, option: SocketOption) -> Option<OptionValue> {
        Some(match option {
            SocketOption::DontRoute => OptionValue::Flag(self.dont_route),
            SocketOption::NoCheck => OptionValue::Flag(self.no_check),
            SocketOption::BindAddressNoPort => OptionValue::Flag(self.bind_address_no_port),
            SocketOption::OverflowCount => OptionValue::Flag(self.overflow_count),
            SocketOption::Debug => OptionValue::Flag(self.debug),
            SocketOption::KeepAlive => OptionValue::Flag(self.keep_alive),
            SocketOption::OobInline => OptionValue::Flag(self.oob_inline),
            SocketOption::SelectErrorQueue => OptionValue::Flag(self.select_error_queue),
            SocketOption::LockFilter => OptionValue::Flag(self.lock_filter),
            SocketOption::Linger => OptionValue::Time(self.linger),
            SocketOption::ReceiveLowWater => OptionValue::Int(self.receive_low_water),
            SocketOption::SendLowWater => OptionValue::Int(1),
            SocketOption::PeekOffset => OptionValue::Int(self.peek_offset),
            SocketOption::MaxPacingRate => OptionValue::Wide(self.max_pacing_rate),
            SocketOption::BufferLock => OptionValue::Int(self.locks),
            SocketOption::IncomingCpu => OptionValue::Int(self.incoming_cpu),
            SocketOption::IncomingNapiId => OptionValue::Int(0),
            _ => return None,
        })
    }

    fn flag(&mut self, option: SocketOption) -> Option<&mut bool> {
        Some(match option {
            SocketOption::DontRoute => &mut self.dont_route,
            SocketOption::NoCheck => &mut self.no_check,
            SocketOption::BindAddressNoPort => &mut self.bind_address_no_port,
            SocketOption::OverflowCount => &mut self.overflow_count,
            SocketOption::KeepAlive => &mut self.keep_alive,
            SocketOption::OobInline => &mut self.oob_inline,
            SocketOption::SelectErrorQueue => &mut self.select_error_queue,
            _ => return None,
        })
    }
}
