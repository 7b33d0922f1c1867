//! TCP_SAVE_SYN and TCP_SAVED_SYN: the headers of the SYN that made a connection, for who accepts it.
//!
//! A listener that asks for them makes each half-open connection keep up to [`SAVED_SYN_MAX`] bytes.
//! What a cookie brings back has none, as in Linux.

use crate::Tcp;
use crate::segment::Segment;
use sockeye_core::{Context, Error, IpInfo, Medium, Packet, SocketId};
use sockeye_wire::ethernet;

/// Bytes of headers that are kept of a SYN; of one that has more nothing is.
pub const SAVED_SYN_MAX: usize = 256;

/// The headers that are kept of a SYN. A half-open connection has room for a pointer.
#[derive(Debug)]
pub(crate) struct SavedSyn(Box<[u8]>);

/// What a listener keeps of SYNs (TCP_SAVE_SYN).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SaveSyn {
    /// Nothing: 0.
    #[default]
    Nothing,
    /// The headers from IP's on: 1.
    FromIp,
    /// Those from the link's on: 2.
    FromLink,
}

impl SaveSyn {
    /// As tcp(7) numbers it.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(crate) fn from_number(number: i32) -> Result<Self, Error> {
        match number {
            0 => Ok(Self::Nothing),
            1 => Ok(Self::FromIp),
            2 => Ok(Self::FromLink),
            _ => Err(Error::Invalid),
        }
    }

    pub(crate) fn number(self) -> i32 {
        match self {
            Self::Nothing => 0,
            Self::FromIp => 1,
            Self::FromLink => 2,
        }
    }

    /// What is kept of `syn`.
    pub(crate) fn of(self, syn: &Segment) -> Option<Box<SavedSyn>> {
        let headers = syn.syn_headers.as_ref()?;
        let start = match self {
            Self::Nothing => return None,
            Self::FromIp => headers.link_len,
            Self::FromLink => 0,
        };
        Some(Box::new(SavedSyn(headers.bytes[start..].into())))
    }
}

/// The headers of a SYN as it came, while some listener may want them.
#[derive(Debug)]
pub(crate) struct SynHeaders {
    bytes: Box<[u8]>,
    /// Bytes of the link's header, which come first.
    link_len: usize,
}

impl SynHeaders {
    /// Those before and at the head of `packet`, whose TCP header has `tcp_len` bytes.
    pub(crate) fn of(
        ip: &IpInfo,
        packet: &Packet,
        link_len: usize,
        tcp_len: usize,
    ) -> Option<Self> {
        let before = packet.before(link_len + usize::from(ip.header_len))?;
        let tcp = packet.head().get(..tcp_len)?;
        let fits = before.len() + tcp.len() <= SAVED_SYN_MAX;
        fits.then(|| Self {
            bytes: [before, tcp].concat().into(),
            link_len,
        })
    }
}

impl Tcp {
    /// Bytes of the link's header before a packet, where headers of SYNs are wanted at all.
    pub(crate) fn wants_syn_headers(&self, cx: &Context<'_>, ip: &IpInfo) -> Option<usize> {
        let medium = cx.inet.interface(ip.interface)?.capabilities().medium;
        self.saves_syns.then_some(match medium {
            Medium::Ip => 0,
            Medium::Ethernet(_) => ethernet::HEADER_LEN,
        })
    }

    /// TCP_SAVED_SYN: the headers of the SYN, once; nothing, when none are kept. They stay when they
    /// are more than `room` bytes.
    ///
    /// # Errors
    /// [`Error::BadSocket`]; [`Error::Invalid`] when there is not enough room.
    pub fn take_saved_syn(&mut self, id: SocketId, room: usize) -> Result<Box<[u8]>, Error> {
        let Some(tcb) = self.held_mut(id)?.tcb_mut() else {
            return Ok(Box::default());
        };
        if tcb.saved_syn.as_ref().is_some_and(|syn| syn.0.len() > room) {
            return Err(Error::Invalid);
        }
        Ok(tcb.saved_syn.take().map_or_else(Box::default, |syn| syn.0))
    }
}
