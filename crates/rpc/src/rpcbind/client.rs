//! Asking an rpcbind.

use super::interface::{
    Mapping, PMAP_VERS, PmapVersClient, RPCBPROG, RPCBVERS, RPCBVERS4, Rpcb, RpcbEntry,
    RpcbRmtcallargs, RpcbStat, Rpcbvers4Client, RpcbversClient,
};
use super::{NetId, from_uaddr, to_uaddr};
use crate::{CallError, Client};
use std::net::SocketAddr;

/// Asks the rpcbind that a client is connected to. Version 4 is asked first, then 3 and 2, as far
/// as they can tell.
#[derive(Debug, Clone)]
pub struct BinderClient {
    client: Client,
    netid: NetId,
}

/// Whether an older version is worth asking.
fn is_too_new(error: &CallError) -> bool {
    matches!(
        error,
        CallError::ProgramMismatch { .. } | CallError::ProcedureUnavailable
    )
}

impl BinderClient {
    /// Asks over `client`, which is connected to port 111 over the transport `netid`.
    #[must_use]
    pub fn new(client: &Client, netid: NetId) -> Self {
        Self {
            client: client.clone(),
            netid,
        }
    }

    fn four(&self) -> Rpcbvers4Client<Client> {
        Rpcbvers4Client(self.client.program(RPCBPROG, RPCBVERS4))
    }

    fn three(&self) -> RpcbversClient<Client> {
        RpcbversClient(self.client.program(RPCBPROG, RPCBVERS))
    }

    fn two(&self) -> PmapVersClient<Client> {
        PmapVersClient(self.client.program(RPCBPROG, PMAP_VERS))
    }

    fn question(&self, program: u32, version: u32) -> Rpcb {
        Rpcb {
            r_prog: program,
            r_vers: version,
            r_netid: self.netid.name().into(),
            r_addr: String::new(),
            r_owner: String::new(),
        }
    }

    /// Sets where a program is: on `netid` at the universal address `address`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn set(
        &self,
        program: u32,
        version: u32,
        netid: NetId,
        address: SocketAddr,
    ) -> Result<bool, CallError> {
        let map = Rpcb {
            r_netid: netid.name().into(),
            r_addr: to_uaddr(address),
            ..self.question(program, version)
        };
        match self.four().rpcbproc_set(&map) {
            Err(error) if is_too_new(&error) => {}
            other => return other,
        }
        match netid.protocol() {
            Some(prot) => self.two().pmapproc_set(&Mapping {
                prog: program,
                vers: version,
                prot,
                port: address.port().into(),
            }),
            None => Ok(false),
        }
    }

    /// Unsets it, on one transport or on all.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn unset(
        &self,
        program: u32,
        version: u32,
        netid: Option<NetId>,
    ) -> Result<bool, CallError> {
        let map = Rpcb {
            r_netid: netid.map_or_else(String::new, |id| id.name().into()),
            ..self.question(program, version)
        };
        match self.four().rpcbproc_unset(&map) {
            Err(error) if is_too_new(&error) => self.two().pmapproc_unset(&Mapping {
                prog: program,
                vers: version,
                prot: 0,
                port: 0,
            }),
            other => other,
        }
    }

    /// Where a program is on the transport of this client; nothing, if it is not there.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn address(&self, program: u32, version: u32) -> Result<Option<SocketAddr>, CallError> {
        let question = self.question(program, version);
        let told = match self.four().rpcbproc_getaddr(&question) {
            Err(error) if is_too_new(&error) => self.three().rpcbproc_getaddr(&question),
            other => other,
        };
        match told {
            Err(error) if is_too_new(&error) => {
                let port = self.port(program, version, self.netid)?;
                let any = std::net::Ipv4Addr::UNSPECIFIED.into();
                Ok(port.map(|port| SocketAddr::new(any, port)))
            }
            other => Ok(from_uaddr(&other?)),
        }
    }

    /// The port of a program, from the port mapper (version 2); nothing, if it is not there.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn port(&self, program: u32, version: u32, on: NetId) -> Result<Option<u16>, CallError> {
        let port = self.two().pmapproc_getport(&Mapping {
            prog: program,
            vers: version,
            prot: on.protocol().unwrap_or(0),
            port: 0,
        })?;
        Ok(u16::try_from(port).ok().filter(|port| *port != 0))
    }

    /// All that is registered; an older rpcbind tells less of it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn dump(&self) -> Result<Vec<Rpcb>, CallError> {
        let told = match self.four().rpcbproc_dump() {
            Err(error) if is_too_new(&error) => self.three().rpcbproc_dump(),
            other => other,
        };
        match told {
            Err(error) if is_too_new(&error) => Ok(self.port_maps()?.iter().map(as_rpcb).collect()),
            other => Ok(other?.into_iter().map(|link| link.rpcb_map).collect()),
        }
    }

    /// All that is registered with the port mapper.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn port_maps(&self) -> Result<Vec<Mapping>, CallError> {
        let links = self.two().pmapproc_dump()?;
        Ok(links.into_iter().map(|link| link.map).collect())
    }

    /// A program's addresses on all transports.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn addresses(&self, program: u32, version: u32) -> Result<Vec<RpcbEntry>, CallError> {
        let question = self.question(program, version);
        let links = self.four().rpcbproc_getaddrlist(&question)?;
        Ok(links.into_iter().map(|link| link.rpcb_entry_map).collect())
    }

    /// What it was asked so far, in versions 2, 3 and 4.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn statistics(&self) -> Result<[RpcbStat; 3], CallError> {
        self.four().rpcbproc_getstat()
    }

    /// The server's time, in seconds since 1970.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn time(&self) -> Result<u32, CallError> {
        match self.four().rpcbproc_gettime() {
            Err(error) if is_too_new(&error) => self.three().rpcbproc_gettime(),
            other => other,
        }
    }

    /// Calls a program on the server's machine by way of its rpcbind, with arguments and results
    /// as they are on the wire.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_indirect(
        &self,
        (prog, vers, proc): (u32, u32, u32),
        args: Vec<u8>,
    ) -> Result<Vec<u8>, CallError> {
        let args = RpcbRmtcallargs {
            prog,
            vers,
            proc,
            args,
        };
        Ok(self.four().rpcbproc_indirect(&args)?.results)
    }
}

fn as_rpcb(map: &Mapping) -> Rpcb {
    let port = u16::try_from(map.port).unwrap_or(0);
    let any = std::net::Ipv4Addr::UNSPECIFIED.into();
    let netid = NetId::from_protocol(map.prot);
    Rpcb {
        r_prog: map.prog,
        r_vers: map.vers,
        r_netid: netid.map_or_else(|| map.prot.to_string(), |id| id.name().into()),
        r_addr: to_uaddr(SocketAddr::new(any, port)),
        r_owner: String::new(),
    }
}
