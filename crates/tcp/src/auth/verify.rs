//! Whether a segment may be believed (RFC 5925 §7.5, RFC 2385 §4): asked before anything else looks
//! at it, and answered with silence when not.
//!
//! | has | without a key | with a key of MD5 | with one of TCP-AO |
//! |---|---|---|---|
//! | nothing | taken | dropped: MD5NotFound | dropped: AORequired |
//! | MD5 | dropped: MD5Unexpected | checked: MD5Failure | dropped: MD5Unexpected |
//! | TCP-AO | dropped: AOKeyNotFound | dropped: AOKeyNotFound | checked: AOBad, AOGood |
//!
//! As in Linux, a signature that nobody has a key for is no segment without a signature: RFC 5925
//! §7.3 would rather take it.

use super::ao::{Isns, TrafficKey, extend, sne};
use super::covered::Covered;
use super::keys::{Ao, AoEntry, Auth, Extended, Traffic};
use super::md5;
use super::sign::isns_of;
use crate::segment::Segment;
use crate::socket::Socket;
use crate::tcb::Tcb;
use crate::{State, Tcp};
use sockeye_core::demux::Flow;
use sockeye_core::{Context, Counter, SocketId};
use sockeye_wire::SeqNum;
use sockeye_wire::tcp::Flags;
use sockeye_wire::tcp_options::Authentication;
use std::sync::Arc;

/// What is known of the connection that a segment is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// LISTEN: nothing.
    Listen,
    /// SYN-SENT: our number.
    SynSent(SeqNum),
    /// SYN-RECEIVED from LISTEN: both numbers, and whether the SYN had an authentication option.
    HalfOpen { isns: Isns, ao: bool },
    /// All other states: SND.UNA and RCV.NXT too.
    Synchronized {
        isns: Isns,
        una: SeqNum,
        nxt: SeqNum,
    },
}

impl Tcp {
    /// Whether the socket `id` may believe `segment`. What it may not is counted, and that is all.
    pub(crate) fn authentic(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        flow: &Flow,
        segment: &Segment,
    ) -> bool {
        let (holder, stage) = match self.sockets.get(id) {
            Some(Socket::Connection(tcb)) => (id, tcb.stage()),
            Some(Socket::HalfOpen(half_open)) => (half_open.listener, half_open.stage()),
            Some(Socket::Listening(_)) => (id, Stage::Listen),
            Some(Socket::TimeWait(time_wait)) => {
                // With a SYN a new connection begins, and whoever listens judges it.
                if time_wait.auth().is_none() && begins(segment) {
                    return true;
                }
                (id, time_wait.stage())
            }
            Some(Socket::Fresh(_) | Socket::Packed(_)) | None => return true,
        };
        let auth = match self.sockets.get_mut(holder) {
            Some(socket) => socket.auth_mut().and_then(|auth| auth.as_deref_mut()),
            None => None,
        };
        let verdict = match auth {
            Some(auth) => auth.check(flow, segment, stage),
            None => without_keys(segment),
        };
        match verdict {
            Ok(what) => {
                what.into_iter().for_each(|good| cx.counters.add(good));
                if what.is_some() {
                    self.signature_may_have_grown(id);
                }
                true
            }
            Err(why) => {
                cx.drop_packet(why);
                false
            }
        }
    }

    /// The peer may have asked for a key whose codes are longer.
    fn signature_may_have_grown(&mut self, id: SocketId) {
        if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id)
            && let Some(route) = tcb.route
        {
            tcb.update_mss(&route);
        }
    }
}

/// A segment for a socket without keys.
fn without_keys(segment: &Segment) -> Result<Option<Counter>, Counter> {
    let options = &segment.options;
    if options.bad_signature {
        Err(Counter::TcpInErrs)
    } else if options.authentication.is_some() {
        Err(Counter::TcpExtTCPAOKeyNotFound)
    } else if options.md5.is_some() {
        Err(Counter::TcpExtTCPMD5Unexpected)
    } else {
        Ok(None)
    }
}

/// A SYN without an ACK.
fn begins(segment: &Segment) -> bool {
    segment.has(Flags::SYN) && !segment.has(Flags::ACK)
}

impl Auth {
    /// Judges a segment; with what to count when it is good, or when it is dropped.
    pub(crate) fn check(
        &mut self,
        flow: &Flow,
        segment: &Segment,
        stage: Stage,
    ) -> Result<Option<Counter>, Counter> {
        let options = &segment.options;
        if options.bad_signature {
            return Err(Counter::TcpInErrs);
        }
        let peer = flow.remote.ip;
        if let Stage::HalfOpen { ao, .. } = stage
            && ao != options.authentication.is_some()
        {
            // RFC 5925 §7.4: the SYN has decided whether the connection has TCP-AO.
            return Err(Counter::TcpExtTCPAOBad);
        }
        if let Some(option) = &options.authentication {
            let ao = self.ao.as_mut().ok_or(Counter::TcpExtTCPAOKeyNotFound)?;
            ao.check(flow, segment, option, stage)?;
            return Ok(Some(Counter::TcpExtTCPAOGood));
        }
        if self.requires_ao(peer) && options.md5.is_none() {
            if let Some(ao) = &mut self.ao {
                ao.counters.required = ao.counters.required.saturating_add(1);
            }
            return Err(Counter::TcpExtTCPAORequired);
        }
        match (self.md5_key(peer), &options.md5) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Counter::TcpExtTCPMD5Unexpected),
            (Some(_), None) => Err(Counter::TcpExtTCPMD5NotFound),
            (Some(key), Some(digest)) => {
                let right = covered(flow, segment)
                    .is_some_and(|covered| md5::verify(&covered, key.key.as_bytes(), digest));
                right.then_some(None).ok_or(Counter::TcpExtTCPMD5Failure)
            }
        }
    }
}

impl Ao {
    /// RFC 5925 §7.5: a segment with an authentication option.
    fn check(
        &mut self,
        flow: &Flow,
        segment: &Segment,
        option: &Authentication,
        stage: Stage,
    ) -> Result<(), Counter> {
        let Authentication {
            key_id,
            rnext_key_id,
            mac,
        } = option;
        if let Stage::Synchronized { isns, una, nxt } = stage {
            self.follow(flow, isns, una, nxt);
        }
        let extended = self.extended;
        let named = |e: &AoEntry| e.key.receive_id == *key_id && e.key.is_for(flow.remote.ip);
        let Some(entry) = self.keys.iter_mut().find(|entry| named(entry)) else {
            self.counters.key_not_found = self.counters.key_not_found.saturating_add(1);
            return Err(Counter::TcpExtTCPAOKeyNotFound);
        };
        let key = entry.key.clone();
        let right = mac.len() == usize::from(key.mac_len)
            && covered(flow, segment).is_some_and(|covered| {
                receiving(entry, flow, segment, stage, extended).is_some_and(|(traffic, sne)| {
                    traffic.verify(sne, &covered, key.exclude_options, mac)
                })
            });
        let (of_key, of_all) = if right {
            (&mut entry.good, &mut self.counters.good)
        } else {
            (&mut entry.bad, &mut self.counters.bad)
        };
        *of_key = of_key.saturating_add(1);
        *of_all = of_all.saturating_add(1);
        if !right {
            return Err(Counter::TcpExtTCPAOBad);
        }
        // A SYN is good whenever it comes again: it asks for nothing.
        let keeps = matches!(stage, Stage::Synchronized { .. } | Stage::SynSent(_));
        if keeps && !begins(segment) {
            self.heard = Some((*key_id, *rnext_key_id));
            // §7.5, 2.e: the peer is ready for another key, and we have it.
            let asked = self.find(flow.remote.ip, |key| key.send_id == *rnext_key_id);
            if let Some(asked) = asked.map(|entry| entry.key.clone()) {
                self.current = Some(asked);
            }
        }
        Ok(())
    }

    /// RFC 5925 §6.2: the sequence number extensions follow SND.UNA and RCV.NXT, and both directions
    /// get their traffic keys.
    fn follow(&mut self, flow: &Flow, isns: Isns, una: SeqNum, nxt: SeqNum) {
        let extended = self.extended.get_or_insert(Extended {
            isns,
            snd: isns.local.0.into(),
            rcv: isns.remote.0.into(),
        });
        extended.snd = extend(extended.snd, una);
        extended.rcv = extend(extended.rcv, nxt);
        for entry in &mut self.keys {
            if entry.traffic.is_none() {
                entry.traffic = Some(Traffic {
                    send: Arc::new(entry.key.sending(flow, isns)),
                    receive: Arc::new(entry.key.receiving(flow, isns)),
                });
            }
        }
    }
}

/// RFC 5925 §5.2, §7.5 (2.b, 2.c): the traffic key and the sequence number extension of what the
/// peer sent. `None` when the numbers are not known that its key has to be of.
fn receiving(
    entry: &AoEntry,
    flow: &Flow,
    segment: &Segment,
    stage: Stage,
    extended: Option<Extended>,
) -> Option<(Arc<TrafficKey>, u32)> {
    let from = |isns: Isns| Arc::new(entry.key.receiving(flow, isns));
    if begins(segment) {
        // Receive_SYN_traffic_key: our number is not known to the peer, and counts as zero.
        let isns = Isns {
            local: SeqNum(0),
            remote: segment.seq,
        };
        return Some((from(isns), 0));
    }
    let near = |isns: Isns| sne(isns.remote.0.into(), segment.seq);
    match stage {
        // What ends a handshake that we keep nothing of.
        Stage::Listen if segment.has(Flags::ACK) => {
            let isns = isns_of(segment);
            Some((from(isns), near(isns)))
        }
        Stage::Listen => None,
        // The SYN and ACK, or a reset: the peer's number is in it.
        Stage::SynSent(iss) if segment.has(Flags::SYN | Flags::RST) => {
            let isns = Isns {
                local: iss,
                remote: segment.seq,
            };
            Some((from(isns), 0))
        }
        Stage::SynSent(_) => None,
        Stage::HalfOpen { isns, .. } => Some((from(isns), near(isns))),
        Stage::Synchronized { isns, .. } => {
            let traffic = match &entry.traffic {
                Some(traffic) => traffic.receive.clone(),
                None => from(isns),
            };
            let rcv = extended.map_or(isns.remote.0.into(), |extended| extended.rcv);
            Some((traffic, sne(rcv, segment.seq)))
        }
    }
}

/// The segment as it came. `None` when several were put together: no signature is of them all.
fn covered<'a>(flow: &Flow, segment: &'a Segment) -> Option<Covered<'a>> {
    let header = segment.signed_header.as_deref()?;
    (segment.wire_segments == 1).then_some(Covered {
        source: flow.remote.ip,
        destination: flow.local.ip,
        header,
        text: &segment.text,
    })
}

impl Tcb {
    fn stage(&self) -> Stage {
        match self.state {
            State::SynSent => Stage::SynSent(self.snd.iss),
            _ => Stage::Synchronized {
                isns: self.isns(),
                una: self.snd.una,
                nxt: self.rcv.nxt,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AoKey;
    use sockeye_core::Payload;
    use sockeye_core::demux::Endpoint;
    use sockeye_wire::tcp::Header;

    const ISNS: Isns = Isns {
        local: SeqNum(u32::MAX - 5),
        remote: SeqNum(1000),
    };

    fn turned(isns: Isns) -> Isns {
        Isns {
            local: isns.remote,
            remote: isns.local,
        }
    }

    /// One end of a connection: its keys, its flow and its numbers.
    fn end(own: u8, peer: u8, isns: Isns) -> (Auth, Flow, Isns) {
        let mut ao = Ao::default();
        let ip = |n: u8| [10, 0, 0, n];
        ao.add(Arc::new(AoKey::new(ip(peer).into(), own, peer, b"k")))
            .unwrap();
        let mut auth = Auth {
            ao: Some(ao),
            ..Auth::default()
        };
        auth = auth.for_connect(ip(peer).into()).unwrap();
        let flow = Flow {
            local: Endpoint::new(ip(own).into(), own.into()),
            remote: Endpoint::new(ip(peer).into(), peer.into()),
        };
        (auth, flow, isns)
    }

    /// RFC 5925 §6.2: SND.SNE and RCV.SNE go with SND.UNA and RCV.NXT around the ring, so that a
    /// recorded segment is good in its own turn alone.
    #[test]
    fn a_segment_of_an_earlier_turn_is_not_good_again() {
        let (mut sender, flow, isns) = end(1, 2, ISNS);
        let (mut receiver, turned_flow, turned_isns) = end(2, 1, turned(ISNS));
        // The sender's next number, which is the receiver's RCV.NXT; the other direction is silent.
        let mut next = ISNS.local + 1;
        let mut sign = |next: SeqNum| {
            let ao = sender.ao.as_mut().unwrap();
            ao.follow(&flow, isns, next, isns.remote + 1);
            let mut header = Header {
                source_port: 1,
                destination_port: 2,
                seq: next,
                flags: Flags::ACK,
                ..Header::default()
            };
            let text = Payload::new();
            let signer = sender.signer(&flow, isns).unwrap();
            signer.sign(&mut header, flow.local.ip, flow.remote.ip, &text);
            let mut segment = crate::segment::tests::text(next.0, Flags::ACK, b"");
            segment.options = header.options;
            let mut bytes = vec![0; header.header_len()];
            header.emit(&mut bytes);
            segment.signed_header = Some(bytes.into());
            segment
        };
        let mut judge = |segment: &Segment, next: SeqNum| {
            let stage = Stage::Synchronized {
                isns: turned_isns,
                una: turned_isns.local + 1,
                nxt: next,
            };
            receiver.check(&turned_flow, segment, stage)
        };
        let good = Ok(Some(Counter::TcpExtTCPAOGood));
        let recorded = sign(next);
        assert_eq!(judge(&recorded, next), good);
        // Twice around, a quarter at a time.
        for quarter in 1..=8 {
            next += 1 << 30;
            let segment = sign(next);
            assert_eq!(judge(&segment, next), good, "{quarter}");
            let again = judge(&recorded, next);
            // Up to half a ring behind it is old, and no more than that.
            let near = quarter <= 2;
            assert_eq!(again == good, near, "{quarter}");
        }
        assert_eq!(next, recorded.seq);
        let extended = sender.ao.unwrap().extended.unwrap();
        assert_eq!((extended.snd >> 32, extended.rcv), (2, 1001));
    }
}
