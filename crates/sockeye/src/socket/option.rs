//! Options by the names that socket2 gives them.

use super::{Kind, Socket};
use crate::error::{errno, os, to_io};
use sockeye_core::{Error, OptionValue, SocketOption};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Socket {
    /// Sets an option of the core.
    ///
    /// # Errors
    /// ENOPROTOOPT when the socket has none of that name, EINVAL for a value out of range.
    pub fn set_option(&self, option: SocketOption, value: OptionValue) -> io::Result<()> {
        if let Some(done) = self.set_sctp_option(option, &value) {
            return done;
        }
        match option {
            SocketOption::ReceiveTimeout | SocketOption::SendTimeout => {
                // One that has run out at once is the shortest that is kept.
                let time = value.time().map_err(to_io)?;
                let time = time.map(|time| time.max(Duration::from_nanos(1)));
                return match option {
                    SocketOption::ReceiveTimeout => self.set_read_timeout(time),
                    _ => self.set_write_timeout(time),
                };
            }
            _ => {}
        }
        let linger = match (option, &value) {
            (SocketOption::Linger, OptionValue::Time(time)) => Some(time.unwrap_or_default()),
            _ => None,
        };
        self.call(|op| op.set_option(option, value))?;
        if let Some(linger) = linger {
            let nanos = u64::try_from(linger.as_nanos()).unwrap_or(u64::MAX);
            self.0.linger.store(nanos, Ordering::Relaxed);
        }
        // Some let out what was held back (TCP_NODELAY, TCP_CORK).
        self.run();
        Ok(())
    }

    /// What an option of the core is set to.
    ///
    /// # Errors
    /// ENOPROTOOPT when the socket has none of that name.
    pub fn option(&self, option: SocketOption) -> io::Result<OptionValue> {
        if let Some(told) = self.sctp_option(option) {
            return told;
        }
        let int = |n: i32| Ok(OptionValue::Int(n));
        match option {
            SocketOption::Type => int(self.r#type().into()),
            SocketOption::Domain => int(self.domain().into()),
            SocketOption::Protocol => int(self.protocol().into()),
            SocketOption::PendingError => {
                let error = self.call(|op| op.take_error())?;
                int(error.map_or(0, errno))
            }
            SocketOption::AcceptConnections => {
                Ok(OptionValue::Flag(self.call(|op| op.is_listening())?))
            }
            SocketOption::ReceiveTimeout => Ok(OptionValue::Time(self.read_timeout()?)),
            SocketOption::SendTimeout => Ok(OptionValue::Time(self.write_timeout()?)),
            SocketOption::Info => Ok(OptionValue::Bytes(self.tcp_info_raw()?)),
            SocketOption::MemoryInfo => Ok(OptionValue::Bytes(self.memory_info_raw()?)),
            // No controller here tells more of itself.
            SocketOption::CongestionInfo if self.0.kind == Kind::Tcp => {
                Ok(OptionValue::Bytes(Vec::new()))
            }
            SocketOption::Cookie => Ok(OptionValue::Wide(self.0.handle.id.cookie())),
            SocketOption::PeerCredentials => {
                let whose = match self.0.kind {
                    Kind::Unix(_) => self.unix_peer_credentials()?,
                    _ => None,
                };
                // struct ucred: no process, no user, no group, of nobody's.
                let words = match whose {
                    Some(whose) => [whose.pid, whose.uid.cast_signed(), whose.gid.cast_signed()],
                    None => [0, -1, -1],
                };
                let words = words.map(i32::to_ne_bytes);
                Ok(OptionValue::Bytes(words.concat()))
            }
            _ => self.call(|op| op.option(option)),
        }
    }

    /// TCP_SAVED_SYN: the headers of the SYN that made an accepted connection, which its listener keeps
    /// by TCP_SAVE_SYN. They are read once; then there are none. They stay when they are more than
    /// `room` bytes.
    ///
    /// # Errors
    /// EINVAL when there is not enough room, ENOPROTOOPT when it is no stream.
    pub fn take_saved_syn(&self, room: usize) -> io::Result<Box<[u8]>> {
        self.call(|op| op.stream(|tcp, _, id| tcp.take_saved_syn(id, room)))
    }

    fn flag(&self, option: SocketOption) -> io::Result<bool> {
        self.option(option)?.flag().map_err(to_io)
    }

    fn int(&self, option: SocketOption) -> io::Result<i32> {
        self.option(option)?.int().map_err(to_io)
    }

    fn set_int(&self, option: SocketOption, value: u32) -> io::Result<()> {
        let value = i32::try_from(value).map_err(|_| os(libc::EINVAL))?;
        self.set_option(option, OptionValue::Int(value))
    }

    /// SO_LINGER: how long the end of the socket waits for the peer to take what is left; zero
    /// resets the connection instead.
    ///
    /// # Errors
    /// ENOPROTOOPT when it is no stream.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set_option(SocketOption::Linger, OptionValue::Time(linger))
    }

    /// See [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    /// ENOPROTOOPT when it is no stream.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.option(SocketOption::Linger)?.time().map_err(to_io)
    }

    /// How long an idle connection waits before it probes, between probes, and for how many.
    /// `None` leaves a value as it is.
    ///
    /// # Errors
    /// EINVAL for values out of range, ENOPROTOOPT when it is no stream.
    pub fn set_tcp_keepalive(
        &self,
        idle: Option<Duration>,
        interval: Option<Duration>,
        count: Option<u32>,
    ) -> io::Result<()> {
        if let Some(idle) = idle {
            self.set_option(SocketOption::KeepIdle, OptionValue::Time(Some(idle)))?;
        }
        if let Some(interval) = interval {
            let interval = OptionValue::Time(Some(interval));
            self.set_option(SocketOption::KeepInterval, interval)?;
        }
        if let Some(count) = count {
            self.set_int(SocketOption::KeepCount, count)?;
        }
        self.set_keepalive(true)
    }

    /// TCP_USER_TIMEOUT: how long what was sent may stay unacknowledged; `None` leaves it to the
    /// retransmissions.
    ///
    /// # Errors
    /// ENOPROTOOPT when it is no stream.
    pub fn set_tcp_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = OptionValue::Time(Some(timeout.unwrap_or_default()));
        self.set_option(SocketOption::UserTimeout, timeout)
    }

    /// SO_BINDTODEVICE: the interface that packets come by and leave by, by name.
    ///
    /// # Errors
    /// ENODEV when there is none of that name.
    pub fn bind_device(&self, interface: Option<&str>) -> io::Result<()> {
        let index = match interface {
            None => 0,
            Some(name) => {
                let interfaces = self.0.node.interfaces()?;
                let found = interfaces.iter().find(|i| i.name == name);
                found
                    .map(|i| i.id.0)
                    .ok_or_else(|| to_io(Error::NoDevice))?
            }
        };
        self.set_int(SocketOption::BindToDevice, index)
    }
}

macro_rules! flags {
    ($($option:ident: $set:ident $get:ident $what:literal;)*) => {
        /// Options that are on or off.
        impl Socket {$(
            #[doc = $what]
            ///
            /// # Errors
            /// ENOPROTOOPT when the socket has no such option, EINVAL when it can't change now.
            pub fn $set(&self, on: bool) -> io::Result<()> {
                self.set_option(SocketOption::$option, OptionValue::Flag(on))
            }

            #[doc = $what]
            ///
            /// # Errors
            /// ENOPROTOOPT when the socket has no such option.
            pub fn $get(&self) -> io::Result<bool> {
                self.flag(SocketOption::$option)
            }
        )*}
    };
}

flags! {
    ReuseAddress: set_reuse_address reuse_address "SO_REUSEADDR: may be bound to an address in TIME-WAIT, or with others that say so.";
    ReusePort: set_reuse_port reuse_port "SO_REUSEPORT: several sockets share a port, and what arrives is spread over them.";
    KeepAlive: set_keepalive keepalive "SO_KEEPALIVE: an idle connection is probed.";
    Broadcast: set_broadcast broadcast "SO_BROADCAST: may send to broadcast addresses.";
    NoDelay: set_tcp_nodelay tcp_nodelay "TCP_NODELAY: small segments do not wait for acknowledgements (Nagle).";
    Cork: set_tcp_cork tcp_cork "TCP_CORK: only full segments are sent, until it is taken off.";
    OobInline: set_out_of_band_inline out_of_band_inline "SO_OOBINLINE: urgent data stays in the stream.";
    QuickAck: set_tcp_quickack tcp_quickack "TCP_QUICKACK: acknowledgements are not delayed for now.";
    OnlyV6: set_only_v6 only_v6 "IPV6_V6ONLY: an IPv6 socket without IPv4.";
    FreeBind: set_freebind_v4 freebind_v4 "IP_FREEBIND: may be bound to an address that the node does not have.";
    HeaderIncluded: set_header_included_v4 header_included_v4 "IP_HDRINCL: what a raw socket sends starts with the IP header.";
    MulticastLoop: set_multicast_loop_v4 multicast_loop_v4 "IP_MULTICAST_LOOP: what is sent to a group is heard by the node itself.";
    MulticastLoopV6: set_multicast_loop_v6 multicast_loop_v6 "IPV6_MULTICAST_LOOP: what is sent to a group is heard by the node itself.";
    MulticastAll: set_multicast_all_v4 multicast_all_v4 "IP_MULTICAST_ALL: groups of its port that others have joined are heard.";
    MulticastAllV6: set_multicast_all_v6 multicast_all_v6 "IPV6_MULTICAST_ALL: groups of its port that others have joined are heard.";
    ReceiveTos: set_recv_tos_v4 recv_tos_v4 "IP_RECVTOS: recvmsg tells the TOS.";
    ReceiveTrafficClass: set_recv_tclass_v6 recv_tclass_v6 "IPV6_RECVTCLASS: recvmsg tells the traffic class.";
    ReceiveTtl: set_recv_ttl_v4 recv_ttl_v4 "IP_RECVTTL: recvmsg tells the TTL.";
    ReceiveHopLimit: set_recv_hoplimit_v6 recv_hoplimit_v6 "IPV6_RECVHOPLIMIT: recvmsg tells the hop limit.";
    PacketInfo: set_recv_packet_info_v4 recv_packet_info_v4 "IP_PKTINFO: recvmsg tells interface and destination.";
    ReceivePacketInfoV6: set_recv_packet_info_v6 recv_packet_info_v6 "IPV6_RECVPKTINFO: recvmsg tells interface and destination.";
}

macro_rules! numbers {
    ($($option:ident: $set:ident $get:ident $what:literal;)*) => {
        /// Options that are numbers.
        impl Socket {$(
            #[doc = $what]
            ///
            /// # Errors
            /// ENOPROTOOPT when the socket has no such option, EINVAL for a value out of range.
            pub fn $set(&self, value: u32) -> io::Result<()> {
                self.set_int(SocketOption::$option, value)
            }

            #[doc = $what]
            ///
            /// # Errors
            /// ENOPROTOOPT when the socket has no such option.
            pub fn $get(&self) -> io::Result<u32> {
                let value = self.int(SocketOption::$option)?;
                u32::try_from(value).map_err(|_| os(libc::EINVAL))
            }
        )*}
    };
}

numbers! {
    Ttl: set_ttl_v4 ttl_v4 "IP_TTL of what is sent, 1 to 255.";
    Tos: set_tos_v4 tos_v4 "IP_TOS of what is sent, a byte.";
    UnicastHops: set_unicast_hops_v6 unicast_hops_v6 "IPV6_UNICAST_HOPS: the hop limit of what is sent, 0 to 255.";
    TrafficClass: set_tclass_v6 tclass_v6 "IPV6_TCLASS of what is sent, a byte.";
    MulticastTtl: set_multicast_ttl_v4 multicast_ttl_v4 "IP_MULTICAST_TTL of what is sent to groups, 0 to 255.";
    MulticastHops: set_multicast_hops_v6 multicast_hops_v6 "IPV6_MULTICAST_HOPS of what is sent to groups, 0 to 255.";
    MulticastInterfaceV6: set_multicast_if_v6 multicast_if_v6 "IPV6_MULTICAST_IF: the interface that groups are reached by, 0 for none in particular.";
    MaxSegment: set_tcp_mss tcp_mss "TCP_MAXSEG: the largest segment, bytes of text.";
    Priority: set_priority priority "SO_PRIORITY.";
}

/// Sizes of buffers.
impl Socket {
    /// SO_RCVBUF: twice as many bytes are reserved, as on Linux.
    ///
    /// # Errors
    /// EINVAL when it is no C int.
    pub fn set_recv_buffer_size(&self, size: usize) -> io::Result<()> {
        self.set_int(
            SocketOption::ReceiveBuffer,
            u32::try_from(size).unwrap_or(u32::MAX),
        )
    }

    /// SO_RCVBUF: bytes that are reserved.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        Ok(usize::try_from(self.int(SocketOption::ReceiveBuffer)?).unwrap_or(0))
    }

    /// SO_SNDBUF: twice as many bytes are reserved, as on Linux.
    ///
    /// # Errors
    /// EINVAL when it is no C int.
    pub fn set_send_buffer_size(&self, size: usize) -> io::Result<()> {
        self.set_int(
            SocketOption::SendBuffer,
            u32::try_from(size).unwrap_or(u32::MAX),
        )
    }

    /// SO_SNDBUF: bytes that are reserved.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        Ok(usize::try_from(self.int(SocketOption::SendBuffer)?).unwrap_or(0))
    }

    /// A connection's figures, like TCP_INFO.
    ///
    /// # Errors
    /// ENOTCONN, EOPNOTSUPP when it is no stream.
    pub fn tcp_info(&self) -> io::Result<sockeye_tcp::Info> {
        self.call(|op| op.info())
    }
}
