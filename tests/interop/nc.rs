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
    let link = format!("tap:sockeye0,addr={NODE_V4}/24");
    Ok(Program::new(sockeye()?)
        .args(["nc", "-v", "--link", &link])
        .args(args))
}

/// One that listens, once it says so; its standard streams.
fn listening(args: &[&str]) -> Result<(Running, ChildStdin, impl Read)> {
    let mut nc = nc(args)?;
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
