//! Keys, and the tables of them that a socket has: whose segments they are for (RFC 5925 §3.1), and
//! what may stand beside what.

use super::ao::{AoAlgorithm, Isns, KeyContext, TrafficKey};
use core::fmt;
use sockeye_core::Error;
use sockeye_core::demux::Flow;
use std::net::IpAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Longest key in bytes (Linux: TCP_MD5SIG_MAXKEYLEN and TCP_AO_MAXKEYLEN).
pub const KEY_LEN_MAX: usize = 80;
/// MD5 keys of one socket; Linux's `optmem_max` lets in 961.
pub const MD5_KEYS_MAX: usize = 1024;
/// Master keys of one socket.
pub const AO_KEYS_MAX: usize = 1024;
/// The longest code that fits beside the options of a SYN: 40 bytes less MSS, SACK permitted with
/// timestamps, window scale and the option's own four.
const AO_MAC_LEN_SYN_MAX: usize = 16;
/// RFC 5926 §3.2: codes of 96 bits.
const AO_MAC_LEN: u8 = 12;

/// The bytes of a key. They are wiped when it goes, and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A copy of `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// The MD5 key of a peer.
#[derive(Clone, Debug)]
pub(crate) struct Md5Key {
    pub(crate) peer: IpAddr,
    pub(crate) key: Secret,
}

/// A master key tuple of TCP-AO (RFC 5925 §3.1).
#[derive(Clone, Debug)]
pub struct AoKey {
    /// The peers that it is for: those whose address agrees with this one in its first `prefix`
    /// bits. Unspecified, with a prefix of 0, it is for all.
    pub peer: IpAddr,
    /// How many bits of `peer` count; the others are zero.
    pub prefix: u8,
    /// SendID: what our segments name it by.
    pub send_id: u8,
    /// RecvID: what the peer's segments name it by.
    pub receive_id: u8,
    /// What codes are made with.
    pub algorithm: AoAlgorithm,
    /// Bytes of a code.
    pub mac_len: u8,
    /// Codes do not cover the other options of a segment, which middleboxes may then change.
    pub exclude_options: bool,
    /// The master key: 80 bytes at most.
    pub key: Secret,
}

impl AoKey {
    /// A key for one peer, with HMAC-SHA-1-96 over everything.
    #[must_use]
    pub fn new(peer: IpAddr, send_id: u8, receive_id: u8, key: &[u8]) -> Self {
        let peer = peer.to_canonical();
        Self {
            peer,
            prefix: address_bits(peer),
            send_id,
            receive_id,
            algorithm: AoAlgorithm::default(),
            mac_len: AO_MAC_LEN,
            exclude_options: false,
            key: Secret::new(key),
        }
    }

    /// Whether it can be used at all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a prefix that is no prefix, a key that is too long or a code longer
    /// than the algorithm's; [`Error::MessageSize`] for one that does not fit into a SYN.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let whole = self.prefix <= address_bits(self.peer)
            && self.peer.is_unspecified() == (self.prefix == 0)
            && masked(self.peer, self.prefix) == masked(self.peer, u8::MAX);
        if !whole || self.key.as_bytes().len() > KEY_LEN_MAX {
            return Err(Error::Invalid);
        }
        // Codes are padded to whole words.
        let mac_len = usize::from(self.mac_len);
        if mac_len.next_multiple_of(4) > AO_MAC_LEN_SYN_MAX {
            return Err(Error::MessageSize);
        }
        if mac_len == 0 || mac_len > self.algorithm.digest_len() {
            return Err(Error::Invalid);
        }
        Ok(())
    }

    /// Whether it is for `peer`.
    pub(crate) fn is_for(&self, peer: IpAddr) -> bool {
        self.prefix == 0
            || (peer.is_ipv4() == self.peer.is_ipv4()
                && masked(peer, self.prefix) == masked(self.peer, self.prefix))
    }

    /// Whether it and `other` are for some peer both.
    fn overlaps(&self, other: &Self) -> bool {
        self.is_for(other.peer) || other.is_for(self.peer)
    }

    /// Bytes that its option takes in every segment.
    pub(crate) fn option_len(&self) -> u32 {
        (4 + u32::from(self.mac_len)).next_multiple_of(4)
    }

    /// The key for what we send.
    pub(crate) fn sending(&self, flow: &Flow, isns: Isns) -> TrafficKey {
        let context = KeyContext::sending(flow, isns);
        self.algorithm.derive(self.key.as_bytes(), &context)
    }

    /// The key for what the peer sends.
    pub(crate) fn receiving(&self, flow: &Flow, isns: Isns) -> TrafficKey {
        let context = KeyContext::receiving(flow, isns);
        self.algorithm.derive(self.key.as_bytes(), &context)
    }
}

/// A master key of a socket, how often it served, and its traffic keys once both initial sequence
/// numbers are known.
#[derive(Clone, Debug)]
pub(crate) struct AoEntry {
    pub(crate) key: Arc<AoKey>,
    pub(crate) good: u64,
    pub(crate) bad: u64,
    pub(crate) traffic: Option<Traffic>,
}

/// RFC 5925 §3.2: Send_other_traffic_key and Receive_other_traffic_key.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) send: Arc<TrafficKey>,
    pub(crate) receive: Arc<TrafficKey>,
}

impl AoEntry {
    pub(crate) fn new(key: Arc<AoKey>) -> Self {
        Self {
            key,
            good: 0,
            bad: 0,
            traffic: None,
        }
    }
}

/// Segments by what became of them, as TCP_AO_INFO tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AoCounters {
    /// Segments whose code was right.
    pub good: u64,
    /// Segments whose code was wrong, or of the wrong length.
    pub bad: u64,
    /// Segments whose key is not known.
    pub key_not_found: u64,
    /// Segments without a code that needed one.
    pub required: u64,
    /// ICMP errors that were not believed (RFC 5925 §7.8).
    pub dropped_icmp: u64,
}

/// What a connection has of RFC 5925 §4: its sequence number extensions, as numbers of 64 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extended {
    pub(crate) isns: Isns,
    /// SND.UNA with SND.SNE above it.
    pub(crate) snd: u64,
    /// RCV.NXT with RCV.SNE above it.
    pub(crate) rcv: u64,
}

/// TCP-AO on a socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ao {
    /// The key that was added last is the first.
    pub(crate) keys: Vec<AoEntry>,
    /// Current_key and Rnext_key (RFC 5925 §4); a listener has none.
    pub(crate) current: Option<Arc<AoKey>>,
    pub(crate) rnext: Option<Arc<AoKey>>,
    /// Segments of peers without a key are dropped too.
    pub(crate) required: bool,
    /// RFC 5925 §7.8 does not hold.
    pub(crate) accept_icmp: bool,
    pub(crate) counters: AoCounters,
    /// KeyID and RNextKeyID of the last segment that was good.
    pub(crate) heard: Option<(u8, u8)>,
    pub(crate) extended: Option<Extended>,
}

impl Ao {
    /// The first key that is for `peer`, or that one which `is` it among them.
    pub(crate) fn find(&self, peer: IpAddr, is: impl Fn(&AoKey) -> bool) -> Option<&AoEntry> {
        let mut entries = self.keys.iter();
        entries.find(|entry| is(&entry.key) && entry.key.is_for(peer))
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`Error::Exists`] when one of its IDs stands for another key of the same peer (RFC 5925
    /// §3.1), [`Error::NoMemory`] at [`AO_KEYS_MAX`].
    pub(crate) fn add(&mut self, key: Arc<AoKey>) -> Result<(), Error> {
        let clashes = |known: &AoEntry| {
            let same = known.key.send_id == key.send_id || known.key.receive_id == key.receive_id;
            same && known.key.overlaps(&key)
        };
        if self.keys.iter().any(clashes) {
            return Err(Error::Exists);
        }
        if self.keys.len() >= AO_KEYS_MAX {
            return Err(Error::NoMemory);
        }
        self.keys.insert(0, AoEntry::new(key));
        Ok(())
    }

    /// Whether current_key or rnext_key is `key`.
    pub(crate) fn is_in_use(&self, key: &Arc<AoKey>) -> bool {
        [&self.current, &self.rnext]
            .into_iter()
            .flatten()
            .any(|used| Arc::ptr_eq(used, key))
    }

    /// For a connection with `peer`: keeps the keys that are for it, of which those that are to be
    /// current and next by `ids` (SendID, RecvID) are, or the first.
    fn narrow(&mut self, peer: IpAddr, ids: Option<(u8, u8)>) {
        self.keys.retain(|entry| entry.key.is_for(peer));
        let by = |is: &dyn Fn(&AoKey) -> bool| {
            let entry = self.find(peer, is).or(self.keys.first());
            entry.map(|entry| entry.key.clone())
        };
        let (current, rnext) = match ids {
            Some((send, receive)) => (by(&|k| k.send_id == send), by(&|k| k.receive_id == receive)),
            None => {
                let chosen = |chosen: &Option<Arc<AoKey>>| {
                    let kept = chosen.clone().filter(|key| key.is_for(peer));
                    kept.or_else(|| by(&|_| true))
                };
                (chosen(&self.current), chosen(&self.rnext))
            }
        };
        (self.current, self.rnext) = (current, rnext);
    }
}

/// All keys of a socket. Of a connection's only those are kept that are for its peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Auth {
    pub(crate) md5: Vec<Arc<Md5Key>>,
    pub(crate) ao: Option<Ao>,
}

impl Auth {
    pub(crate) fn md5_key(&self, peer: IpAddr) -> Option<&Arc<Md5Key>> {
        self.md5.iter().find(|key| key.peer == peer)
    }

    /// Whether what `peer` sends must carry an authentication option.
    pub(crate) fn requires_ao(&self, peer: IpAddr) -> bool {
        let ao = self.ao.as_ref();
        ao.is_some_and(|ao| ao.required || ao.find(peer, |_| true).is_some())
    }

    /// Sets the MD5 key of `peer`; an empty one takes it away.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when there is none to take away, [`Error::Invalid`] when it is too long,
    /// [`Error::KeyRejected`] when the peer has a key of TCP-AO (RFC 5925 §2.2: never both),
    /// [`Error::NoMemory`] at [`MD5_KEYS_MAX`].
    pub(crate) fn set_md5(&mut self, peer: IpAddr, key: &[u8]) -> Result<(), Error> {
        let known = self.md5.iter().position(|known| known.peer == peer);
        if key.is_empty() {
            self.md5.remove(known.ok_or(Error::NoEntry)?);
            return Ok(());
        }
        if key.len() > KEY_LEN_MAX {
            return Err(Error::Invalid);
        }
        if self.requires_ao(peer) {
            return Err(Error::KeyRejected);
        }
        let key = Arc::new(Md5Key {
            peer,
            key: Secret::new(key),
        });
        match known {
            Some(known) => self.md5[known] = key,
            None if self.md5.len() >= MD5_KEYS_MAX => return Err(Error::NoMemory),
            None => self.md5.push(key),
        }
        Ok(())
    }

    /// What a connection to `peer` takes along, and whether it may be tried.
    ///
    /// # Errors
    /// [`Error::KeyRejected`] when the peer has keys of both kinds, or the socket has TCP-AO and
    /// none for it.
    pub(crate) fn for_connect(&self, peer: IpAddr) -> Result<Self, Error> {
        let md5 = self.md5_key(peer);
        let ao = self
            .ao
            .as_ref()
            .filter(|ao| ao.find(peer, |_| true).is_some());
        match (md5, ao) {
            (Some(_), _) if self.requires_ao(peer) => Err(Error::KeyRejected),
            (None, None) if self.ao.is_some() => Err(Error::KeyRejected),
            (_, None) => Ok(Self {
                md5: self.md5.clone(),
                ao: None,
            }),
            (_, Some(ao)) => {
                let mut ao = ao.clone();
                ao.narrow(peer, None);
                Ok(Self {
                    md5: Vec::new(),
                    ao: Some(ao),
                })
            }
        }
    }

    /// What a connection that `peer` has asked a listener for takes along: `ids` are the KeyID and
    /// RNextKeyID of its SYN, where that had an authentication option.
    pub(crate) fn for_accept(&self, peer: IpAddr, ids: Option<(u8, u8)>) -> Option<Self> {
        let ao = self
            .ao
            .as_ref()
            .zip(ids)
            .map(|(ao, (key_id, rnext_key_id))| {
                let mut ao = Ao {
                    keys: ao
                        .keys
                        .iter()
                        .map(|e| AoEntry::new(e.key.clone()))
                        .collect(),
                    required: ao.required,
                    accept_icmp: ao.accept_icmp,
                    ..Ao::default()
                };
                // RFC 5925 §7.5: it wants to hear the key RNextKeyID, and is heard with KeyID.
                ao.narrow(peer, Some((rnext_key_id, key_id)));
                ao
            });
        let md5: Vec<_> = self.md5_key(peer).cloned().into_iter().collect();
        let any = ao.is_some() || !md5.is_empty();
        any.then_some(Self { md5, ao })
    }

    /// For a socket whose connection has ended: nothing of it is left.
    pub(crate) fn forget_connection(&mut self) {
        if let Some(ao) = &mut self.ao {
            ao.extended = None;
            ao.heard = None;
            for entry in &mut ao.keys {
                entry.traffic = None;
            }
        }
    }
}

fn address_bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The first `prefix` bits of an address.
fn masked(ip: IpAddr, prefix: u8) -> u128 {
    let bits = match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix.into()));
    bits & mask.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn key(net: &str, prefix: u8, send_id: u8, receive_id: u8) -> AoKey {
        AoKey {
            prefix,
            ..AoKey::new(net.parse().unwrap(), send_id, receive_id, b"k")
        }
    }

    #[test]
    fn prefixes_say_whom_a_key_is_for() {
        let net = key("10.0.0.0", 24, 1, 1);
        assert!(net.is_for(PEER) && !net.is_for([10, 0, 1, 1].into()));
        let all = key("::", 0, 1, 1);
        assert!(all.is_for(PEER) && all.is_for("fd00::1".parse().unwrap()));
        let v6 = key("fd00::", 16, 1, 1);
        assert!(v6.is_for("fd00::7".parse().unwrap()) && !v6.is_for(PEER));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let with = |change: &dyn Fn(&mut AoKey)| {
            let mut key = key("10.0.0.0", 24, 1, 1);
            change(&mut key);
            key.check()
        };
        assert_eq!(with(&|_| ()), Ok(()));
        assert_eq!(with(&|k| k.prefix = 33), Err(Error::Invalid));
        assert_eq!(with(&|k| k.prefix = 0), Err(Error::Invalid));
        assert_eq!(with(&|k| k.peer = PEER), Err(Error::Invalid));
        assert_eq!(with(&|k| k.key = Secret::new(&[0; 80])), Ok(()));
        assert_eq!(
            with(&|k| k.key = Secret::new(&[0; 81])),
            Err(Error::Invalid)
        );
        assert_eq!(with(&|k| k.mac_len = 16), Ok(()));
        assert_eq!(with(&|k| k.mac_len = 17), Err(Error::MessageSize));
        assert_eq!(with(&|k| k.mac_len = 0), Err(Error::Invalid));
    }

    /// RFC 5925 §3.1: IDs must not overlap where the connections do.
    #[test]
    fn an_id_names_one_key_of_a_peer() {
        let mut ao = Ao::default();
        let mut add = |key: AoKey| ao.add(Arc::new(key));
        assert_eq!(add(key("10.0.0.0", 24, 1, 2)), Ok(()));
        assert_eq!(add(key("10.0.0.1", 32, 1, 9)), Err(Error::Exists));
        assert_eq!(add(key("0.0.0.0", 0, 9, 2)), Err(Error::Exists));
        assert_eq!(add(key("10.0.0.1", 32, 2, 1)), Ok(()));
        assert_eq!(add(key("10.0.1.0", 24, 1, 2)), Ok(()));
    }

    #[test]
    fn tables_have_limits() {
        let mut auth = Auth::default();
        for n in 0..MD5_KEYS_MAX as u32 {
            let peer = IpAddr::V4(n.into());
            assert_eq!(auth.set_md5(peer, b"k"), Ok(()));
        }
        assert_eq!(
            auth.set_md5([200, 0, 0, 1].into(), b"k"),
            Err(Error::NoMemory)
        );
        // One that is there can still be changed.
        assert_eq!(auth.set_md5([0, 0, 0, 1].into(), b"other"), Ok(()));
        let mut ao = Ao::default();
        for n in 0..AO_KEYS_MAX as u32 {
            let key = AoKey::new(IpAddr::V4(n.saturating_add(1).into()), 1, 1, b"k");
            assert_eq!(ao.add(Arc::new(key)), Ok(()));
        }
        let more = AoKey::new([200, 0, 0, 1].into(), 1, 1, b"k");
        assert_eq!(ao.add(Arc::new(more)), Err(Error::NoMemory));
    }

    #[test]
    fn the_two_kinds_exclude_each_other() {
        let mut auth = Auth::default();
        auth.set_md5(PEER, b"k").unwrap();
        auth.ao = Some(Ao::default());
        // Only the socket's other peers have TCP-AO.
        let mut with_other = auth.clone();
        let other = AoKey::new([10, 0, 0, 9].into(), 1, 1, b"k");
        with_other
            .ao
            .as_mut()
            .unwrap()
            .add(Arc::new(other))
            .unwrap();
        let to_md5_peer = with_other.for_connect(PEER).unwrap();
        assert!(to_md5_peer.ao.is_none() && to_md5_peer.md5_key(PEER).is_some());
        let to_ao_peer = with_other.for_connect([10, 0, 0, 9].into()).unwrap();
        assert!(to_ao_peer.ao.is_some() && to_ao_peer.md5.is_empty());
        let to_neither = with_other.for_connect([10, 0, 0, 5].into());
        assert_eq!(to_neither.unwrap_err(), Error::KeyRejected);
        assert_eq!(
            with_other.set_md5([10, 0, 0, 9].into(), b"k"),
            Err(Error::KeyRejected)
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let text = format!("{:?}", AoKey::new(PEER, 1, 2, b"swordfish"));
        assert!(
            !text.contains("sword") && text.contains("9 bytes"),
            "{text}"
        );
    }
}
