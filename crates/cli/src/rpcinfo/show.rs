//! The tables of rpcinfo(8), column for column.

use super::names::name;
use serde::Serialize;
use sockeye_rpc::rpcbind::interface::{Mapping, Rpcb, RpcbEntry, RpcbStat};
use std::fmt::Write;

/// A registration, as JSON.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    program: u32,
    version: u32,
    netid: &'a str,
    address: &'a str,
    service: Option<&'a str>,
    owner: &'a str,
}

pub(super) fn rows(all: &[Rpcb]) -> Vec<Row<'_>> {
    all.iter()
        .map(|map| Row {
            program: map.r_prog,
            version: map.r_vers,
            netid: &map.r_netid,
            address: &map.r_addr,
            service: name(map.r_prog),
            owner: &map.r_owner,
        })
        .collect()
}

/// An address of a program, as JSON.
#[derive(Serialize)]
pub(super) struct AddressRow<'a> {
    netid: &'a str,
    address: &'a str,
    family: &'a str,
    protocol: &'a str,
    semantics: &'static str,
}

impl<'a> From<&'a RpcbEntry> for AddressRow<'a> {
    fn from(entry: &'a RpcbEntry) -> Self {
        let RpcbEntry {
            r_maddr,
            r_nc_netid,
            r_nc_semantics,
            r_nc_protofmly,
            r_nc_proto,
        } = entry;
        Self {
            netid: r_nc_netid,
            address: r_maddr,
            family: r_nc_protofmly,
            protocol: r_nc_proto,
            semantics: semantics(*r_nc_semantics),
        }
    }
}

pub(super) fn address_rows(entries: &[RpcbEntry]) -> Vec<AddressRow<'_>> {
    entries.iter().map(AddressRow::from).collect()
}

/// The word for a transport's kind (RFC 1833 §2.1).
fn semantics(number: u32) -> &'static str {
    match number {
        1 => "clts",
        2 => "cots",
        3 => "cots_ord",
        4 => "raw",
        _ => "-",
    }
}

/// Appends a line to a String, which does not fail.
macro_rules! line {
    ($text:expr, $($arg:tt)*) => { let _ = writeln!($text, $($arg)*); };
}

pub(super) fn all(all: &[Rpcb]) -> String {
    let mut text =
        "   program version netid     address                service    owner\n".to_owned();
    for map in all {
        line!(
            text,
            "{:>10}{:>5}    {:<9} {:<22} {:<10} {}",
            map.r_prog,
            map.r_vers,
            map.r_netid,
            map.r_addr,
            name(map.r_prog).unwrap_or("-"),
            map.r_owner
        );
    }
    text
}

pub(super) fn ports(maps: &[Mapping]) -> String {
    if maps.is_empty() {
        return "No remote programs registered.\n".into();
    }
    let mut text = "   program vers proto   port  service\n".to_owned();
    for map in maps {
        let protocol = match map.prot {
            6 => "tcp".into(),
            17 => "udp".into(),
            other => other.to_string(),
        };
        let service = name(map.prog).map_or_else(String::new, |name| format!("  {name}"));
        line!(
            text,
            "{:>10}{:>5}{protocol:>6}{:>7}{service}",
            map.prog,
            map.vers,
            map.port
        );
    }
    text
}

/// One line a program: versions and transports, each once, in the order of the list backwards for
/// versions as rpcinfo(8) has it.
pub(super) fn short(all: &[Rpcb]) -> String {
    let mut text =
        "   program version(s) netid(s)                         service     owner\n".to_owned();
    let mut programs: Vec<u32> = Vec::new();
    for map in all {
        if !programs.contains(&map.r_prog) {
            programs.push(map.r_prog);
        }
    }
    for program in programs {
        let of_it: Vec<&Rpcb> = all.iter().filter(|map| map.r_prog == program).collect();
        let mut versions: Vec<String> = Vec::new();
        let mut netids: Vec<&str> = Vec::new();
        for map in &of_it {
            let version = map.r_vers.to_string();
            if !versions.contains(&version) {
                versions.push(version);
            }
            if !netids.contains(&&*map.r_netid) {
                netids.push(&map.r_netid);
            }
        }
        versions.reverse();
        netids.reverse();
        line!(
            text,
            "{program:>10}  {:<10}{:<32} {:<11} {}",
            versions.join(","),
            netids.join(","),
            name(program).unwrap_or("-"),
            of_it[0].r_owner
        );
    }
    text
}

pub(super) fn addresses(program: u32, version: u32, entries: &[RpcbEntry]) -> String {
    let mut text = "   program vers  tp_family/name/class    address\t\t  service\n".to_owned();
    for entry in entries {
        let semantics = semantics(entry.r_nc_semantics);
        let class = format!("{}/{}/{semantics}", entry.r_nc_protofmly, entry.r_nc_proto);
        line!(
            text,
            "{program:>10}{version:>3}    {class:<24}{:<25}{:<13}",
            entry.r_maddr,
            name(program).unwrap_or("-")
        );
    }
    text
}

/// What was asked of each version, by procedure.
pub(super) fn statistics(all: &[RpcbStat; 3]) -> String {
    const PROCEDURES: [&str; 13] = [
        "NULL", "SET", "UNSET", "GETADDR", "DUMP", "CALLIT", "TIME", "U2T", "T2U", "VERADDR",
        "INDRECT", "GETLIST", "GETSTAT",
    ];
    let mut text = String::new();
    for (version, statistics) in [(2, &all[0]), (3, &all[1]), (4, &all[2])] {
        let procedures = match version {
            2 => 6,
            3 => 9,
            _ => 13,
        };
        let title = if version == 2 {
            "PORTMAP (version 2) statistics".to_owned()
        } else {
            format!("RPCBIND (version {version}) statistics")
        };
        line!(text, "{title}");
        for (name, count) in PROCEDURES.iter().zip(statistics.info).take(procedures) {
            line!(text, "{name:>9} {count}");
        }
        for of in &statistics.addrinfo {
            line!(
                text,
                "  asked for {} version {} on {}: found {}, not {}",
                of.prog,
                of.vers,
                of.netid,
                of.success,
                of.failure
            );
        }
    }
    text
}
