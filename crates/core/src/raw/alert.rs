//! Router alerts (ip(7), IP_ROUTER_ALERT; ipv6(7), IPV6_ROUTER_ALERT): a raw socket gets packets for
//! others that carry one. The node does not send them on: that is left to the program.

use super::Raw;
use super::ip::{copy_of, handle};
use crate::internet_options::Switches;
use crate::ip::alert::{RouterAlert, Selector};
use crate::{Context, Counter, Domain, Error, OptionValue, SocketId, SocketOption};
use sockeye_wire::IpProtocol;

impl Raw {
    pub(super) fn set_router_alert(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: &OptionValue,
    ) -> Result<(), Error> {
        let socket = self.sockets.get_mut(id).ok_or(Error::BadSocket)?;
        let common = &mut socket.base.common;
        let (wish, on) = match (option, common.domain, socket.protocol) {
            (SocketOption::RouterAlert, Domain::V4, IpProtocol::RAW) => return Err(Error::Invalid),
            (SocketOption::RouterAlert, Domain::V4, protocol) => {
                let on = value.flag()?;
                (on.then_some(Selector::Protocol(protocol)), on)
            }
            // Linux: of the sockets that receive nothing else.
            (SocketOption::RouterAlertV6, Domain::V6, IpProtocol::RAW) => {
                let value = value.int()?;
                // It reads as on when it is taken back, too.
                let wish = (value >= 0).then_some(Selector::Value(value));
                (wish, value != 0)
            }
            _ => return Err(Error::NoProtocolOption),
        };
        let alerts = &mut cx.inet.router_alerts;
        match (alerts.of(id), wish) {
            // Linux: it is set once, and taken back once.
            (Some(_), Some(_)) => return Err(Error::AddressInUse),
            (None, None) => return Err(Error::NoBufferSpace),
            _ => alerts.set(id, wish, common.device),
        }
        let switches = &mut common.internet.switches;
        switches.set(Switches::ROUTER_ALERT, on);
        Ok(())
    }

    /// Gives those who want it a packet that asks for a router's attention, IP header included in
    /// both families.
    pub fn alert_arrives(&mut self, cx: &mut Context<'_>, alert: RouterAlert) {
        let RouterAlert { what, info, packet } = alert;
        let mut inner = packet;
        inner.pull(info.header_len.into());
        let datagram = copy_of(&info, &inner, true);
        let wanting = cx.inet.router_alerts.wanting(what, info.interface);
        for id in wanting.collect::<Vec<_>>() {
            if let Some(socket) = self.sockets.get_mut(id)
                && !socket.base.deliver(cx, handle(id), datagram.clone())
            {
                cx.drop_packet(Counter::RawRcvbufErrors);
            }
        }
    }
}
