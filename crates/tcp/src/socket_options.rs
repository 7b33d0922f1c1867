//! Options of tcp(7), and those of socket(7) that mean something to a stream.

use crate::Tcp;
use crate::isn::timestamp;
use crate::output::QUICK_ACKS;
use crate::saved_syn::SaveSyn;
use crate::socket::Socket;
use crate::tcb::{Origin, Tcb};
use sockeye_core::datagram::path_mtu;
use sockeye_core::socket::AF_INET6;
use sockeye_core::{
    Context, Domain, Error, FastOpenMode, InterfaceId, OptionValue, Readiness, SocketId,
    SocketOption, congestion,
};

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
        let connected = matches!(socket, Socket::Connection(_));
        let has_port = socket.local_port() != 0;
        let settings = socket.settings_mut().ok_or(Error::BadSocket)?;
        if option == SocketOption::AddressForm {
            return settings.common.set_address_form(&value, connected);
        }
        // ipv6(7): not once it has a port.
        if option == SocketOption::OnlyV6 && has_port {
            return Err(Error::Invalid);
        }
        if let (SocketOption::UnicastInterface | SocketOption::UnicastInterfaceV6, Ok(index)) =
            (option, value.int())
            && index != 0
            && cx
                .inet
                .interface(InterfaceId(u32::from_be(index.cast_unsigned())))
                .is_none()
        {
            return Err(Error::AddressNotAvailable);
        }
        if option == SocketOption::FastOpenConnect
            && !cx.config.tcp_fast_open.contains(FastOpenMode::CLIENT)
        {
            return Err(Error::NotSupported);
        }
        settings.set(state, option, &value, cx.config)?;
        let saves_syns = settings.save_syn != SaveSyn::Nothing;
        if let (SocketOption::FastOpen, Socket::Listening(listener)) = (option, &mut *socket) {
            let max = listener.settings.fast_open_queue;
            listener.fast_open.limit_to(max, cx.config);
        }
        if let Some(tcb) = socket.tcb_mut() {
            tcb.option_was_set(cx, option, &value);
        }
        self.saves_syns |= saves_syns;
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
        if let Some(claim) = fresh.bound.as_mut().and_then(|bound| bound.claim.as_mut())
            && claim.sharing != sharing
        {
            self.demux.reshare(claim, sharing);
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
        let tcb = tcb.as_deref();
        let int = |n: usize| Ok(OptionValue::Int(i32::try_from(n).unwrap_or(i32::MAX)));
        match (option, tcb) {
            (SocketOption::ReceiveBuffer, Some(tcb)) => int(tcb.rcv.buffer),
            (SocketOption::SendBuffer, Some(tcb)) => int(tcb.send_buffer),
            (SocketOption::MaxSegment, Some(tcb)) => int(tcb.mss as usize),
            (SocketOption::Mtu | SocketOption::MtuV6 | SocketOption::PathMtu, tcb) => {
                let v4 = settings.common.domain == Domain::V4;
                let route = tcb.and_then(|tcb| tcb.route);
                match (option, route) {
                    (SocketOption::MtuV6 | SocketOption::PathMtu, _) if v4 => {
                        Err(Error::NoProtocolOption)
                    }
                    (_, None) => Err(Error::NotConnected),
                    (SocketOption::PathMtu, Some(route)) => Ok(path_mtu(route.mtu)),
                    (_, Some(route)) => int(route.mtu as usize),
                }
            }
            (SocketOption::AddressForm, _) if settings.common.domain == Domain::V4 => {
                Err(Error::NoProtocolOption)
            }
            (SocketOption::AddressForm, None) => Err(Error::NotConnected),
            (SocketOption::AddressForm, Some(_)) => Ok(OptionValue::Int(AF_INET6)),
            (SocketOption::ProtocolNumber, _) => int(socket.local_port().into()),
            (SocketOption::QuickAck, Some(tcb)) => {
                Ok(OptionValue::Flag(tcb.marks.quick_ack || tcb.quick_acks > 0))
            }
            (SocketOption::SynCount, _) if settings.syn_retries == 0 => {
                int(cx.config.tcp_syn_retries as usize)
            }
            (SocketOption::FastOpen, _) => match socket {
                Socket::Listening(listener) => int(listener.fast_open.max),
                // A listener's is not its connections'.
                _ if tcb.is_some_and(|tcb| matches!(tcb.origin, Origin::Passive(_))) => int(0),
                _ => int((settings.fast_open_queue as usize).min(cx.config.backlog_max)),
            },
            (SocketOption::FastOpenKey, _) => {
                let own = settings.fast_open_keys.clone();
                let keys = self.known_fast_open_keys(cx.config, own);
                Ok(OptionValue::Bytes(keys.as_flattened().to_vec()))
            }
            (SocketOption::WindowClamp, Some(tcb)) if settings.window_clamp == 0 => {
                int(tcb.rcv.space() as usize)
            }
            (SocketOption::TimestampClock, tcb) => {
                let offset = tcb.map_or(0, |tcb| tcb.timestamp_offset);
                Ok(OptionValue::Int(timestamp(cx.now, offset).cast_signed()))
            }
            _ => match settings.get(option) {
                Some(value) => Ok(value),
                None => settings.common.option(option, cx.config),
            },
        }
    }
}

impl Tcb {
    /// What an option changes on a connection that is there already.
    fn option_was_set(&mut self, cx: &mut Context<'_>, option: SocketOption, value: &OptionValue) {
        match option {
            SocketOption::KeepAlive | SocketOption::KeepIdle => self.restart_keep_alive(cx.now),
            SocketOption::ReceiveBuffer | SocketOption::ReceiveBufferForce => {
                self.rcv.buffer = self.settings.common.receive_buffer;
            }
            SocketOption::SendBuffer | SocketOption::SendBufferForce => {
                self.send_buffer = self.settings.common.send_buffer;
            }
            SocketOption::ReceiveLowWater => {
                self.rcv.buffer = self.rcv.buffer.max(self.settings.common.receive_buffer);
                if self.waiting() >= self.settings.receive_low_water {
                    self.signal(cx, Readiness::READABLE);
                }
            }
            SocketOption::NotSentLowWater if self.is_writable() => {
                self.signal(cx, Readiness::WRITABLE);
            }
            SocketOption::RtoMin | SocketOption::RtoMax => self.bound_rto(),
            // Linux: the way to the peer is looked for again.
            SocketOption::ConnectionAdvice if value.int() == Ok(1) => self.route = None,
            // tcp(7): setting it sends what waits, TCP_CORK or not.
            SocketOption::NoDelay if self.settings.no_delay => {
                self.marks.override_sws = self.unsent() > 0;
                self.marks.more_follows = false;
            }
            SocketOption::MaxSegment
            | SocketOption::IpOptions
            | SocketOption::HopOptions
            | SocketOption::RoutingDestinationOptions
            | SocketOption::DestinationOptions => {
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
                let setup = crate::rate::setup(cx.config, self.mss, self.snd.iss);
                if let Some(mut new) = congestion::by_name(self.settings.congestion, &setup) {
                    // What has been learnt of the path stays.
                    new.set_window(self.congestion.cwnd(), self.congestion.ssthresh());
                    new.set_selective(self.marks.sack);
                    self.congestion = new;
                }
            }
            SocketOption::DontRoute => self.route = None,
            SocketOption::BindToDevice | SocketOption::BindToIndex => {
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
