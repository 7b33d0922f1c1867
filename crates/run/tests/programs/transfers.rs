//! Data of real programs against servers and clients outside.

use crate::{Outcome, PASSED, needs, supervised};
use sockeye_tests::{Program, Test, check, sha256, tests};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = tests![
    curl_fetches,
    curl_is_refused,
    curl_gives_up,
    curl_as_an_ordinary_user,
    written_and_exited_at_once,
    datagrams_written_and_exited_at_once,
    a_server_inside,
    a_reset_arrives_outside,
];

/// Octets that repeat nowhere near.
fn octets(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// Answers one HTTP request with this body.
fn serve(body: Vec<u8>) -> sockeye_tests::Result<SocketAddr> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    thread::spawn(move || {
        let (mut peer, _) = server.accept().unwrap();
        let mut request = [0; 4096];
        let _ = peer.read(&mut request).unwrap();
        write!(
            peer,
            "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        peer.write_all(&body).unwrap();
    });
    Ok(address)
}

fn fetch(unprivileged: bool) -> Outcome {
    needs!("curl");
    let body = octets(32 << 20);
    let address = serve(body.clone())?;
    let program = supervised("curl").args(["-sS", "-o", "-", &format!("http://{address}/")]);
    let program = if unprivileged {
        program.unprivileged()
    } else {
        program
    };
    let dir = sockeye_tests::TempDir::new()?;
    // More than is kept of a program's output: it goes to a file.
    let mut program = program;
    program
        .command()
        .stdout(Stdio::from(std::fs::File::create(dir.path().join("body"))?));
    let mut running = program.start()?;
    check!(running.0.wait()?.success(), "curl failed");
    check!(
        sha256(&std::fs::read(dir.path().join("body"))?) == sha256(&body),
        "the body is another"
    );
    PASSED
}

fn curl_fetches() -> Outcome {
    fetch(false)
}

fn curl_as_an_ordinary_user() -> Outcome {
    fetch(true)
}

fn curl_is_refused() -> Outcome {
    needs!("curl");
    let unused = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    supervised("curl")
        .args(["-s", &format!("http://{unused}/")])
        .run()?
        .expect(7)?;
    PASSED
}

fn curl_gives_up() -> Outcome {
    needs!("curl");
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", silent.local_addr()?);
    supervised("curl")
        .args(["-s", "-m", "0.5", &url])
        .run()?
        .expect(28)?;
    PASSED
}

/// Takes connections one by one and returns what each sent.
fn collect(count: usize) -> sockeye_tests::Result<(String, thread::JoinHandle<Vec<Vec<u8>>>)> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port().to_string();
    let task = move || {
        let take = |_| {
            let mut data = Vec::new();
            // Late, so that all of it stands in buffers when the program ends.
            let (mut peer, _) = server.accept().unwrap();
            thread::sleep(Duration::from_millis(300));
            peer.read_to_end(&mut data).unwrap();
            data
        };
        (0..count).map(take).collect()
    };
    Ok((port, thread::spawn(task)))
}

fn written_and_exited_at_once() -> Outcome {
    needs!("python3");
    let script = "import os, socket, sys\n\
                  s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
                  s.sendall(sys.stdin.buffer.read())\n\
                  os._exit(0)\n";
    let data = octets(8 << 20);
    let dir = sockeye_tests::TempDir::new()?;
    let file = dir.write("data", &data)?;
    let (port, collected) = collect(1)?;
    let mut program = supervised("python3").args(["-c", script, &port]);
    program
        .command()
        .stdin(Stdio::from(std::fs::File::open(file)?));
    program.run()?.expect(0)?;
    check!(
        collected.join().unwrap() == [data],
        "not all that was written arrived"
    );
    PASSED
}

fn datagrams_written_and_exited_at_once() -> Outcome {
    needs!("python3");
    let script = "import os, socket, sys\n\
                  s = socket.socket(type=socket.SOCK_DGRAM)\n\
                  s.connect(('127.0.0.1', int(sys.argv[1])))\n\
                  for i in range(50): s.send(b'%d' % i)\n\
                  os._exit(0)\n";
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    receiver.set_read_timeout(Some(Duration::from_secs(5)))?;
    let port = receiver.local_addr()?.port().to_string();
    supervised("python3")
        .args(["-c", script, &port])
        .run()?
        .expect(0)?;
    for i in 0..50 {
        let mut buffer = [0; 100];
        let len = receiver.recv(&mut buffer)?;
        check!(
            buffer[..len] == *i.to_string().as_bytes(),
            "datagram {i} is another"
        );
    }
    PASSED
}

/// An address where nobody listens now.
fn free_port() -> sockeye_tests::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn connect_when_it_listens(port: u16) -> sockeye_tests::Result<TcpStream> {
    for _ in 0..2000 {
        if let Ok(peer) = TcpStream::connect(("127.0.0.1", port)) {
            return Ok(peer);
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err("nobody listens".into())
}

fn a_server_inside() -> Outcome {
    needs!("python3", "curl");
    let (dir, port) = (sockeye_tests::TempDir::new()?, free_port()?);
    let body = octets(4 << 20);
    dir.write("file", &body)?;
    let program = supervised("python3").args([
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        &port.to_string(),
    ]);
    let mut program = program.current_dir(dir.path());
    program
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _running = program.start()?;
    drop(connect_when_it_listens(port)?);
    for _ in 0..3 {
        let output = Program::new("curl")
            .args(["-sS", &format!("http://127.0.0.1:{port}/file")])
            .run()?
            .expect(0)?;
        check!(output.stdout == body, "the file is another");
    }
    PASSED
}

fn a_reset_arrives_outside() -> Outcome {
    needs!("python3");
    let script = "import socket, struct, sys\n\
                  l = socket.socket(); l.bind(('127.0.0.1', int(sys.argv[1]))); l.listen()\n\
                  s, _ = l.accept()\n\
                  s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()\n\
                  s, _ = l.accept()\n\
                  assert s.recv(5) == b'hello'\n\
                  s.shutdown(socket.SHUT_WR)\n\
                  assert s.recv(9) == b''\n";
    let port = free_port()?;
    let mut program = supervised("python3").args(["-c", script, &port.to_string()]);
    program.command().stdout(Stdio::inherit());
    let mut running = program.start()?;
    let reset = connect_when_it_listens(port)?.read(&mut [0]);
    check!(
        reset
            .as_ref()
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset),
        "no reset: {reset:?}"
    );
    let mut plain = connect_when_it_listens(port)?;
    plain.write_all(b"hello")?;
    check!(plain.read(&mut [0])? == 0, "no end");
    plain.shutdown(Shutdown::Write)?;
    check!(running.0.wait()?.success(), "the program failed");
    PASSED
}
