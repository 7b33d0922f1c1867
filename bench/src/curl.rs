//! curl's throughput under `sockeye run`, beside curl alone, from one server on the host.

use crate::Case;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Bytes of one fetch.
const SIZE: usize = 1 << 30;

pub(crate) fn cases() -> Result<Vec<Case>> {
    let sockeye = binary()?;
    ensure!(
        Command::new("curl").arg("--version").output().is_ok(),
        "curl is not installed"
    );
    let port = serve()?;
    Ok(vec![Case {
        name: "curl, 1 GiB from the host",
        unit: "Gb/s",
        ours: Box::new(move |_| {
            let mut command = Command::new(&sockeye);
            command.args(["run", "--allow-host-loopback", "--", "curl"]);
            fetch(command, &format!("http://10.0.2.2:{port}/"))
        }),
        base: Some((
            "curl alone",
            Box::new(move |_| fetch(Command::new("curl"), &format!("http://127.0.0.1:{port}/"))),
        )),
    }])
}

/// The release binary beside this one.
fn binary() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("sockeye");
    ensure!(
        path.exists(),
        "{} is missing: cargo build --release",
        path.display()
    );
    Ok(path)
}

fn serve() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket2::SockRef::from(&listener).set_tcp_congestion(b"cubic")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that gives up is seen by its own exit status.
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n"
    )?;
    let block = vec![0x5a; 256 << 10];
    for _ in 0..SIZE / block.len() {
        stream.write_all(&block)?;
    }
    Ok(())
}

/// Gigabits a second, from curl's own clock: starting a program is not part of it.
fn fetch(mut command: Command, url: &str) -> Result<f64> {
    let output = command
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download} %{time_total}",
            url,
        ])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some((size, seconds)) = text.split_once(' ') else {
        bail!("curl said {text:?} and {}", output.status)
    };
    ensure!(
        size == SIZE.to_string(),
        "curl fetched {size} of {SIZE} bytes"
    );
    let seconds: f64 = seconds
        .parse()
        .with_context(|| format!("curl took {seconds:?} seconds"))?;
    Ok(SIZE as f64 * 8.0 / Duration::from_secs_f64(seconds).as_secs_f64() / 1e9)
}
