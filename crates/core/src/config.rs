//! A node's settings, with Linux's names and defaults where Linux has them.

use core::time::Duration;

/// Settings of a node. All have defaults; `Config { ttl: 1, ..Config::default() }` changes one.
#[derive(Clone, Debug)]
pub struct Config {
    /// `net.ipv4.ip_default_ttl`, and hop limit: 64.
    pub ttl: u8,
    /// `net.ipv4.ip_local_port_range`: 32768 to 60999.
    pub local_ports: (u16, u16),
    /// Sockets of a node in all: 1,048,576.
    pub sockets_max: usize,
    /// `net.core.somaxconn`: the largest backlog, 4096.
    pub backlog_max: usize,
    /// `net.ipv4.tcp_max_syn_backlog`: half-open connections of one listener, 4096.
    pub syn_backlog_max: usize,
    /// `net.ipv4.tcp_rmem`: min, default, max in bytes.
    pub tcp_rmem: (usize, usize, usize),
    /// `net.ipv4.tcp_wmem`: min, default, max in bytes.
    pub tcp_wmem: (usize, usize, usize),
    /// `net.core.rmem_default` and `rmem_max` in bytes, for datagram sockets.
    pub rmem: (usize, usize),
    /// `net.core.wmem_default` and `wmem_max` in bytes, for datagram sockets.
    pub wmem: (usize, usize),
    /// `net.ipv4.tcp_syn_retries`: 6.
    pub tcp_syn_retries: u32,
    /// `net.ipv4.tcp_synack_retries`: 5.
    pub tcp_synack_retries: u32,
    /// `net.ipv4.tcp_retries2`: 15.
    pub tcp_retries2: u32,
    /// `net.ipv4.tcp_fin_timeout`: 60 s.
    pub tcp_fin_timeout: Duration,
    /// TIME-WAIT lasts this long (2 MSL; Linux: 60 s).
    pub tcp_time_wait: Duration,
    /// `net.ipv4.tcp_max_tw_buckets`: 262,144.
    pub tcp_time_wait_max: usize,
    /// `net.ipv4.tcp_window_scaling`: on.
    pub tcp_window_scaling: bool,
    /// `net.ipv4.tcp_timestamps`: on.
    pub tcp_timestamps: bool,
    /// `net.ipv4.tcp_sack`: on.
    pub tcp_sack: bool,
    /// `net.ipv4.tcp_congestion_control`.
    pub tcp_congestion: String,
    /// Raw and packet sockets may be opened.
    pub raw_sockets: bool,
    /// Packets may be sent from addresses that are not the node's (raw sockets with their own
    /// header).
    pub spoofing: bool,
    /// Entries of the neighbour table of one interface: 1024 (`gc_thresh3`).
    pub neighbours_max: usize,
    /// Bytes held for reassembly in all: 4 MiB (`ipfrag_high_thresh`).
    pub reassembly_max: usize,
    /// ICMP errors a second, and in one burst: 1000 and 50 (`icmp_msgs_per_sec`, `_burst`).
    pub icmp_errors: (u32, u32),
    /// Intercepted flows that wait for an answer: 4096.
    pub intercept_backlog: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: 64,
            local_ports: (32_768, 60_999),
            sockets_max: 1 << 20,
            backlog_max: 4096,
            syn_backlog_max: 4096,
            tcp_rmem: (4096, 131_072, 6_291_456),
            tcp_wmem: (4096, 16_384, 4_194_304),
            rmem: (212_992, 212_992),
            wmem: (212_992, 212_992),
            tcp_syn_retries: 6,
            tcp_synack_retries: 5,
            tcp_retries2: 15,
            tcp_fin_timeout: Duration::from_secs(60),
            tcp_time_wait: Duration::from_secs(60),
            tcp_time_wait_max: 262_144,
            tcp_window_scaling: true,
            tcp_timestamps: true,
            tcp_sack: true,
            tcp_congestion: "reno".into(),
            raw_sockets: true,
            spoofing: false,
            neighbours_max: 1024,
            reassembly_max: 4 << 20,
            icmp_errors: (1000, 50),
            intercept_backlog: 4096,
        }
    }
}
