//! rpcbind as a server.

use super::interface::{
    CallResult, Mapping as Pmap, Netbuf, PmapVers, PmapVersServer, Pmaplist, RPCBPROG, Rpcb,
    RpcbEntry, RpcbEntryList, RpcbRmtcallargs, RpcbRmtcallres, RpcbStat, Rpcblist, RpcbsAddrlist,
    RpcbsRmtcalllist, Rpcbvers, Rpcbvers4, Rpcbvers4Server, RpcbversServer,
};
use super::registry::{Key, Mapping};
use super::{NetId, Registry, from_uaddr, to_uaddr};
use crate::dispatch::{Call, Fault, Peer, Programs};
use crate::message::Credential;
use crate::transport::lock;
use crate::{CallError, Client};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Different programs whose calls and look-ups are counted.
const COUNTED_MAX: usize = 256;

/// How long a call that is passed on may take.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reaches a program of this machine by datagrams: how depends on whose sockets those are.
type Connect = dyn Fn(SocketAddr, u32, u32) -> std::io::Result<Client> + Send + Sync;

/// An rpcbind: a registry and the three versions of the protocol before it.
///
/// One that hears calls over two transports is told so, since what it answers depends on it: see
/// [`programs`](Self::programs).
#[derive(Clone)]
pub struct Binder {
    shared: Arc<Shared>,
    /// Over which transport what it hears comes.
    netid: NetId,
}

struct Shared {
    registry: Mutex<Registry>,
    statistics: Mutex<[Statistics; 3]>,
    connect: Box<Connect>,
}

/// What GETSTAT tells of a version (RFC 1833 §2.1).
#[derive(Debug, Default)]
struct Statistics {
    procedures: [i32; 13],
    set: i32,
    unset: i32,
    /// Successes and failures by program, version and transport.
    looked_up: BTreeMap<(u32, u32, NetId), (i32, i32)>,
    passed_on: BTreeMap<PassedOn, (i32, i32)>,
}

/// A procedure's program, version and number, from which transport it was called, and whether by
/// INDIRECT.
type PassedOn = (u32, u32, u32, NetId, bool);

impl std::fmt::Debug for Binder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binder")
            .field("netid", &self.netid)
            .finish_non_exhaustive()
    }
}

impl Binder {
    /// One that knows itself alone; `connect` reaches a program to pass a call on to.
    pub fn new(
        connect: impl Fn(SocketAddr, u32, u32) -> std::io::Result<Client> + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                registry: Mutex::default(),
                statistics: Mutex::default(),
                connect: Box::new(connect),
            }),
            netid: NetId::Udp,
        }
    }

    /// The programs to serve at `address`, which the binder is registered at, too.
    #[must_use]
    pub fn programs(&self, netid: NetId, address: &str) -> Programs {
        let mut registry = lock(&self.shared.registry);
        for version in 2..=4 {
            let is_known = version > 2 || netid.protocol().is_some();
            let key = Key {
                program: RPCBPROG,
                version,
                netid,
            };
            let mapping = Mapping {
                address: address.into(),
                owner: "superuser".into(),
            };
            if is_known {
                registry.set(key, mapping);
            }
        }
        let own = Self {
            shared: self.shared.clone(),
            netid,
        };
        Programs::new()
            .with(PmapVersServer(own.clone()))
            .with(RpcbversServer(Three(own.clone())))
            .with(Rpcbvers4Server(own))
    }

    fn count(&self, call: &Call, note: impl FnOnce(&mut Statistics)) {
        let mut all = lock(&self.shared.statistics);
        let version = call.version.clamp(2, 4) as usize - 2;
        let statistics = &mut all[version];
        if let Some(count) = statistics.procedures.get_mut(call.procedure as usize) {
            *count = count.saturating_add(1);
        }
        note(statistics);
    }

    /// Only those of this machine set and unset (RFC 1833 §2.2).
    fn set(&self, call: &Call, key: Option<Key>, address: String) -> bool {
        let key = key.filter(|_| call.peer.is_local());
        let owner = owner(call);
        let done =
            key.is_some_and(|key| lock(&self.shared.registry).set(key, Mapping { address, owner }));
        self.count(call, |s| s.set = s.set.saturating_add(i32::from(done)));
        done
    }

    fn unset(&self, call: &Call, program: u32, version: u32, netid: Option<NetId>) -> bool {
        let caller = owner(call);
        let may = |owner: &str| caller == "superuser" || caller == owner;
        let done = call.peer.is_local()
            && program != RPCBPROG
            && lock(&self.shared.registry).unset(program, version, netid, may);
        self.count(call, |s| s.unset = s.unset.saturating_add(i32::from(done)));
        done
    }

    fn look_up(&self, call: &Call, program: u32, version: u32, exactly: bool) -> Option<String> {
        let registry = lock(&self.shared.registry);
        let found = if exactly {
            registry.find_exactly(program, version, self.netid)
        } else {
            registry.find(program, version, self.netid)
        };
        let found = found.map(|address| merged(address, call.peer));
        drop(registry);
        self.count(call, |s| {
            note(
                &mut s.looked_up,
                (program, version, self.netid),
                found.is_some(),
            );
        });
        found
    }

    /// Calls a program of this machine for somebody else (CALLIT, BCAST, INDIRECT), by UDP.
    fn pass_on(&self, call: &Call, args: RpcbRmtcallargs) -> Result<(SocketAddr, Vec<u8>), Fault> {
        let RpcbRmtcallargs {
            prog,
            vers,
            proc,
            args,
        } = args;
        let address = if is_trusting(prog, proc) {
            None
        } else {
            let registry = lock(&self.shared.registry);
            let found = registry.find_exactly(prog, vers, NetId::Udp);
            found.and_then(from_uaddr)
        };
        let outcome = address.ok_or(CallError::ProgramUnavailable);
        let outcome = outcome.and_then(|address| {
            let client = (self.shared.connect)(reachable(address), prog, vers)?;
            let client = client.with_timeout(FORWARD_TIMEOUT);
            let results = client.call_with(
                proc,
                |to| to.raw(&args),
                |from| Ok(from.take_left().to_vec()),
            )?;
            Ok((address, results))
        });
        let indirect = call.procedure == 10;
        self.count(call, |s| {
            let key = (prog, vers, proc, self.netid, indirect);
            note(&mut s.passed_on, key, outcome.is_ok());
        });
        outcome.map_err(|_| {
            if indirect {
                Fault::SystemError
            } else {
                Fault::Silent
            }
        })
    }
}

/// Whether a procedure trusts those who call from its own machine, as whom the binder would call for
/// anybody, which RFC 1833 does not discuss: setting and unsetting here, mounting, files, what
/// the yellow pages are bound to and tell. Linux's rpcbind passes on none of these either.
const fn is_trusting(program: u32, procedure: u32) -> bool {
    const NFS: u32 = 100_003;
    const YP: u32 = 100_004;
    const MOUNT: u32 = 100_005;
    const YPBIND: u32 = 100_007;
    const YPPASSWD: u32 = 100_009;
    const RQUOTA: u32 = 100_011;
    match program {
        RPCBPROG | NFS | YPPASSWD | RQUOTA => true,
        // MNT; SETDOM; MATCH, FIRST, NEXT, ALL.
        MOUNT => procedure == 1,
        YPBIND => procedure == 2,
        YP => matches!(procedure, 3..=5 | 8),
        _ => false,
    }
}

fn note<K: Ord>(counts: &mut BTreeMap<K, (i32, i32)>, key: K, succeeded: bool) {
    if counts.len() >= COUNTED_MAX && !counts.contains_key(&key) {
        return;
    }
    let (successes, failures) = counts.entry(key).or_default();
    let count = if succeeded { successes } else { failures };
    *count = count.saturating_add(1);
}

/// Who sets a mapping: by name as Linux's rpcbind has it.
fn owner(call: &Call) -> String {
    match &call.credential {
        Credential::Sys(user) if user.uid == 0 => "superuser".into(),
        Credential::Sys(user) => user.uid.to_string(),
        Credential::None => "unknown".into(),
    }
}

/// The address that the caller can reach: where the program listens on all addresses, the one of
/// this machine is not in its mapping. A caller on this machine is given loopback; any other keeps
/// what was set, since it knows by which address it came.
fn merged(address: &str, caller: Peer) -> String {
    match (from_uaddr(address), caller) {
        (Some(a), Peer::Inet(from)) if a.ip().is_unspecified() && caller.is_local() => {
            let ip = from.ip().to_canonical();
            to_uaddr(SocketAddr::new(
                if ip.is_ipv4() == a.is_ipv4() {
                    ip
                } else {
                    a.ip()
                },
                a.port(),
            ))
        }
        _ => address.into(),
    }
}

/// Where this machine reaches a program that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl PmapVers for Binder {
    fn pmapproc_null(&self, call: &Call) -> Result<(), Fault> {
        self.count(call, |_| {});
        Ok(())
    }

    fn pmapproc_set(&self, call: &Call, map: Pmap) -> Result<bool, Fault> {
        let port = u16::try_from(map.port).ok();
        let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port.unwrap_or(0));
        let netid = NetId::from_protocol(map.prot).filter(|_| port.is_some());
        let key = netid.map(|netid| Key {
            program: map.prog,
            version: map.vers,
            netid,
        });
        Ok(self.set(call, key, to_uaddr(address)))
    }

    fn pmapproc_unset(&self, call: &Call, map: Pmap) -> Result<bool, Fault> {
        Ok(self.unset(call, map.prog, map.vers, None))
    }

    fn pmapproc_getport(&self, call: &Call, map: Pmap) -> Result<u32, Fault> {
        let asked = Self {
            shared: self.shared.clone(),
            netid: NetId::from_protocol(map.prot).unwrap_or(self.netid),
        };
        let found = asked.look_up(call, map.prog, map.vers, false);
        let found = found.as_deref().and_then(from_uaddr);
        Ok(found.map_or(0, |address| u32::from(address.port())))
    }

    fn pmapproc_dump(&self, call: &Call) -> Result<Vec<Pmaplist>, Fault> {
        self.count(call, |_| {});
        let registry = lock(&self.shared.registry);
        let maps = registry.iter().filter_map(|(key, mapping)| {
            Some(Pmaplist {
                map: Pmap {
                    prog: key.program,
                    vers: key.version,
                    prot: key.netid.protocol()?,
                    port: u32::from(from_uaddr(&mapping.address)?.port()),
                },
            })
        });
        Ok(maps.collect())
    }

    fn pmapproc_callit(&self, call: &Call, args: RpcbRmtcallargs) -> Result<CallResult, Fault> {
        let (address, res) = self.pass_on(call, args)?;
        let port = u32::from(address.port());
        Ok(CallResult { port, res })
    }
}

/// Versions 3 and 4 have most of their procedures in common.
macro_rules! common {
    () => {
        fn rpcbproc_set(&self, call: &Call, map: Rpcb) -> Result<bool, Fault> {
            let key = NetId::from_name(&map.r_netid).map(|netid| Key {
                program: map.r_prog,
                version: map.r_vers,
                netid,
            });
            Ok(self.as_ref().set(call, key, map.r_addr))
        }

        fn rpcbproc_unset(&self, call: &Call, map: Rpcb) -> Result<bool, Fault> {
            let netid = NetId::from_name(&map.r_netid);
            if netid.is_none() && !map.r_netid.is_empty() {
                return Ok(false);
            }
            Ok(self.as_ref().unset(call, map.r_prog, map.r_vers, netid))
        }

        fn rpcbproc_getaddr(&self, call: &Call, map: Rpcb) -> Result<String, Fault> {
            let found = self.as_ref().look_up(call, map.r_prog, map.r_vers, false);
            Ok(found.unwrap_or_default())
        }

        fn rpcbproc_dump(&self, call: &Call) -> Result<Vec<Rpcblist>, Fault> {
            self.as_ref().count(call, |_| {});
            let registry = lock(&self.as_ref().shared.registry);
            let maps = registry.iter().map(|(key, mapping)| Rpcblist {
                rpcb_map: Rpcb {
                    r_prog: key.program,
                    r_vers: key.version,
                    r_netid: key.netid.name().into(),
                    r_addr: mapping.address.clone(),
                    r_owner: mapping.owner.clone(),
                },
            });
            Ok(maps.collect())
        }

        fn rpcbproc_gettime(&self, call: &Call) -> Result<u32, Fault> {
            self.as_ref().count(call, |_| {});
            let time = SystemTime::now().duration_since(UNIX_EPOCH);
            // The protocol's seconds end in 2106.
            Ok(time.map_or(0, |time| time.as_secs() as u32))
        }

        fn rpcbproc_uaddr2taddr(&self, call: &Call, uaddr: String) -> Result<Netbuf, Fault> {
            self.as_ref().count(call, |_| {});
            let buf = from_uaddr(&uaddr).map_or_else(Vec::new, sockaddr);
            Ok(Netbuf {
                maxlen: buf.len() as u32,
                buf,
            })
        }

        fn rpcbproc_taddr2uaddr(&self, call: &Call, taddr: Netbuf) -> Result<String, Fault> {
            self.as_ref().count(call, |_| {});
            Ok(from_sockaddr(&taddr.buf).map_or_else(String::new, to_uaddr))
        }
    };
}

/// Version 3.
#[derive(Debug, Clone)]
struct Three(Binder);

impl AsRef<Binder> for Three {
    fn as_ref(&self) -> &Binder {
        &self.0
    }
}

impl AsRef<Self> for Binder {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Rpcbvers for Three {
    common!();

    fn rpcbproc_callit(&self, call: &Call, args: RpcbRmtcallargs) -> Result<RpcbRmtcallres, Fault> {
        self.0.passed_on(call, args)
    }
}

impl Binder {
    fn passed_on(&self, call: &Call, args: RpcbRmtcallargs) -> Result<RpcbRmtcallres, Fault> {
        let (address, results) = self.pass_on(call, args)?;
        let addr = merged(&to_uaddr(address), call.peer);
        Ok(RpcbRmtcallres { addr, results })
    }
}

impl Rpcbvers4 for Binder {
    common!();

    fn rpcbproc_bcast(&self, call: &Call, args: RpcbRmtcallargs) -> Result<RpcbRmtcallres, Fault> {
        self.passed_on(call, args)
    }

    fn rpcbproc_getversaddr(&self, call: &Call, map: Rpcb) -> Result<String, Fault> {
        let found = self.look_up(call, map.r_prog, map.r_vers, true);
        Ok(found.unwrap_or_default())
    }

    fn rpcbproc_indirect(
        &self,
        call: &Call,
        args: RpcbRmtcallargs,
    ) -> Result<RpcbRmtcallres, Fault> {
        self.passed_on(call, args)
    }

    fn rpcbproc_getaddrlist(&self, call: &Call, map: Rpcb) -> Result<Vec<RpcbEntryList>, Fault> {
        self.count(call, |_| {});
        let registry = lock(&self.shared.registry);
        let of_it = registry
            .iter()
            .filter(|(key, _)| key.program == map.r_prog && key.version == map.r_vers);
        let entries = of_it.map(|(key, mapping)| {
            let (semantics, family, protocol) = key.netid.description();
            RpcbEntryList {
                rpcb_entry_map: RpcbEntry {
                    r_maddr: merged(&mapping.address, call.peer),
                    r_nc_netid: key.netid.name().into(),
                    r_nc_semantics: semantics,
                    r_nc_protofmly: family.into(),
                    r_nc_proto: protocol.into(),
                },
            }
        });
        Ok(entries.collect())
    }

    fn rpcbproc_getstat(&self, call: &Call) -> Result<[RpcbStat; 3], Fault> {
        self.count(call, |_| {});
        Ok(lock(&self.shared.statistics)
            .each_ref()
            .map(Statistics::told))
    }
}

impl Statistics {
    fn told(&self) -> RpcbStat {
        let looked_up = self.looked_up.iter();
        let passed_on = self.passed_on.iter();
        RpcbStat {
            info: self.procedures,
            setinfo: self.set,
            unsetinfo: self.unset,
            addrinfo: looked_up
                .map(|((prog, vers, netid), (success, failure))| RpcbsAddrlist {
                    prog: *prog,
                    vers: *vers,
                    success: *success,
                    failure: *failure,
                    netid: netid.name().into(),
                })
                .collect(),
            rmtinfo: passed_on
                .map(
                    |((prog, vers, proc, netid, indirect), (success, failure))| RpcbsRmtcalllist {
                        prog: *prog,
                        vers: *vers,
                        proc: *proc,
                        success: *success,
                        failure: *failure,
                        indirect: i32::from(*indirect),
                        netid: netid.name().into(),
                    },
                )
                .collect(),
        }
    }
}

/// An address as Linux lays it out in memory: families in the machine's order.
fn sockaddr(address: SocketAddr) -> Vec<u8> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(ip) => [&AF_INET.to_ne_bytes()[..], &port, &ip.octets(), &[0; 8]].concat(),
        IpAddr::V6(ip) => [
            &AF_INET6.to_ne_bytes()[..],
            &port,
            &[0; 4],
            &ip.octets(),
            &[0; 4],
        ]
        .concat(),
    }
}

fn from_sockaddr(bytes: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let ip = match u16::from_ne_bytes(*family) {
        2 => IpAddr::from(*rest.first_chunk::<4>()?),
        10 => IpAddr::from(*rest.get(4..)?.first_chunk::<16>()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}
