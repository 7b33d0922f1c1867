//! Programs by name: /etc/rpc where the machine has it, else those that everybody knows.

use std::sync::OnceLock;

const KNOWN: &str = "portmapper 100000 portmap sunrpc rpcbind
rstatd 100001
rusersd 100002
nfs 100003 nfsprog
ypserv 100004 ypprog
mountd 100005 mount showmount
nlockmgr 100021
status 100024
nfs_acl 100227";

/// Number, name and other names.
type Table = Vec<(u32, String, Vec<String>)>;

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let text = std::fs::read_to_string("/etc/rpc");
        let text = text.as_deref().unwrap_or(KNOWN);
        text.lines().filter_map(line).collect()
    })
}

fn line(line: &str) -> Option<(u32, String, Vec<String>)> {
    let mut words = line.split('#').next()?.split_whitespace();
    let name = words.next()?.to_owned();
    let number = words.next()?.parse().ok()?;
    Some((number, name, words.map(str::to_owned).collect()))
}

/// The program's name.
pub(super) fn name(number: u32) -> Option<&'static str> {
    let found = table().iter().find(|(n, ..)| *n == number);
    found.map(|(_, name, _)| &**name)
}

/// The number of a program that is named or numbered.
pub(super) fn number(text: &str) -> Option<u32> {
    text.parse().ok().or_else(|| {
        let named = |(_, name, others): &&(u32, String, Vec<String>)| {
            name == text || others.iter().any(|other| other == text)
        };
        table().iter().find(named).map(|(number, ..)| *number)
    })
}
