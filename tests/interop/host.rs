//! Servers on the host's loopback, for programs that reach them by `--allow-host-loopback`.

use sockeye_tests::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `len` bytes that no two places share, from a fixed seed.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(len).collect()
}

/// A server that goes when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Calls `serve` with each connection, each in a thread of its own.
    pub(crate) fn start(
        serve: impl Fn(TcpStream) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, serve) = (stop.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (Ok(stream), serve) = (stream, serve.clone()) else {
                    continue;
                };
                std::thread::spawn(move || {
                    if let Err(error) = serve(stream) {
                        eprintln!("the host's server: {error}");
                    }
                });
            }
        });
        Ok(Self { address, stop })
    }

    /// Serves `body` to every HTTP GET.
    pub(crate) fn http(body: Vec<u8>) -> Result<Self> {
        Self::start(move |stream| {
            let mut reader = BufReader::new(stream.try_clone()?);
            let mut line = String::new();
            while reader.read_line(&mut line)? > 2 {
                line.clear();
            }
            let mut stream = stream;
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            )?;
            Ok(stream.write_all(&body)?)
        })
    }

    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One connection of our own lets the loop see it.
        drop(TcpStream::connect(self.address));
    }
}

/// Everything that a connection brings until its end.
pub(crate) fn read_all(mut stream: &TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads an HTTP request to its empty line: a stream that is closed with text unread is reset.
pub(crate) fn read_request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    Ok(())
}
