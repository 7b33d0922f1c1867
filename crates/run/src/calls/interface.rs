//! The interface ioctls of netdevice(7), for the node's interfaces: on any socket, as on Linux.
//!
//! Only questions are answered; what would change the node is `EPERM`.

use crate::address;
use crate::backend::{Backend, Domain, Errno};
use crate::descriptors::Found;
use crate::netlink::errno;
use crate::netlink::route::{QUEUE_LENGTH, broadcast_of, hardware, interface_flags};
use crate::supervisor::{Answer, Outcome, Supervisor};
use crate::sys::{self, Call};
use sockeye::{InterfaceInfo, Ipv4Net};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, RawFd};

/// `SIOC*` of <linux/sockios.h>.
mod sioc {
    pub(super) const GIFNAME: u32 = 0x8910;
    pub(super) const GIFCONF: u32 = 0x8912;
    pub(super) const GIFFLAGS: u32 = 0x8913;
    pub(super) const GIFADDR: u32 = 0x8915;
    pub(super) const GIFDSTADDR: u32 = 0x8917;
    pub(super) const GIFBRDADDR: u32 = 0x8919;
    pub(super) const GIFNETMASK: u32 = 0x891b;
    pub(super) const GIFMETRIC: u32 = 0x891d;
    pub(super) const GIFMTU: u32 = 0x8921;
    pub(super) const GIFHWADDR: u32 = 0x8927;
    pub(super) const GIFINDEX: u32 = 0x8933;
    pub(super) const GIFTXQLEN: u32 = 0x8942;
    pub(super) const ETHTOOL: u32 = 0x8946;
    pub(super) const GIFMAP: u32 = 0x8970;
    /// Those that change something.
    pub(super) const SET: [u32; 25] = [
        0x890b, 0x890c, 0x890d, 0x8911, 0x8914, 0x8916, 0x8918, 0x891a, 0x891c, 0x891e, 0x8920,
        0x8922, 0x8923, 0x8924, 0x8926, 0x8930, 0x8931, 0x8932, 0x8934, 0x8936, 0x8937, 0x8943,
        0x8953, 0x8955, 0x8971,
    ];
}

/// `sizeof(struct ifreq)`, and where its union lies.
const REQUEST: usize = 40;
const VALUE_AT: usize = 16;

/// `sizeof(struct ifconf)`.
const LIST: usize = 16;

/// Addresses that SIOCGIFCONF lists.
const LISTED_MAX: usize = 1024;

impl<B: Backend> Supervisor<B> {
    pub(crate) fn interface_ioctl(&self, call: &Call) -> Answer {
        let is_v4 = match self.table.find(call)? {
            Found::Ours(sock, _) => sock.domain == Domain::Ipv4,
            Found::Netlink(..) => false,
            Found::Foreign => {
                let threads = &self.table.threads;
                let fd = threads.duplicate(call.tid, call.args[0] as RawFd)?;
                sys::socket_domain(fd.as_raw_fd()).ok_or(Errno::NOTTY)?;
                false
            }
        };
        let node = self.backend.node().ok_or(Errno::NODEV)?;
        let infos = node.interfaces().map_err(errno)?;
        let (request, at) = (call.args[1] as u32, call.args[2]);
        let memory = self.memory(call);
        match request {
            sioc::GIFCONF => return self.list_addresses(call, &infos),
            sioc::GIFADDR | sioc::GIFDSTADDR | sioc::GIFBRDADDR | sioc::GIFNETMASK if !is_v4 => {
                return Err(Errno::NOTTY); // those are questions of IPv4's
            }
            _ if sioc::SET.contains(&request) => return Err(Errno::PERM),
            _ => {}
        }
        let mut octets = [0; REQUEST];
        memory.read(at, &mut octets)?;
        if request == sioc::GIFNAME {
            let index = u32::from_ne_bytes(std::array::from_fn(|i| octets[VALUE_AT + i]));
            let info = infos.iter().find(|info| info.id.0 == index);
            let name = name_of(info.ok_or(Errno::NODEV)?);
            memory.write(at, &name)?;
            return Ok(Outcome::Return(0));
        }
        let name = octets[..VALUE_AT].split(|octet| *octet == 0).next();
        // An alias of old is the interface with an address of its own, which are all listed under the interface's name.
        let name = name.and_then(|name| name.split(|octet| *octet == b':').next());
        let info = infos
            .iter()
            .find(|info| Some(info.name.as_bytes()) == name)
            .ok_or(Errno::NODEV)?;
        let value = value(info, request)?;
        memory.write(at.wrapping_add(VALUE_AT as u64), &value)?;
        Ok(Outcome::Return(0))
    }

    /// SIOCGIFCONF: the IPv4 addresses of all interfaces.
    fn list_addresses(&self, call: &Call, infos: &[InterfaceInfo]) -> Answer {
        let memory = self.memory(call);
        let at = call.args[2];
        let mut head = [0; LIST];
        memory.read(at, &mut head)?;
        let room = i32::from_ne_bytes(std::array::from_fn(|i| head[i]));
        let list_at = u64::from_ne_bytes(std::array::from_fn(|i| head[8 + i]));
        let mut list = Vec::new();
        for info in infos {
            for net in addresses(info) {
                list.extend(name_of(info));
                list.extend(socket_address(net.addr()));
                list.resize(list.len().next_multiple_of(REQUEST), 0);
            }
        }
        list.truncate(LISTED_MAX * REQUEST);
        if list_at != 0 {
            let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
            list.truncate(room / REQUEST * REQUEST);
            memory.write(list_at, &list)?;
        }
        memory.write_int(at, list.len() as i32)?;
        Ok(Outcome::Return(0))
    }
}

/// The name of an interface as an `ifreq` has it.
fn name_of(info: &InterfaceInfo) -> [u8; VALUE_AT] {
    let mut name = [0; VALUE_AT];
    let len = info.name.len().min(VALUE_AT - 1);
    name[..len].copy_from_slice(&info.name.as_bytes()[..len]);
    name
}

fn addresses(info: &InterfaceInfo) -> impl Iterator<Item = Ipv4Net> {
    info.addresses
        .iter()
        .filter_map(|address| match address.net {
            sockeye::IpNet::V4(net) => Some(net),
            sockeye::IpNet::V6(_) => None,
        })
}

/// A `sockaddr_in` without a port.
fn socket_address(address: Ipv4Addr) -> Vec<u8> {
    address::emit(SocketAddr::from((address, 0)))
}

/// What goes into the union of an `ifreq`.
fn value(info: &InterfaceInfo, request: u32) -> Result<Vec<u8>, Errno> {
    let first = || addresses(info).next().ok_or(Errno::ADDRNOTAVAIL);
    let int = |value: u32| value.to_ne_bytes().to_vec();
    Ok(match request {
        sioc::GIFFLAGS => (interface_flags(info) as u16).to_ne_bytes().to_vec(),
        sioc::GIFADDR | sioc::GIFDSTADDR => socket_address(first()?.addr()),
        sioc::GIFNETMASK => socket_address(first()?.netmask()),
        sioc::GIFBRDADDR => {
            let broadcast = broadcast_of(info, first()?.into());
            socket_address(broadcast.unwrap_or(Ipv4Addr::UNSPECIFIED))
        }
        sioc::GIFMETRIC => int(0),
        sioc::GIFMTU => int(info.mtu),
        sioc::GIFINDEX => int(info.id.0),
        sioc::GIFTXQLEN => int(QUEUE_LENGTH),
        sioc::GIFMAP => vec![0; REQUEST - VALUE_AT],
        sioc::GIFHWADDR => {
            let (kind, address) = hardware(info);
            let mut octets = kind.to_ne_bytes().to_vec();
            octets.extend(address.unwrap_or_default());
            octets.resize(VALUE_AT, 0);
            octets
        }
        sioc::ETHTOOL => return Err(Errno::OPNOTSUPP),
        _ => return Err(Errno::NOTTY),
    })
}
