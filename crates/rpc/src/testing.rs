//! What the tests call: a program with a little of everything, and two nodes at a cable.

use crate::dispatch::service_fn;
use crate::message::{AuthStatus, Credential};
use crate::{Fault, Programs, Server, Service};
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{LinkConfig, Node};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const PROGRAM: u32 = 0x2000_0007;

/// Twice a number.
pub(crate) const DOUBLE: u32 = 1;
/// How often this and [`SILENT`] were called.
pub(crate) const COUNT: u32 = 2;
/// So many milliseconds.
pub(crate) const SLEEP: u32 = 3;
/// Who calls.
pub(crate) const WHO: u32 = 4;
/// Nothing.
pub(crate) const SILENT: u32 = 5;
/// As many bytes as asked for.
pub(crate) const FILL: u32 = 6;

/// Version 1 of [`PROGRAM`].
pub(crate) fn desk() -> impl Service {
    let count = AtomicU32::new(0);
    service_fn(PROGRAM, 1, move |call, arguments, results| {
        let written = match call.procedure {
            0 => Ok(()),
            DOUBLE => results.u32(arguments.u32()?.wrapping_mul(2)),
            COUNT => results.u32(count.fetch_add(1, Ordering::Relaxed) + 1),
            SLEEP => {
                thread::sleep(Duration::from_millis(u64::from(arguments.u32()?)));
                Ok(())
            }
            WHO => match &call.credential {
                Credential::Sys(user) => results.u32(user.uid),
                Credential::None => return Err(Fault::Auth(AuthStatus::TooWeak)),
            },
            SILENT => {
                count.fetch_add(1, Ordering::Relaxed);
                return Err(Fault::Silent);
            }
            FILL => {
                let length = arguments.u32()?;
                results.opaque(&vec![7; length as usize], length)
            }
            _ => return Err(Fault::ProcedureUnavailable),
        };
        written.map_err(|_| Fault::SystemError)
    })
}

/// A server of it that gives out shorthands.
pub(crate) fn server() -> Server {
    Server::new(Programs::new().with(desk()).with_shorthands())
}

/// 10.0.0.1 and 10.0.0.2.
pub(crate) fn nodes() -> (Node, Node) {
    let (a, b) = MemoryLink::pair_ip(MemoryConfig::default());
    let node = |link, address: &str| {
        let config = LinkConfig::new().address(address.parse().unwrap());
        let builder = Node::builder().link("eth0", Box::new(link), config);
        builder.build().unwrap()
    };
    (node(a, "10.0.0.1/24"), node(b, "10.0.0.2/24"))
}
