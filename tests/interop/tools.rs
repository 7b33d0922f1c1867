//! The tools against a path that the kernel makes: a router, and a host behind it; and the system's own tools under `run`.

use crate::run::need;
use crate::tap::{KERNEL_V4, KERNEL_V6, LIMIT, NODE_V4, NODE_V6};
use sockeye_tests::{
    Namespace, Outcome, Program, Result, Test, check, have, ignore, in_namespace, sockeye, tests,
};

pub(crate) const TESTS: &[Test] = tests![
    trace_finds_the_router_and_the_host,
    programs_of_an_ordinary_user_find_them_under_run,
];

const FAR_V4: &str = "198.51.100.9";
const FAR_V6: &str = "2001:db8:9::9";

/// A TAP device whose other side is a router, and behind that a host in a namespace of its own, which
/// lasts as long as what is returned; or why there can be none.
fn path() -> Result<std::result::Result<Namespace, String>> {
    let ip = |words: &str| Program::new("ip").args(words.split(' ')).run();
    let made = ip("tuntap add mode tap name sockeye0")?;
    if made.code != Some(0) {
        return Ok(Err(format!(
            "no TAP device can be made: {}",
            made.stderr_text()
        )));
    }
    let host = Namespace::new()?;
    let pid = host.pid();
    for words in [
        "link set sockeye0 up".to_owned(),
        format!("addr add {KERNEL_V4}/24 dev sockeye0"),
        format!("addr add {KERNEL_V6}/64 dev sockeye0 nodad"),
        format!("link add near type veth peer name far netns {pid}"),
        "link set near up".to_owned(),
        "addr add 198.51.100.1/24 dev near".to_owned(),
        "addr add 2001:db8:9::1/64 dev near nodad".to_owned(),
    ] {
        ip(&words)?.expect(0)?;
    }
    for words in [
        "link set far up".to_owned(),
        format!("addr add {FAR_V4}/24 dev far"),
        format!("addr add {FAR_V6}/64 dev far nodad"),
        "route add default via 198.51.100.1".to_owned(),
        "-6 route add default via 2001:db8:9::1".to_owned(),
    ] {
        host.ip(&words)?;
    }
    for (file, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv6/conf/all/forwarding", "1"),
        // Every probe is answered, however fast they come.
        ("ipv4/icmp_ratelimit", "0"),
        ("ipv6/icmp/ratelimit", "0"),
    ] {
        std::fs::write(format!("/proc/sys/net/{file}"), value)?;
        if file.ends_with("icmp_ratelimit") || file.ends_with("icmp/ratelimit") {
            host.set(file, value)?;
        }
    }
    Ok(Ok(host))
}

fn link() -> String {
    format!("tap:sockeye0,addr={NODE_V4}/24,addr={NODE_V6}/64,gw={KERNEL_V4},gw={KERNEL_V6}")
}

fn trace(how: &[&str], host: &str) -> Result<Program> {
    let trace = Program::new(sockeye()?).args(["trace", "-w", "5", "--link", &link()]);
    Ok(trace.args(how).arg(host))
}

fn trace_finds_the_router_and_the_host() -> Result {
    in_namespace(
        "interop::tools::trace_finds_the_router_and_the_host",
        LIMIT,
        || {
            let _host = match path()? {
                Ok(host) => host,
                Err(reason) => return ignore!("{}", reason.trim()),
            };
            for how in [&[][..], &["-I"], &["-T"]] {
                for (far, router) in [(FAR_V4, KERNEL_V4), (FAR_V6, KERNEL_V6)] {
                    let text = trace(how, far)?.run()?.expect(0)?.stdout_text();
                    let lines: Vec<Vec<&str>> = text
                        .lines()
                        .map(|line| line.split_whitespace().collect())
                        .collect();
                    check!(lines.len() == 3, "{how:?} {far}: not two hops: {text}");
                    for (n, by) in [(1, router), (2, far)] {
                        let line = &lines[n];
                        let whole = line.len() == 8 && line[..2] == [&n.to_string(), by];
                        check!(whole, "{how:?} {far}, hop {n}: {text}");
                    }
                }
            }
            // A host that is not there: the router says so, after having looked for it.
            let text = trace(&["-q", "1", "-m", "5"], "198.51.100.77")?;
            let text = text.run()?.expect(1)?.stdout_text();
            check!(text.contains(" !H"), "nobody is there: {text}");
            let json = trace(&["--json", "-q", "1"], FAR_V4)?.run()?.expect(0)?;
            check!(
                json.stdout_text().contains("\"what\": \"reached\""),
                "{}",
                json.stdout_text()
            );
            Ok(Outcome::Passed)
        },
    )
}

/// What a program says that an ordinary user is, on a node; the device is root's to open.
fn under_run(program: &str) -> Result<String> {
    let run = Program::new(sockeye()?).args(["run", "--link", &link()]);
    // The program does not wait until nobody has objected to the address.
    let run = run.args(["--sysctl", "net.ipv6.conf.default.dad_transmits=0", "--"]);
    let user = "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs";
    let ran = run.args(user.split(' ')).args(program.split(' ')).run()?;
    Ok(ran.stdout_text() + &ran.stderr_text())
}

/// traceroute(8) and mtr(8) hear by POLLERR and the error queue of UDP sockets, ping(8) by that of its own.
/// Whether `command` names these hops, behind so many lines of its own. With round trips below a
/// millisecond both programs give up early on a busy machine, and so may try three times.
fn finds(command: &str, head: usize, wanted: [&str; 2]) -> Result<()> {
    let mut text = String::new();
    for _ in 0..3 {
        text = under_run(command)?;
        let hops = text.lines().skip(head);
        let hops: Vec<_> = hops.map(|line| line.split_whitespace().nth(1)).collect();
        if hops == wanted.map(Some) {
            return Ok(());
        }
    }
    Err(format!("{command}: {text}").into())
}

fn programs_of_an_ordinary_user_find_them_under_run() -> Result {
    need!("traceroute", "mtr", "ping", "setpriv");
    in_namespace(
        "interop::tools::programs_of_an_ordinary_user_find_them_under_run",
        LIMIT,
        || {
            let _host = match path()? {
                Ok(host) => host,
                Err(reason) => return ignore!("{}", reason.trim()),
            };
            for (far, router) in [(FAR_V4, KERNEL_V4), (FAR_V6, KERNEL_V6)] {
                for how in ["", " -I", " -T", " -D"] {
                    finds(
                        &format!("traceroute -n -q 1 -w 5{how} {far}"),
                        1,
                        [router, far],
                    )?;
                }
                for how in ["", " -u", " -T"] {
                    let command = format!("mtr -n -r -c 1 -Z 2 -G 2{how} {far}");
                    finds(&command, 2, [router, far])?;
                }
                let text = under_run(&format!("ping -n -c 1 -t 1 -W 5 {far}"))?;
                let told = text.contains("Time to live exceeded") || text.contains("Hop limit");
                let from = text.to_lowercase().contains(&format!("from {router}"));
                check!(told && from, "ping -t 1 {far}: {text}");
            }
            // Nobody is there: the router says so, after having looked.
            for (far, router) in [("198.51.100.77", KERNEL_V4), ("2001:db8:9::77", KERNEL_V6)] {
                let text = under_run(&format!("ping -n -c 1 -W 5 {far}"))?;
                let told = text.contains("Destination Host Unreachable")
                    || text.contains("Address unreachable");
                let from = text.to_lowercase().contains(&format!("from {router}"));
                check!(told && from, "ping {far}: {text}");
                let text = under_run(&format!("traceroute -n -q 1 -w 5 {far}"))?;
                check!(text.contains(" !H"), "traceroute {far}: {text}");
            }
            Ok(Outcome::Passed)
        },
    )
}
