//! `sockeye nc` with the kernel's sockets at the other end of a TAP device.

use crate::tap::{KERNEL_V4, LIMIT, NODE_V4};
use sockeye_tests::{
    Outcome, Program, Result, Running, Test, check, ignore, in_namespace, sockeye, tests,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    nc_serves_the_kernel,
    nc_hears_datagrams_of_the_kernel,
    nc_sends_broadcasts,
    nc_and_scan_speak_sctp,
    nc_and_scan_speak_dccp,
];

const WAIT: Option<Duration> = Some(Duration::from_secs(30));

/// A TAP device that the kernel has an address on; or why there can be none.
fn device() -> Result<std::result::Result<(), String>> {
    let ip = |words: &str| Program::new("ip").args(words.split(' ')).run();
    let made = ip("tuntap add mode tap name sockeye0")?;
    if made.code != Some(0) {
        return Ok(Err(format!("no TAP device: {}", made.stderr_text())));
    }
    ip("link set sockeye0 up")?.expect(0)?;
    ip(&format!("addr add {KERNEL_V4}/24 dev sockeye0"))?.expect(0)?;
    Ok(Ok(()))
}

fn nc(args: &[&str]) -> Result<Program> {
    nc_at("sockeye0", NODE_V4, args)
}

fn nc_at(device: &str, address: &str, args: &[&str]) -> Result<Program> {
    let link = format!("tap:{device},addr={address}/24");
    Ok(Program::new(sockeye()?)
        .args(["nc", "-v", "--link", &link])
        .args(args))
}

/// One that listens, once it says so; its standard streams.
fn listening(args: &[&str]) -> Result<(Running, ChildStdin, impl Read)> {
    listening_by(nc(args)?)
}

fn listening_by(mut nc: Program) -> Result<(Running, ChildStdin, impl Read)> {
    let command = nc.command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    let mut running = nc.start()?;
    let said = running.0.stderr.take().ok_or("a pipe")?;
    let mut said = BufReader::new(said);
    let mut line = String::new();
    said.read_line(&mut line)?;
    check!(line.contains("listening at"), "{line}");
    // What it says later has to go somewhere.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    let input = running.0.stdin.take().ok_or("a pipe")?;
    let output = running.0.stdout.take().ok_or("a pipe")?;
    Ok((running, input, output))
}

macro_rules! device {
    () => {
        if let Err(reason) = device()? {
            return ignore!("{}", reason.trim());
        }
    };
}

/// Both halves, each ended by itself.
fn nc_serves_the_kernel() -> Result {
    sockeye()?;
    in_namespace("interop::nc::nc_serves_the_kernel", LIMIT, || {
        device!();
        let (mut running, mut input, mut output) = listening(&["-l", "-4", "7000"])?;
        let mut client = TcpStream::connect((NODE_V4, 7000))?;
        client.set_read_timeout(WAIT)?;
        client.write_all(b"from the kernel")?;
        client.shutdown(Shutdown::Write)?;
        let mut text = String::new();
        input.write_all(b"from nc")?;
        drop(input);
        client.read_to_string(&mut text)?;
        check!(text == "from nc", "{text:?}");
        let mut text = String::new();
        output.read_to_string(&mut text)?;
        check!(text == "from the kernel", "{text:?}");
        let status = running.0.wait()?;
        check!(status.success(), "{status}");

        let (_running, _input, mut output) = listening(&["-l", "-k", "-d", "7001"])?;
        for text in [&b"one"[..], b"two"] {
            let mut client = TcpStream::connect((NODE_V4, 7001))?;
            client.write_all(text)?;
            drop(client);
            let mut got = [0; 3];
            output.read_exact(&mut got)?;
            check!(got == text, "{got:?}");
        }
        Ok(Outcome::Passed)
    })
}

fn nc_hears_datagrams_of_the_kernel() -> Result {
    sockeye()?;
    let name = "interop::nc::nc_hears_datagrams_of_the_kernel";
    in_namespace(name, LIMIT, || {
        device!();
        let (_running, mut input, mut output) = listening(&["-l", "-u", "7000"])?;
        let client = UdpSocket::bind((KERNEL_V4, 0))?;
        client.set_read_timeout(WAIT)?;
        client.connect((NODE_V4, 7000))?;
        client.send(b"question")?;
        let mut got = [0; 8];
        output.read_exact(&mut got)?;
        check!(&got == b"question", "{got:?}");
        input.write_all(b"answer")?;
        let len = client.recv(&mut got)?;
        check!(&got[..len] == b"answer", "{got:?}");
        Ok(Outcome::Passed)
    })
}

fn nc_sends_broadcasts() -> Result {
    sockeye()?;
    in_namespace("interop::nc::nc_sends_broadcasts", LIMIT, || {
        device!();
        let hears = UdpSocket::bind(("0.0.0.0", 7000))?;
        hears.set_read_timeout(WAIT)?;
        let send = |args: &[&str]| -> Result<sockeye_tests::Output> {
            let mut nc = nc(args)?;
            // A file stands for what is typed: its end is the end of the command.
            let folder = sockeye_tests::TempDir::new()?;
            let path = folder.path().join("text");
            std::fs::write(&path, "to everybody")?;
            nc.command().stdin(std::fs::File::open(path)?);
            nc.run()
        };
        let said = send(&["-u", "-q", "0.2", "192.0.2.255", "7000"])?.expect(2)?;
        let said = said.stderr_text();
        check!(said.contains("Permission denied"), "{said}");
        let args = ["-u", "-b", "-p", "7001", "-q", "0.2", "192.0.2.255", "7000"];
        let _ = send(&args)?.expect(0)?;
        let mut buffer = [0; 64];
        let (len, from) = hears.recv_from(&mut buffer)?;
        check!(&buffer[..len] == b"to everybody", "{:?}", &buffer[..len]);
        check!(from.to_string() == format!("{NODE_V4}:7001"), "{from}");
        Ok(Outcome::Passed)
    })
}

/// Two TAP devices on a bridge; or why there are none.
fn bridge() -> Result<std::result::Result<(), String>> {
    let ip = |words: &str| Program::new("ip").args(words.split(' ')).run();
    ip("link add br0 type bridge")?.expect(0)?;
    ip("link set br0 up")?.expect(0)?;
    for name in ["sockeye0", "sockeye1"] {
        let made = ip(&format!("tuntap add mode tap name {name}"))?;
        if made.code != Some(0) {
            return Ok(Err(format!("no TAP device: {}", made.stderr_text().trim())));
        }
        ip(&format!("link set {name} master br0 up"))?.expect(0)?;
    }
    Ok(Ok(()))
}

fn nc_and_scan_speak_sctp() -> Result {
    let name = "interop::nc::nc_and_scan_speak_sctp";
    nc_and_scan_speak(name, "sctp", ["init-ack", "abort"])
}

fn nc_and_scan_speak_dccp() -> Result {
    let name = "interop::nc::nc_and_scan_speak_dccp";
    nc_and_scan_speak(name, "dccp", ["response", "conn-refused"])
}

/// Two nodes on a bridge: a message each way, and the ports of one.
fn nc_and_scan_speak(name: &str, protocol: &str, [open, closed]: [&str; 2]) -> Result {
    sockeye()?;
    let speak = format!("--{protocol}");
    let speak = speak.as_str();
    in_namespace(name, LIMIT, || {
        if let Err(reason) = bridge()? {
            return ignore!("{reason}");
        }
        let (server, client) = (("sockeye1", "192.0.2.2"), ("sockeye0", "192.0.2.1"));
        let listen = |more: &[&str]| {
            let args = [&[speak, "-l", "-4"], more, &["7000"]].concat();
            listening_by(nc_at(server.0, server.1, &args)?)
        };
        let call = [speak, "-d", server.1, "7000"];
        let (_running, mut input, _) = listen(&[])?;
        input.write_all(b"from the server")?;
        drop(input);
        let heard = nc_at(client.0, client.1, &call)?.run()?;
        let heard = heard.expect(0)?.stdout_text();
        check!(heard == "from the server", "{heard:?}");
        let (mut running, _input, mut output) = listen(&["-d"])?;
        let mut calling = nc_at(client.0, client.1, &[speak, server.1, "7000"])?;
        calling.command().stdin(Stdio::piped());
        let mut calling = calling.start()?;
        let mut input = calling.0.stdin.take().ok_or("a pipe")?;
        input.write_all(b"from the client")?;
        drop(input);
        let mut text = String::new();
        output.read_to_string(&mut text)?;
        check!(text == "from the client", "{text:?}");
        check!(running.0.wait()?.success(), "the server has failed");
        calling.0.wait()?;
        let (_running, _input, _) = listen(&["-d", "-k"])?;
        let link = format!("tap:{},addr={}/24", client.0, client.1);
        let scan = Program::new(sockeye()?).args(["scan", "--link", &link, speak]);
        let told = scan.args(["-p", "6999,7000", "--reason", server.1]).run()?;
        let told = told.expect(0)?.stdout_text();
        let says = |what: &[&str]| {
            let mut lines = told.lines();
            lines.any(|line| {
                what.iter()
                    .all(|word| line.split_whitespace().any(|w| w == *word))
            })
        };
        check!(says(&[&format!("7000/{protocol}"), "open", open]), "{told}");
        check!(
            says(&[&format!("6999/{protocol}"), "closed", closed]),
            "{told}"
        );
        Ok(Outcome::Passed)
    })
}
