//! Making nodes, and plugging links into them.

#![expect(
    unsafe_code,
    reason = "what C calls is named as it is, and gets pointers"
)]

use crate::error::{Failure, guard};
use crate::memory;
use crate::table::{self, Entry, Host, Place};
use sockeye::drivers::netem::NetemConfig;
use sockeye::drivers::{MemoryConfig, MemoryLink, Netem, SharedSwitch, Tun, local_address};
use sockeye::link::{Link, Medium};
use sockeye::{Config, IpNet, LinkConfig, Node, SHUTDOWN_TIMEOUT};
use sockeye_run::user::{self, UserConfig, UserLan};
use std::ffi::{c_char, c_int, c_uint};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The host's loopback is reached as 10.0.2.2 and fd00:2::2 through a link `user`.
pub const SOCKEYE_ALLOW_HOST_LOOPBACK: c_uint = 1;

/// Makes a node without links. `settings` are NULL or lines NAME=VALUE in sysctl's words.
///
/// # Safety
/// The pointer is as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_node_new(settings: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: the caller's promise.
        let settings = unsafe { memory::text_or_none(settings, "settings") }?;
        let mut config = Config::default();
        for line in settings.unwrap_or_default().lines() {
            if line.trim().is_empty() {
                continue;
            }
            let pair = line.split_once('=');
            let pair = pair.ok_or_else(|| Failure::invalid(format!("'{line}' is no NAME=VALUE")));
            let (name, value) = pair?;
            config
                .set_sysctl(name.trim(), value)
                .map_err(Failure::invalid)?;
        }
        let place = Place::reserve()?;
        let node = Node::builder().config(config).build()?;
        let lans = Mutex::default();
        Ok(place.fill(Entry::Node(Arc::new(Host { node, lans }))))
    })
}

/// Connects two nodes by a cable in memory that carries IP packets. `netem` is NULL or what happens to
/// packets in each direction, in tc-netem(8)'s words: `delay=5ms,loss=1%`. When the second node
/// can't have its end, the first keeps its own, with nobody at the other.
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_link_pair(
    one: c_int,
    one_name: *const c_char,
    one_addresses: *const c_char,
    other: c_int,
    other_name: *const c_char,
    other_addresses: *const c_char,
    netem: *const c_char,
) -> c_int {
    guard(|| {
        let (one, other) = (table::host(one)?, table::host(other)?);
        // SAFETY: the caller's promise.
        let one_end = unsafe { end(one_name, one_addresses) }?;
        // SAFETY: the caller's promise.
        let other_end = unsafe { end(other_name, other_addresses) }?;
        // SAFETY: the caller's promise.
        let words = unsafe { memory::text_or_none(netem, "netem") }?;
        let netem: NetemConfig = words
            .unwrap_or_default()
            .parse()
            .map_err(Failure::invalid)?;
        let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
        let near: Box<dyn Link> = match netem.is_transparent() {
            true => Box::new(near),
            false => Box::new(Netem::new(near, netem, chance()?)),
        };
        one.node.add_link(one_end.0, near, one_end.1)?;
        let far = Box::new(far);
        other.node.add_link(other_end.0, far, other_end.1)?;
        Ok(0)
    })
}

/// Plugs the link `user` in as eth0: a virtual LAN, with a way out through the host's own sockets.
/// `flags` are 0 or [`SOCKEYE_ALLOW_HOST_LOOPBACK`].
#[unsafe(no_mangle)]
pub extern "C" fn sockeye_link_user(node: c_int, flags: c_uint) -> c_int {
    guard(|| {
        let host = table::host(node)?;
        if flags & !SOCKEYE_ALLOW_HOST_LOOPBACK != 0 {
            return Err(Failure::invalid(format!("flags {flags:#x} are unknown")));
        }
        let mut lans = host.lans.lock().unwrap_or_else(PoisonError::into_inner);
        if !lans.is_empty() {
            return Err(Failure::new(
                libc::EEXIST,
                "a node has one link `user` at most: both would have the same addresses",
            ));
        }
        let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let config = UserConfig {
            allow_host_loopback: flags & SOCKEYE_ALLOW_HOST_LOOPBACK != 0,
            host_nameservers: user::nameservers(&resolv_conf),
            publish: Vec::new(),
        };
        let net = |ip: IpAddr, bits| IpNet::new(ip, bits).map_err(Failure::invalid);
        let ours = LinkConfig::new()
            .address(net(user::NODE_V4.into(), 24)?)
            .address(net(user::NODE_V6.into(), 64)?)
            .gateway(user::GATEWAY_V4.into())
            .gateway(user::GATEWAY_V6.into())
            .dns(user::DNS_V4.into())
            .detect_duplicates(false);
        let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
        let lan = UserLan::start(config, Box::new(far))?;
        host.node.add_link("eth0", Box::new(near), ours)?;
        lan.serve_names_on(&host.node);
        lans.push(lan);
        Ok(0)
    })
}

/// Attaches the node to a TAP device of the kernel, with an Ethernet address of its own.
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_link_tap(
    node: c_int,
    device: *const c_char,
    addresses: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's promise.
        unsafe { attach(node, device, addresses, Medium::Ethernet(mac()?)) }
    })
}

/// Attaches the node to a TUN device of the kernel.
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_link_tun(
    node: c_int,
    device: *const c_char,
    addresses: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's promise.
        unsafe { attach(node, device, addresses, Medium::Ip) }
    })
}

/// Shares an Ethernet with whoever else names that directory.
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_link_switch(
    node: c_int,
    name: *const c_char,
    directory: *const c_char,
    addresses: *const c_char,
) -> c_int {
    guard(|| {
        let host = table::host(node)?;
        // SAFETY: the caller's promise.
        let (name, config) = unsafe { end(name, addresses) }?;
        // SAFETY: the caller's promise.
        let directory = unsafe { memory::text(directory, "the directory") }?;
        let link =
            SharedSwitch::join(Path::new(directory), mac()?).map_err(std::io::Error::from)?;
        host.node.add_link(name, Box::new(link), config)?;
        Ok(0)
    })
}

/// Adds a route of the node: to `destination` through the link `name`, by `gateway` or, with NULL, to
/// neighbours.
///
/// # Safety
/// The pointers are as the crate's documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sockeye_route_add(
    node: c_int,
    name: *const c_char,
    destination: *const c_char,
    gateway: *const c_char,
) -> c_int {
    guard(|| {
        let host = table::host(node)?;
        // SAFETY: the caller's promise.
        let name = unsafe { memory::text(name, "the name of the link") }?;
        // SAFETY: the caller's promise.
        let destination = unsafe { memory::text(destination, "the destination") }?;
        // SAFETY: the caller's promise.
        let gateway = unsafe { memory::text_or_none(gateway, "the gateway") }?;
        let destination = net(destination)?;
        let gateway = gateway.map(|text| {
            let ip: Result<IpAddr, _> = text.parse();
            ip.map_err(|_| Failure::invalid(format!("'{text}' is no IP address")))
        });
        let interfaces = host.node.interfaces()?;
        let interface = interfaces.iter().find(|i| i.name == name);
        let interface = interface.ok_or_else(|| {
            let names: Vec<&str> = interfaces.iter().map(|i| i.name.as_str()).collect();
            let names = names.join(", ");
            Failure::new(
                libc::ENODEV,
                format!("no link is called {name}, but {names}"),
            )
        })?;
        let gateway = gateway.transpose()?;
        host.node.add_route(destination, gateway, interface.id, 0)?;
        Ok(0)
    })
}

/// close(2) of a socket, and the end of a node: see `sockeye.h`.
#[unsafe(no_mangle)]
pub extern "C" fn sockeye_close(handle: c_int) -> c_int {
    guard(|| {
        match table::take(handle)? {
            Entry::Socket(socket) => drop(socket),
            Entry::Node(host) => host.node.shutdown(SHUTDOWN_TIMEOUT)?,
        }
        Ok(0)
    })
}

/// # Safety
/// The pointers are as the crate's documentation asks.
unsafe fn attach(
    node: c_int,
    device: *const c_char,
    addresses: *const c_char,
    medium: Medium,
) -> Result<c_int, Failure> {
    let host = table::host(node)?;
    // SAFETY: the caller's promise.
    let (device, config) = unsafe { end(device, addresses) }?;
    let link = Tun::open(device, medium).map_err(|error| {
        let errno = error.cause().raw_os_error().unwrap_or(libc::EINVAL);
        Failure::new(errno, error.to_string())
    })?;
    host.node.add_link(device, Box::new(link), config)?;
    Ok(0)
}

/// A link's name and addresses.
///
/// # Safety
/// The pointers are as the crate's documentation asks.
unsafe fn end<'a>(
    name: *const c_char,
    addresses: *const c_char,
) -> Result<(&'a str, LinkConfig), Failure> {
    // SAFETY: the caller's promise.
    let name = unsafe { memory::text(name, "the name of the link") }?;
    // SAFETY: the caller's promise.
    let addresses = unsafe { memory::text(addresses, "the list of addresses") }?;
    let mut config = LinkConfig::new();
    for text in addresses.split(',').filter(|text| !text.is_empty()) {
        config = config.address(net(text)?);
    }
    Ok((name, config))
}

fn net(text: &str) -> Result<IpNet, Failure> {
    text.trim().parse().map_err(|_| {
        Failure::invalid(format!(
            "'{text}' is no address with its prefix length, as 10.0.0.1/24"
        ))
    })
}

/// An Ethernet address that no other link has.
fn mac() -> Result<sockeye::link::MacAddr, Failure> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&chance()?.to_le_bytes());
    Ok(local_address(&seed, 0))
}

/// A number that nobody can guess.
fn chance() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is ours and as long as it is said to be.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // getrandom(2): up to 256 bytes are never cut.
    match usize::try_from(got) == Ok(bytes.len()) {
        true => Ok(u64::from_ne_bytes(bytes)),
        false => Err(std::io::Error::last_os_error().into()),
    }
}
