//! State cookies (RFC 9260 §5.1.3): all that an association is made of, signed and handed to the
//! peer, so that nothing is kept before it comes back.
//!
//! What is in a cookie is no secret: the peer has said it or is told it. The key changes each hour,
//! and the one before it is kept as long; a cookie says when it was made, and so by which.

use crate::tcb::Abilities;
use core::fmt;
use core::time::Duration;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use sockeye_core::{Instant, Rng};
use std::net::IpAddr;

/// RFC 9260 §5.1.3: keys should change reasonably frequently.
const KEY_LIFE: Duration = Duration::from_secs(3600);
/// Bytes of a key: a block of SHA-256.
const KEY_LEN: usize = 64;
/// Bytes of the code that is kept of the 32: enough that nobody guesses it.
const CODE_LEN: usize = 16;
/// The longest life that a cookie may have: no key is kept for longer.
const LIFE_MAX: Duration = KEY_LIFE;

/// What a cookie holds. Tags and the like are named from the side of the cookie's maker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) local_port: u16,
    pub(crate) peer_port: u16,
    pub(crate) local_tag: u32,
    pub(crate) peer_tag: u32,
    /// The tags of the association that there was already (RFC 9260 §5.2.2); else 0.
    pub(crate) local_tie: u32,
    pub(crate) peer_tie: u32,
    pub(crate) local_tsn: u32,
    pub(crate) peer_tsn: u32,
    /// The peer's a_rwnd.
    pub(crate) peer_window: u32,
    pub(crate) streams_out: u16,
    pub(crate) streams_in: u16,
    /// Where the INIT came from, and where it went.
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The peer's further addresses.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) abilities: Abilities,
    /// The key vectors of RFC 4895 §6.1, ours and the peer's; empty without authentication.
    pub(crate) local_keys: Vec<u8>,
    pub(crate) peer_keys: Vec<u8>,
}

/// Why a cookie is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is none of this node's, or its key is gone.
    Forged,
    /// It has expired.
    Stale {
        /// Microseconds since then, rounded up.
        staleness: u32,
        /// What it holds.
        contents: Box<Contents>,
    },
}

/// The keys of a node's cookies.
pub(crate) struct Jar {
    key: [u8; KEY_LEN],
    /// When `key` came into use.
    since: Instant,
    /// The key before.
    previous: Option<[u8; KEY_LEN]>,
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jar").finish_non_exhaustive()
    }
}

impl Jar {
    /// With a key by chance.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            key: rng.bytes(),
            since: Instant::ZERO,
            previous: None,
        }
    }

    /// A cookie that is good for `life`, an hour at most.
    /// RFC 9260 §3.3.3.1.1-1, §5.1.3-1, §5.1.3-2.
    pub(crate) fn seal(
        &mut self,
        rng: &mut Rng,
        contents: &Contents,
        now: Instant,
        life: Duration,
    ) -> Vec<u8> {
        self.rotate(rng, now);
        let mut cookie = Vec::with_capacity(128);
        cookie.extend_from_slice(&now.as_nanos().to_be_bytes());
        let millis = u32::try_from(life.min(LIFE_MAX).as_millis()).unwrap_or(u32::MAX);
        cookie.extend_from_slice(&millis.to_be_bytes());
        contents.write(&mut cookie);
        let code = code(&self.key, &cookie);
        cookie.extend_from_slice(&code);
        cookie
    }

    fn rotate(&mut self, rng: &mut Rng, now: Instant) {
        if now < self.since + KEY_LIFE {
            return;
        }
        let old = core::mem::replace(&mut self.key, rng.bytes());
        // A key that has not been needed for an hour is of no use any more.
        self.previous = (now < self.since + 2 * KEY_LIFE).then_some(old);
        self.since = now;
    }

    /// What a cookie holds that comes back (RFC 9260 §5.1.5 1, 2 and 4).
    /// RFC 9260 §5.1.5-1, §5.1.5-2, §4-1.
    pub(crate) fn open(&self, cookie: &[u8], now: Instant) -> Result<Contents, Failure> {
        let signed = cookie.split_last_chunk::<CODE_LEN>();
        let (body, code) = signed.ok_or(Failure::Forged)?;
        let mut reader = Reader(body);
        let made = reader.u64().ok_or(Failure::Forged)?;
        let made = Instant::from_nanos(made);
        let key = match self.previous {
            _ if made >= self.since => &self.key,
            Some(ref previous) => previous,
            None => return Err(Failure::Forged),
        };
        if !verify(key, body, code) {
            return Err(Failure::Forged);
        }
        let life = reader.u32().ok_or(Failure::Forged)?;
        let end = made + Duration::from_millis(life.into());
        let contents = Contents::read(&mut reader).ok_or(Failure::Forged)?;
        if now > end {
            let late = now.saturating_since(end).as_nanos();
            return Err(Failure::Stale {
                staleness: u32::try_from(late.div_ceil(1000)).unwrap_or(u32::MAX),
                contents: Box::new(contents),
            });
        }
        Ok(contents)
    }
}

fn mac(key: &[u8; KEY_LEN], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(key.into());
    mac.update(body);
    mac
}

fn code(key: &[u8; KEY_LEN], body: &[u8]) -> [u8; CODE_LEN] {
    let whole: [u8; 32] = mac(key, body).finalize().into_bytes().into();
    let mut code = [0; CODE_LEN];
    code.copy_from_slice(&whole[..CODE_LEN]);
    code
}

/// Whether `code` is that of `body`, found out in constant time.
fn verify(key: &[u8; KEY_LEN], body: &[u8], code: &[u8; CODE_LEN]) -> bool {
    mac(key, body).verify_truncated_left(code).is_ok()
}

impl Contents {
    fn write(&self, out: &mut Vec<u8>) {
        let Self {
            local_port,
            peer_port,
            local_tag,
            peer_tag,
            local_tie,
            peer_tie,
            local_tsn,
            peer_tsn,
            peer_window,
            streams_out,
            streams_in,
            source,
            destination,
            addresses,
            abilities,
            local_keys,
            peer_keys,
        } = self;
        for half in [local_port, peer_port, streams_out, streams_in] {
            out.extend_from_slice(&half.to_be_bytes());
        }
        for word in [
            local_tag,
            peer_tag,
            local_tie,
            peer_tie,
            local_tsn,
            peer_tsn,
            peer_window,
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        write_abilities(abilities, out);
        write_address(*source, out);
        write_address(*destination, out);
        let count = addresses.len().min(usize::from(u8::MAX));
        out.push(count as u8);
        for &address in &addresses[..count] {
            write_address(address, out);
        }
        for keys in [local_keys, peer_keys] {
            let len = u16::try_from(keys.len()).unwrap_or(0);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&keys[..len.into()]);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [local_port, peer_port, streams_out, streams_in] = reader.u16s()?;
        let mut words = [0; 7];
        for word in &mut words {
            *word = reader.u32()?;
        }
        let [
            local_tag,
            peer_tag,
            local_tie,
            peer_tie,
            local_tsn,
            peer_tsn,
            peer_window,
        ] = words;
        let abilities = read_abilities(reader)?;
        let source = reader.address()?;
        let destination = reader.address()?;
        let count = reader.u8()?;
        let addresses = (0..count).map(|_| reader.address());
        Some(Self {
            local_port,
            peer_port,
            local_tag,
            peer_tag,
            local_tie,
            peer_tie,
            local_tsn,
            peer_tsn,
            peer_window,
            streams_out,
            streams_in,
            source,
            destination,
            addresses: addresses.collect::<Option<_>>()?,
            abilities,
            local_keys: reader.bytes()?,
            peer_keys: reader.bytes()?,
        })
    }
}

fn write_abilities(abilities: &Abilities, out: &mut Vec<u8>) {
    let Abilities {
        ecn,
        forward_tsn,
        interleaving,
        reconfiguration,
        address_configuration,
        authentication,
        adaptation,
        zero_checksum,
    } = abilities;
    let flags = [
        *ecn,
        *forward_tsn,
        *interleaving,
        *reconfiguration,
        *address_configuration,
        *authentication,
        adaptation.is_some(),
        zero_checksum.is_some(),
    ];
    let bits = flags.iter().enumerate();
    out.push(bits.fold(0, |byte, (bit, flag)| byte | u8::from(*flag) << bit));
    for number in [adaptation, zero_checksum].into_iter().flatten() {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn read_abilities(reader: &mut Reader<'_>) -> Option<Abilities> {
    let flags = reader.u8()?;
    let has = |bit: u8| flags & 1 << bit != 0;
    let mut number = |there: bool| match there {
        true => reader.u32().map(Some),
        false => Some(None),
    };
    Some(Abilities {
        ecn: has(0),
        forward_tsn: has(1),
        interleaving: has(2),
        reconfiguration: has(3),
        address_configuration: has(4),
        authentication: has(5),
        adaptation: number(has(6))?,
        zero_checksum: number(has(7))?,
    })
}

fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
    }
}

/// Fields off the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u16s(&mut self) -> Option<[u16; 4]> {
        Some([self.u16()?, self.u16()?, self.u16()?, self.u16()?])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn address(&mut self) -> Option<IpAddr> {
        match self.u8()? {
            4 => self.take::<4>().map(IpAddr::from),
            6 => self.take::<16>().map(IpAddr::from),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = self.u16()?;
        let (bytes, rest) = self.0.split_at_checked(len.into())?;
        self.0 = rest;
        Some(bytes.to_vec())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    pub(crate) fn contents() -> Contents {
        Contents {
            local_port: 1,
            peer_port: 2,
            local_tag: 3,
            peer_tag: 4,
            local_tie: 5,
            peer_tie: 6,
            local_tsn: 7,
            peer_tsn: 8,
            peer_window: 9,
            streams_out: 10,
            streams_in: 11,
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
            addresses: vec!["fd00::1".parse().unwrap(), "10.1.0.1".parse().unwrap()],
            abilities: Abilities {
                ecn: true,
                interleaving: true,
                zero_checksum: Some(1),
                ..Abilities::default()
            },
            local_keys: vec![1, 2, 3],
            peer_keys: vec![],
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// RFC 9260 §5.1.5 1 and 2: a cookie holds what was put into it, and nothing else passes.
    /// RFC 9260 §3.3.3.1.1-1, §5.1.3-1, §5.1.3-2.
    #[test]
    fn nobody_else_makes_cookies() {
        let mut rng = Rng::new([1; 32]);
        let mut jar = Jar::new(&mut rng);
        let cookie = jar.seal(&mut rng, &contents(), at(1), LIFE);
        assert_eq!(jar.open(&cookie, at(2)), Ok(contents()));
        assert!(cookie.len() < 150);
        for index in 0..cookie.len() {
            let mut forged = cookie.clone();
            forged[index] ^= 1;
            assert_eq!(jar.open(&forged, at(2)), Err(Failure::Forged));
            assert_eq!(jar.open(&cookie[..index], at(2)), Err(Failure::Forged));
        }
        let other = Jar::new(&mut Rng::new([2; 32]));
        assert_eq!(other.open(&cookie, at(2)), Err(Failure::Forged));
    }

    /// RFC 9260 §5.1.5 4, §3.3.10.3: how late it is, in microseconds.
    #[test]
    fn cookies_expire() {
        let mut rng = Rng::new([1; 32]);
        let mut jar = Jar::new(&mut rng);
        let cookie = jar.seal(&mut rng, &contents(), at(1), LIFE);
        assert!(jar.open(&cookie, at(61)).is_ok());
        let late = at(61) + Duration::from_nanos(1_000_001);
        assert_eq!(
            jar.open(&cookie, late),
            Err(Failure::Stale {
                staleness: 1001,
                contents: Box::new(contents())
            })
        );
    }

    /// RFC 9260 §5.1.3: keys change; cookies of the key before are good, those of older ones not.
    /// RFC 9260 §5.1.5-1.
    #[test]
    fn keys_change() {
        let mut rng = Rng::new([1; 32]);
        let mut jar = Jar::new(&mut rng);
        let first = jar.seal(&mut rng, &contents(), at(3590), LIFE);
        let second = jar.seal(&mut rng, &contents(), at(3600), LIFE);
        assert!(jar.open(&first, at(3601)).is_ok());
        assert!(jar.open(&second, at(3601)).is_ok());
        jar.seal(&mut rng, &contents(), at(7200), LIFE);
        assert_eq!(jar.open(&first, at(7201)), Err(Failure::Forged));
        assert!(matches!(
            jar.open(&second, at(7201)),
            Err(Failure::Stale { .. })
        ));
        jar.seal(&mut rng, &contents(), at(99_999), LIFE);
        assert_eq!(jar.open(&second, at(99_999)), Err(Failure::Forged));
    }
}
