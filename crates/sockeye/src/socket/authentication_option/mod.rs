//! TCP_MD5SIG and TCP_AO_* as bytes: the structures of linux/tcp.h.
//!
//! `tcp_md5sig`, 216 bytes: address (128), flags, prefix (both of TCP_MD5SIG_EXT alone), length of
//! the key (at 130), interface, key (80 from 136). The others stand above their readers.

mod fields;
mod get_keys;

use self::fields::{Fields, copy, invalid, mask, whole};
use super::Socket;
use crate::error::os;
use sockeye_core::SocketOption;
use sockeye_tcp::{
    AoAlgorithm, AoChange, AoCounters, AoInfo, AoKey, AoKeyName, KEY_LEN_MAX, Secret,
};
use std::io;

const MD5SIG_LEN: usize = 216;
const AO_ADD_LEN: usize = 288;
const AO_DEL_LEN: usize = 144;
const AO_INFO_LEN: usize = 48;

/// TCP_AO_KEYF_IFINDEX and TCP_AO_KEYF_EXCLUDE_OPT.
const KEYF_IFINDEX: u8 = 1;
const KEYF_EXCLUDE_OPT: u8 = 2;
/// RFC 5926 §3.2: what a code's length of zero means.
const MAC_LEN_DEFAULT: u8 = 12;

impl Socket {
    /// setsockopt(2) for keys; `None` when it is another option.
    pub(super) fn set_keys_raw(
        &self,
        option: SocketOption,
        value: &[u8],
    ) -> Option<io::Result<()>> {
        Some(match option {
            SocketOption::Md5Key => self.set_md5_raw(value),
            SocketOption::AoAddKey => self.add_ao_raw(value),
            SocketOption::AoDeleteKey => self.remove_ao_raw(value),
            SocketOption::AoInfo => self.set_ao_info_raw(value),
            _ => return None,
        })
    }

    /// getsockopt(2) for keys, which reads `out` too; `None` when it is another option.
    pub(super) fn keys_raw(
        &self,
        option: SocketOption,
        out: &mut [u8],
    ) -> Option<io::Result<usize>> {
        Some(match option {
            SocketOption::AoInfo => self.ao_info_raw(out),
            SocketOption::AoKeys => self.ao_keys_raw(out),
            _ => return None,
        })
    }

    fn set_md5_raw(&self, value: &[u8]) -> io::Result<()> {
        self.must_be_stream()?;
        let fields = Fields(value.get(..MD5SIG_LEN).ok_or_else(invalid)?);
        let (peer, _) = fields.address_for(self.domain())?;
        let len = usize::from(fields.u16(130));
        if len > KEY_LEN_MAX {
            return Err(invalid());
        }
        self.set_md5_key(peer, &fields.0[136..136 + len])
    }

    /// struct tcp_ao_add: address, name of the algorithm (64 from 128), interface (192), bits (196:
    /// set_current, set_rnext), reserved, prefix (202), SendID, RecvID, length of the code, flags,
    /// length of the key, key (208).
    fn add_ao_raw(&self, value: &[u8]) -> io::Result<()> {
        self.must_be_stream()?;
        let fields = Fields(whole(value, AO_ADD_LEN)?);
        let key_len = usize::from(fields.u8(207));
        let (current, rnext) = (fields.bit(196, 0), fields.bit(196, 1));
        let reserved = fields.bits_from(196, 2) != 0 || fields.u16(200) != 0;
        if key_len > KEY_LEN_MAX || reserved {
            return Err(invalid());
        }
        let (peer, port) = fields.address_for(self.domain())?;
        let flags = fields.u8(206);
        if port != 0 || flags & !(KEYF_IFINDEX | KEYF_EXCLUDE_OPT) != 0 || fields.i32(192) != 0 {
            // A key for one routing domain: a node has one.
            return Err(invalid());
        }
        let key = &fields.0[208..208 + key_len];
        let key = AoKey {
            peer,
            prefix: fields.u8(202),
            send_id: fields.u8(203),
            receive_id: fields.u8(204),
            algorithm: algorithm(&fields.0[128..192], key_len)?,
            mac_len: match fields.u8(205) {
                0 => MAC_LEN_DEFAULT,
                len => len,
            },
            exclude_options: flags & KEYF_EXCLUDE_OPT != 0,
            key: Secret::new(key),
        };
        self.add_ao_key_as(key, current, rnext)
    }

    /// struct tcp_ao_del: address, interface (128), bits (132: set_current, set_rnext, del_async),
    /// reserved, prefix (138), SendID, RecvID, IDs of current_key and rnext_key, flags (143).
    fn remove_ao_raw(&self, value: &[u8]) -> io::Result<()> {
        self.must_be_stream()?;
        let fields = Fields(whole(value, AO_DEL_LEN)?);
        let reserved = fields.bits_from(132, 3) != 0 || fields.u16(136) != 0;
        let flags = fields.u8(143);
        if reserved || flags & !KEYF_IFINDEX != 0 || fields.i32(128) != 0 {
            return Err(invalid());
        }
        // A listener's keys go at once here, whichever way is asked for.
        if fields.bit(132, 2) && !self.call(|op| op.is_listening())? {
            return Err(invalid());
        }
        let (peer, port) = fields.address_for(self.domain())?;
        if port != 0 {
            return Err(invalid());
        }
        let name = AoKeyName {
            peer,
            prefix: fields.u8(138),
            send_id: fields.u8(139),
            receive_id: fields.u8(140),
        };
        let current = fields.bit(132, 0).then(|| fields.u8(141));
        let rnext = fields.bit(132, 1).then(|| fields.u8(142));
        self.remove_ao_key_for(&name, current, rnext)
    }

    /// struct tcp_ao_info_opt: bits (set_current, set_rnext, ao_required, set_counters,
    /// accept_icmps), reserved, IDs of current_key (6) and rnext_key, five counters (8).
    fn set_ao_info_raw(&self, value: &[u8]) -> io::Result<()> {
        self.must_be_stream()?;
        let fields = Fields(whole(value, AO_INFO_LEN)?);
        if fields.bits_from(0, 5) != 0 || fields.u16(4) != 0 {
            return Err(invalid());
        }
        self.set_ao_info(&AoChange {
            current: fields.bit(0, 0).then(|| fields.u8(6)),
            rnext: fields.bit(0, 1).then(|| fields.u8(7)),
            required: fields.bit(0, 2),
            counters: fields.bit(0, 3).then(|| AoCounters {
                good: fields.u64(8),
                bad: fields.u64(16),
                key_not_found: fields.u64(24),
                required: fields.u64(32),
                dropped_icmp: fields.u64(40),
            }),
            accept_icmp: fields.bit(0, 4),
        })
    }

    fn ao_info_raw(&self, out: &mut [u8]) -> io::Result<usize> {
        self.must_be_stream()?;
        let mut asked = [0; AO_INFO_LEN];
        copy(out, &mut asked)?;
        let asked = Fields(&asked);
        if asked.bits_from(0, 5) != 0 || asked.u16(4) != 0 {
            return Err(invalid());
        }
        let AoInfo {
            current,
            rnext,
            required,
            accept_icmp,
            counters,
            heard: _,
        } = self.ao_info()?;
        let mut info = [0; AO_INFO_LEN];
        let flags = [
            (0, current.is_some()),
            (1, rnext.is_some()),
            (2, required),
            (4, accept_icmp),
        ];
        let bits = flags.iter().filter(|(_, set)| *set);
        let bits = bits.fold(0, |bits, (at, _)| bits | mask(*at, 32));
        info[0..4].copy_from_slice(&bits.to_ne_bytes());
        (info[6], info[7]) = (current.unwrap_or(0), rnext.unwrap_or(0));
        let counters = [
            counters.good,
            counters.bad,
            counters.key_not_found,
            counters.required,
            counters.dropped_icmp,
        ];
        for (to, counter) in info[8..].as_chunks_mut::<8>().0.iter_mut().zip(counters) {
            *to = counter.to_ne_bytes();
        }
        let len = out.len().min(AO_INFO_LEN);
        out[..len].copy_from_slice(&info[..len]);
        Ok(len)
    }

    fn must_be_stream(&self) -> io::Result<()> {
        self.call(|op| op.stream(|_, _, _| Ok(())))
    }
}

/// The names that Linux has for the algorithms; another is ENOENT there, too.
fn algorithm(name: &[u8], key_len: usize) -> io::Result<AoAlgorithm> {
    match name.split(|byte| *byte == 0).next().unwrap_or_default() {
        b"hmac(sha1)" => Ok(AoAlgorithm::HmacSha1),
        b"hmac(sha256)" => Ok(AoAlgorithm::HmacSha256),
        b"cmac(aes128)" => Ok(AoAlgorithm::AesCmac128),
        // Without RFC 5926's way to make 16 bytes of any other number.
        b"cmac(aes)" if key_len == 16 => Ok(AoAlgorithm::AesCmac128),
        b"cmac(aes)" => Err(invalid()),
        _ => Err(os(libc::ENOENT)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
