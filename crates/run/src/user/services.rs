//! What the gateway itself serves: HTTP, and the small services of RFC 862 to 867.

use super::{GATEWAY_V4, GATEWAY_V6};
use sockeye::tokio::{TcpListener, TcpStream, UdpSocket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

/// The ports that the gateway serves on TCP.
pub(super) const TCP_PORTS: [u16; 5] = [ECHO, DISCARD, DAYTIME, CHARGEN, HTTP];
const UDP_PORTS: [u16; 4] = [ECHO, DISCARD, DAYTIME, CHARGEN];
const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const DAYTIME: u16 = 13;
const CHARGEN: u16 = 19;
const HTTP: u16 = 80;

/// Connections served at once; one more is closed as soon as it is accepted.
const CONNECTIONS_MAX: usize = 1024;
/// Bytes of an HTTP request's head.
const REQUEST_MAX: usize = 16 << 10;
/// A client that sends nothing for so long is closed.
const HTTP_IDLE: Duration = Duration::from_secs(30);
/// RFC 864: 72 characters a line, from the 95 that print.
const CHARGEN_LINE: usize = 72;

/// Starts all services on the current node.
pub(super) async fn start() -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for ip in [IpAddr::V4(GATEWAY_V4), IpAddr::V6(GATEWAY_V6)] {
        for port in TCP_PORTS {
            let listener = TcpListener::bind(SocketAddr::new(ip, port)).await?;
            let connections = connections.clone();
            tokio::task::spawn_local(async move {
                loop {
                    let Ok((stream, peer)) = listener.accept().await else {
                        break;
                    };
                    let Ok(permit) = connections.clone().try_acquire_owned() else {
                        continue;
                    };
                    tokio::task::spawn_local(async move {
                        // A client that goes away is no failure of the service.
                        let _ = serve(port, stream, peer).await;
                        drop(permit);
                    });
                }
            });
        }
        for port in UDP_PORTS {
            let socket = UdpSocket::bind(SocketAddr::new(ip, port)).await?;
            tokio::task::spawn_local(serve_datagrams(port, socket));
        }
    }
    Ok(())
}

async fn serve(port: u16, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    match port {
        ECHO => echo(stream).await,
        DISCARD => discard(stream).await,
        DAYTIME => say(stream, daytime(SystemTime::now()).as_bytes()).await,
        CHARGEN => generate(stream).await,
        _ => http(stream, peer).await,
    }
}

/// RFC 862: what came goes back, until the client ends.
async fn echo(stream: TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

/// RFC 863: what came is thrown away.
async fn discard(stream: TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    tokio::io::copy(&mut reader, &mut tokio::io::sink()).await?;
    writer.shutdown().await
}

/// Says `text` and ends.
async fn say(mut stream: TcpStream, text: &[u8]) -> io::Result<()> {
    stream.write_all(text).await?;
    stream.shutdown().await
}

/// RFC 864: lines of printing characters for as long as the client listens.
async fn generate(mut stream: TcpStream) -> io::Result<()> {
    for line in 0.. {
        stream.write_all(&chargen_line(line)).await?;
    }
    Ok(())
}

fn chargen_line(line: usize) -> Vec<u8> {
    let printing = (b' '..=b'~').cycle().skip(line % 95).take(CHARGEN_LINE);
    printing.chain(*b"\r\n").collect()
}

async fn serve_datagrams(port: u16, socket: UdpSocket) {
    let mut buffer = vec![0; 65_535];
    // A socket of the gateway fails only when the node ends.
    while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
        let answer = match port {
            ECHO => buffer[..len].to_vec(),
            DAYTIME => daytime(SystemTime::now()).into_bytes(),
            CHARGEN => chargen_line(len),
            _ => continue,
        };
        // Two services that answer each other would do so for ever (CVE-1999-0103).
        if from.port() > 1023 {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// RFC 867: a line with date and time (UTC), as `Monday, November 23, 2026 21:06:02-UTC`.
fn daytime(now: SystemTime) -> String {
    const DAYS: [&str; 7] = [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (weekday, month) = (DAYS[usize::try_from(days % 7).unwrap_or(0)], MONTHS[month]);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
}

/// Year, month (0 for January) and day of the month, `days` days after 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

/// One request, one page (RFC 9112).
async fn http(mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    let local = stream.local_addr()?;
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() >= REQUEST_MAX {
            return say(
                stream,
                respond("431 Request Header Fields Too Large", "GET", "too long\n").as_bytes(),
            )
            .await;
        }
        match tokio::time::timeout(HTTP_IDLE, stream.read_buf(&mut request)).await {
            Ok(Ok(len)) if len > 0 => {}
            Ok(Err(error)) => return Err(error),
            _ => return Ok(()),
        }
    }
    let line = String::from_utf8_lossy(request.split(|b| *b == b'\r').next().unwrap_or_default())
        .into_owned();
    let mut words = line.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let answer = match (method, path) {
        ("GET" | "HEAD", "/") => respond("200 OK", method, &page(local, peer)),
        ("GET" | "HEAD", _) => respond("404 Not Found", method, "there is one page here: /\n"),
        _ => respond(
            "405 Method Not Allowed",
            method,
            "GET and HEAD are served here\n",
        ),
    };
    say(stream, answer.as_bytes()).await
}

fn respond(status: &str, method: &str, body: &str) -> String {
    let head = format!(
        "HTTP/1.1 {status}\r\nServer: sockeye/{}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    if method == "HEAD" { head } else { head + body }
}

fn page(local: SocketAddr, peer: SocketAddr) -> String {
    format!(
        "Hello. You came through a network stack that runs wholly in user space.\n\
         \n\
         your socket   TCP {peer}\n\
         served by     TCP {local}\n\
         stack         sockeye {version} at both ends: no kernel sockets, no root\n\
         \n\
         Try next:\n\
         \n\
         \x20 sockeye run -- ping -c 3 10.0.2.2                       ping the gateway\n\
         \x20 sockeye run -- python3 -m http.server                   a server on a node of its own\n\
         \x20 sockeye run --link user,delay=50ms,loss=1% -- PROGRAM   a worse network\n\
         \x20 sockeye run --pcap out.pcapng -- PROGRAM                every packet, for wireshark\n\
         \x20 sockeye doctor                                          what this machine allows\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daytime_knows_the_calendar() {
        let at = |seconds| daytime(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "Thursday, January 1, 1970 00:00:00-UTC\r\n");
        assert_eq!(
            at(951_782_400),
            "Tuesday, February 29, 2000 00:00:00-UTC\r\n"
        );
        assert_eq!(
            at(1_795_467_962),
            "Monday, November 23, 2026 21:06:02-UTC\r\n"
        );
    }

    #[test]
    fn chargen_rotates_by_one_a_line() {
        let (first, second) = (chargen_line(0), chargen_line(1));
        assert_eq!(first.len(), 74);
        assert_eq!(first[1..72], second[..71]);
        assert_eq!(chargen_line(95), first);
    }
}
