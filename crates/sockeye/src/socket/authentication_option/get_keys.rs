//! TCP_AO_GET_KEYS: an array of struct tcp_ao_getsockopt, which goes in and comes out.

use super::fields::{Fields, copy, invalid, mask};
use super::{KEYF_EXCLUDE_OPT, KEYF_IFINDEX};
use crate::error::os;
use crate::socket::Socket;
use sockeye_tcp::{AoAlgorithm, AoKeyName, AoKeyState};
use std::io;
use std::net::IpAddr;

/// Bytes of one key of TCP_AO_GET_KEYS.
pub(super) const AO_GET_LEN: usize = 304;

impl Socket {
    /// An array of struct tcp_ao_getsockopt, of which the first says which keys are wanted: address,
    /// algorithm (128), key (192), their number (272), bits (276: is_current, is_rnext, get_all),
    /// SendID (278), RecvID, prefix, length of the code, flags, length of the key, interface (284),
    /// good (288), bad. Returns the bytes of those that were written; how many matched stands in
    /// the first.
    pub(super) fn ao_keys_raw(&self, out: &mut [u8]) -> io::Result<usize> {
        self.must_be_stream()?;
        let keys = self.ao_keys()?;
        let mut first = [0; AO_GET_LEN];
        copy(&out[..out.len().min(AO_GET_LEN)], &mut first)?;
        let asked = Wanted::read(Fields(&first))?;
        let room = asked.room.min(out.len() / AO_GET_LEN);
        let mut matched = 0u32;
        let mut written = 0;
        for key in keys.iter().filter(|key| asked.matches(key)) {
            matched += 1;
            if written < room {
                let at = written * AO_GET_LEN;
                out[at..at + AO_GET_LEN].copy_from_slice(&key_bytes(key));
                written += 1;
            }
        }
        let number = out.get_mut(272..276).ok_or_else(invalid)?;
        number.copy_from_slice(&matched.to_ne_bytes());
        Ok(written.max(1) * AO_GET_LEN)
    }
}

/// What the first structure of TCP_AO_GET_KEYS asks for.
struct Wanted {
    room: usize,
    current: bool,
    rnext: bool,
    all: bool,
    name: Option<AoKeyName>,
}

impl Wanted {
    fn read(fields: Fields<'_>) -> io::Result<Self> {
        let bit = |at| u32::from(fields.u16(276)) & mask(at, 16) != 0;
        let (current, rnext, all) = (bit(0), bit(1), bit(2));
        let rest = u32::from(fields.u16(276)) & !(mask(0, 16) | mask(1, 16) | mask(2, 16));
        let flags = fields.u8(282);
        let counted = fields.u64(288) != 0 || fields.u64(296) != 0;
        if rest != 0 || counted || flags & !KEYF_IFINDEX != 0 || fields.i32(284) != 0 {
            return Err(invalid());
        }
        let by_name = !(all || current || rnext);
        let family = i32::from(fields.u16(0));
        let ids = [fields.u8(278), fields.u8(279), fields.u8(280)];
        if !by_name && (family != 0 || ids != [0; 3] || all && (current || rnext)) {
            return Err(invalid());
        }
        let name = match (by_name, fields.address()) {
            (false, _) => None,
            (true, None) => return Err(os(libc::EAFNOSUPPORT)),
            (true, Some((peer, _))) => {
                let [send_id, receive_id, prefix] = ids;
                Some(AoKeyName {
                    peer: peer.to_canonical(),
                    prefix,
                    send_id,
                    receive_id,
                })
            }
        };
        Ok(Self {
            room: usize::try_from(fields.u32(272)).unwrap_or(usize::MAX),
            current,
            rnext,
            all,
            name,
        })
    }

    fn matches(&self, key: &AoKeyState) -> bool {
        self.all
            || (self.current && key.is_current)
            || (self.rnext && key.is_rnext)
            || self.name == Some(key.key.name())
    }
}

fn key_bytes(state: &AoKeyState) -> [u8; AO_GET_LEN] {
    let AoKeyState {
        key,
        is_current,
        is_rnext,
        good,
        bad,
    } = state;
    let mut bytes = [0; AO_GET_LEN];
    match key.peer {
        IpAddr::V4(ip) => {
            bytes[0..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            bytes[4..8].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes[0..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            bytes[8..24].copy_from_slice(&ip.octets());
        }
    }
    let name: &[u8] = match key.algorithm {
        AoAlgorithm::HmacSha1 => b"hmac(sha1)",
        AoAlgorithm::AesCmac128 => b"cmac(aes)",
        AoAlgorithm::HmacSha256 => b"hmac(sha256)",
        _ => b"",
    };
    bytes[128..128 + name.len()].copy_from_slice(name);
    let secret = key.key.as_bytes();
    bytes[192..192 + secret.len()].copy_from_slice(secret);
    let current = if *is_current { mask(0, 16) } else { 0 };
    let rnext = if *is_rnext { mask(1, 16) } else { 0 };
    // Masks of 16 bits.
    let bits = (current | rnext) as u16;
    bytes[276..278].copy_from_slice(&bits.to_ne_bytes());
    (bytes[278], bytes[279], bytes[280]) = (key.send_id, key.receive_id, key.prefix);
    bytes[281] = key.mac_len;
    bytes[282] = if key.exclude_options {
        KEYF_EXCLUDE_OPT
    } else {
        0
    };
    // A key has 80 bytes at most.
    bytes[283] = secret.len() as u8;
    bytes[288..296].copy_from_slice(&good.to_ne_bytes());
    bytes[296..304].copy_from_slice(&bad.to_ne_bytes());
    bytes
}
