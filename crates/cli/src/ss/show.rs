//! The table, laid out as ss(8) does.

use crate::control::{Figures, Row, Snapshot};
use crate::scan::Services;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What is shown beside the columns that always are.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) numeric: bool,
    pub(super) info: bool,
    pub(super) timers: bool,
    pub(super) memory: bool,
    pub(super) processes: bool,
    pub(super) heading: bool,
}

pub(super) fn table(nodes: &[Snapshot], shown: &Shown) -> String {
    let names = Names::new(shown.numeric);
    let mut lines = Vec::new();
    if shown.heading {
        let heading = [
            "Netid",
            "State",
            "Recv-Q",
            "Send-Q",
            "Local Address:Port",
            "Peer Address:Port",
            if shown.processes { "Process" } else { "" },
        ];
        lines.push((heading.map(str::to_owned), String::new()));
    }
    for node in nodes {
        for row in &node.sockets {
            lines.push((columns(node, row, shown, &names), below(row, shown)));
        }
    }
    let mut widths = [0; 7];
    for (columns, _) in &lines {
        for (width, column) in widths.iter_mut().zip(columns) {
            *width = (*width).max(column.chars().count());
        }
    }
    let mut out = String::new();
    for (columns, below) in &lines {
        let mut line = String::new();
        for (column, width) in columns.iter().zip(widths) {
            let _ = write!(line, "{column:width$} ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
        if !below.is_empty() {
            let _ = writeln!(out, "\t {below}");
        }
    }
    out
}

fn columns(node: &Snapshot, row: &Row, shown: &Shown, names: &Names) -> [String; 7] {
    let mut rest = String::new();
    if shown.processes {
        let _ = write!(
            rest,
            "users:((\"{}\",pid={}))",
            printable(&node.command),
            node.pid
        );
    }
    if shown.timers
        && let Some(Figures {
            timer: Some((name, left)),
            retransmits,
            ..
        }) = &row.tcp_info
    {
        let _ = write!(rest, " timer:({name},{},{retransmits})", span(*left));
    }
    [
        row.netid.clone(),
        row.state.clone(),
        row.recv_q.to_string(),
        row.send_q.to_string(),
        names.address(&row.netid, row.local),
        row.peer
            .map_or_else(|| "*:*".to_owned(), |peer| names.address(&row.netid, peer)),
        rest.trim_start().to_owned(),
    ]
}

/// What the terminal would take for more than text is not for it.
fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(safe).collect()
}

/// Names of ports, unless numbers are wanted.
struct Names(Option<[(&'static str, Services); 2]>);

impl Names {
    fn new(numeric: bool) -> Self {
        Self((!numeric).then(|| ["tcp", "udp"].map(|name| (name, Services::of(name)))))
    }

    fn address(&self, netid: &str, address: SocketAddr) -> String {
        let ip = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("[{}%{}]", v6.ip(), v6.scope_id()),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            SocketAddr::V4(v4) => v4.ip().to_string(),
        };
        let port = address.port();
        let protocol = if netid.starts_with("udp") {
            "udp"
        } else {
            "tcp"
        };
        let services = self.0.iter().flatten().find(|(name, _)| *name == protocol);
        match (port, services.and_then(|(_, services)| services.name(port))) {
            (0, _) => format!("{ip}:*"),
            (_, Some(name)) => format!("{ip}:{name}"),
            (_, None) => format!("{ip}:{port}"),
        }
    }
}

/// The line below a socket.
fn below(row: &Row, shown: &Shown) -> String {
    let mut words = Vec::new();
    let Some(figures) = &row.tcp_info else {
        return String::new();
    };
    if shown.memory {
        words.push(format!(
            "skmem:(r{},rb{},t{},tb{},f0,w{},o0,bl0,d0)",
            figures.readable,
            figures.receive_buffer,
            row.send_q - (figures.unsent as usize).min(row.send_q),
            figures.send_buffer,
            row.send_q
        ));
    }
    if shown.info {
        words.extend(info(figures));
    }
    words.join(" ")
}

/// The words of `ss -i`, in its order.
fn info(of: &Figures) -> Vec<String> {
    let mut words = agreed(of);
    words.extend(passed(of));
    words.extend(outstanding(of));
    words
}

/// What the two sides agreed on, and what is known of the path.
fn agreed(of: &Figures) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut flag = |on: bool, name: &str| {
        if on {
            words.push(name.into());
        }
    };
    flag(of.timestamps, "ts");
    flag(of.sack, "sack");
    flag(of.ecn, "ecn");
    flag(of.ecn_seen, "ecnseen");
    flag(of.fast_open, "fastopen");
    words.push(of.congestion.clone());
    if let Some((snd, rcv)) = of.window_scale {
        words.push(format!("wscale:{snd},{rcv}"));
    }
    words.push(format!("rto:{}", of.rto_ms));
    if of.backoff > 0 {
        words.push(format!("backoff:{}", of.backoff));
    }
    if let Some(rtt) = of.rtt_ms {
        words.push(format!("rtt:{rtt}/{}", of.rttvar_ms));
    }
    words.push(format!(
        "ato:{} mss:{} pmtu:{} rcvmss:{} advmss:{} cwnd:{}",
        of.ato_ms, of.mss, of.pmtu, of.rcv_mss, of.advertised_mss, of.cwnd
    ));
    words
}

/// What has passed, and how fast.
fn passed(of: &Figures) -> Vec<String> {
    let mut words = Vec::new();
    let mut count = |name: &str, n: u64| {
        if n > 0 {
            words.push(format!("{name}:{n}"));
        }
    };
    count("ssthresh", of.ssthresh.unwrap_or(0));
    count("bytes_sent", of.bytes_sent);
    count("bytes_retrans", of.bytes_retransmitted);
    count("bytes_acked", of.bytes_acked);
    count("bytes_received", of.bytes_received);
    count("segs_out", of.segs_out.into());
    count("segs_in", of.segs_in.into());
    count("data_segs_out", of.data_segs_out.into());
    count("data_segs_in", of.data_segs_in.into());
    if let Some(rtt) = of.rtt_ms.filter(|rtt| *rtt > 0.0) {
        let rate = of.cwnd as f64 * f64::from(of.mss) * 8000.0 / rtt;
        words.push(format!("send {rate:.0}bps"));
    }
    words.push(format!(
        "lastsnd:{:.0} lastrcv:{:.0} lastack:{:.0}",
        of.last_data_sent_ms, of.last_data_received_ms, of.last_ack_received_ms
    ));
    if let Some(rate) = of.pacing_rate {
        words.push(format!("pacing_rate {}bps", rate.saturating_mul(8)));
    }
    if of.delivery_rate > 0 {
        words.push(format!("delivery_rate {}bps", of.delivery_rate * 8));
    }
    let mut count = |name: &str, n: u64| {
        if n > 0 {
            words.push(format!("{name}:{n}"));
        }
    };
    count("delivered", of.delivered.into());
    if of.app_limited {
        words.push("app_limited".into());
    }
    for (name, ms) in [
        ("busy", of.busy_ms),
        ("rwnd_limited", of.rwnd_limited_ms),
        ("sndbuf_limited", of.sndbuf_limited_ms),
    ] {
        if ms >= 1.0 {
            words.push(format!("{name}:{ms:.0}ms"));
        }
    }
    words
}

/// What is on the way, lost, or waits.
fn outstanding(of: &Figures) -> Vec<String> {
    let mut words = Vec::new();
    let mut count = |name: &str, n: u64| {
        if n > 0 {
            words.push(format!("{name}:{n}"));
        }
    };
    count("unacked", of.unacked.into());
    count("lost", of.lost.into());
    count("sacked", of.sacked.into());
    count("dsack_dups", of.dsack_dups.into());
    count("reord_seen", of.reordering_seen.into());
    count("rcv_ooopack", of.out_of_order.into());
    count("notsent", of.unsent.into());
    if of.retransmitted > 0 {
        words.push(format!(
            "retrans:{}/{}",
            of.retransmitting, of.retransmitted
        ));
    }
    if of.reordering != 3 {
        words.push(format!("reordering:{}", of.reordering));
    }
    if let Some(rtt) = of.min_rtt_ms {
        words.push(format!("minrtt:{rtt}"));
    }
    words.push(format!("snd_wnd:{} rcv_wnd:{}", of.snd_wnd, of.rcv_wnd));
    words
}

/// A timer's time as ss(8) writes it: `1min2sec`, `1.2sec`, `200ms`.
fn span(ms: f64) -> String {
    let whole = ms as u64;
    match whole / 1000 {
        0 => format!("{whole}ms"),
        secs @ 1..60 if !whole.is_multiple_of(1000) => format!("{secs}.{:03}sec", whole % 1000),
        secs @ 1..60 => format!("{secs}sec"),
        secs => format!("{}min{}sec", secs / 60, secs % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        Shown {
            numeric: true,
            info: false,
            timers: true,
            memory: false,
            processes: true,
            heading: true,
        }
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let socket = |state: &str, peer: Option<&str>| Row {
            netid: "tcp".into(),
            state: state.into(),
            local: "[fd00:2::15]:80".parse().unwrap(),
            peer: peer.map(|peer| peer.parse().unwrap()),
            recv_q: 0,
            send_q: 128,
            cookie: 1,
            tcp_info: peer.map(|_| Figures {
                timer: Some(("on".into(), 1203.4)),
                ..Figures::default()
            }),
        };
        let node = Snapshot {
            pid: 7,
            command: "a\u{1b}[31m".into(),
            sockets: vec![
                socket("LISTEN", None),
                socket("ESTAB", Some("[fd00:2::2]:4000")),
            ],
        };
        let expected = "\
Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process
tcp   LISTEN 0      128    [fd00:2::15]:80    *:*               users:((\"a?[31m\",pid=7))
tcp   ESTAB  0      128    [fd00:2::15]:80    [fd00:2::2]:4000  users:((\"a?[31m\",pid=7)) timer:(on,1.203sec,0)
";
        assert_eq!(table(&[node], &shown()), expected);
    }

    #[test]
    fn spans_are_written_as_ss_does() {
        let spans = [0.4, 200.0, 1000.0, 61_000.0].map(span);
        assert_eq!(spans, ["0ms", "200ms", "1sec", "1min1sec"]);
    }
}
