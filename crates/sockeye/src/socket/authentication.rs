//! Keys for signed segments: MD5 (RFC 2385) and TCP-AO (RFC 5925). Set before connect or listen;
//! a connection that a listener accepts has the listener's keys for its peer.

use super::Socket;
use crate::error::os;
use sockeye_core::Error;
use sockeye_tcp::{AoChange, AoInfo, AoKey, AoKeyName, AoKeyState, Tcp};
use std::io;
use std::net::IpAddr;

impl Socket {
    /// TCP_MD5SIG: segments to and from `peer` are signed with `key`, 80 bytes at most; it takes the
    /// place of one that is there.
    ///
    /// # Errors
    /// EINVAL when the key is empty or too long or the address of another family, EKEYREJECTED when
    /// the peer has a key of TCP-AO, ENOMEM when there are 1024 already, ENOPROTOOPT when it is no
    /// stream.
    pub fn add_md5_key(&self, peer: IpAddr, key: &[u8]) -> io::Result<()> {
        if key.is_empty() {
            return Err(os(libc::EINVAL));
        }
        self.set_md5_key(peer, key)
    }

    /// TCP_MD5SIG without a key: segments to and from `peer` are no longer signed.
    ///
    /// # Errors
    /// ENOENT when it has no key, ENOPROTOOPT when it is no stream.
    pub fn remove_md5_key(&self, peer: IpAddr) -> io::Result<()> {
        self.set_md5_key(peer, &[])
    }

    pub(super) fn set_md5_key(&self, peer: IpAddr, key: &[u8]) -> io::Result<()> {
        self.keys(|tcp, cx, id| tcp.set_md5_key(cx, id, peer, key))
    }

    /// TCP_AO_ADD_KEY: another master key for the peers that it names.
    ///
    /// # Errors
    /// EINVAL and EMSGSIZE for a key that can't be used, EEXIST when one of its IDs is taken for a
    /// peer of its, EKEYREJECTED when a peer of its has an MD5 key, EISCONN on a connection that
    /// has begun without TCP-AO, ENOMEM when there are 1024 already, ENOPROTOOPT when it is no
    /// stream.
    pub fn add_ao_key(&self, key: AoKey) -> io::Result<()> {
        self.add_ao_key_as(key, false, false)
    }

    pub(super) fn add_ao_key_as(&self, key: AoKey, current: bool, rnext: bool) -> io::Result<()> {
        self.keys(|tcp, cx, id| tcp.add_ao_key(cx, id, key, current, rnext))
    }

    /// TCP_AO_DEL_KEY: takes a master key away.
    ///
    /// # Errors
    /// ENOENT when it is not there, EBUSY while it is current_key or rnext_key, EISCONN on a
    /// connection without TCP-AO, ENOPROTOOPT when it is no stream.
    pub fn remove_ao_key(&self, key: &AoKeyName) -> io::Result<()> {
        self.remove_ao_key_for(key, None, None)
    }

    pub(super) fn remove_ao_key_for(
        &self,
        key: &AoKeyName,
        current: Option<u8>,
        rnext: Option<u8>,
    ) -> io::Result<()> {
        self.keys(|tcp, cx, id| tcp.remove_ao_key(cx, id, key, current, rnext))
    }

    /// TCP_AO_INFO: the keys in use, by their IDs, and what became of segments.
    ///
    /// # Errors
    /// ENOENT when the socket has no TCP-AO, ENOPROTOOPT when it is no stream.
    pub fn ao_info(&self) -> io::Result<AoInfo> {
        self.call(|op| op.stream(|tcp, _, id| tcp.ao_info(id)))
    }

    /// TCP_AO_INFO: which keys are to be used from now on, and what else of TCP-AO may be set.
    ///
    /// # Errors
    /// ENOENT for a key that is not there, EINVAL for current_key or rnext_key of a listener,
    /// EKEYREJECTED when it is to be required beside MD5 keys, EISCONN on a connection without
    /// TCP-AO, ENOPROTOOPT when it is no stream.
    pub fn set_ao_info(&self, change: &AoChange) -> io::Result<()> {
        self.keys(|tcp, cx, id| tcp.set_ao_info(cx, id, change))
    }

    /// TCP_AO_GET_KEYS: all master keys, the one that was added last first.
    ///
    /// # Errors
    /// ENOENT when the socket has no TCP-AO, ENOPROTOOPT when it is no stream.
    pub fn ao_keys(&self) -> io::Result<Vec<AoKeyState>> {
        self.call(|op| op.stream(|tcp, _, id| tcp.ao_keys(id)))
    }

    /// A call that changes keys, and so what leaves.
    fn keys(
        &self,
        call: impl FnOnce(
            &mut Tcp,
            &mut sockeye_core::Context<'_>,
            sockeye_core::SocketId,
        ) -> Result<(), Error>,
    ) -> io::Result<()> {
        self.call(|op| op.stream(call))?;
        self.run();
        Ok(())
    }
}
