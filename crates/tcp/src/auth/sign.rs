//! How what leaves is signed (RFC 5925 §7.4, RFC 2385 §2): which key, and the option with the code
//! over the whole segment, put in when all else of the segment stands.

use super::ao::{Isns, TrafficKey, sne};
use super::covered::Covered;
use super::keys::{AoEntry, AoKey, Auth, Md5Key};
use super::md5;
use crate::State;
use crate::segment::Segment;
use crate::tcb::Tcb;
use sockeye_core::Payload;
use sockeye_core::demux::Flow;
use sockeye_wire::tcp::{Flags, HEADER_LEN_MAX, Header};
use sockeye_wire::tcp_options::Authentication;
use sockeye_wire::{Bounded, SeqNum};
use std::net::IpAddr;
use std::sync::Arc;

/// What signs the segments of one connection.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    Md5(Arc<Md5Key>),
    Ao(AoSigner),
}

/// RFC 5925 §4: a traffic key, and what its option says.
#[derive(Clone, Debug)]
pub(crate) struct AoSigner {
    traffic: Arc<TrafficKey>,
    key_id: u8,
    rnext_key_id: u8,
    mac_len: u8,
    excludes_options: bool,
    /// A number of 64 bits near those of what is sent.
    snd: u64,
}

impl AoSigner {
    fn new(key: &AoKey, traffic: Arc<TrafficKey>, rnext_key_id: u8, snd: u64) -> Self {
        Self {
            traffic,
            key_id: key.send_id,
            rnext_key_id,
            mac_len: key.mac_len,
            excludes_options: key.exclude_options,
            snd,
        }
    }
}

impl Signer {
    /// Signs the segment of `header`, which is complete but for its checksum, and `text`.
    pub(crate) fn sign(
        &self,
        header: &mut Header,
        source: IpAddr,
        destination: IpAddr,
        text: &Payload,
    ) {
        match self {
            Self::Md5(_) => header.options.md5 = Some([0; md5::DIGEST_LEN]),
            Self::Ao(ao) => {
                let mut mac = Bounded::new();
                for _ in 0..ao.mac_len {
                    mac.push(0);
                }
                header.options.authentication = Some(Authentication {
                    key_id: ao.key_id,
                    rnext_key_id: ao.rnext_key_id,
                    mac,
                });
            }
        }
        // The option has its place now: the code covers the header's length too.
        let mut bytes = [0; HEADER_LEN_MAX];
        header.emit(&mut bytes);
        let covered = Covered {
            source,
            destination,
            header: &bytes[..header.header_len()],
            text,
        };
        match self {
            Self::Md5(key) => {
                header.options.md5 = Some(md5::digest(&covered, key.key.as_bytes()));
            }
            Self::Ao(ao) => {
                // RFC 5925 §6.2: a SYN is where the numbers begin.
                let begins = header.flags.contains(Flags::SYN);
                let sne = if begins { 0 } else { sne(ao.snd, header.seq) };
                let len = ao.mac_len.into();
                let code = ao.traffic.code(sne, &covered, ao.excludes_options, len);
                if let Some(option) = &mut header.options.authentication {
                    option.mac = code;
                }
            }
        }
    }
}

impl Auth {
    /// The numbers of the connection, once it stands; they matter to TCP-AO alone.
    pub(crate) fn isns(&self) -> Isns {
        let extended = self.ao.as_ref().and_then(|ao| ao.extended);
        extended.map(|extended| extended.isns).unwrap_or_default()
    }

    fn md5_signer(&self, peer: IpAddr) -> Option<Signer> {
        self.md5_key(peer).cloned().map(Signer::Md5)
    }

    /// For a connection whose numbers are known, which `una` is near; in TIME-WAIT too.
    pub(crate) fn signer(&self, flow: &Flow, isns: Isns) -> Option<Signer> {
        let Some(ao) = &self.ao else {
            return self.md5_signer(flow.remote.ip);
        };
        let (key, rnext) = (ao.current.as_ref()?, ao.rnext.as_ref()?);
        let cached = ao.extended.is_some_and(|extended| extended.isns == isns);
        let entry = ao.keys.iter().find(|entry| Arc::ptr_eq(&entry.key, key));
        let traffic = match entry {
            Some(AoEntry {
                traffic: Some(traffic),
                ..
            }) if cached => traffic.send.clone(),
            _ => Arc::new(key.sending(flow, isns)),
        };
        let snd = ao.extended.map_or(isns.local.0.into(), |e| e.snd);
        Some(Signer::Ao(AoSigner::new(
            key,
            traffic,
            rnext.receive_id,
            snd,
        )))
    }

    /// For what has no state of its own, or little: the answer to a peer whose segment said `ids`
    /// (KeyID, RNextKeyID). RFC 5925 §7.5: it wants to hear the key RNextKeyID.
    ///
    /// # Errors
    /// That key is not there (any more): nothing can be said.
    pub(crate) fn answering(
        &self,
        flow: &Flow,
        isns: Isns,
        ids: Option<(u8, u8)>,
    ) -> Result<Option<Signer>, NoKey> {
        let Some((key_id, rnext_key_id)) = ids else {
            return Ok(self.md5_signer(flow.remote.ip));
        };
        let ao = self.ao.as_ref().ok_or(NoKey)?;
        let entry = ao.find(flow.remote.ip, |key| key.send_id == rnext_key_id);
        let key = &entry.ok_or(NoKey)?.key;
        let traffic = Arc::new(key.sending(flow, isns));
        let snd = isns.local.0.into();
        Ok(Some(Signer::Ao(AoSigner::new(key, traffic, key_id, snd))))
    }

    /// For the reset that answers a segment which no connection has: its numbers are all that is
    /// known. `None` when it goes unsigned.
    pub(crate) fn refusing(&self, flow: &Flow, segment: &Segment) -> Option<Signer> {
        let ids = ids_of(segment);
        self.answering(flow, isns_of(segment), ids).ok().flatten()
    }
}

/// The key that a peer asked for is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoKey;

/// KeyID and RNextKeyID.
pub(crate) fn ids_of(segment: &Segment) -> Option<(u8, u8)> {
    let ao = segment.options.authentication?;
    Some((ao.key_id, ao.rnext_key_id))
}

/// The initial sequence numbers as the segment has them that ends a handshake: those before its own.
pub(crate) fn isns_of(segment: &Segment) -> Isns {
    let syn = segment.has(Flags::SYN);
    Isns {
        local: segment.ack - 1,
        remote: segment.seq - u32::from(!syn),
    }
}

impl Tcb {
    /// Both initial sequence numbers, as far as they are known now; RFC 5925 §5.2: zero for the
    /// peer's before it has sent its SYN.
    pub(crate) fn isns(&self) -> Isns {
        Isns {
            local: self.snd.iss,
            remote: if self.state == State::SynSent {
                SeqNum(0)
            } else {
                self.rcv.irs
            },
        }
    }

    /// What signs the segments that leave now.
    pub(crate) fn signer(&self) -> Option<Signer> {
        self.auth.as_ref()?.signer(&self.flow, self.isns())
    }

    /// Bytes that the signature takes in every segment.
    pub(crate) fn signature_len(&self) -> u32 {
        let Some(auth) = &self.auth else { return 0 };
        match &auth.ao {
            Some(ao) => ao.current.as_ref().map_or(0, |key| key.option_len()),
            None if auth.md5_key(self.flow.remote.ip).is_some() => MD5_OPTION_LEN,
            None => 0,
        }
    }
}

/// Bytes of an MD5 option with its fillers.
const MD5_OPTION_LEN: u32 = 20;
