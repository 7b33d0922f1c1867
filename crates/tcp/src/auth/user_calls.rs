//! Keys by setsockopt: TCP_MD5SIG, TCP_AO_ADD_KEY, TCP_AO_DEL_KEY, TCP_AO_INFO and TCP_AO_GET_KEYS
//! (RFC 5925 §7.1), with Linux's conditions.

use super::keys::{Ao, AoCounters, AoKey, Auth};
use crate::socket::Socket;
use crate::{State, Tcp};
use sockeye_core::socket::Domain;
use sockeye_core::{Context, Error, SocketId};
use std::net::IpAddr;
use std::sync::Arc;

/// What names a key of TCP-AO on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AoKeyName {
    /// As in [`AoKey::peer`].
    pub peer: IpAddr,
    /// As in [`AoKey::prefix`].
    pub prefix: u8,
    /// As in [`AoKey::send_id`].
    pub send_id: u8,
    /// As in [`AoKey::receive_id`].
    pub receive_id: u8,
}

impl AoKey {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> AoKeyName {
        AoKeyName {
            peer: self.peer,
            prefix: self.prefix,
            send_id: self.send_id,
            receive_id: self.receive_id,
        }
    }
}

/// What TCP_AO_INFO sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AoChange {
    /// The SendID of the key that is to sign from now on (current_key).
    pub current: Option<u8>,
    /// The RecvID of the key that the peer is asked to sign with (rnext_key).
    pub rnext: Option<u8>,
    /// Peers without a key are not heard.
    pub required: bool,
    /// ICMP errors are believed in spite of RFC 5925 §7.8.
    pub accept_icmp: bool,
    /// What to count on from.
    pub counters: Option<AoCounters>,
}

/// What TCP_AO_INFO tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AoInfo {
    /// SendID of current_key.
    pub current: Option<u8>,
    /// RecvID of rnext_key.
    pub rnext: Option<u8>,
    /// See [`AoChange::required`].
    pub required: bool,
    /// See [`AoChange::accept_icmp`].
    pub accept_icmp: bool,
    /// Segments by what became of them.
    pub counters: AoCounters,
    /// RFC 5925 §7.1: KeyID and RNextKeyID of the last good segment of the connection.
    pub heard: Option<(u8, u8)>,
}

/// What TCP_AO_GET_KEYS tells of a key.
#[derive(Clone, Debug)]
pub struct AoKeyState {
    /// The key.
    pub key: AoKey,
    /// It is current_key.
    pub is_current: bool,
    /// It is rnext_key.
    pub is_rnext: bool,
    /// Segments that it has verified.
    pub good: u64,
    /// Segments with its ID whose code was wrong.
    pub bad: u64,
}

impl Tcp {
    /// Sets the MD5 key for what is sent to `peer` and comes from it; an empty one takes it away.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key of more than 80 bytes or an address of another family,
    /// [`Error::NoEntry`] when there is none to take away, [`Error::KeyRejected`] when the peer has
    /// a key of TCP-AO, [`Error::NoMemory`] when the socket has as many as it may.
    pub fn set_md5_key(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        peer: IpAddr,
        key: &[u8],
    ) -> Result<(), Error> {
        let socket = self.held_mut(id)?;
        let peer = canonical(socket, peer)?;
        let auth = socket.auth_mut().ok_or(Error::BadSocket)?;
        auth.get_or_insert_default().set_md5(peer, key)?;
        self.keys_have_changed(cx, id);
        Ok(())
    }

    /// Adds a master key of TCP-AO; as current_key or rnext_key from now on, where asked.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::MessageSize`] for a key that can't be used,
    /// [`Error::Exists`] when one of its IDs is taken for a peer of its, [`Error::KeyRejected`] when
    /// a peer of its has an MD5 key, [`Error::IsConnected`] on a connection without TCP-AO,
    /// [`Error::NoMemory`] when the socket has as many as it may.
    pub fn add_ao_key(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        mut key: AoKey,
        as_current: bool,
        as_rnext: bool,
    ) -> Result<(), Error> {
        let socket = self.held_mut(id)?;
        may_have_ao(socket)?;
        key.peer = canonical(socket, key.peer)?;
        key.check()?;
        let state = socket.state();
        let chosen = as_current || as_rnext;
        if chosen && state == State::Listen {
            return Err(Error::Invalid);
        }
        if let (Some(tcb), false) = (socket.tcb(), state == State::Closed)
            && !key.is_for(tcb.flow.remote.ip)
        {
            return Err(Error::Invalid);
        }
        let auth = socket.auth_mut().ok_or(Error::BadSocket)?;
        let auth = auth.get_or_insert_default();
        // RFC 5925 §2.2: never both for one connection.
        if auth.md5.iter().any(|md5| key.is_for(md5.peer)) {
            return Err(Error::KeyRejected);
        }
        let key = Arc::new(key);
        let ao = auth.ao.get_or_insert_default();
        ao.add(key.clone())?;
        if as_current {
            ao.current = Some(key.clone());
        }
        if as_rnext {
            ao.rnext = Some(key);
        }
        self.keys_have_changed(cx, id);
        Ok(())
    }

    /// Takes a master key away, and makes others current_key and rnext_key (by SendID and RecvID),
    /// where asked.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when a key is not there, [`Error::Busy`] when it is in use,
    /// [`Error::Invalid`] for current_key or rnext_key of a listener, [`Error::IsConnected`] on a
    /// connection without TCP-AO.
    pub fn remove_ao_key(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        name: &AoKeyName,
        current: Option<u8>,
        rnext: Option<u8>,
    ) -> Result<(), Error> {
        let socket = self.held_mut(id)?;
        may_have_ao(socket)?;
        if (current.is_some() || rnext.is_some()) && socket.state() == State::Listen {
            return Err(Error::Invalid);
        }
        let name = AoKeyName {
            peer: name.peer.to_canonical(),
            ..*name
        };
        let ao = ao_of(socket)?;
        let (current, rnext) = ao.choose(current, rnext)?;
        let at = ao.keys.iter().position(|entry| entry.key.name() == name);
        let at = at.ok_or(Error::NoEntry)?;
        let key = ao.keys[at].key.clone();
        let before = (ao.current.clone(), ao.rnext.clone());
        ao.take_over(current, rnext);
        if ao.is_in_use(&key) {
            // A connection's key can't go while it signs; nothing has changed then.
            (ao.current, ao.rnext) = before;
            return Err(Error::Busy);
        }
        ao.keys.remove(at);
        self.keys_have_changed(cx, id);
        Ok(())
    }

    /// What TCP_AO_INFO tells.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when the socket has no TCP-AO.
    pub fn ao_info(&mut self, id: SocketId) -> Result<AoInfo, Error> {
        let ao = ao_of(self.held_mut(id)?)?;
        Ok(AoInfo {
            current: ao.current.as_ref().map(|key| key.send_id),
            rnext: ao.rnext.as_ref().map(|key| key.receive_id),
            required: ao.required,
            accept_icmp: ao.accept_icmp,
            counters: ao.counters,
            heard: ao.heard,
        })
    }

    /// What TCP_AO_INFO sets; a socket without TCP-AO has it then.
    ///
    /// # Errors
    /// [`Error::NoEntry`] for a key that is not there, [`Error::Invalid`] for current_key or
    /// rnext_key of a listener, [`Error::KeyRejected`] when it is to be required beside MD5 keys,
    /// [`Error::IsConnected`] on a connection without TCP-AO.
    pub fn set_ao_info(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        change: &AoChange,
    ) -> Result<(), Error> {
        let socket = self.held_mut(id)?;
        may_have_ao(socket)?;
        let AoChange {
            current,
            rnext,
            required,
            accept_icmp,
            counters,
        } = *change;
        if (current.is_some() || rnext.is_some()) && socket.state() == State::Listen {
            return Err(Error::Invalid);
        }
        let auth = socket.auth_mut().ok_or(Error::BadSocket)?;
        let auth = auth.get_or_insert_default();
        if required && !auth.md5.is_empty() {
            return Err(Error::KeyRejected);
        }
        let had = auth.ao.is_some();
        let ao = auth.ao.get_or_insert_default();
        match ao.choose(current, rnext) {
            Ok((current, rnext)) => {
                ao.take_over(current, rnext);
                ao.required = required;
                ao.accept_icmp = accept_icmp;
                ao.counters = counters.unwrap_or(ao.counters);
            }
            Err(error) => {
                if !had {
                    auth.ao = None;
                }
                return Err(error);
            }
        }
        self.keys_have_changed(cx, id);
        Ok(())
    }

    /// The master keys of a socket, the one that was added last first.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when the socket has no TCP-AO.
    pub fn ao_keys(&mut self, id: SocketId) -> Result<Vec<AoKeyState>, Error> {
        let ao = ao_of(self.held_mut(id)?)?;
        let used = |slot: &Option<Arc<AoKey>>, key: &Arc<AoKey>| {
            slot.as_ref().is_some_and(|used| Arc::ptr_eq(used, key))
        };
        let state = |entry: &super::keys::AoEntry| AoKeyState {
            key: AoKey::clone(&entry.key),
            is_current: used(&ao.current, &entry.key),
            is_rnext: used(&ao.rnext, &entry.key),
            good: entry.good,
            bad: entry.bad,
        };
        Ok(ao.keys.iter().map(state).collect())
    }

    /// A connection's segments have less or more room now, and may not be what its peer has seen
    /// last: it finds out.
    fn keys_have_changed(&mut self, cx: &mut Context<'_>, id: SocketId) {
        if let Some(Socket::Connection(tcb)) = self.sockets.get_mut(id)
            && let Some(route) = tcb.route
        {
            tcb.update_mss(&route);
        }
        self.settle(cx, id);
    }

    /// What a connection to `peer` takes along of a fresh socket's keys.
    ///
    /// # Errors
    /// [`Error::KeyRejected`] when they contradict each other for this peer, or TCP-AO has none.
    pub(crate) fn auth_for_connect(
        &self,
        id: SocketId,
        peer: IpAddr,
    ) -> Result<Option<Box<Auth>>, Error> {
        let Some(Socket::Fresh(fresh)) = self.sockets.get(id) else {
            return Ok(None);
        };
        let auth = fresh.auth.as_ref();
        auth.map(|auth| auth.for_connect(peer).map(Box::new))
            .transpose()
    }
}

impl Ao {
    /// The keys that are to be current_key and rnext_key.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when one is not there.
    #[expect(
        clippy::type_complexity,
        reason = "two of one kind, in the order of the question"
    )]
    fn choose(
        &self,
        current: Option<u8>,
        rnext: Option<u8>,
    ) -> Result<(Option<Arc<AoKey>>, Option<Arc<AoKey>>), Error> {
        let find = |is: &dyn Fn(&AoKey) -> bool| {
            let entry = self.keys.iter().find(|entry| is(&entry.key));
            entry.map(|entry| entry.key.clone()).ok_or(Error::NoEntry)
        };
        let current = current
            .map(|id| find(&|key| key.send_id == id))
            .transpose()?;
        let rnext = rnext
            .map(|id| find(&|key| key.receive_id == id))
            .transpose()?;
        Ok((current, rnext))
    }

    fn take_over(&mut self, current: Option<Arc<AoKey>>, rnext: Option<Arc<AoKey>>) {
        self.current = current.or(self.current.take());
        self.rnext = rnext.or(self.rnext.take());
    }
}

/// An IPv4 socket has no peer with an IPv6 address.
fn canonical(socket: &Socket, peer: IpAddr) -> Result<IpAddr, Error> {
    let domain = socket.settings().map(|settings| settings.common.domain);
    match (domain, peer.to_canonical()) {
        (Some(Domain::V4), IpAddr::V6(_)) => Err(Error::Invalid),
        (_, peer) => Ok(peer),
    }
}

/// RFC 5925 §7.4: a connection has TCP-AO from its SYN on, or never.
fn may_have_ao(socket: &mut Socket) -> Result<(), Error> {
    let idle = matches!(socket.state(), State::Listen | State::Closed);
    let auth = socket.auth_mut().and_then(|auth| auth.as_ref());
    if idle || auth.is_some_and(|auth| auth.ao.is_some()) {
        Ok(())
    } else {
        Err(Error::IsConnected)
    }
}

fn ao_of(socket: &mut Socket) -> Result<&mut Ao, Error> {
    let auth = socket.auth_mut().ok_or(Error::BadSocket)?;
    let ao = auth.as_mut().and_then(|auth| auth.ao.as_mut());
    ao.ok_or(Error::NoEntry)
}
