//! The command line: what it says of a mistake, what its help lists, what `doctor` reports.

mod json;
mod seeing;
mod streams;

use sockeye_tests::{
    Outcome, Program, Result, TempDir, check, harness, have, ignore, sockeye, tests,
};

fn main() {
    harness(&[
        seeing::TESTS,
        tests![
            an_unknown_command_names_the_known_ones,
            no_command_prints_the_help,
            each_command_in_the_help_has_help,
            doctor_says_what_to_do_about_each_no,
            doctor_prints_json,
            a_reader_that_went_away_is_success,
            a_bad_link_is_named_with_what_would_be_right,
            options_that_do_not_fit_are_refused,
            a_bad_setting_is_named_with_what_would_be_right,
            a_setting_reaches_the_node,
            ping_prints_statistics,
            ping_prints_json,
            ping_without_a_reply_exits_with_1,
            ping_loses_what_netem_loses,
            nc_sends_and_receives_a_stream,
            nc_says_what_it_could_not_connect_to,
            nc_sends_and_receives_datagrams,
            nc_speaks_dccp,
            nc_looks_which_ports_are_open,
            nc_sends_from_where_it_is_told,
            nc_ends_when_it_is_told,
            nc_names_what_does_not_fit,
            scan_finds_the_services_of_the_gateway,
            scan_of_datagrams_tells_open_from_closed,
            scan_asks_for_ports_of_dccp,
            scan_sweeps_a_network,
            scan_prints_json,
            scan_without_a_result_exits_with_1,
            scan_names_what_is_wrong_with_ports,
            bench_carries_bytes_by_each_transport,
            bench_counts_round_trips_and_losses,
            bench_names_what_does_not_fit,
            rpcgen_prints_rust_for_an_interface,
            rpcgen_names_the_place_of_a_mistake,
            rpcinfo_names_what_is_missing,
            bash_completes_options_and_kinds,
            manual_pages_are_clean,
            a_page_that_is_not_there_is_named_with_those_that_are,
            raw_sockets_can_be_denied_to_each_command,
            a_capture_is_written,
            run_without_a_program_is_a_mistake,
            run_of_no_program_exits_with_127,
        ],
        json::TESTS,
        streams::TESTS,
    ]);
}

fn run(args: &[&str]) -> Result<sockeye_tests::Output> {
    Program::new(sockeye()?).args(args).run()
}

/// The names under "Commands:" in the help.
fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        // A description may go on in lines of its own, farther in.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn an_unknown_command_names_the_known_ones() -> Result {
    let names = commands(&run(&["--help"])?.expect(0)?.stdout_text());
    let said = run(&["pnig"])?.expect(2)?.stderr_text();
    check!(said.contains("'pnig'"), "it does not name it: {said}");
    let names = names.join(", ");
    check!(said.contains(&names), "it does not list {names}: {said}");
    Ok(Outcome::Passed)
}

fn no_command_prints_the_help() -> Result {
    let said = run(&[])?.expect(2)?.stderr_text();
    check!(said.contains("Usage: sockeye"), "no usage: {said}");
    Ok(Outcome::Passed)
}

fn each_command_in_the_help_has_help() -> Result {
    let help = run(&["--help"])?.expect(0)?.stdout_text();
    let names = commands(&help);
    check!(names.iter().any(|n| n == "doctor"), "no doctor: {help}");
    for name in names {
        let help = run(&[&name, "--help"])?.expect(0)?.stdout_text();
        let usage = format!("Usage: sockeye {name}");
        check!(help.contains(&usage), "{name} --help: {help}");
    }
    Ok(Outcome::Passed)
}

fn doctor_says_what_to_do_about_each_no() -> Result {
    let report = run(&["doctor"])?;
    let worked = matches!(report.code, Some(0 | 1));
    check!(worked, "{}", report.stderr_text());
    let text = report.stdout_text();
    let verdicts: Vec<&str> = text.lines().filter(|l| !l.starts_with(' ')).collect();
    check!(verdicts.len() >= 4, "too few things looked at: {text}");
    for line in &verdicts {
        let known = line.starts_with("yes  ") || line.starts_with("no   ");
        check!(known, "neither yes nor no: {line}");
    }
    let refused = verdicts.iter().filter(|l| l.starts_with("no")).count();
    let remedies = text.lines().filter(|l| l.starts_with("     ")).count();
    check!(
        refused == remedies,
        "{refused} no, {remedies} remedies: {text}"
    );
    Ok(Outcome::Passed)
}

/// bash itself, with the script that it would load.
fn bash_completes_options_and_kinds() -> Result {
    if !have("bash") {
        return ignore!("there is no bash");
    }
    let script = r#"eval "$("$0" completions bash)"
        COMP_WORDS=(sockeye "$@") COMP_CWORD=$(($#))
        _sockeye sockeye "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    for (words, wanted) in [
        (&["ru"][..], "run"),
        (&["run", "--li"], "--link"),
        (&["ping", "--allow-h"], "--allow-host-loopback"),
        (&["completions", "power"], "powershell"),
    ] {
        let run = Program::new("bash").args(["-c", script]).arg(sockeye()?);
        let said = run.args(words).run()?.expect(0)?.stdout_text();
        check!(said.trim() == wanted, "{words:?}: {said}");
    }
    Ok(Outcome::Passed)
}

fn manual_pages_are_clean() -> Result {
    if !have("groff") {
        return ignore!("there is no groff");
    }
    let names = run(&["man", "--list"])?.expect(0)?.stdout_text();
    let help = run(&["--help"])?.expect(0)?.stdout_text();
    check!(
        names.lines().count() == commands(&help).len() + 1,
        "{names}"
    );
    let dir = TempDir::new()?;
    for name in names.lines() {
        let page = run(&["man", name])?.expect(0)?.stdout_text();
        let file = dir.write("page.1", &page)?;
        let shown = Program::new("groff")
            .args(["-man", "-ww", "-Tascii", "-P-cbou"])
            .arg(&file)
            .run()?
            .expect(0)?;
        let (said, text) = (shown.stderr_text(), shown.stdout_text());
        check!(said.is_empty(), "groff about {name}: {said}");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION"] {
            check!(text.contains(section), "{name} has no {section}: {text}");
        }
    }
    Ok(Outcome::Passed)
}

fn a_page_that_is_not_there_is_named_with_those_that_are() -> Result {
    let said = run(&["man", "sockeye-swim"])?.expect(2)?.stderr_text();
    check!(
        said.contains("sockeye-swim") && said.contains("sockeye-run"),
        "{said}"
    );
    Ok(Outcome::Passed)
}

fn doctor_prints_json() -> Result {
    let text = run(&["doctor", "--json"])?.stdout_text();
    check!(text.starts_with("{\n") && text.ends_with("}\n"), "{text}");
    check!(text.contains("\"name\": \"user notification\""), "{text}");
    Ok(Outcome::Passed)
}

fn a_reader_that_went_away_is_success() -> Result {
    let script = "exec 3>&1; { sleep 0.1; \"$0\" doctor --json; echo $? >&3; } | true";
    let run = Program::new("bash")
        .args(["-c", script])
        .arg(sockeye()?)
        .run()?
        .expect(0)?;
    let (said, status) = (run.stderr_text(), run.stdout_text());
    check!(said.is_empty(), "it complains: {said}");
    check!(matches!(status.trim(), "0" | "1"), "exit status {status}");
    Ok(Outcome::Passed)
}

fn a_bad_link_is_named_with_what_would_be_right() -> Result {
    for (link, wanted) in [
        (
            "tape:t0",
            "they are user, tap:NAME, tun:NAME, packet:IFACE, xdp:IFACE, switch:DIRECTORY",
        ),
        (
            "user,lag=1ms",
            "they are addr=CIDR|auto|slaac|dhcp, gw=IP, mac=MAC, queue=N, delay",
        ),
        ("user,loss=1", "loss is a percentage"),
        ("tap:t0", "addr=192.0.2.2/24"),
        (
            "tun:t0,addr=192.0.2.2/24,gw=10.0.0.1",
            "none of the link's networks",
        ),
    ] {
        let said = run(&["ping", "--link", link, "10.0.2.2"])?;
        let said = said.expect(2)?.stderr_text();
        check!(said.contains(wanted), "{link}: {said}");
    }
    Ok(Outcome::Passed)
}

fn options_that_do_not_fit_are_refused() -> Result {
    let tun = "tun:nothere,addr=192.0.2.2/24";
    for (args, wanted) in [
        (&["--link", "user", "--link", "user"][..], "one link `user`"),
        (
            &["--allow-host-loopback", "--link", tun],
            "concerns the link `user`",
        ),
        (
            &["--publish", "8080:80", "--link", tun],
            "--publish concerns the link `user`, which this node has not",
        ),
        (
            &["--publish", "192.0.2.77:0:80"],
            "port 192.0.2.77:0/tcp of the host can't be opened: the host has no such address",
        ),
        (
            &["--publish", "8080:80/sctp"],
            "'sctp' is neither tcp nor udp; it is [ADDR:]HOSTPORT[:PORT][/tcp|/udp]",
        ),
        (
            &["--pcap", "/nonexistent/x"],
            "/nonexistent/x can't be written",
        ),
    ] {
        let args: Vec<&str> = [&["ping"], args, &["10.0.2.2"]].concat();
        let said = run(&args)?.expect(2)?.stderr_text();
        check!(said.contains(wanted), "{args:?}: {said}");
    }
    Ok(Outcome::Passed)
}

fn a_bad_setting_is_named_with_what_would_be_right() -> Result {
    for (setting, wanted) in [
        ("net.ipv4.tcp_sack", "no NAME=VALUE"),
        (
            "net.ipv4.tcp_sock=1",
            "no setting named 'net.ipv4.tcp_sock'; they are net.core.rmem_default",
        ),
        ("net.ipv4.ip_default_ttl=256", "in its range"),
        (
            "net.ipv4.tcp_congestion_control=vegas",
            "which takes reno, cubic",
        ),
    ] {
        let said = run(&["ping", "--sysctl", setting, "10.0.2.2"])?;
        let said = said.expect(2)?.stderr_text();
        check!(said.contains(wanted), "{setting}: {said}");
    }
    Ok(Outcome::Passed)
}

/// The hop limit is in each packet, and the last of two for one name counts.
fn a_setting_reaches_the_node() -> Result {
    let folder = sockeye_tests::TempDir::new()?;
    let file = folder.path().join("ping.pcapng");
    let path = file.to_str().ok_or("a path in UTF-8")?;
    let twice = ["net.ipv4.ip_default_ttl=9", "net/ipv4/ip_default_ttl=77"];
    let [first, last] = twice.map(|setting| format!("--sysctl={setting}"));
    let args = ["ping", "-c", "1", "--pcap", path, &first, &last, "10.0.2.2"];
    let _ = run(&args)?.expect(0)?;
    let bytes = std::fs::read(&file)?;
    // TTL and protocol (ICMP), the checksum, from where and to where.
    let sent = bytes
        .windows(12)
        .any(|w| w[..2] == [77, 1] && w[4..] == [10, 0, 2, 15, 10, 0, 2, 2]);
    check!(sent, "no packet to the gateway has that hop limit");
    Ok(Outcome::Passed)
}

fn ping_prints_statistics() -> Result {
    for host in ["10.0.2.2", "fd00:2::2", "127.0.0.1", "::1"] {
        let text = run(&["ping", "-c", "2", "-i", "0.1", host])?.expect(0)?;
        let text = text.stdout_text();
        let lines: Vec<&str> = text.lines().collect();
        let reply = format!("64 bytes from {host}: icmp_seq=1 ttl=64 time=");
        check!(lines.len() == 7, "not seven lines: {text}");
        check!(lines[1].starts_with(&reply), "no {reply:?}: {text}");
        let summary = "2 packets transmitted, 2 received, 0% packet loss, time ";
        check!(lines[5].starts_with(summary), "no {summary:?}: {text}");
        check!(lines[6].starts_with("rtt min/avg/max/mdev = "), "{text}");
    }
    Ok(Outcome::Passed)
}

fn ping_prints_json() -> Result {
    let text = run(&["ping", "-c", "1", "--json", "10.0.2.2"])?.expect(0)?;
    let text = text.stdout_text();
    check!(text.starts_with("{\n"), "{text}");
    check!(text.contains("\"received\": 1"), "{text}");
    Ok(Outcome::Passed)
}

fn ping_without_a_reply_exits_with_1() -> Result {
    let nobody = [
        "ping",
        "-c",
        "1",
        "-W",
        "0.3",
        "--link",
        "user,loss=100%",
        "10.0.2.2",
    ];
    let text = run(&nobody)?.expect(1)?.stdout_text();
    check!(
        text.contains("1 packets transmitted, 0 received, 100% packet loss"),
        "{text}"
    );
    Ok(Outcome::Passed)
}

fn ping_loses_what_netem_loses() -> Result {
    let lossy = "user,loss=30%,delay=5ms";
    let args = [
        "ping", "-c", "100", "-i", "0.005", "-W", "0.5", "--json", "--link", lossy,
    ];
    let args = [&args[..], &["--seed", "7", "10.0.2.2"]].concat();
    let text = run(&args)?.expect(0)?.stdout_text();
    let received = text
        .lines()
        .find_map(|l| l.trim().strip_prefix("\"received\": "));
    let received: u32 = received.ok_or("no count")?.trim_end_matches(',').parse()?;
    // Both ways: 49 of 100 on average.
    check!((25..75).contains(&received), "{received} of 100 came back");
    let times = text
        .lines()
        .skip_while(|l| !l.contains("round_trips_ms"))
        .skip(1);
    let times = times.filter_map(|l| l.trim().trim_end_matches(',').parse::<f64>().ok());
    let fastest = times.fold(f64::INFINITY, f64::min);
    check!(
        fastest >= 10.0,
        "{fastest} ms is less than the delay both ways"
    );
    Ok(Outcome::Passed)
}

/// `sockeye nc ARGS` with `input` on its standard input, by a shell.
fn nc(args: &str, input: &str) -> Result<sockeye_tests::Output> {
    let script = format!("printf '%s' \"$1\" | \"$0\" nc {args}");
    let shell = Program::new("bash").args(["-c", &script]).arg(sockeye()?);
    shell.arg(input).run()
}

fn nc_sends_and_receives_a_stream() -> Result {
    // The gateway's echo service ends when its peer does, daytime at once.
    let echo = nc("10.0.2.2 7", "to and fro")?.expect(0)?.stdout_text();
    check!(echo == "to and fro", "{echo:?}");
    let page = nc("fd00:2::2 80", "GET / HTTP/1.0\r\n\r\n")?.expect(0)?;
    let page = page.stdout_text();
    check!(page.starts_with("HTTP/1"), "{page}");
    Ok(Outcome::Passed)
}

fn nc_says_what_it_could_not_connect_to() -> Result {
    let said = nc("10.0.2.2 1", "")?.expect(2)?.stderr_text();
    let wanted = "can't connect to 10.0.2.2:1: Connection refused";
    check!(said.contains(wanted), "{said}");
    Ok(Outcome::Passed)
}

fn nc_sends_and_receives_datagrams() -> Result {
    let echo = nc("-u -w 1 10.0.2.2 7", "one datagram")?
        .expect(0)?
        .stdout_text();
    check!(echo == "one datagram", "{echo:?}");
    Ok(Outcome::Passed)
}

/// Two commands share no network without a device: `tests/interop` has them talk. Here nobody listens.
fn nc_speaks_dccp() -> Result {
    let said = nc("--dccp --service test 10.0.2.2 1", "")?;
    let said = said.expect(2)?.stderr_text();
    let wanted = "can't connect to 10.0.2.2:1: Connection refused";
    check!(said.contains(wanted), "{said}");
    let said = nc("--dccp --service tests 10.0.2.2 1", "")?;
    let said = said.expect(2)?.stderr_text();
    check!(
        said.contains("'tests' is neither a number nor four characters"),
        "{said}"
    );
    Ok(Outcome::Passed)
}

fn nc_looks_which_ports_are_open() -> Result {
    let seen = nc("-z -v 10.0.2.2 7-13", "")?.expect(0)?;
    let open = [
        "10.0.2.2 7/tcp open",
        "10.0.2.2 9/tcp open",
        "10.0.2.2 13/tcp open",
    ];
    let text = seen.stdout_text();
    check!(text.lines().eq(open), "{text}");
    let said = seen.stderr_text();
    let refused = "can't connect to 10.0.2.2:8: Connection refused";
    check!(said.contains(refused), "{said}");
    let none = nc("-z 10.0.2.2 1", "")?.expect(1)?;
    check!(none.stdout_text().is_empty(), "{}", none.stdout_text());
    // Of datagrams a refusal alone is sure.
    let seen = nc("-z -u -w 0.3 10.0.2.2 11", "")?.expect(1)?;
    check!(seen.stdout_text().is_empty(), "{}", seen.stdout_text());
    let seen = nc("-z -u -w 0.3 fd00:2::2 9", "")?.expect(0)?;
    check!(
        seen.stdout_text() == "fd00:2::2 9/udp open\n",
        "{}",
        seen.stdout_text()
    );
    Ok(Outcome::Passed)
}

fn nc_sends_from_where_it_is_told() -> Result {
    // The gateway's page tells the visitor's address.
    let get = "GET / HTTP/1.0\r\n\r\n";
    for (args, wanted) in [
        ("-p 4321 10.0.2.2 80", "TCP 10.0.2.15:4321"),
        (
            "-s fd00:2::15 -p 4321 fd00:2::2 80",
            "TCP [fd00:2::15]:4321",
        ),
        ("-4 10.0.2.2 80", "TCP 10.0.2.15:"),
    ] {
        let page = nc(args, get)?.expect(0)?.stdout_text();
        check!(page.contains(wanted), "{args}: {page}");
    }
    let said = nc("-s 192.0.2.77 10.0.2.2 80", get)?.expect(2)?;
    let said = said.stderr_text();
    check!(said.contains("can't send from 192.0.2.77:0"), "{said}");
    Ok(Outcome::Passed)
}

/// Some peers never end: who gets datagrams, and who waits for an end of ours.
fn nc_ends_when_it_is_told() -> Result {
    let echo = nc("-u -q 0.5 10.0.2.2 7", "a datagram")?.expect(0)?;
    check!(echo.stdout_text() == "a datagram", "{}", echo.stdout_text());
    let script = "\"$0\" nc -d -w 0.3 10.0.2.2 9";
    let silent = Program::new("bash").args(["-c", script]).arg(sockeye()?);
    let _ = silent.run()?.expect(0)?;
    Ok(Outcome::Passed)
}

fn nc_names_what_does_not_fit() -> Result {
    for (args, wanted) in [
        ("10.0.2.2 20-25", "several ports are for --zero alone"),
        ("10.0.2.2 http", "'http' is no port"),
        ("-k 10.0.2.2 80", "--listen"),
        ("-n localhost 80", "'localhost' is no address"),
        ("-6 10.0.2.2 80", "10.0.2.2 has no address of that family"),
    ] {
        let said = nc(args, "")?.expect(2)?.stderr_text();
        check!(said.contains(wanted), "{args}: {said}");
    }
    Ok(Outcome::Passed)
}

/// The lines of the table of ports, in words.
fn table(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().skip_while(|line| !line.starts_with("PORT"));
    let lines = lines.skip(1).take_while(|line| !line.is_empty());
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

fn scan_finds_the_services_of_the_gateway() -> Result {
    let open = [
        ["7/tcp", "open", "echo"],
        ["9/tcp", "open", "discard"],
        ["13/tcp", "open", "daytime"],
        ["19/tcp", "open", "chargen"],
        ["80/tcp", "open", "http"],
    ];
    for how in ["--syn", "--connect"] {
        for host in ["10.0.2.2", "fd00:2::2"] {
            let text = run(&["scan", how, "-p", "-80", host])?.expect(0)?;
            let text = text.stdout_text();
            check!(table(&text) == open, "{how} {host}: {text}");
            let closed = text.contains("Not shown: 75 closed tcp ports (");
            check!(closed, "{how} {host}: {text}");
        }
    }
    Ok(Outcome::Passed)
}

fn scan_of_datagrams_tells_open_from_closed() -> Result {
    let args = [
        "scan", "-U", "--reason", "-w", "0.2", "-p", "7,9,11", "10.0.2.2",
    ];
    let text = run(&args)?.expect(0)?.stdout_text();
    let wanted = [
        ["7/udp", "open", "echo", "udp-response"],
        ["9/udp", "open|filtered", "discard", "no-response"],
        ["11/udp", "closed", "unknown", "port-unreach"],
    ];
    check!(table(&text) == wanted, "{text}");
    Ok(Outcome::Passed)
}

fn scan_asks_for_ports_of_dccp() -> Result {
    for host in ["10.0.2.2", "fd00:2::2"] {
        let text = run(&["scan", "--dccp", "--reason", "-p", "9", host])?;
        let text = text.expect(1)?.stdout_text();
        let closed = [["9/dccp", "closed", "unknown", "conn-refused"]];
        check!(table(&text) == closed, "{text}");
    }
    Ok(Outcome::Passed)
}

fn scan_sweeps_a_network() -> Result {
    let text = run(&["scan", "--ping", "10.0.2.0/29"])?.expect(0)?;
    let text = text.stdout_text();
    let up: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Scan report for "))
        .collect();
    check!(up == ["10.0.2.2", "10.0.2.3"], "{text}");
    check!(text.contains("6 IP addresses (2 hosts up)"), "{text}");
    // Only they are asked for ports then.
    let text = run(&["scan", "-p", "80", "10.0.2.0/29"])?.expect(0)?;
    let text = text.stdout_text();
    let asked = text.matches("80/tcp").count();
    check!(asked == 2, "{asked} hosts were asked: {text}");
    Ok(Outcome::Passed)
}

fn scan_prints_json() -> Result {
    let text = run(&["scan", "--json", "-p", "http", "10.0.2.2"])?.expect(0)?;
    let text = text.stdout_text();
    for wanted in [
        "\"state\": \"open\"",
        "\"reason\": \"syn-ack\"",
        "\"service\": \"http\"",
    ] {
        check!(text.contains(wanted), "no {wanted}: {text}");
    }
    Ok(Outcome::Passed)
}

fn scan_without_a_result_exits_with_1() -> Result {
    let text = run(&["scan", "-p", "1", "10.0.2.2"])?
        .expect(1)?
        .stdout_text();
    check!(table(&text) == [["1/tcp", "closed", "tcpmux"]], "{text}");
    // Silence is what nmap calls filtered, and the host may be down.
    let silent = ["scan", "-p", "80", "-w", "0.1", "--link", "user,loss=100%"];
    let text = run(&[&silent[..], &["10.0.2.2"]].concat())?.expect(1)?;
    let text = text.stdout_text();
    check!(table(&text) == [["80/tcp", "filtered", "http"]], "{text}");
    check!(text.contains("Host has not answered."), "{text}");
    Ok(Outcome::Passed)
}

fn scan_names_what_is_wrong_with_ports() -> Result {
    for (args, wanted) in [
        (&["-p", "70000"][..], "'70000' names no ports"),
        (&["-p", "9-3"], "'9-3' ends before it begins"),
        (&["--ping", "-p", "80"], "cannot be used with"),
        (&["--udp", "--syn"], "cannot be used with"),
    ] {
        let args: Vec<&str> = [&["scan"], args, &["10.0.2.2"]].concat();
        let said = run(&args)?.expect(2)?.stderr_text();
        check!(said.contains(wanted), "{args:?}: {said}");
    }
    Ok(Outcome::Passed)
}

/// The number of this name in a JSON document.
fn number(document: &str, name: &str) -> Result<f64> {
    let name = format!("\"{name}\": ");
    let (_, rest) = document.split_once(&name).ok_or("it is not told")?;
    let end = rest.find([',', '\n']).ok_or("it does not end")?;
    Ok(rest[..end].parse()?)
}

fn bench_carries_bytes_by_each_transport() -> Result {
    for (transport, more) in [
        ("--tcp", &["--streams", "2"][..]),
        ("--udp", &[]),
        ("--sctp", &["--size", "5000"]),
        ("--dccp", &[]),
        ("--unix", &[]),
    ] {
        let args = [&["bench", transport, "--time", "0.3", "--json"], more].concat();
        let said = run(&args)?.expect(0)?.stdout_text();
        let told = |name| number(&said, name);
        check!(told("bytes")? > 10_000.0, "{transport}: {said}");
        check!(told("messages")? >= 10.0, "{transport}: {said}");
        check!(told("gigabits_per_second")? > 0.0, "{transport}: {said}");
        let rate = told("bytes")? * 8.0 / told("seconds")? / 1e9;
        check!(
            (rate - told("gigabits_per_second")?).abs() < 0.01 * rate,
            "{said}"
        );
        check!(said.contains("\"round_trips\": null"), "{said}");
    }
    let text = run(&["bench", "--time", "0.2"])?.expect(0)?.stdout_text();
    check!(text.starts_with("TCP, 16384 bytes each\n"), "{text}");
    check!(text.contains(" Gb/s, "), "{text}");
    Ok(Outcome::Passed)
}

fn bench_counts_round_trips_and_losses() -> Result {
    for transport in ["--tcp", "--udp", "--sctp", "--dccp", "--unix"] {
        let mut args = vec!["bench", transport, "--pingpong", "--time", "1", "--json"];
        // The way to and fro takes twice the delay.
        let least = match transport {
            "--unix" => 0.0,
            _ => {
                args.extend(["--delay", "5"]);
                10_000.0
            }
        };
        let said = run(&args)?.expect(0)?.stdout_text();
        let told = |name| number(&said, name);
        check!(told("count")? >= 3.0, "{transport}: {said}");
        check!(told("min")? >= least, "{transport}: {said}");
        let ranks = [told("min")?, told("p50")?, told("p99")?, told("max")?];
        check!(ranks.is_sorted(), "{transport}: {said}");
    }
    let lossy = ["bench", "--udp", "--loss", "20", "--time", "0.5", "--json"];
    let said = run(&lossy)?.expect(0)?.stdout_text();
    let (lost, came) = (number(&said, "lost")?, number(&said, "messages")?);
    check!(lost > 0.1 * came, "{said}");
    // A reliable transport loses nothing: each byte was compared.
    let said = run(&["bench", "--tcp", "--loss", "1", "--time", "0.5", "--json"])?;
    let said = said.expect(0)?.stdout_text();
    check!(said.contains("\"lost\": 0,"), "{said}");
    let nothing = ["bench", "--udp", "--loss", "100", "--time", "0.2"];
    let said = run(&nothing)?.expect(1)?.stdout_text();
    check!(said.contains(" lost\n"), "{said}");
    Ok(Outcome::Passed)
}

fn bench_names_what_does_not_fit() -> Result {
    for (args, wanted) in [
        (&["--tcp", "--udp"][..], "cannot be used with"),
        (&["--loss", "200"], "no percentage: 0 to 100"),
        (&["--unix", "--delay", "1"], "cannot be used with"),
        (&["--size", "0"], "0 is not in 1..=65507"),
        (
            &["--dccp", "--size", "60000", "--time", "1"],
            "too long for a message: ",
        ),
    ] {
        let args = [&["bench"], args].concat();
        let said = run(&args)?.expect(2)?.stderr_text();
        check!(said.contains(wanted), "{args:?}: {said}");
    }
    Ok(Outcome::Passed)
}

fn rpcgen_prints_rust_for_an_interface() -> Result {
    let dir = TempDir::new()?;
    let source = "program P { version V { int ADD(int) = 1; } = 1; } = 0x20000000;";
    let file = dir.write("p.x", source)?;
    let file = file.to_str().ok_or("a path that is text")?;
    let code = run(&["rpcgen", file])?.expect(0)?.stdout_text();
    check!(code.contains("pub trait V:"), "no trait: {code}");
    check!(!code.contains("async fn"), "nobody asked for tokio: {code}");
    let code = run(&["rpcgen", "--tokio", file])?.expect(0)?.stdout_text();
    check!(
        code.contains("pub async fn add(&self, argument: i32)"),
        "{code}"
    );
    Ok(Outcome::Passed)
}

fn rpcgen_names_the_place_of_a_mistake() -> Result {
    let dir = TempDir::new()?;
    let file = dir.write("p.x", "struct a {\n    b x;\n};\n")?;
    let file = file.to_str().ok_or("a path that is text")?;
    let said = run(&["rpcgen", file])?.expect(2)?.stderr_text();
    let expected = format!("{file}:2:5: 'b' is no type");
    check!(said.contains(&expected), "not {expected}: {said}");
    Ok(Outcome::Passed)
}

fn rpcinfo_names_what_is_missing() -> Result {
    let said = run(&["rpcinfo", "-T", "sctp", "10.0.2.2", "nfs"])?;
    let said = said.expect(2)?.stderr_text();
    check!(said.contains("'sctp' is none of"), "{said}");
    let said = run(&["rpcinfo", "-b", "nfs"])?.expect(2)?.stderr_text();
    check!(said.contains("a version is missing"), "{said}");
    let said = run(&["rpcinfo", "10.0.2.2", "nosuch"])?
        .expect(2)?
        .stderr_text();
    check!(said.contains("'nosuch' is neither"), "{said}");
    Ok(Outcome::Passed)
}

/// Raw sockets are a capability of the node: EPERM without it. Ping sockets need none.
fn raw_sockets_can_be_denied_to_each_command() -> Result {
    for args in [
        &["scan", "-p", "80", "10.0.2.2"][..],
        &["scan", "--ack", "-p", "80", "10.0.2.2"],
        &["trace", "--tcp", "10.0.2.2"],
    ] {
        let args = [&args[..1], &["--deny-raw"], &args[1..]].concat();
        let said = run(&args)?.expect(2)?.stderr_text();
        let eperm = said.contains("Operation not permitted");
        check!(eperm, "{args:?}: {said}");
    }
    for args in [
        &["ping", "-c", "1", "10.0.2.2"][..],
        &["scan", "--ping", "10.0.2.2"],
        &["scan", "--connect", "-p", "80", "10.0.2.2"],
        &["trace", "10.0.2.2"],
        &["nc", "-w", "5", "10.0.2.2", "13"],
        &["run", "--", "true"],
    ] {
        let args = [&args[..1], &["--deny-raw"], &args[1..]].concat();
        let _ = run(&args)?.expect(0)?;
    }
    Ok(Outcome::Passed)
}

fn a_capture_is_written() -> Result {
    let folder = sockeye_tests::TempDir::new()?;
    let file = folder.path().join("ping.pcapng");
    let path = file.to_str().ok_or("a path in UTF-8")?;
    let _ = run(&["ping", "-c", "1", "--pcap", path, "10.0.2.2"])?.expect(0)?;
    let bytes = std::fs::read(&file)?;
    // The block type that a pcapng file begins with, and the data of the request.
    check!(bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "no pcapng");
    let data: Vec<u8> = (0..56).collect();
    let echoes = bytes.windows(data.len()).filter(|w| *w == data).count();
    check!(echoes == 2, "{echoes} echo messages in the capture");
    Ok(Outcome::Passed)
}

fn run_without_a_program_is_a_mistake() -> Result {
    let said = run(&["run"])?.expect(2)?.stderr_text();
    check!(said.contains("<PROGRAM>"), "{said}");
    Ok(Outcome::Passed)
}

fn run_of_no_program_exits_with_127() -> Result {
    let said = run(&["run", "--", "/nonexistent/program"])?.expect(127)?;
    let said = said.stderr_text();
    check!(said.contains("/nonexistent/program"), "{said}");
    Ok(Outcome::Passed)
}
