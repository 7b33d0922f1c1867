//! Options about multicast beside those of the kernel, on UDP sockets: the same calls have to give
//! the same values and the same errnos. Groups are joined on the loopback, which both have as
//! interface 1 with 127.0.0.1.

use crate::options::{Answer, Call, Kernel, Ours, calls, ints, run};
use sockeye::{Domain, Node, Socket, Type};
use sockeye_core::option::{ROWS, Row};
use sockeye_tests::{Outcome, Result, Test, check, in_namespace, tests};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    options_for_groups_are_as_the_kernels,
    calls_about_groups_are_as_the_kernels,
];

const OPTIONS: &[&str] = &[
    "IP_MULTICAST_TTL",
    "IP_MULTICAST_LOOP",
    "IP_MULTICAST_ALL",
    "IP_MULTICAST_IF",
    "IPV6_MULTICAST_HOPS",
    "IPV6_MULTICAST_LOOP",
    "IPV6_MULTICAST_ALL",
    "IPV6_MULTICAST_IF",
];

fn options_for_groups_are_as_the_kernels() -> Result {
    let name = "interop::group_options::options_for_groups_are_as_the_kernels";
    in_namespace(name, Duration::from_secs(60), || {
        let node = Node::builder().seed([7; 32]).build()?;
        let mut differences = String::new();
        for v6 in [false, true] {
            for row in ROWS.iter().filter(|row| OPTIONS.contains(&row.name)) {
                let calls = match row.name {
                    "IP_MULTICAST_IF" => devices(),
                    _ => calls(row),
                };
                let (kernel, ours) = (kernel(v6)?, ours(&node, v6)?);
                let theirs = run(&kernel, row, &calls);
                let mine = run(&ours, row, &calls);
                for ((call, want), got) in calls.iter().zip(&theirs).zip(&mine) {
                    if want != got {
                        let _ = writeln!(
                            differences,
                            "v6 {v6} {}: {call:?}: the kernel {want:?}, we {got:?}",
                            row.name
                        );
                    }
                }
            }
        }
        check!(differences.is_empty(), "{differences}");
        Ok(Outcome::Passed)
    })
}

/// What IP_MULTICAST_IF may be given: in_addr, ip_mreq, ip_mreqn, and less.
fn devices() -> Vec<Call> {
    let own = [127, 0, 0, 1];
    let group = [239, 1, 1, 1];
    let foreign = [192, 0, 2, 9];
    let none = [0; 4];
    let with_index = |address: [u8; 4], index: i32| [group, address, index.to_ne_bytes()].concat();
    let values = [
        vec![],
        own[..3].to_vec(),
        own.to_vec(),
        foreign.to_vec(),
        [group, own].concat(),
        [group, foreign].concat(),
        with_index(none, 1),
        with_index(own, 1),
        with_index(foreign, 1),
        with_index(own, 99),
        with_index(none, -1),
        with_index(own, 0),
        with_index(none, 0),
        none.to_vec(),
    ];
    let gets = || [0, 1, 3, 4, 8, 12, 16].map(Call::Get);
    let set = |value| std::iter::once(Call::Set(value)).chain(gets());
    gets()
        .into_iter()
        .chain(values.into_iter().flat_map(set))
        .collect()
}

/// Long walks through the calls of RFC 3678, of which each step may be refused.
fn calls_about_groups_are_as_the_kernels() -> Result {
    let name = "interop::group_options::calls_about_groups_are_as_the_kernels";
    in_namespace(name, Duration::from_secs(120), || {
        let node = Node::builder().seed([7; 32]).build()?;
        let mut differences = String::new();
        let mut kinds = std::collections::BTreeMap::new();
        for (walk, v6) in (0..400).flat_map(|walk| [(walk, false), (walk, true)]) {
            let (kernel, ours) = (kernel(v6)?, ours(&node, v6)?);
            let mut chance = Chance(walk * 2 + u64::from(v6) + 1);
            let mut path = Vec::new();
            for _ in 0..40 {
                let (row, call) = step(v6, &mut chance);
                let want = run(&kernel, row, std::slice::from_ref(&call)).remove(0);
                let got = run(&ours, row, std::slice::from_ref(&call)).remove(0);
                *kinds.entry((row.name, want.is_ok())).or_insert(0) += 1;
                let [want, got] = [sorted(row, &want), sorted(row, &got)];
                path.push(format!("{} {} {}", row.name, shown(&call), told(&want)));
                if want != got {
                    let path = path.join("\n  ");
                    let _ = writeln!(differences, "walk {walk}:\n  {path}, we {}", told(&got));
                    break;
                }
            }
        }
        check!(differences.is_empty(), "{differences}");
        // Every call has been taken and refused.
        for (name, _) in kinds.keys() {
            let (taken, refused) = ((*name, true), (*name, false));
            let both = kinds.contains_key(&taken) && kinds.contains_key(&refused);
            check!(both, "{name} was not tried both ways: {kinds:?}");
        }
        Ok(Outcome::Passed)
    })
}

/// A number after the other, always the same ones.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// One call: of IPv4, or on an IPv6 socket of either family.
fn step(v6: bool, chance: &mut Chance) -> (&'static Row, Call) {
    if v6 && chance.below(3) > 0 {
        return step_v6(chance);
    }
    let groups = [
        [239, 1, 1, 1],
        [239, 1, 1, 1],
        [239, 1, 1, 2],
        [10, 1, 1, 1],
    ];
    let group = chance.one_of(&groups);
    let sources = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]];
    let devices = [
        [127, 0, 0, 1],
        [127, 0, 0, 1],
        [127, 0, 0, 1],
        [0; 4],
        [192, 0, 2, 9],
    ];
    let device = chance.one_of(&devices);
    let index = chance.one_of(&[1, 1, 1, 0, 99]);
    let source = chance.one_of(&sources);
    let number = 35 + chance.below(15);
    let value = match number {
        35 | 36 if chance.below(2) == 0 => [group, device].concat(),
        35 | 36 => [group, device, i32::to_ne_bytes(index)].concat(),
        37..=40 => [group, device, source].concat(),
        41 => {
            let (mode, sources, count) = filter(&sources, chance);
            let words = ints(&[mode, count]);
            let value = [group.to_vec(), device.to_vec(), words, sources.concat()].concat();
            return (row(0, 41), set_or_get(value, 16, chance));
        }
        42 | 45 => [ints(&[index, 0]), sockaddr(group.into())].concat(),
        43 | 44 | 46 | 47 => {
            let (group, source) = (sockaddr(group.into()), sockaddr(source.into()));
            [ints(&[index, 0]), group, source].concat()
        }
        48 => {
            let (mode, sources, count) = filter(&sources, chance);
            let sources = sources.into_iter().map(|s| sockaddr(s.into()));
            return (
                row(0, 48),
                group_filter(index, group.into(), (mode, count), sources, chance),
            );
        }
        _ => ints(&[i32::try_from(chance.below(3)).unwrap_or(0)]),
    };
    (row(0, number), Call::Set(short(value, chance)))
}

fn step_v6(chance: &mut Chance) -> (&'static Row, Call) {
    let [near, far] = [[0xff15, 0, 0, 0, 0, 0, 0, 1], [0xff15, 0, 0, 0, 0, 0, 0, 2]];
    let host = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1];
    let group = IpAddr::from(chance.one_of(&[near, near, far, host]));
    let sources = [1, 2, 3].map(|n| [0x2001, 0xdb8, 0, 0, 0, 0, 9, n]);
    let source = IpAddr::from(chance.one_of(&sources));
    let index = chance.one_of(&[1, 1, 1, 0, 99]);
    let number = chance.one_of(&[20, 21, 42, 43, 44, 45, 46, 47, 48]);
    let value = match (number, group) {
        (20 | 21, IpAddr::V6(group)) => [group.octets().to_vec(), ints(&[index])].concat(),
        (42 | 45, _) => [ints(&[index, 0]), sockaddr(group)].concat(),
        (48, _) => {
            let (mode, sources, count) = filter(&sources, chance);
            let sources = sources.into_iter().map(|s| sockaddr(s.into()));
            return (
                row(41, 48),
                group_filter(index, group, (mode, count), sources, chance),
            );
        }
        _ => [ints(&[index, 0]), sockaddr(group), sockaddr(source)].concat(),
    };
    (row(41, number), Call::Set(short(value, chance)))
}

/// A filter's mode, some sources, and how many it says that there are.
fn filter<S: Copy>(sources: &[S], chance: &mut Chance) -> (i32, Vec<S>, i32) {
    let mode = chance.one_of(&[0, 0, 1, 1, 2]);
    let sources = sources[chance.below(sources.len())..].to_vec();
    let len = i32::try_from(sources.len()).unwrap_or(0);
    let count = chance.one_of(&[len, len, len, 0, 11, 65]);
    (mode, sources, count)
}

fn group_filter(
    index: i32,
    group: IpAddr,
    (mode, count): (i32, i32),
    sources: impl Iterator<Item = Vec<u8>>,
    chance: &mut Chance,
) -> Call {
    let sources: Vec<u8> = sources.flatten().collect();
    let head = [ints(&[index, 0]), sockaddr(group), ints(&[mode, count])].concat();
    set_or_get([head, sources].concat(), 144, chance)
}

/// Sets a filter, or asks for it: with room for what a whole one may be.
fn set_or_get(value: Vec<u8>, header: usize, chance: &mut Chance) -> Call {
    match chance.below(2) {
        0 => Call::Set(short(value, chance)),
        _ => {
            let mut asked = value[..header].to_vec();
            asked.resize(2048, 0);
            Call::GetBy(asked)
        }
    }
}

/// Now and then a structure that is cut.
fn short(mut value: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    if chance.below(20) == 0 {
        value.truncate(value.len() - 1);
    }
    value
}

fn sockaddr(ip: IpAddr) -> Vec<u8> {
    let mut out = vec![0; 128];
    match ip {
        IpAddr::V4(v4) => {
            out[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            out[4..8].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            out[8..24].copy_from_slice(&v6.octets());
        }
    }
    out
}

/// A call in one line: its bytes without those that are zero.
fn shown(call: &Call) -> String {
    match call {
        Call::Set(value) => format!("is set to {}", hex(value)),
        Call::Get(len) => format!("is asked for in {len} bytes"),
        Call::GetBy(asked) => format!("is asked for by {}", hex(asked)),
    }
}

fn told(answer: &Answer) -> String {
    match answer {
        Ok(value) => format!("ok {}", hex(value)),
        Err(errno) => std::io::Error::from_raw_os_error(*errno).to_string(),
    }
}

fn hex(value: &[u8]) -> String {
    let words = value
        .chunks(4)
        .enumerate()
        .filter(|(_, word)| *word != [0; 4]);
    let words: Vec<String> = words
        .map(|(at, word)| {
            format!(
                "{}:{:08x}",
                at * 4,
                u32::from_be_bytes(std::array::from_fn(|n| word.get(n).copied().unwrap_or(0)))
            )
        })
        .collect();
    format!("[{}; {}]", words.join(" "), value.len())
}

/// Filters tell sources in any order.
fn sorted(row: &Row, answer: &Answer) -> Answer {
    let (header, len) = match row.name {
        "IP_MSFILTER" => (16, 4),
        "MCAST_MSFILTER" => (144, 128),
        _ => return answer.clone(),
    };
    answer.clone().map(|bytes| {
        let (head, sources) = bytes.split_at(header.min(bytes.len()));
        let mut sources: Vec<&[u8]> = sources.chunks(len).collect();
        sources.sort_unstable();
        [head, &sources.concat()].concat()
    })
}

fn row(level: i32, number: usize) -> &'static Row {
    let number = i32::try_from(number).unwrap_or(0);
    Row::find(level, number).expect("an option of the list")
}

fn kernel(v6: bool) -> Result<Kernel> {
    let domain = match v6 {
        true => socket2::Domain::IPV6,
        false => socket2::Domain::IPV4,
    };
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
    Ok(Kernel::new(socket))
}

fn ours(node: &Node, v6: bool) -> Result<Ours> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    Ok(Ours::new(Socket::new_on(node, domain, Type::DGRAM, None)?))
}
