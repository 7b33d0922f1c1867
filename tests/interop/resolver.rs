//! Names, with the host's resolver broken: those of the virtual LAN still resolve.

use crate::run::{PYTHON, need, run};
use sockeye::drivers::{MemoryConfig, MemoryLink};
use sockeye::{LinkConfig, Node};
use sockeye_run::user::{self, UserConfig, UserLan};
use sockeye_tests::{
    Outcome, Program, Result, TempDir, Test, check, have, ignore, is_root, sockeye, tests,
};
use std::io::{Read, Write};
use std::net::IpAddr;

pub(crate) const TESTS: &[Test] = tests![
    through_the_library,
    through_glibc,
    through_glibc_with_a_broken_host_resolver,
    through_glibc_with_the_hosts_loopback_resolver,
    names_of_nobody_fail,
];

const ASK: &str = r#"
import socket, sys
for name, v4, v6 in (("gateway.internal", "10.0.2.2", "fd00:2::2"), ("dns.internal", "10.0.2.3", "fd00:2::3")):
    found = {a[4][0] for a in socket.getaddrinfo(name, 80, proto=socket.IPPROTO_TCP)}
    assert found == {v4, v6}, (name, found)
assert socket.gethostbyaddr("10.0.2.2")[0] == "gateway.internal"
"#;

/// The node asks the LAN's server, whatever the host's resolver is like: both that the LAN is told
/// of here never answer.
fn through_the_library() -> Result {
    let (near, far) = MemoryLink::pair_ip(MemoryConfig::default());
    let host_nameservers = vec!["127.0.0.153".parse()?, "192.0.2.1".parse()?];
    let config = UserConfig {
        host_nameservers,
        ..UserConfig::default()
    };
    let lan = UserLan::start(config, Box::new(far))?;
    let link = LinkConfig::new()
        .address("10.0.2.15/24".parse()?)
        .gateway(user::GATEWAY_V4.into())
        .dns(user::DNS_V4.into());
    let node = Node::builder().link("eth0", Box::new(near), link).build()?;
    let found = sockeye::net::lookup_host(&node, "gateway.internal")?;
    // The node has no IPv6 address: what can't be reached comes last (RFC 6724 §6, rule 1).
    check!(
        found == [IpAddr::from(user::GATEWAY_V4), user::GATEWAY_V6.into()],
        "gateway.internal is {found:?}"
    );
    let mut page = String::new();
    let mut stream = sockeye::net::TcpStream::connect_on(&node, "gateway.internal:80")?;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    stream.read_to_string(&mut page)?;
    check!(page.starts_with("HTTP/1.1 200"), "by name: {page}");
    let error = sockeye::net::lookup_host(&node, "nobody.internal");
    check!(error.is_err(), "nobody.internal is {error:?}");
    // The node first: its last packets have somebody to arrive at.
    drop((stream, node));
    drop(lan);
    Ok(Outcome::Passed)
}

fn through_glibc() -> Result {
    need!(PYTHON);
    run(&[], &[PYTHON, "-c", ASK])?.run()?.expect(0)?;
    Ok(Outcome::Passed)
}

/// resolv.conf names a server that never answers.
fn through_glibc_with_a_broken_host_resolver() -> Result {
    with_resolv_conf("nameserver 192.0.2.1\n")
}

/// resolv.conf names a server on the host's loopback alone, as systemd-resolved's is; there is none.
fn through_glibc_with_the_hosts_loopback_resolver() -> Result {
    with_resolv_conf("nameserver 127.0.0.153\n")
}

fn with_resolv_conf(text: &str) -> Result {
    need!(PYTHON, "unshare");
    let dir = TempDir::new()?;
    let conf = dir.write("resolv.conf", text)?;
    // A mount namespace shows the broken file to the run alone; nothing of the host changes.
    let script = format!(
        "mount --bind {} /etc/resolv.conf && exec \"$@\"",
        conf.display()
    );
    let mut unshare = vec!["--mount"];
    if !is_root() {
        unshare.extend(["--user", "--map-root-user"]);
    }
    let output = Program::new("unshare")
        .args(&unshare)
        .args(["sh", "-c", &script, "sh"])
        .arg(sockeye()?)
        .args(["run", "--", PYTHON, "-c", ASK])
        .run()?;
    let error = output.stderr_text();
    if error.starts_with("unshare:") || error.starts_with("mount:") {
        return ignore!(
            "this user can show no other resolv.conf to a program ({})",
            error.trim()
        );
    }
    output.expect(0)?;
    Ok(Outcome::Passed)
}

fn names_of_nobody_fail() -> Result {
    need!("curl");
    let output = run(&[], &["curl", "-s", "http://nobody.internal/"])?.run()?;
    check!(
        output.code == Some(6),
        "curl says {} for a name that does not exist",
        output.status_text()
    );
    Ok(Outcome::Passed)
}
