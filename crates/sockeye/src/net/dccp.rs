//! DCCP (RFC 4340): connections that keep messages apart and deliver each at most once, shaped like
//! std's sockets.

use super::{ToSocketAddrs, common, domain, each};
use crate::{Ancillary, Node, Protocol, SendMessage, Socket, Type};
use sockeye_core::{OptionValue, SocketOption};
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};

/// What is asked of connections before they open, beside the service: by default what an ordinary socket
/// asks for.
#[derive(Clone, Debug, Default)]
pub struct DccpOptions {
    /// The congestion controls for what is sent, the preferred one first (DCCP_SOCKOPT_TX_CCID).
    pub tx_ccids: Vec<u8>,
    /// The congestion controls for what is received (DCCP_SOCKOPT_RX_CCID).
    pub rx_ccids: Vec<u8>,
    /// How much of a packet its checksum covers: 0 for all, 1 for the header, then a word more each
    /// (DCCP_SOCKOPT_SEND_CSCOV).
    pub send_coverage: u8,
    /// How much has to be covered of what is received (DCCP_SOCKOPT_RECV_CSCOV).
    pub receive_coverage: u8,
    /// Sequence Numbers of 24 bits, where the peer wants them, too (RFC 4340 §7.6).
    pub short_sequences: bool,
    /// Data carries a checksum of its own, which the peer has to check (RFC 4340 §9.3).
    pub data_checksum: bool,
    /// The peer's UDP port, for connections in UDP (RFC 6773: 6511); the node itself has to take them
    /// (`net.dccp.udp_port`).
    pub udp_port: Option<u16>,
    /// What waits to be sent leaves by its priority (DCCP_SOCKOPT_QPOLICY_ID): see
    /// [`DccpSocket::send_with_priority`].
    pub priorities: bool,
    /// Messages that wait to be sent at the most (DCCP_SOCKOPT_QPOLICY_TXQLEN); 0 for no limit but that of
    /// bytes.
    pub queue_length: u32,
}

impl DccpOptions {
    fn set(&self, socket: &Socket) -> io::Result<()> {
        let Self {
            tx_ccids,
            rx_ccids,
            send_coverage,
            receive_coverage,
            short_sequences,
            data_checksum,
            udp_port,
            priorities,
            queue_length,
        } = self;
        let queue_length = i32::try_from(*queue_length).unwrap_or(i32::MAX);
        for (option, value) in [
            (SocketOption::DccpQueuePolicy, i32::from(*priorities)),
            (SocketOption::DccpQueueLength, queue_length),
        ] {
            socket.set_option(option, OptionValue::Int(value))?;
        }
        for (option, ccids) in [
            (SocketOption::DccpTxCcid, tx_ccids),
            (SocketOption::DccpRxCcid, rx_ccids),
        ] {
            if !ccids.is_empty() {
                socket.set_option(option, OptionValue::Bytes(ccids.clone()))?;
            }
        }
        for (option, coverage) in [
            (SocketOption::DccpSendCoverage, send_coverage),
            (SocketOption::DccpReceiveCoverage, receive_coverage),
        ] {
            socket.set_option(option, OptionValue::Int(i32::from(*coverage)))?;
        }
        socket.dccp(|dccp, _, id| {
            dccp.set_short_sequences(id, *short_sequences)?;
            dccp.set_data_checksum(id, *data_checksum)?;
            udp_port.map_or(Ok(()), |port| dccp.set_encapsulation(id, port))
        })
    }
}

/// A listener for DCCP connections.
#[derive(Debug)]
pub struct DccpListener {
    socket: Socket,
}

/// A DCCP connection.
#[derive(Debug)]
pub struct DccpSocket {
    socket: Socket,
}

common!(DccpListener);
common!(DccpSocket);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

impl DccpListener {
    /// Listens at `addr` of the current node for clients that ask for one of `services`.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`, `InvalidInput` for no service code or more than 32, or there is
    /// no current node.
    pub fn bind(addr: impl ToSocketAddrs, services: &[u32]) -> io::Result<Self> {
        Self::bind_on(&Node::current()?, addr, services)
    }

    /// Listens at `addr` of `node`.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub fn bind_on(node: &Node, addr: impl ToSocketAddrs, services: &[u32]) -> io::Result<Self> {
        Self::bind_with(node, addr, services, &DccpOptions::default())
    }

    /// Listens at `addr` of `node` for connections as `options` say.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub fn bind_with(
        node: &Node,
        addr: impl ToSocketAddrs,
        services: &[u32],
        options: &DccpOptions,
    ) -> io::Result<Self> {
        each(node, addr, |addr| {
            let socket = open(node, addr, services, options)?;
            socket.bind(addr)?;
            socket.listen(BACKLOG)?;
            Ok(Self { socket })
        })
    }

    /// Waits at `local` of `node` for the one client at `client`, and sends it packets that open the
    /// middleboxes on this side for its own (RFC 5596). [`accept`](Self::accept) gives the connection.
    ///
    /// # Errors
    /// See [`bind`](Self::bind).
    pub fn invite_on(
        node: &Node,
        local: SocketAddr,
        client: SocketAddr,
        service: u32,
        options: &DccpOptions,
    ) -> io::Result<Self> {
        let socket = open(node, local, &[service], options)?;
        socket.bind(local)?;
        socket.dccp(|dccp, cx, id| dccp.invite(cx, id, client))?;
        Ok(Self { socket })
    }

    /// The connection that has waited longest, and its peer.
    ///
    /// # Errors
    /// `WouldBlock` when it is nonblocking.
    pub fn accept(&self) -> io::Result<(DccpSocket, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((DccpSocket { socket }, peer))
    }
}

impl DccpSocket {
    /// Connects to `addr` from the current node, for the service `service`.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, EBADRQC where nobody listens for the service.
    pub fn connect(addr: impl ToSocketAddrs, service: u32) -> io::Result<Self> {
        Self::connect_on(&Node::current()?, addr, service)
    }

    /// Connects to `addr` from `node`.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub fn connect_on(node: &Node, addr: impl ToSocketAddrs, service: u32) -> io::Result<Self> {
        Self::connect_with(node, addr, service, &DccpOptions::default())
    }

    /// Connects to `addr` from `node`, as `options` say.
    ///
    /// # Errors
    /// See [`connect`](Self::connect); `Unsupported` in UDP where the node does not take it.
    pub fn connect_with(
        node: &Node,
        addr: impl ToSocketAddrs,
        service: u32,
        options: &DccpOptions,
    ) -> io::Result<Self> {
        each(node, addr, |addr| {
            let socket = open(node, addr, &[service], options)?;
            socket.connect(addr)?;
            Ok(Self { socket })
        })
    }

    /// Sends one message, [`max_packet_size`](Self::max_packet_size) bytes at the most.
    ///
    /// # Errors
    /// EMSGSIZE, EPIPE, `WouldBlock` when it is nonblocking, the error that the connection ended with.
    pub fn send(&self, message: &[u8]) -> io::Result<usize> {
        self.socket.send(message)
    }

    /// Sends one message, which leaves before all that wait with a lower `priority`; a full queue gives up
    /// the oldest of its lowest priority for it (DCCP_SCM_PRIORITY). [`send`](Self::send) has priority 0.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); EINVAL without [`DccpOptions::priorities`].
    pub fn send_with_priority(&self, message: &[u8], priority: u32) -> io::Result<usize> {
        self.socket.sendmsg(&SendMessage {
            data: &[IoSlice::new(message)],
            ancillary: &[Ancillary::QueuePriority(priority)],
            ..SendMessage::default()
        })
    }

    /// Receives one message; what does not fit is lost. No bytes are the end of the connection, or an
    /// empty message.
    ///
    /// # Errors
    /// `WouldBlock` when it is nonblocking, the error that the connection ended with.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    /// The peer.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Ends one half or the connection, once what was sent has left.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// The largest message that can be sent now (DCCP_SOCKOPT_GET_CUR_MPS).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn max_packet_size(&self) -> io::Result<usize> {
        Ok(usize::try_from(self.int(SocketOption::DccpMaxPacketSize)?).unwrap_or(0))
    }

    /// The congestion control by which it sends (DCCP_SOCKOPT_TX_CCID).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn tx_ccid(&self) -> io::Result<u8> {
        Ok(u8::try_from(self.int(SocketOption::DccpTxCcid)?).unwrap_or(0))
    }

    /// The congestion control by which the peer sends (DCCP_SOCKOPT_RX_CCID).
    ///
    /// # Errors
    /// The node was shut down.
    pub fn rx_ccid(&self) -> io::Result<u8> {
        Ok(u8::try_from(self.int(SocketOption::DccpRxCcid)?).unwrap_or(0))
    }

    /// Asks the peer to go no faster (RFC 4340 §11.6), until it is taken back.
    ///
    /// # Errors
    /// The node was shut down.
    pub fn set_slow_receiver(&self, on: bool) -> io::Result<()> {
        self.socket
            .dccp(|dccp, _, id| dccp.set_slow_receiver(id, on))
    }

    fn int(&self, option: SocketOption) -> io::Result<i32> {
        self.socket
            .option(option)?
            .int()
            .map_err(crate::error::to_io)
    }
}

fn open(
    node: &Node,
    addr: SocketAddr,
    services: &[u32],
    options: &DccpOptions,
) -> io::Result<Socket> {
    let socket = Socket::new_on(node, domain(addr), Type::DCCP, Some(Protocol::DCCP))?;
    let services = services
        .iter()
        .flat_map(|code| code.to_be_bytes())
        .collect();
    socket.set_option(SocketOption::DccpService, OptionValue::Bytes(services))?;
    options.set(&socket)?;
    Ok(socket)
}
