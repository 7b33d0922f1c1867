//! Where running nodes are asked for their sockets: a Unix socket for each in a directory of the
//! user's own, `$XDG_RUNTIME_DIR/sockeye`, or `/tmp/sockeye-UID` where that is not set.
//!
//! Whoever connects gets one document of JSON, a [`Snapshot`], and the end. The directory is of mode
//! 0700 and belongs to the user, or it is not used: nobody else can ask, nor answer. A socket appears
//! under its name once it listens, and goes with its node; one whose process was killed refuses, and is
//! swept away by the next who asks.

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use sockeye::{Handle, Node, SocketSummary, TcpInfo, TransportId};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the other side of a question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Octets of an answer that are read at most.
const ANSWER_MAX: u64 = 256 << 20;

/// How the name of a socket ends.
const ENDING: &str = "sock";

/// What a node tells of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The process that the node lives in.
    pub(crate) pid: u32,
    /// Its command line.
    pub(crate) command: String,
    pub(crate) sockets: Vec<Row>,
}

/// A socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its transport, as ss(8) names it.
    pub(crate) netid: String,
    pub(crate) state: String,
    pub(crate) local: SocketAddr,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) recv_q: usize,
    pub(crate) send_q: usize,
    /// SO_COOKIE.
    pub(crate) cookie: u64,
    /// The figures of a TCP connection.
    pub(crate) tcp_info: Option<Figures>,
}

/// What of TCP_INFO is shown. Times are in milliseconds, rates in octets a second, the rest in octets
/// and segments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) congestion: String,
    pub(crate) timestamps: bool,
    pub(crate) sack: bool,
    pub(crate) ecn: bool,
    pub(crate) ecn_seen: bool,
    pub(crate) fast_open: bool,
    pub(crate) window_scale: Option<(u8, u8)>,
    pub(crate) ca_state: String,
    pub(crate) rto_ms: f64,
    pub(crate) backoff: u8,
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) rttvar_ms: f64,
    pub(crate) min_rtt_ms: Option<f64>,
    pub(crate) ato_ms: f64,
    pub(crate) mss: u32,
    pub(crate) pmtu: u32,
    pub(crate) rcv_mss: u32,
    pub(crate) advertised_mss: u32,
    pub(crate) cwnd: u64,
    pub(crate) ssthresh: Option<u64>,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_retransmitted: u64,
    pub(crate) bytes_acked: u64,
    pub(crate) bytes_received: u64,
    pub(crate) segs_out: u32,
    pub(crate) segs_in: u32,
    pub(crate) data_segs_out: u32,
    pub(crate) data_segs_in: u32,
    pub(crate) last_data_sent_ms: f64,
    pub(crate) last_data_received_ms: f64,
    pub(crate) last_ack_received_ms: f64,
    pub(crate) pacing_rate: Option<u64>,
    pub(crate) delivery_rate: u64,
    pub(crate) app_limited: bool,
    pub(crate) delivered: u32,
    pub(crate) busy_ms: f64,
    pub(crate) rwnd_limited_ms: f64,
    pub(crate) sndbuf_limited_ms: f64,
    pub(crate) unacked: u32,
    pub(crate) retransmitting: u32,
    pub(crate) retransmitted: u32,
    pub(crate) lost: u32,
    pub(crate) sacked: u32,
    pub(crate) dsack_dups: u32,
    pub(crate) reordering: u32,
    pub(crate) reordering_seen: u32,
    pub(crate) out_of_order: u32,
    pub(crate) snd_wnd: u32,
    pub(crate) rcv_wnd: u32,
    pub(crate) unsent: u32,
    pub(crate) readable: usize,
    pub(crate) receive_buffer: usize,
    pub(crate) send_buffer: usize,
    /// Which timer runs, and how long still.
    pub(crate) timer: Option<(String, f64)>,
    pub(crate) retransmits: u32,
}

/// Answers for a node until it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    listener: UnixListener,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Begins to answer for `node`.
    ///
    /// # Errors
    /// The directory is not the user's own, or the system allows no socket in it.
    pub(crate) fn start(node: &Node) -> Result<Self> {
        let directory = directory();
        make(&directory)?;
        // Processes of other namespaces may have the same number.
        let name = format!("{}-{:016x}", std::process::id(), node.random()?);
        let making = directory.join(format!(".{name}"));
        let path = directory.join(name).with_extension(ENDING);
        let listener = UnixListener::bind(&making)
            .with_context(|| format!("no socket can be made in {}", directory.display()))?;
        if let Err(error) = fs::rename(&making, &path) {
            let _ = fs::remove_file(&making);
            return Err(error.into());
        }
        let answering = listener.try_clone()?;
        let node = node.clone();
        let answer = move || {
            while let Ok((asking, _)) = answering.accept() {
                // Who has gone away, or reads nothing, gets nothing.
                let _ = tell(&node, &asking);
            }
        };
        let thread = std::thread::Builder::new().name("sockeye-control".into());
        let control = Self {
            path,
            listener,
            thread: Some(thread.spawn(answer)?),
        };
        Ok(control)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        // This ends accept(2).
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tell(node: &Node, mut asking: &UnixStream) -> Result<()> {
    asking.set_write_timeout(Some(PATIENCE))?;
    let snapshot = Snapshot::of(node)?;
    asking.write_all(&serde_json::to_vec(&snapshot)?)?;
    Ok(())
}

/// The snapshots of all nodes that run, by the age of their processes' numbers.
///
/// # Errors
/// The directory is not the user's own. That there is none is no error.
pub(crate) fn ask_all() -> Result<Vec<Snapshot>> {
    let directory = directory();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| directory.display().to_string()),
    };
    check(&directory)?;
    let mut snapshots = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension() != Some(OsStr::new(ENDING)) {
            continue;
        }
        match ask(&path) {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) => tracing::debug!("{} does not answer: {error:#}", path.display()),
        }
    }
    snapshots.sort_by_key(|snapshot| snapshot.pid);
    Ok(snapshots)
}

fn ask(path: &Path) -> Result<Snapshot> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) => {
            // Nobody listens any more, and under this name nobody will.
            if error.kind() == io::ErrorKind::ConnectionRefused {
                let _ = fs::remove_file(path);
            }
            return Err(error.into());
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

fn directory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|path| path.is_absolute()) {
        Some(path) => path.join("sockeye"),
        None => format!("/tmp/sockeye-{}", rustix::process::geteuid().as_raw()).into(),
    }
}

fn make(directory: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("{} can't be made", directory.display()))
        }
        _ => check(directory),
    }
}

/// That nobody else can have put anything there.
fn check(directory: &Path) -> Result<()> {
    let is = fs::symlink_metadata(directory)?;
    if !is.is_dir() || is.uid() != rustix::process::geteuid().as_raw() || is.mode() & 0o077 != 0 {
        bail!(
            "{} is not a directory that belongs to you alone (mode 0700): remove it",
            directory.display()
        );
    }
    Ok(())
}

impl Snapshot {
    fn of(node: &Node) -> io::Result<Self> {
        let command = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let command: Vec<String> = command.collect();
        let sockets = node.sockets()?;
        Ok(Self {
            pid: std::process::id(),
            command: command.join(" "),
            sockets: sockets
                .iter()
                .filter_map(|summary| Row::of(node, summary))
                .collect(),
        })
    }
}

impl Row {
    /// `None` of a socket that is neither bound nor connected: it is in no table, as in the kernel.
    fn of(node: &Node, summary: &SocketSummary) -> Option<Self> {
        let Handle { transport, id } = summary.handle;
        let connects = [TransportId::TCP, TransportId::SCTP, TransportId::DCCP];
        let idle = connects.contains(&transport) || summary.local.port() == 0;
        let raw = [TransportId::RAW, TransportId::PACKET, TransportId::PING].contains(&transport);
        if ["CLOSED", "UNCONN"].contains(&summary.state) && idle && !raw {
            return None;
        }
        Some(Self {
            netid: netid(transport).into(),
            state: match summary.state {
                "CLOSED" => "UNCONN".into(),
                state => state.into(),
            },
            local: summary.local,
            peer: summary.remote,
            recv_q: summary.recv_queue,
            send_q: summary.send_queue,
            cookie: id.cookie(),
            tcp_info: node
                .tcp_info(summary.handle)
                .ok()
                .map(|info| figures(&info)),
        })
    }
}

fn netid(transport: TransportId) -> &'static str {
    match transport {
        TransportId::TCP => "tcp",
        TransportId::UDP => "udp",
        TransportId::UDPLITE => "udpl",
        TransportId::SCTP => "sctp",
        TransportId::DCCP => "dccp",
        TransportId::PING => "icmp",
        TransportId::PACKET => "p_raw",
        TransportId::RAW => "raw",
        _ => "???",
    }
}

fn figures(info: &TcpInfo) -> Figures {
    let ms = |time: Duration| time.as_micros() as f64 / 1000.0;
    Figures {
        congestion: info.congestion.into(),
        timestamps: info.timestamps,
        sack: info.sack,
        ecn: info.ecn,
        ecn_seen: info.ecn_seen,
        fast_open: info.syn_text,
        window_scale: info.window_scale,
        ca_state: format!("{:?}", info.ca_state),
        rto_ms: ms(info.rto),
        backoff: info.backoff,
        rtt_ms: info.srtt.map(ms),
        rttvar_ms: ms(info.rttvar),
        min_rtt_ms: info.rtt_min.map(ms),
        ato_ms: ms(info.ack_timeout),
        mss: info.snd_mss,
        pmtu: info.path_mtu,
        rcv_mss: info.rcv_mss,
        advertised_mss: info.advertised_mss,
        cwnd: info.cwnd / u64::from(info.snd_mss.max(1)),
        ssthresh: (info.ssthresh != u64::MAX)
            .then(|| info.ssthresh / u64::from(info.snd_mss.max(1))),
        bytes_sent: info.bytes_sent,
        bytes_retransmitted: info.bytes_retransmitted,
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
        segs_out: info.segs_out,
        segs_in: info.segs_in,
        data_segs_out: info.data_segs_out,
        data_segs_in: info.data_segs_in,
        last_data_sent_ms: ms(info.last_data_sent),
        last_data_received_ms: ms(info.last_data_received),
        last_ack_received_ms: ms(info.last_ack_received),
        pacing_rate: info.pacing_rate,
        delivery_rate: info.delivery_rate,
        app_limited: info.delivery_rate_app_limited,
        delivered: info.delivered_segments,
        busy_ms: ms(info.busy_time),
        rwnd_limited_ms: ms(info.rwnd_limited),
        sndbuf_limited_ms: ms(info.sndbuf_limited),
        unacked: info.unacked,
        retransmitting: info.retrans,
        retransmitted: info.retransmitted,
        lost: info.lost,
        sacked: info.sacked,
        dsack_dups: info.dsack_dups,
        reordering: info.reordering,
        reordering_seen: info.reordering_seen,
        out_of_order: info.out_of_order_segments,
        snd_wnd: info.snd_wnd,
        rcv_wnd: info.rcv_wnd,
        unsent: info.unsent,
        readable: info.readable,
        receive_buffer: info.receive_buffer,
        send_buffer: info.send_buffer,
        timer: info.timer.map(|(name, left)| (name.into(), ms(left))),
        retransmits: info.retransmits,
    }
}
