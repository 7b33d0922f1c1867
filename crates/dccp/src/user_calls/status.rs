//! What a socket is, has and is ready for, and its options.

use crate::Dccp;
use crate::conn::Conn;
use crate::features::Feature;
use crate::socket::Socket;
use crate::state::State;
use core::time::Duration;
use sockeye_core::{Context, Error, OptionValue, Readiness, SocketId, SocketOption};
use sockeye_wire::dccp::ResetCode;
use std::net::SocketAddr;

/// A connection's figures.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Its state.
    pub state: State,
    /// The round-trip time, or the default while none was measured.
    pub rtt: Duration,
    /// Packets in flight that the window allows, where the CCID has one.
    pub window: Option<u64>,
    /// Bytes a second that are allowed, and the loss event rate, where the CCID has a rate.
    pub rate: Option<(f64, f64)>,
    /// The CCID by which we send, and that by which the peer does.
    pub ccids: (u8, u8),
    /// The Sequence Windows: ours and the peer's.
    pub sequence_windows: (u64, u64),
    /// The Ack Ratios: for our data and for the peer's.
    pub ack_ratios: (u64, u64),
    /// The Service Code.
    pub service: u32,
    /// Whether the peer says that it can't keep up.
    pub slow_receiver: bool,
    /// How it was reset.
    pub reset: Option<ResetCode>,
}

impl Dccp {
    /// The pending error, which is gone then (SO_ERROR).
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<Error>, Error> {
        Ok(match self.held_mut(id)? {
            Socket::Fresh(fresh) => fresh.error.take(),
            Socket::Connection(conn) => conn.error.take(),
            _ => None,
        })
    }

    /// Its own address; unspecified while it has none.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        let socket = self.held(id)?;
        let common = &socket.settings().ok_or(Error::BadSocket)?.common;
        let local = match socket {
            Socket::Fresh(fresh) => fresh.bound.map(|(local, _)| local),
            Socket::Listening(listener) => Some(listener.local),
            Socket::Connection(conn) => Some(conn.tuple.flow.local),
            Socket::HalfOpen(_) | Socket::TimeWait(_) => None,
        };
        Ok(match local {
            Some(local) => common.show(local),
            None => SocketAddr::new(common.domain.unspecified(), 0),
        })
    }

    /// Its peer's address.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, Error> {
        match self.held(id)? {
            Socket::Connection(conn) if !matches!(conn.state, State::Request | State::Closed) => {
                Ok(conn.settings.common.show(conn.tuple.flow.remote))
            }
            _ => Err(Error::NotConnected),
        }
    }

    /// Its state.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn state(&self, id: SocketId) -> Result<State, Error> {
        Ok(self.held(id)?.state())
    }

    /// Figures of a connection.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn info(&mut self, cx: &Context<'_>, id: SocketId) -> Result<Info, Error> {
        let conn = self.connection(id)?;
        let features = &conn.features;
        let both = |feature| (features.local(feature), features.remote(feature));
        let ccids = both(Feature::Ccid);
        let byte = |value| u8::try_from(value).unwrap_or(u8::MAX);
        Ok(Info {
            state: conn.state,
            rtt: conn.sender.rtt(),
            window: conn.sender.window(),
            rate: conn.sender.rate(),
            ccids: (byte(ccids.0), byte(ccids.1)),
            sequence_windows: both(Feature::SequenceWindow),
            ack_ratios: both(Feature::AckRatio),
            service: conn.service,
            slow_receiver: cx.now < conn.slow_until,
            reset: conn.reset,
        })
    }

    /// What the socket is ready for now.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn readiness(&self, id: SocketId) -> Result<Readiness, Error> {
        Ok(match self.held(id)? {
            Socket::Fresh(fresh) => {
                let mut ready = Readiness::WRITABLE | Readiness::HANGUP;
                ready.set(Readiness::ERROR, fresh.error.is_some());
                ready.set(Readiness::READABLE, fresh.error.is_some());
                ready
            }
            Socket::Listening(listener) if listener.queue.is_empty() => Readiness::empty(),
            Socket::Listening(_) => Readiness::READABLE,
            Socket::Connection(conn) => conn.readiness(),
            Socket::HalfOpen(_) | Socket::TimeWait(_) => Readiness::HANGUP,
        })
    }

    /// Whether a connection may have something to send: `poll_transmit` is to be called.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.pending.is_empty()
    }

    /// An error that the next call fails with.
    pub fn put_error(&mut self, cx: &mut Context<'_>, id: SocketId, error: Error) {
        if let Ok(conn) = self.connection(id) {
            conn.error = Some(error);
            conn.signal(cx, Readiness::ERROR);
        }
    }

    /// Sets an option.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] when the socket has none of that name, [`Error::Invalid`] for a
    /// value out of range, [`Error::IsConnected`] for what is agreed on when a connection opens.
    pub fn set_option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
        value: OptionValue,
    ) -> Result<(), Error> {
        let socket = self.held_mut(id)?;
        let fresh = matches!(socket, Socket::Fresh(_));
        let settings = socket.settings_mut().ok_or(Error::BadSocket)?;
        settings.set(option, &value, fresh)?;
        if let Socket::Connection(conn) = socket {
            conn.schedule_keep_alive(cx.now);
        }
        self.settle(cx, id);
        Ok(())
    }

    /// What an option is set to.
    ///
    /// # Errors
    /// [`Error::NoProtocolOption`] when the socket has none of that name.
    pub fn option(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        option: SocketOption,
    ) -> Result<OptionValue, Error> {
        if option == SocketOption::DccpMaxPacketSize {
            // Linux: before there is a connection, what it starts from.
            let size = self.max_packet_size(cx, id).unwrap_or(536);
            return Ok(OptionValue::Int(i32::try_from(size).unwrap_or(i32::MAX)));
        }
        let socket = self.held_mut(id)?;
        if let SocketOption::DccpTxCcid
        | SocketOption::DccpRxCcid
        | SocketOption::DccpTxInfo
        | SocketOption::DccpRxInfo = option
        {
            let Socket::Connection(conn) = socket else {
                return Err(Error::NoProtocolOption);
            };
            return conn.of_ccids(option).ok_or(Error::NoProtocolOption);
        }
        let settings = socket.settings().ok_or(Error::BadSocket)?;
        settings.get(option, cx.config)
    }

    /// Asks for short sequence numbers (RFC 4340 §7.6) on connections that open from now on.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn set_short_sequences(&mut self, id: SocketId, on: bool) -> Result<(), Error> {
        let settings = self.held_mut(id)?.settings_mut();
        settings.ok_or(Error::BadSocket)?.short = on;
        Ok(())
    }

    /// Sends Data Checksums (RFC 4340 §9.3) on connections that open from now on, which the peer has
    /// to check.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn set_data_checksum(&mut self, id: SocketId, on: bool) -> Result<(), Error> {
        let settings = self.held_mut(id)?.settings_mut();
        settings.ok_or(Error::BadSocket)?.data_checksum = on;
        Ok(())
    }

    /// Connections that open from now on travel in UDP, to `port` of the peer (RFC 6773: 6511 where
    /// nothing else is said); 0 for bare IP.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn set_encapsulation(&mut self, id: SocketId, port: u16) -> Result<(), Error> {
        let settings = self.held_mut(id)?.settings_mut();
        settings.ok_or(Error::BadSocket)?.encap_port = port;
        Ok(())
    }

    /// Asks the peer to go no faster (RFC 4340 §11.6), for as long as it is on.
    ///
    /// # Errors
    /// [`Error::BadSocket`].
    pub fn set_slow_receiver(&mut self, id: SocketId, on: bool) -> Result<(), Error> {
        let settings = self.held_mut(id)?.settings_mut();
        settings.ok_or(Error::BadSocket)?.slow_receiver = on;
        Ok(())
    }
}

impl Conn {
    /// What the CCIDs of a connection tell.
    fn of_ccids(&self, option: SocketOption) -> Option<OptionValue> {
        let int = |ccid| OptionValue::Int(i32::try_from(ccid).unwrap_or(0));
        match option {
            SocketOption::DccpTxCcid => Some(int(self.features.local(Feature::Ccid))),
            SocketOption::DccpRxCcid => Some(int(self.features.remote(Feature::Ccid))),
            SocketOption::DccpTxInfo => {
                let figures = self.sender.figures()?;
                Some(OptionValue::Bytes(figures.to_bytes().to_vec()))
            }
            SocketOption::DccpRxInfo => {
                let figures = self.receiver.as_ref()?.figures();
                Some(OptionValue::Bytes(figures.to_bytes().to_vec()))
            }
            _ => None,
        }
    }

    fn readiness(&self) -> Readiness {
        let mut ready = Readiness::empty();
        let ended = self.state.has_ended();
        let read_closed = ended || self.marks.read_shut;
        let error = self.error.is_some();
        ready.set(
            Readiness::READABLE,
            !self.received.is_empty() || read_closed || error,
        );
        let sends = self.state.sends_data() && !self.marks.write_shut && !self.marks.closing;
        let connecting = matches!(self.state, State::Request | State::Respond);
        // What can't succeed does not block either.
        ready.set(
            Readiness::WRITABLE,
            error
                || if sends {
                    self.is_writable()
                } else {
                    !connecting
                },
        );
        ready.set(Readiness::ERROR, error);
        ready.set(Readiness::READ_CLOSED, read_closed);
        ready.set(Readiness::HANGUP, ended);
        ready
    }
}
