//! Which system calls the supervisor answers, which the kernel refuses, and which run as ever: the seccomp filter.
//!
//! It fails closed: internet sockets exist by the supervisor's answer alone, a socket domain that is not listed does not exist,
//! and whatever would be a second way in (io_uring, another ABI) answers `ENOSYS`. Reads, writes, polls, dup, fork and close
//! are not here: the program's descriptors are real, and the kernel serves them.

use crate::bpf::Assembler;
use libc::{c_long, sock_filter};
use std::mem::offset_of;

/// The audit number of the ABI this crate is built for; calls by any other are answered `ENOSYS`.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
/// The audit number of the ABI this crate is built for; calls by any other are answered `ENOSYS`.
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the seccomp filter is written for x86_64 and aarch64");

/// Calls the supervisor answers whatever their arguments.
pub(crate) const TRAPPED: [c_long; 14] = [
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
];

/// Descriptors of sockets with messages have these numbers where the program may have them: plain calls on them ask the
/// supervisor, since the kernel's own sockets lose what of a message is not read at once. select(2) can still name them.
pub(crate) const ASKED: std::ops::Range<i32> = 960..1024;

/// Calls that the supervisor answers for descriptors in [`ASKED`] alone.
pub(crate) const PLAIN: [c_long; 4] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
];

/// Calls that do not exist under `run`: io_uring would carry out socket calls past the filter.
const REFUSED: [c_long; 3] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Netlink families that the supervisor answers: `NETLINK_ROUTE` and `NETLINK_SOCK_DIAG`.
const NETLINK_ANSWERED: [u32; 2] = [0, 4];

/// Netlink families that do not tell of the network: `NETLINK_SELINUX`, `NETLINK_AUDIT`, `NETLINK_KOBJECT_UEVENT`.
const NETLINK_ALLOWED: [u32; 3] = [7, 9, 15];

/// The interface ioctls (`SIOCADDRT` 0x890b to the private range's end), which the supervisor answers: they would show the
/// host's interfaces.
const INTERFACE_IOCTLS: std::ops::Range<u32> = 0x890b..0x8a00;

/// System call numbers from here on are those of the x32 ABI.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

/// Where the low half of an argument lies in `seccomp_data`.
const fn argument_low(index: usize) -> u32 {
    (offset_of!(libc::seccomp_data, args) + 8 * index) as u32
}

/// Where the high half of an argument lies in `seccomp_data`.
const fn argument_high(index: usize) -> u32 {
    argument_low(index) + 4
}

const fn refuse(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// Assembles the filter.
pub(crate) fn program() -> Vec<sock_filter> {
    let mut a = Assembler::default();
    let [
        native,
        no_such_call,
        notify,
        socket,
        netlink,
        address,
        ioctl,
        ioctl_in_range,
        plain,
        plain_in_range,
        allow,
    ] = std::array::from_fn(|_| a.label());

    a.load(offset_of!(libc::seccomp_data, arch) as u32);
    a.jump_if_equal(ARCH, native);
    a.answer(refuse(libc::ENOSYS));
    a.place(native);
    a.load(offset_of!(libc::seccomp_data, nr) as u32);
    #[cfg(target_arch = "x86_64")]
    a.jump_if_at_least(X32_BIT, no_such_call);
    for nr in REFUSED {
        a.jump_if_equal(nr as u32, no_such_call);
    }
    a.jump_if_equal(libc::SYS_socket as u32, socket);
    a.jump_if_equal(libc::SYS_sendto as u32, address);
    a.jump_if_equal(libc::SYS_recvfrom as u32, address);
    a.jump_if_equal(libc::SYS_ioctl as u32, ioctl);
    for nr in PLAIN {
        a.jump_if_equal(nr as u32, plain);
    }
    for nr in TRAPPED {
        a.jump_if_equal(nr as u32, notify);
    }
    a.answer(libc::SECCOMP_RET_ALLOW);

    // socket(domain, type, protocol): int arguments, of which the kernel sees the low halves alone.
    a.place(socket);
    a.load(argument_low(0));
    a.jump_if_equal(libc::AF_INET as u32, notify);
    a.jump_if_equal(libc::AF_INET6 as u32, notify);
    a.jump_if_equal(libc::AF_UNIX as u32, notify);
    a.jump_if_equal(libc::AF_NETLINK as u32, netlink);
    a.answer(refuse(libc::EAFNOSUPPORT));
    a.place(netlink);
    a.load(argument_low(2));
    for family in NETLINK_ANSWERED {
        a.jump_if_equal(family, notify);
    }
    for family in NETLINK_ALLOWED {
        a.jump_if_equal(family, allow);
    }
    a.answer(refuse(libc::EPROTONOSUPPORT));

    // ioctl(fd, request): the request is an unsigned int.
    a.place(ioctl);
    a.load(argument_low(1));
    a.jump_if_at_least(INTERFACE_IOCTLS.start, ioctl_in_range);
    a.answer(libc::SECCOMP_RET_ALLOW);
    a.place(ioctl_in_range);
    a.jump_if_at_least(INTERFACE_IOCTLS.end, allow);
    a.answer(libc::SECCOMP_RET_USER_NOTIF);

    // sendto and recvfrom with no address are send and recv, which the kernel serves but for a few descriptors.
    a.place(address);
    a.load(argument_low(4));
    let low_is_zero = a.label();
    a.jump_if_equal(0, low_is_zero);
    a.place(notify);
    a.answer(libc::SECCOMP_RET_USER_NOTIF);
    a.place(low_is_zero);
    a.load(argument_high(4));
    a.jump_if_equal(0, plain);
    a.answer(libc::SECCOMP_RET_USER_NOTIF);
    a.place(plain);
    a.load(argument_low(0));
    a.jump_if_at_least(ASKED.start as u32, plain_in_range);
    a.answer(libc::SECCOMP_RET_ALLOW);
    a.place(plain_in_range);
    a.jump_if_at_least(ASKED.end as u32, allow);
    a.answer(libc::SECCOMP_RET_USER_NOTIF);

    a.place(no_such_call);
    a.answer(refuse(libc::ENOSYS));
    a.place(allow);
    a.answer(libc::SECCOMP_RET_ALLOW);
    a.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use libc::{SECCOMP_RET_ALLOW as ALLOW, SECCOMP_RET_USER_NOTIF as NOTIFY};

    fn answer(arch: u32, nr: c_long, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend((nr as u32).to_ne_bytes());
        data.extend(arch.to_ne_bytes());
        data.extend(0x4000_u64.to_ne_bytes());
        args.iter()
            .for_each(|argument| data.extend(argument.to_ne_bytes()));
        crate::bpf::run(&program(), &data)
    }

    fn native(nr: c_long, args: [u64; 6]) -> u32 {
        answer(ARCH, nr, args)
    }

    #[test]
    fn other_abis_do_not_exist() {
        // i386's audit number, then the x32 numbers of native calls.
        for nr in 0..512 {
            assert_eq!(answer(0x4000_0003, nr, [0; 6]), refuse(libc::ENOSYS));
            #[cfg(target_arch = "x86_64")]
            assert_eq!(native(nr | 0x4000_0000, [0; 6]), refuse(libc::ENOSYS));
        }
    }

    #[test]
    fn every_socket_domain_but_four_is_refused() {
        for domain in 0..128_u64 {
            for high in [0, 0xffff_ffff_0000_0000] {
                let expected = match domain as i32 {
                    libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX => NOTIFY,
                    libc::AF_NETLINK => NOTIFY,
                    _ => refuse(libc::EAFNOSUPPORT),
                };
                assert_eq!(
                    native(libc::SYS_socket, [domain | high, 1, 0, 0, 0, 0]),
                    expected,
                    "domain {domain}"
                );
            }
        }
    }

    #[test]
    fn netlink_is_asked_for_refused_or_the_kernels() {
        for family in 0..32 {
            let expected = match family {
                0 | 4 => NOTIFY,
                7 | 9 | 15 => ALLOW,
                _ => refuse(libc::EPROTONOSUPPORT),
            };
            assert_eq!(
                native(
                    libc::SYS_socket,
                    [libc::AF_NETLINK as u64, 3, family, 0, 0, 0]
                ),
                expected
            );
        }
    }

    #[test]
    fn an_address_in_either_half_is_seen() {
        for nr in [libc::SYS_sendto, libc::SYS_recvfrom] {
            assert_eq!(native(nr, [3, 1, 1, 0, 0, 0]), ALLOW);
            for address in [1, 0x7fff_0000_1000, 0x1_0000_0000, u64::MAX] {
                assert_eq!(
                    native(nr, [3, 1, 1, 0, address, 0]),
                    NOTIFY,
                    "address {address:#x}"
                );
            }
        }
    }

    #[test]
    fn plain_calls_ask_for_a_few_descriptors() {
        let plain = [libc::SYS_sendto, libc::SYS_recvfrom]
            .into_iter()
            .chain(PLAIN);
        for nr in plain {
            for (fd, expected) in [
                (0, ALLOW),
                (959, ALLOW),
                (960, NOTIFY),
                (1023, NOTIFY),
                (1024, ALLOW),
            ] {
                assert_eq!(
                    native(nr, [fd, 1, 1, 0, 0, 0]),
                    expected,
                    "call {nr} of {fd}"
                );
            }
        }
    }

    #[test]
    fn interface_ioctls_are_asked_for_and_others_run() {
        for request in [0x890b, 0x8910, 0x8912, 0x8933, 0x89ff] {
            assert_eq!(native(libc::SYS_ioctl, [3, request, 0, 0, 0, 0]), NOTIFY);
        }
        // FIONREAD, TCGETS, SIOCATMARK, and a request just above the range.
        for request in [0x541b, 0x5401, 0x8905, 0x8a00, 0xc020_6911] {
            assert_eq!(native(libc::SYS_ioctl, [3, request, 0, 0, 0, 0]), ALLOW);
        }
    }

    #[test]
    fn no_call_beyond_the_lists_is_touched() {
        for nr in 0..512 {
            let expected = match nr {
                libc::SYS_socket => refuse(libc::EAFNOSUPPORT),
                nr if TRAPPED.contains(&nr) => NOTIFY,
                nr if REFUSED.contains(&nr) => refuse(libc::ENOSYS),
                _ => ALLOW,
            };
            assert_eq!(native(nr, [0; 6]), expected, "call {nr}");
        }
    }
}
