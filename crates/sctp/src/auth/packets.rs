//! Which packets of an association are signed, and which chunks are taken (RFC 4895 §6.2, §6.3).

use super::{Authenticator, ChunkSet, Terms, Verdict};
use crate::info::{KeyChange, Notification};
use crate::offer::Offer;
use crate::packet::Draft;
use crate::receive::Step;
use crate::settings::Settings;
use crate::tcb::Association;
use sockeye_core::{Context, Counter};
use sockeye_wire::sctp::{Cause, Chunk, ChunkType, Chunks, HEADER_LEN};

/// The chunks that a socket takes signed only: RFC 5061 §4.1: ASCONF and ASCONF-ACK among them, unless
/// the node is told to do without (`addip_noauth_enable`).
pub(crate) fn required(settings: &Settings) -> ChunkSet {
    let mut chunks = settings.signed_chunks;
    if settings.address_configuration && !settings.unsigned_addresses {
        chunks.insert(ChunkType::ASCONF);
        chunks.insert(ChunkType::ASCONF_ACK);
    }
    chunks
}

/// The shared key that a packet is signed with. RFC 4895 §5: there is one AUTH chunk in it, so messages
/// that want different keys do not share a packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PacketKey(Option<Option<u16>>);

impl PacketKey {
    /// Whether what is to be signed with `key`, or with the active one, may be in the packet. It is
    /// from then on.
    pub(crate) fn joins(&mut self, key: Option<u16>) -> bool {
        *self.0.get_or_insert(key) == key
    }
}

impl Association {
    /// Both sides' terms are known: from a cookie, where they are key vectors.
    pub(crate) fn adopt_keys(&mut self, local: &[u8], peer: &[u8]) {
        let terms = Terms::from_vector(local).zip(Terms::from_vector(peer));
        let keys = self.settings.keys.clone();
        self.authenticator = terms.and_then(|(own, peer)| Authenticator::new(keys, own, peer));
    }

    /// The same from an INIT ACK.
    pub(crate) fn adopt_terms(&mut self, offer: &Offer<'_>) {
        let peer = offer.terms.as_ref().ok().and_then(Option::as_ref);
        let own = self.random.filter(|_| self.abilities.authentication);
        let keys = self.settings.keys.clone();
        let chunks = required(&self.settings);
        self.authenticator = own.zip(peer).and_then(|(random, peer)| {
            let own = Terms::offer(&random, chunks, &self.settings.algorithms);
            Authenticator::new(keys, own, peer.clone())
        });
    }

    /// Bytes that a packet with data has to spare for an AUTH chunk. Other chunks go in packets of
    /// their own, which have room.
    pub(crate) fn auth_room(&self) -> usize {
        const BESIDE_DATA: [ChunkType; 6] = [
            ChunkType::DATA,
            ChunkType::I_DATA,
            ChunkType::SACK,
            ChunkType::FORWARD_TSN,
            ChunkType::I_FORWARD_TSN,
            ChunkType::ECNE,
        ];
        let signs = self.authenticator.as_ref();
        let signs = signs.filter(|auth| BESIDE_DATA.iter().any(|kind| auth.must_sign(*kind)));
        signs.map_or(0, Authenticator::chunk_len)
    }

    /// Puts an AUTH chunk before the first chunk of a packet that the peer takes signed only
    /// (RFC 4895 §6.2), if there is one. What has no key of its own is signed with the active one.
    pub(crate) fn seal(&self, draft: &mut Draft, key: PacketKey) {
        let Some(auth) = &self.authenticator else {
            return;
        };
        let packet = draft.bytes_mut();
        let chunks = packet.get(HEADER_LEN..).unwrap_or_default();
        let mut walk = Chunks::new(chunks);
        let first = loop {
            let at = packet.len() - walk.rest().len();
            match walk.next() {
                Some(Ok(chunk)) if auth.must_sign(chunk.kind) => break at,
                Some(Ok(_)) => {}
                _ => return,
            }
        };
        let mut chunk = Vec::new();
        let key = key.0.flatten();
        auth.begin(key, &mut chunk);
        draft.insert(first, &chunk);
        auth.sign(key, draft.bytes_mut(), first);
    }

    /// Whether a received chunk counts: AUTH chunks are verified here, with `rest` behind them;
    /// RFC 4895 §6.3: what must be signed and is not is skipped, without a word.
    pub(crate) fn admits(
        &mut self,
        cx: &mut Context<'_>,
        at: Option<usize>,
        chunk: &Chunk<'_>,
        rest: &[u8],
        signed: &mut bool,
    ) -> Step {
        let Some(auth) = &self.authenticator else {
            return Step::Next;
        };
        if chunk.kind != ChunkType::AUTH {
            return match chunk.kind {
                kind if *signed || !auth.must_be_signed(kind) => Step::Next,
                // RFC 5061 §5.2 D5: with all that follows.
                ChunkType::ASCONF | ChunkType::ASCONF_ACK => {
                    cx.drop_packet(Counter::SctpInPktDiscards);
                    Step::Stop
                }
                _ => {
                    cx.drop_packet(Counter::SctpInPktDiscards);
                    Step::Skip
                }
            };
        }
        match auth.verify(chunk, rest) {
            // §5: there is one in a packet at most.
            Verdict::Good(key) if !*signed => {
                *signed = true;
                self.peer_signs_with(cx, key);
                Step::Skip
            }
            Verdict::Unsupported(id) if !*signed => {
                self.send_error(at, &Cause::UnsupportedHmac(id.0));
                Step::Stop
            }
            _ => {
                cx.drop_packet(Counter::SctpInPktDiscards);
                Step::Stop
            }
        }
    }

    /// RFC 6458 §6.1.8: the user is told when the peer signs with another key than before.
    fn peer_signs_with(&mut self, cx: &mut Context<'_>, key: u16) {
        if core::mem::replace(&mut self.peer_key, key) != key {
            self.notify_key(cx, key, KeyChange::New);
        }
    }

    /// Whether messages are still to be signed with this key, or may have to be once more.
    pub(crate) fn uses_key(&self, key: u16) -> bool {
        let mut sent = self.outstanding.iter();
        self.outbound.uses_key(key) || sent.any(|sent| sent.fragment.key == Some(key))
    }

    /// RFC 6458 §8.3.4: tells of deactivated keys that no message needs any more.
    pub(crate) fn retire_keys(&mut self, cx: &mut Context<'_>) {
        for key in core::mem::take(&mut self.retiring_keys) {
            match self.uses_key(key) {
                true => self.retiring_keys.push(key),
                false => self.notify_key(cx, key, KeyChange::Free),
            }
        }
    }

    /// Tells of a key, or that there is no authentication.
    pub(crate) fn notify_key(&mut self, cx: &mut Context<'_>, key: u16, change: KeyChange) {
        let assoc = self.assoc;
        self.notify(cx, Notification::Authentication { assoc, key, change });
    }
}
