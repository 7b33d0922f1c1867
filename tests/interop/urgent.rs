//! Urgent data between the library and the kernel over TAP, both ways, in the stream and out of it.

use crate::run::{PYTHON, need};
use crate::tap::{KERNEL_V4, LIMIT, node};
use rustix::net::RecvFlags;
use socket2::SockRef;
use sockeye::drivers::netem::{Netem, NetemConfig};
use sockeye_tests::{
    Outcome, Program, Result, Test, check, have, ignore, in_namespace, sockeye, tests,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = tests![
    urgent_octets_cross_both_ways,
    no_ordinary_octet_is_lost_beside_urgent_ones,
    urgent_data_leaves_the_virtual_lan,
];

/// One side of a connection, the node's or the kernel's.
trait End: Read + Write + Send {
    fn send_oob(&self, data: &[u8]) -> std::io::Result<usize>;
    fn recv_oob(&self) -> std::io::Result<Option<u8>>;
    fn inline(&self, on: bool) -> std::io::Result<()>;
    fn end(&self) -> std::io::Result<()>;
}

impl End for sockeye::net::TcpStream {
    fn send_oob(&self, data: &[u8]) -> std::io::Result<usize> {
        self.send_oob(data)
    }
    fn recv_oob(&self) -> std::io::Result<Option<u8>> {
        let mut octet = [0];
        let len = self.recv_oob(&mut octet)?;
        Ok((len == 1).then_some(octet[0]))
    }
    fn inline(&self, on: bool) -> std::io::Result<()> {
        self.set_oob_inline(on)
    }
    fn end(&self) -> std::io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl End for TcpStream {
    fn send_oob(&self, data: &[u8]) -> std::io::Result<usize> {
        SockRef::from(self).send_out_of_band(data)
    }
    fn recv_oob(&self) -> std::io::Result<Option<u8>> {
        let mut octet = [0];
        let (len, _) = rustix::net::recv(self, &mut octet, RecvFlags::OOB)?;
        Ok((len == 1).then_some(octet[0]))
    }
    fn inline(&self, on: bool) -> std::io::Result<()> {
        SockRef::from(self).set_out_of_band_inline(on)
    }
    fn end(&self) -> std::io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// A connection: its end on the node and its end in the kernel.
fn connection(node: &sockeye::Node) -> Result<(sockeye::net::TcpStream, TcpStream)> {
    let listener = TcpListener::bind((KERNEL_V4.parse::<IpAddr>()?, 0))?;
    let ours = sockeye::net::TcpStream::connect_on(node, listener.local_addr()?)?;
    Ok((ours, listener.accept()?.0))
}

fn urgent_octets_cross_both_ways() -> Result {
    in_namespace(
        "interop::urgent::urgent_octets_cross_both_ways",
        LIMIT,
        || {
            let node = node!(|tap| Box::new(tap));
            for inline in [false, true] {
                let (mut ours, mut theirs) = connection(&node)?;
                let what = format!("node to kernel, inline {inline}");
                talk(&mut ours, &mut theirs, inline).map_err(|e| format!("{what}: {e}"))?;
                let (mut ours, mut theirs) = connection(&node)?;
                let what = format!("kernel to node, inline {inline}");
                talk(&mut theirs, &mut ours, inline).map_err(|e| format!("{what}: {e}"))?;
            }
            Ok(Outcome::Passed)
        },
    )
}

fn talk(from: &mut impl End, to: &mut impl End, inline: bool) -> Result<()> {
    to.inline(inline)?;
    let error = to.recv_oob().err().map(|error| error.kind());
    check!(
        error == Some(ErrorKind::InvalidInput),
        "{error:?} before anything was sent"
    );
    for round in 0..20 {
        from.write_all(b"ab")?;
        check!(from.send_oob(b"c!")? == 2, "not all was taken");
        from.write_all(b"de")?;
        // By the time that the last has come, all has.
        std::thread::sleep(Duration::from_millis(20));
        if !inline {
            let octet = oob(to)?;
            check!(octet == b'!', "round {round}: the urgent octet is {octet}");
            let again = to.recv_oob().err().map(|error| error.kind());
            check!(
                again == Some(ErrorKind::InvalidInput),
                "{again:?} the second time"
            );
        }
        let (before, behind): (&[u8], &[u8]) = match inline {
            false => (b"abc", b"de"),
            true => (b"abc", b"!de"),
        };
        for expected in [before, behind] {
            let mut buffer = [0; 16];
            let len = to.read(&mut buffer)?;
            check!(
                &buffer[..len] == expected,
                "round {round}: {:?} was read",
                String::from_utf8_lossy(&buffer[..len])
            );
        }
    }
    Ok(())
}

/// The urgent octet, once it has come.
fn oob(end: &impl End) -> Result<u8> {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        match end.recv_oob() {
            Ok(Some(octet)) => return Ok(octet),
            Ok(None) => return Err("the connection has ended".into()),
            Err(error) => check!(Instant::now() < limit, "no urgent octet comes: {error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn no_ordinary_octet_is_lost_beside_urgent_ones() -> Result {
    in_namespace(
        "interop::urgent::no_ordinary_octet_is_lost_beside_urgent_ones",
        LIMIT,
        || {
            let node = node!(|tap| {
                let mut config = NetemConfig::default();
                for (key, value) in [("delay", "2ms"), ("loss", "1%"), ("limit", "10000")] {
                    config.set(key, value).expect("netem's own words");
                }
                Box::new(Netem::new(tap, config, 7))
            });
            for inline in [false, true] {
                let (ours, theirs) = connection(&node)?;
                flood(ours, theirs, inline).map_err(|e| format!("node to kernel: {e}"))?;
                let (ours, theirs) = connection(&node)?;
                flood(theirs, ours, inline).map_err(|e| format!("kernel to node: {e}"))?;
            }
            Ok(Outcome::Passed)
        },
    )
}

/// Sends pieces of ordinary octets (below 128), each with an urgent one (above) at its end.
fn flood(mut from: impl End + 'static, mut to: impl End, inline: bool) -> Result<()> {
    const PIECES: usize = 200;
    to.inline(inline)?;
    let all: Vec<Vec<u8>> = (0..PIECES)
        .map(|n| {
            let ordinary = (0..n * 97 % 20_000).map(|at| ((at + n) % 127) as u8);
            ordinary.chain([128 | n as u8]).collect()
        })
        .collect();
    let sent = all.concat();
    let writing = std::thread::spawn(move || -> std::io::Result<()> {
        for piece in all {
            let (ordinary, urgent) = piece.split_at(piece.len() - 1);
            from.write_all(ordinary)?;
            from.send_oob(urgent)?;
        }
        from.end()
    });
    let mut got = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match to.read(&mut buffer)? {
            0 => break,
            len => got.extend_from_slice(&buffer[..len]),
        }
    }
    writing.join().map_err(|_| "the writer panicked")??;
    if inline {
        check!(
            got == sent,
            "inline {} of {} octets, or others",
            got.len(),
            sent.len()
        );
        return Ok(());
    }
    let ordinary =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().filter(|b| *b < 128).collect() };
    check!(
        ordinary(&got) == ordinary(&sent),
        "ordinary octets are lost or out of order"
    );
    Ok(())
}

/// Through `--link user` the host's own socket passes it on, both ways.
fn urgent_data_leaves_the_virtual_lan() -> Result {
    in_namespace(
        "interop::urgent::urgent_data_leaves_the_virtual_lan",
        LIMIT,
        || {
            need!(PYTHON);
            const WORLD: &str = "198.51.100.1";
            let words = format!("addr add {WORLD}/32 dev lo");
            Program::new("ip").args(words.split(' ')).run()?.expect(0)?;
            let listener = TcpListener::bind((WORLD, 0))?;
            let to: SocketAddr = listener.local_addr()?;
            let serving =
                std::thread::spawn(move || serve(&listener).map_err(|error| error.to_string()));
            let script = format!(
                "import select, socket\n\
             s = socket.create_connection(('{WORLD}', {}))\n\
             s.send(b'ab!', socket.MSG_OOB)\n\
             p = select.poll()\n\
             p.register(s, select.POLLPRI)\n\
             assert p.poll(10000)\n\
             assert s.recv(1, socket.MSG_OOB) == b'?'\n\
             assert s.recv(9) == b'cd'\n\
             s.send(b'x')\n\
             assert s.recv(1) == b''\n",
                to.port()
            );
            Program::new(sockeye()?)
                .args(["run", "--", PYTHON, "-c", &script])
                .run()?
                .expect(0)?;
            serving.join().map_err(|_| "the server panicked")??;
            Ok(Outcome::Passed)
        },
    )
}

fn serve(listener: &TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept()?;
    let octet = oob(&stream)?;
    check!(octet == b'!', "the urgent octet of the program is {octet}");
    let mut bytes = [0; 2];
    stream.read_exact(&mut bytes)?;
    check!(&bytes == b"ab", "the program's text is {bytes:?}");
    stream.write_all(b"cd")?;
    stream.send_oob(b"?")?;
    stream.read_exact(&mut bytes[..1])?;
    Ok(())
}
