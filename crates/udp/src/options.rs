//! Options: udp(7)'s own, and those of every datagram socket.

use crate::lite::{Coverage, Kind};
use crate::{Udp, cork};
use sockeye_core::{Context, Error, OptionValue, SocketId, SocketOption};

impl Udp {
    /// Sets an option.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] for options that UDP does not have, [`Error::Invalid`] for
    /// values out of range, and those of
    /// [`SocketCommon::set_option`](sockeye_core::SocketCommon::set_option).
    pub fn set_option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        let lite = self.kind == Kind::Lite;
        let socket = self.socket_mut(id)?;
        match option {
            SocketOption::UdpSegment => {
                socket.segment = u16::try_from(value.int()?).map_err(|_| Error::Invalid)?;
            }
            SocketOption::UdpGro => socket.gro = value.flag()?,
            SocketOption::UdpNoCheck6Tx => socket.no_check_tx = value.flag()?,
            SocketOption::UdpNoCheck6Rx => socket.no_check_rx = value.flag()?,
            SocketOption::UdpEncapsulation if value.int()? == 0 => {}
            SocketOption::SendCoverage if lite => socket.coverage.send = Coverage::read(&value)?,
            SocketOption::ReceiveCoverage if lite => {
                socket.coverage.receive = Some(Coverage::read(&value)?);
            }
            SocketOption::UdpCork => {
                socket.cork = value.flag()?;
                // udp(7): what is kept leaves; that it does not is told by nobody.
                if !socket.cork {
                    let _ = self.push_pending(cx, id);
                }
            }
            SocketOption::AddressForm => {
                let corked = socket.pending.as_deref().is_some_and(cork::Pending::is_v6);
                if corked && value.int()? == 2 {
                    return Err(Error::Busy);
                }
                let connected = socket.peer.is_some();
                socket.base.common.set_address_form(&value, connected)?;
            }
            SocketOption::Mtu => return Err(Error::NoProtocolOption),
            // These are part of the socket's keys.
            SocketOption::ReuseAddress
            | SocketOption::ReusePort
            | SocketOption::BindToDevice
            | SocketOption::BindToIndex => {
                self.unlist(id)?;
                let set = self.socket_mut(id)?.base.set_option(cx, option, &value);
                self.list(id)?;
                return set;
            }
            _ => return socket.base.set_option(cx, option, &value),
        }
        Ok(())
    }

    /// What an option is set to.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`]; [`Error::NotConnected`] for the MTU without a peer.
    pub fn option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
    ) -> Result<OptionValue, Error> {
        let socket = self.socket_mut(id)?;
        match option {
            SocketOption::UdpSegment => Ok(OptionValue::Int(socket.segment.into())),
            SocketOption::UdpGro => Ok(OptionValue::Flag(socket.gro)),
            SocketOption::UdpCork => Ok(OptionValue::Flag(socket.cork)),
            SocketOption::UdpNoCheck6Tx => Ok(OptionValue::Flag(socket.no_check_tx)),
            SocketOption::UdpNoCheck6Rx => Ok(OptionValue::Flag(socket.no_check_rx)),
            SocketOption::UdpEncapsulation => Ok(OptionValue::Int(0)),
            SocketOption::SendCoverage => Ok(OptionValue::Int(socket.coverage.send.into())),
            SocketOption::ReceiveCoverage => {
                let least = socket.coverage.receive.unwrap_or(0);
                Ok(OptionValue::Int(least.into()))
            }
            SocketOption::ProtocolNumber => {
                let port = socket.local.map_or(0, |local| local.port);
                Ok(OptionValue::Int(port.into()))
            }
            _ => {
                let ends = (socket.local, socket.peer);
                socket.base.option_between(cx, option, ends)
            }
        }
    }
}
