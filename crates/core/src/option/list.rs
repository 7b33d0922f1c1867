//! The one list of socket options. The typed names come from it, the parser of raw options, and
//! docs/OPTIONS.md; an option that is not here is on no face of a node.
//!
//! A man page a part: first what works, then further numbers that mean the same, then what is
//! refused and why. The names and numbers are those of Linux.

use super::row::{Access, Layout, Row, Standing, Takes};
use crate::Error;
use Layout::{
    Cookie, Device, Exact, Flag, Int, Keys, Linger, LooseFlag, Mask, Membership, Micros, Millis,
    MulticastDevice, Name, Rate, Seconds, SecondsOrNone, SecondsOrZero, Struct, Timeval, Word,
};
use Takes::{Any, Range, Said};

/// ENOPROTOOPT, as for an option that nobody has.
const NONE: Error = Error::NoProtocolOption;
/// Seconds that the kernel's timers of TCP take at the most.
const SECONDS_MAX: i32 = 32_767;

macro_rules! access {
    (rw) => {
        Access::ReadWrite
    };
    (ro) => {
        Access::ReadOnly
    };
    (wo) => {
        Access::WriteOnly
    };
}

macro_rules! test {
    () => {
        None
    };
    ($file:literal $name:literal) => {
        Some(($file, $name))
    };
}

macro_rules! options {
    ($($page:literal {
        works {$(
            $option:ident $cname:ident = $level:literal $number:literal,
            $access:ident $layout:expr, $takes:expr, $about:literal $([$file:literal $test:literal])?;
        )*}
        also {$(
            $same:ident $scname:ident = $slevel:literal $snumber:literal,
            $saccess:ident $slayout:expr, $stakes:expr, $sabout:literal;
        )*}
        refused {$(
            $rcname:ident = $rlevel:literal $rnumber:literal, $set:expr, $get:expr, $why:literal;
        )*}
    })*) => {
        /// A socket option, named after its C name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SocketOption {$($(
            #[doc = concat!(stringify!($cname), ": ", $about, ".")]
            $option,
        )*)*}

        /// Every option, by page.
        pub static ROWS: &[Row] = &[$(
            $(Row {
                page: $page,
                level: $level,
                name: stringify!($cname),
                number: $number,
                about: $about,
                standing: Standing::Works {
                    option: SocketOption::$option,
                    access: access!($access),
                    layout: $layout,
                    takes: $takes,
                    test: test!($($file $test)?),
                },
            },)*
            $(Row {
                page: $page,
                level: $slevel,
                name: stringify!($scname),
                number: $snumber,
                about: $sabout,
                standing: Standing::Works {
                    option: SocketOption::$same,
                    access: access!($saccess),
                    layout: $slayout,
                    takes: $stakes,
                    test: None,
                },
            },)*
            $(Row {
                page: $page,
                level: $rlevel,
                name: stringify!($rcname),
                number: $rnumber,
                about: $why,
                standing: Standing::Refused { set: $set, get: $get },
            },)*
        )*];
    };
}

options! {
    "socket(7)" {
        works {
            Debug SO_DEBUG = 1 1, rw Flag, Said("0; another is EACCES without `net_admin`"), "debugging of the socket, which Linux keeps and does nothing with either"
                ["crates/tcp/src/tests/options.rs" "what_takes_a_capability_takes_the_nodes_grant"];
            ReuseAddress SO_REUSEADDR = 1 2, rw Flag, Any, "it may be bound to an address in TIME-WAIT, or beside others that say so"
                ["crates/tcp/src/tests/closing.rs" "a_server_may_be_called_again_from_the_same_port"];
            Type SO_TYPE = 1 3, ro Int, Any, "the type that socket(2) was given";
            PendingError SO_ERROR = 1 4, ro Int, Any, "the pending error, which is gone then";
            DontRoute SO_DONTROUTE = 1 5, rw Flag, Any, "only neighbours are sent to, no gateway"
                ["crates/tcp/src/tests/options.rs" "who_may_not_use_a_gateway_reaches_neighbours_only"];
            Broadcast SO_BROADCAST = 1 6, rw Flag, Any, "a datagram socket may send to broadcast addresses";
            SendBuffer SO_SNDBUF = 1 7, rw Int, Said("up to `wmem_max`, doubled, 4608 at the least; below zero is the most"), "bytes of the send buffer, which does not tune itself then"
                ["crates/tcp/src/tests/memory.rs" "a_tiny_mss"];
            ReceiveBuffer SO_RCVBUF = 1 8, rw Int, Said("up to `rmem_max`, doubled, 2304 at the least; below zero is the most"), "bytes of the receive buffer, which does not tune itself then"
                ["crates/tcp/src/tests/memory.rs" "text_that_nobody_reads"];
            KeepAlive SO_KEEPALIVE = 1 9, rw Flag, Any, "an idle connection is probed"
                ["crates/tcp/src/tests/closing.rs" "keep_alives_ask_and_the_ninth_unanswered_ends_it"];
            OobInline SO_OOBINLINE = 1 10, rw Flag, Any, "urgent data stays in the stream"
                ["crates/tcp/src/tests/urgent.rs" "inline_it_is_part_of_the_stream_and_the_mark_lies_before_it"];
            NoCheck SO_NO_CHECK = 1 11, rw Flag, Any, "no checksums, where the protocol can do without; TCP can't";
            Priority SO_PRIORITY = 1 12, rw Int, Said("0 to 6; others are EPERM without `net_admin`"), "the priority of what is sent, which links may heed (`Meta::tags`)"
                ["crates/sockeye/tests/tags.rs" "links_see_priority_and_mark"];
            Linger SO_LINGER = 1 13, rw Linger, Any, "how long close waits for the peer; zero resets"
                ["crates/tcp/src/tests/closing.rs" "lingering_for_no_time_resets"];
            BsdCompat SO_BSDCOMPAT = 1 14, rw Flag, Any, "nothing since Linux 2.2, and reads as 0";
            ReusePort SO_REUSEPORT = 1 15, rw Flag, Any, "several sockets share a port, and what arrives is spread over them"
                ["crates/tcp/src/tests/options.rs" "sockets_that_say_so_share_a_port"];
            PeerCredentials SO_PEERCRED = 1 17, ro Struct(12), Any, "whose the peer's process is: nobody's (0, -1, -1), on another host";
            ReceiveLowWater SO_RCVLOWAT = 1 18, rw Int, Said("0 counts as 1, below zero as the most; half the buffer at the most"), "bytes that make it readable"
                ["crates/tcp/src/tests/options.rs" "it_is_readable_from_the_low_water_on"];
            SendLowWater SO_SNDLOWAT = 1 19, ro Int, Any, "1: bytes that make it writable are not for choice";
            ReceiveTimeout SO_RCVTIMEO = 1 20, rw Timeval, Said("0 is none; microseconds below a million, else EDOM"), "how long a receive blocks"
                ["crates/sockeye/tests/blocking.rs" "a_read_gives_up_after_its_timeout"];
            SendTimeout SO_SNDTIMEO = 1 21, rw Timeval, Said("0 is none; microseconds below a million, else EDOM"), "how long a send blocks"
                ["crates/sockeye/tests/blocking.rs" "a_write_gives_up_when_nobody_reads"];
            BindToDevice SO_BINDTODEVICE = 1 25, rw Device, Said("a name, or an empty one for any"), "the interface that packets come by and leave by"
                ["crates/tcp/src/tests/options.rs" "one_interface_is_all_that_it_uses"];
            Timestamp SO_TIMESTAMP = 1 29, rw Flag, Said("takes the place of SO_TIMESTAMPNS; under `sockeye run` a stream's is ENOPROTOOPT"), "recvmsg tells when the data arrived, of a stream the last of it, in microseconds"
                ["crates/sockeye/tests/timestamps.rs" "a_stream_tells_when_what_was_read_arrived"];
            AcceptConnections SO_ACCEPTCONN = 1 30, ro Flag, Any, "whether it listens";
            SendBufferForce SO_SNDBUFFORCE = 1 32, wo Int, Said("EPERM without `net_admin`"), "SO_SNDBUF beyond `wmem_max`"
                ["crates/tcp/src/tests/options.rs" "what_takes_a_capability_takes_the_nodes_grant"];
            ReceiveBufferForce SO_RCVBUFFORCE = 1 33, wo Int, Said("EPERM without `net_admin`"), "SO_RCVBUF beyond `rmem_max`"
                ["crates/tcp/src/tests/options.rs" "what_takes_a_capability_takes_the_nodes_grant"];
            TimestampNs SO_TIMESTAMPNS = 1 35, rw Flag, Said("takes the place of SO_TIMESTAMP; under `sockeye run` a stream's is ENOPROTOOPT"), "SO_TIMESTAMP in nanoseconds"
                ["crates/sockeye/tests/timestamps.rs" "a_datagram_tells_when_it_arrived"];
            Mark SO_MARK = 1 36, rw Int, Said("EPERM without `net_admin` or `raw_sockets`"), "a number that what is sent has in this node, which links may heed (`Meta::tags`)"
                ["crates/sockeye/tests/tags.rs" "links_see_priority_and_mark"];
            Protocol SO_PROTOCOL = 1 38, ro Int, Any, "the protocol that socket(2) was given or has chosen";
            Domain SO_DOMAIN = 1 39, ro Int, Any, "the domain that socket(2) was given";
            OverflowCount SO_RXQ_OVFL = 1 40, rw Flag, Any, "recvmsg tells how many datagrams were dropped; a stream drops none";
            PeekOffset SO_PEEK_OFF = 1 42, rw Int, Said("-1: peeking starts at the front and moves nothing"), "where the next MSG_PEEK starts, moved by peeks and reads"
                ["crates/tcp/src/tests/options.rs" "peeks_go_on_where_the_last_one_ended"];
            LockFilter SO_LOCK_FILTER = 1 44, rw Flag, Said("0 is EPERM once it was set"), "the filter can't change any more; there is none";
            SelectErrorQueue SO_SELECT_ERR_QUEUE = 1 45, rw Flag, Any, "an error in the queue is an exceptional condition for select(2), too";
            MaxPacingRate SO_MAX_PACING_RATE = 1 47, rw Rate, Any, "bytes a second that are sent at the most; all ones: no limit"
                ["crates/tcp/src/tests/options.rs" "it_is_paced_no_faster_than_it_was_told"];
            IncomingCpu SO_INCOMING_CPU = 1 49, rw Int, Said("-1 until it is set"), "what was set: whoever has work runs the node, on any CPU, so that no member of a SO_REUSEPORT group is nearer"
                ["crates/tcp/src/tests/options.rs" "the_cpu_that_was_set_is_told"];
            ConnectionAdvice SO_CNX_ADVICE = 1 53, wo Int, Any, "1: the way to the peer is bad, another one is to be found"
                ["crates/tcp/src/tests/options.rs" "another_way_is_looked_for_when_this_one_is_said_to_be_bad"];
            MemoryInfo SO_MEMINFO = 1 55, ro Struct(36), Any, "bytes held and their limits, as SK_MEMINFO_* numbers them";
            IncomingNapiId SO_INCOMING_NAPI_ID = 1 56, ro Int, Any, "0: links have no NAPI";
            Cookie SO_COOKIE = 1 57, ro Cookie, Any, "a number that no other socket of the node has";
            ZeroCopy SO_ZEROCOPY = 1 60, rw Int, Range(0, 1), "sends with MSG_ZEROCOPY are told in the error queue when they are over, as copied: what is written is copied once, into memory that segments share"
                ["crates/tcp/src/tests/reports.rs" "a_zero_copy_send_is_over_when_it_was_acknowledged"];
            BindToIndex SO_BINDTOIFINDEX = 1 62, rw Int, Range(0, i32::MAX), "SO_BINDTODEVICE by number"
                ["crates/tcp/src/tests/options.rs" "one_interface_is_all_that_it_uses"];
            BufferLock SO_BUF_LOCK = 1 72, rw Int, Range(0, 3), "which buffers do not tune themselves: 1 the send buffer, 2 the receive buffer"
                ["crates/tcp/src/tests/options.rs" "locked_buffers_stay"];
            TransmitRehash SO_TXREHASH = 1 74, rw Int, Range(-1, 1), "a time-out changes the flow label, so that another path may be taken; -1 is the default, 1"
                ["crates/tcp/src/tests/options.rs" "a_time_out_changes_the_flow_label_unless_told_not_to"];
        }
        also {
            ReceiveTimeout SO_RCVTIMEO_NEW = 1 66, rw Timeval, Said("as SO_RCVTIMEO"), "SO_RCVTIMEO with 64 bits on every machine";
            SendTimeout SO_SNDTIMEO_NEW = 1 67, rw Timeval, Said("as SO_SNDTIMEO"), "SO_SNDTIMEO with 64 bits on every machine";
        }
        refused {
            SO_PASSCRED = 1 16, Error::NotSupported, Error::NotSupported, "credentials pass through AF_UNIX alone; the same errno as Linux's";
            SO_SECURITY_AUTHENTICATION = 1 22, NONE, NONE, "no Linux has it";
            SO_SECURITY_ENCRYPTION_TRANSPORT = 1 23, NONE, NONE, "no Linux has it";
            SO_SECURITY_ENCRYPTION_NETWORK = 1 24, NONE, NONE, "no Linux has it";
            SO_ATTACH_FILTER = 1 26, NONE, NONE, "filter programs are run by a kernel";
            SO_DETACH_FILTER = 1 27, Error::NoEntry, NONE, "there is never a filter; SO_DETACH_BPF has the same number";
            SO_PEERNAME = 1 28, NONE, NONE, "getpeername(2) tells it";
            SO_PEERSEC = 1 31, NONE, NONE, "security labels are a kernel's";
            SO_PASSSEC = 1 34, Error::NotSupported, Error::NotSupported, "security labels pass through AF_UNIX alone";
            SO_TIMESTAMPING = 1 37, NONE, NONE, "SO_TIMESTAMPNS tells when data arrived; when it left is seen by links alone";
            SO_WIFI_STATUS = 1 41, NONE, NONE, "links are not wireless";
            SO_NOFCS = 1 43, NONE, NONE, "links add no frame check sequence";
            SO_BUSY_POLL = 1 46, NONE, NONE, "a kernel's drivers are polled, not a node's";
            SO_BPF_EXTENSIONS = 1 48, NONE, NONE, "BPF programs are objects of a kernel";
            SO_ATTACH_BPF = 1 50, NONE, NONE, "BPF programs are objects of a kernel";
            SO_ATTACH_REUSEPORT_CBPF = 1 51, NONE, NONE, "filter programs are run by a kernel";
            SO_ATTACH_REUSEPORT_EBPF = 1 52, NONE, NONE, "BPF programs are objects of a kernel";
            SO_PEERGROUPS = 1 59, NONE, NONE, "groups pass through AF_UNIX alone";
            SO_TXTIME = 1 61, NONE, NONE, "no link sends at a given time";
            SO_TIMESTAMP_NEW = 1 63, NONE, NONE, "libraries for 64 bits ask by SO_TIMESTAMP";
            SO_TIMESTAMPNS_NEW = 1 64, NONE, NONE, "libraries for 64 bits ask by SO_TIMESTAMPNS";
            SO_TIMESTAMPING_NEW = 1 65, NONE, NONE, "as SO_TIMESTAMPING";
            SO_DETACH_REUSEPORT_BPF = 1 68, Error::Invalid, NONE, "there is never a program";
            SO_PREFER_BUSY_POLL = 1 69, NONE, NONE, "a kernel's drivers are polled, not a node's";
            SO_BUSY_POLL_BUDGET = 1 70, NONE, NONE, "a kernel's drivers are polled, not a node's";
            SO_NETNS_COOKIE = 1 71, NONE, NONE, "namespaces are a kernel's";
            SO_RESERVE_MEM = 1 73, Error::NotSupported, NONE, "memory is accounted to no control group; the same errno as Linux's without one";
            SO_RCVMARK = 1 75, NONE, NONE, "nothing marks packets that arrive";
            SO_PASSPIDFD = 1 76, Error::NotSupported, Error::NotSupported, "process descriptors pass through AF_UNIX alone";
            SO_PEERPIDFD = 1 77, NONE, NONE, "process descriptors pass through AF_UNIX alone";
            SO_DEVMEM_LINEAR = 1 78, NONE, NONE, "links have no device memory";
            SO_DEVMEM_DMABUF = 1 79, NONE, NONE, "links have no device memory";
            SO_DEVMEM_DONTNEED = 1 80, Error::Invalid, NONE, "links have no device memory";
            SO_RCVPRIORITY = 1 82, NONE, NONE, "nothing gives packets that arrive a priority";
            SO_PASSRIGHTS = 1 83, Error::NotSupported, Error::NotSupported, "descriptors pass through AF_UNIX alone";
            SO_INQ = 1 84, NONE, NONE, "it is AF_UNIX's; a stream of TCP has TCP_INQ";
        }
    }
    "tcp(7)" {
        works {
            NoDelay TCP_NODELAY = 6 1, rw Flag, Any, "small segments do not wait for acknowledgments (Nagle)"
                ["crates/tcp/src/tests/sending.rs" "nagle_holds_a_small_segment_while_another_is_out"];
            MaxSegment TCP_MAXSEG = 6 2, rw Int, Said("0 or 88 to 32767"), "bytes of text of the largest segment"
                ["crates/tcp/src/tests/options.rs" "segments_are_no_larger_than_it_was_told"];
            Cork TCP_CORK = 6 3, rw Flag, Any, "only full segments are sent, for 200 ms at the most"
                ["crates/tcp/src/tests/sending.rs" "cork_holds_what_is_not_full_for_200_ms_at_most"];
            KeepIdle TCP_KEEPIDLE = 6 4, rw Seconds, Range(1, SECONDS_MAX), "idle time before the first keep-alive probe"
                ["crates/tcp/src/tests/options.rs" "keep_alives_come_when_and_as_often_as_they_were_told"];
            KeepInterval TCP_KEEPINTVL = 6 5, rw Seconds, Range(1, SECONDS_MAX), "time between keep-alive probes"
                ["crates/tcp/src/tests/options.rs" "keep_alives_come_when_and_as_often_as_they_were_told"];
            KeepCount TCP_KEEPCNT = 6 6, rw Int, Range(1, 127), "keep-alive probes before the connection ends"
                ["crates/tcp/src/tests/options.rs" "keep_alives_come_when_and_as_often_as_they_were_told"];
            SynCount TCP_SYNCNT = 6 7, rw Int, Range(1, 127), "SYNs that are sent again before an attempt ends"
                ["crates/tcp/src/tests/options.rs" "a_syn_goes_again_as_often_as_it_was_told"];
            Linger2 TCP_LINGER2 = 6 8, rw SecondsOrNone, Said("up to 120; 0 is `tcp_fin_timeout`; below zero: not at all"), "how long an orphan stays in FIN-WAIT-2"
                ["crates/tcp/src/tests/closing.rs" "linger2_shortens_the_wait_and_a_held_socket_has_none"];
            DeferAccept TCP_DEFER_ACCEPT = 6 9, rw SecondsOrZero, Said("rounded up to the end of a retransmission of the SYN and ACK"), "a connection is not shown before it has data"
                ["crates/tcp/src/tests/listening.rs" "a_deferred_accept_waits_for_text"];
            WindowClamp TCP_WINDOW_CLAMP = 6 10, rw Int, Said("1152 at the least; 0 takes it off, where nothing is open"), "bytes of the largest window that is offered"
                ["crates/tcp/src/tests/options.rs" "the_window_is_clamped"];
            Info TCP_INFO = 6 11, ro Struct(280), Any, "a connection's figures, struct tcp_info"
                ["crates/sockeye/src/socket/tcp_info.rs" "fields_lie_where_linux_has_them"];
            QuickAck TCP_QUICKACK = 6 12, rw Flag, Any, "acknowledgments are not delayed for now"
                ["crates/tcp/src/tests/options.rs" "a_new_connection_delays_its_acknowledgments_if_it_was_told"];
            Congestion TCP_CONGESTION = 6 13, rw Name, Said("a name that the node knows, else ENOENT"), "the congestion control"
                ["crates/tcp/src/tests/options.rs" "another_congestion_control_takes_over"];
            Md5Key TCP_MD5SIG = 6 14, wo Struct(216), Said("struct tcp_md5sig; a key of no bytes takes it away"), "segments to and from a peer are signed (RFC 2385)"
                ["tests/interop/md5.rs" "signed_connections_both_ways"];
            ThinLinearTimeouts TCP_THIN_LINEAR_TIMEOUTS = 6 16, rw Int, Range(0, 1), "a stream of few segments in flight does not back off at once"
                ["crates/tcp/src/tests/options.rs" "a_thin_stream_backs_off_after_six_time_outs"];
            ThinDupAck TCP_THIN_DUPACK = 6 17, rw Int, Range(0, 1), "nothing since Linux 4.11, and reads as 0";
            UserTimeout TCP_USER_TIMEOUT = 6 18, rw Millis, Range(0, i32::MAX), "how long what was sent may stay unacknowledged"
                ["crates/tcp/src/tests/sending.rs" "a_silent_peer_is_given_up_after_retries2_and_the_user_time_out_comes_before"];
            TimestampClock TCP_TIMESTAMP = 6 24, rw Int, Said("EPERM: setting it is for repair"), "the clock of the timestamps that are sent"
                ["crates/tcp/src/tests/options.rs" "the_clock_of_timestamps_is_told"];
            SaveSyn TCP_SAVE_SYN = 6 27, rw Int, Range(0, 2), "a listener keeps the headers of SYNs for TCP_SAVED_SYN: 1 from IP's on, 2 from the link's on"
                ["crates/tcp/src/tests/saved_syn.rs" "who_accepts_reads_the_headers_of_the_syn_once"];
            SavedSyn TCP_SAVED_SYN = 6 28, ro Struct(256), Any, "the headers of the SYN that made an accepted connection, once; EINVAL when they do not fit"
                ["crates/sockeye/tests/blocking.rs" "the_headers_of_a_syn_are_read_once"];
            FastOpen TCP_FASTOPEN = 6 23, rw Int, Range(0, i32::MAX), "connections of a listener that may be unproven at a time; 0: no Fast Open"
                ["crates/tcp/src/tests/fast_open.rs" "unproven_connections_have_a_limit_and_resets_count_for_a_minute"];
            FastOpenConnect TCP_FASTOPEN_CONNECT = 6 30, rw Int, Range(0, 1), "where there is a cookie, connect leaves the SYN to the first send"
                ["crates/tcp/src/tests/fast_open.rs" "connect_waits_for_text_where_there_is_a_cookie"];
            FastOpenKey TCP_FASTOPEN_KEY = 6 33, rw Keys, Said("a key of 16 bytes, or two, the one in use first"), "what a listener's cookies are made of"
                ["crates/tcp/src/tests/fast_open.rs" "cookies_are_checked"];
            FastOpenNoCookie TCP_FASTOPEN_NO_COOKIE = 6 34, rw Int, Range(0, 1), "Fast Open needs no cookie"
                ["crates/tcp/src/tests/fast_open.rs" "without_a_cookie_where_that_is_allowed"];
            Inq TCP_INQ = 6 36, rw Int, Range(0, 1), "recvmsg tells how much can still be read, with the peer's FIN as one byte more"
                ["crates/sockeye/tests/blocking.rs" "a_read_tells_how_much_is_left"];
            NotSentLowWater TCP_NOTSENT_LOWAT = 6 25, rw Int, Said("an unsigned int; 0 is the node's own"), "bytes not sent that make it unwritable"
                ["crates/tcp/src/tests/options.rs" "it_is_writable_while_little_is_unsent"];
            CongestionInfo TCP_CC_INFO = 6 26, ro Struct(20), Any, "figures of the congestion control, where it has some";
            AoAddKey TCP_AO_ADD_KEY = 6 38, wo Struct(288), Said("struct tcp_ao_add; hmac(sha1), hmac(sha256) or cmac(aes128), else ENOENT"), "another master key for segments to and from some peers (RFC 5925)"
                ["crates/tcp/src/tests/authentication.rs" "everything_is_signed_from_the_syn_to_the_last_acknowledgment"];
            AoDeleteKey TCP_AO_DEL_KEY = 6 39, wo Struct(144), Said("struct tcp_ao_del; EBUSY for a key in use"), "takes a master key away"
                ["crates/tcp/src/tests/authentication.rs" "keys_roll_over_in_mid_stream"];
            AoInfo TCP_AO_INFO = 6 40, rw Struct(48), Said("struct tcp_ao_info_opt"), "which keys are in use, whether TCP-AO is required, what became of segments"
                ["crates/tcp/src/tests/authentication.rs" "keys_roll_over_in_mid_stream"];
            AoKeys TCP_AO_GET_KEYS = 6 41, ro Struct(304), Any, "the master keys: an array, of which the first says which are wanted"
                ["crates/sockeye/src/socket/authentication_option/tests.rs" "all_master_keys_are_shown_for_which_there_is_room"];
            IsMultipath TCP_IS_MPTCP = 6 43, ro Int, Any, "0: there is no multipath";
            RtoMax TCP_RTO_MAX_MS = 6 44, rw Millis, Range(1000, 120_000), "the longest retransmission time-out"
                ["crates/tcp/src/tests/options.rs" "a_time_out_is_as_long_as_the_bounds_say"];
            RtoMin TCP_RTO_MIN_US = 6 45, rw Micros, Range(4001, 200_000), "the least retransmission time-out beyond SRTT"
                ["crates/tcp/src/tests/options.rs" "a_time_out_is_as_long_as_the_bounds_say"];
            DelayedAckMax TCP_DELACK_MAX_US = 6 46, rw Micros, Range(4001, 200_000), "the longest that an acknowledgment is delayed"
                ["crates/tcp/src/tests/options.rs" "an_acknowledgment_is_delayed_as_long_as_its_bound_says"];
        }
        also {}
        refused {
            TCP_COOKIE_TRANSACTIONS = 6 15, NONE, NONE, "Linux dropped it in 3.10";
            TCP_REPAIR = 6 19, Error::NotPermitted, NONE, "a connection's insides are not for programs";
            TCP_REPAIR_QUEUE = 6 20, Error::NotPermitted, Error::Invalid, "a connection's insides are not for programs";
            TCP_QUEUE_SEQ = 6 21, Error::NotPermitted, Error::Invalid, "a connection's insides are not for programs";
            TCP_REPAIR_OPTIONS = 6 22, Error::NotPermitted, NONE, "a connection's insides are not for programs";
            TCP_REPAIR_WINDOW = 6 29, Error::NotPermitted, Error::NotPermitted, "a connection's insides are not for programs";
            TCP_ULP = 6 31, Error::NoEntry, NONE, "protocols above TCP are modules of a kernel";
            TCP_MD5SIG_EXT = 6 32, NONE, NONE, "keys are for one address, not for networks or routing domains; see TCP_AO_ADD_KEY";
            TCP_ZEROCOPY_RECEIVE = 6 35, NONE, Error::Invalid, "received pages are mapped by a kernel";
            TCP_TX_DELAY = 6 37, NONE, NONE, "the link stage `netem` delays";
            TCP_AO_REPAIR = 6 42, Error::NotPermitted, Error::NotPermitted, "a connection's insides are not for programs";
        }
    }
    "udp(7)" {
        works {
            UdpCork UDP_CORK = 17 1, rw Flag, Any, "what is sent is kept and put together into one datagram, until it is taken off"
                ["crates/udp/src/tests/corking.rs" "what_is_corked_leaves_as_one_datagram"];
            UdpEncapsulation UDP_ENCAP = 17 100, rw Int, Said("0; others are ENOPROTOOPT: IPsec, L2TP and their like are modules of a kernel"), "datagrams carry another protocol";
            UdpNoCheck6Tx UDP_NO_CHECK6_TX = 17 101, rw Flag, Any, "datagrams over IPv6 have no checksum (RFC 6935, RFC 6936)"
                ["crates/udp/src/tests/checksums.rs" "without_checksums_over_ipv6_where_both_agree"];
            UdpNoCheck6Rx UDP_NO_CHECK6_RX = 17 102, rw Flag, Any, "datagrams over IPv6 without checksum are taken (RFC 6935, RFC 6936)"
                ["crates/udp/src/tests/checksums.rs" "without_checksums_over_ipv6_where_both_agree"];
            UdpSegment UDP_SEGMENT = 17 103, rw Int, Range(0, 65_535), "bytes of each datagram that a longer send is cut into"
                ["crates/udp/src/tests/sending.rs" "one_send_is_cut_into_datagrams_of_one_size"];
            UdpGro UDP_GRO = 17 104, rw Flag, Any, "datagrams of one flow may be received together"
                ["crates/udp/src/tests/delivery.rs" "joined_datagrams_are_taken_apart_unless_the_socket_wants_them"];
            SendCoverage UDPLITE_SEND_CSCOV = 136 10, rw Int, Said("0 for all, else held to 8 to 65,535"), "bytes of each datagram that its checksum covers (RFC 3828)"
                ["crates/udp/src/tests/lite.rs" "the_checksum_covers_what_was_asked_for"];
            ReceiveCoverage UDPLITE_RECV_CSCOV = 136 11, rw Int, Said("0 for all, else held to 8 to 65,535; unless it is set any will do"), "bytes that the checksum of a datagram covers at the least, which is dropped else (RFC 3828)"
                ["crates/udp/src/tests/lite.rs" "too_small_a_coverage_is_not_received"];
        }
        also {
            UdpCork UDP_CORK = 136 1, rw Flag, Any, "as at the level of UDP";
            UdpEncapsulation UDP_ENCAP = 136 100, rw Int, Said("as at the level of UDP"), "as at the level of UDP";
            UdpNoCheck6Tx UDP_NO_CHECK6_TX = 136 101, rw Flag, Any, "as at the level of UDP; UDP-Lite has no use for it";
            UdpNoCheck6Rx UDP_NO_CHECK6_RX = 136 102, rw Flag, Any, "as at the level of UDP; UDP-Lite has no use for it";
            UdpSegment UDP_SEGMENT = 136 103, rw Int, Range(0, 65_535), "as at the level of UDP; a UDP-Lite socket that has it set can't send (EIO)";
            UdpGro UDP_GRO = 136 104, rw Flag, Any, "as at the level of UDP";
            SendCoverage UDPLITE_SEND_CSCOV = 17 10, rw Int, Said("as at its own level"), "as at its own level";
            ReceiveCoverage UDPLITE_RECV_CSCOV = 17 11, rw Int, Said("as at its own level"), "as at its own level";
        }
        refused {}
    }
    "ip(7)" {
        works {
            Tos IP_TOS = 0 1, rw Int, Any, "the TOS of what is sent";
            Ttl IP_TTL = 0 2, rw Int, Said("1 to 255, -1 for the default"), "the TTL of what is sent";
            HeaderIncluded IP_HDRINCL = 0 3, rw Flag, Any, "what a raw socket sends starts with the IP header";
            IpOptions IP_OPTIONS = 0 4, rw Struct(64), Said("up to 40 bytes; of a stream no source route (EPERM)"), "the IP options of what is sent (RFC 791 §3.1), of a stream of every segment"
                ["crates/tcp/src/tests/options.rs" "ip_options_travel_in_every_segment"];
            RouterAlert IP_ROUTER_ALERT = 0 5, rw Flag, Said("of a raw socket for another protocol than 255, else EINVAL; twice EADDRINUSE"), "packets of its protocol that carry a router alert (RFC 2113) are handed to it, where they would be sent on"
                ["crates/node/tests/nodes/forward/alerts.rs" "who_has_asked_gets_them_instead_of_the_next_router"];
            ReceiveOptions IP_RECVOPTS = 0 6, rw Flag, Any, "recvmsg tells the IP options"
                ["crates/udp/src/tests/headers.rs" "ip_options_travel_in_every_packet"];
            ReturnOptions IP_RETOPTS = 0 7, rw Flag, Any, "recvmsg tells the IP options as they would be answered with"
                ["crates/udp/src/tests/headers.rs" "ip_options_travel_in_every_packet"];
            PacketInfo IP_PKTINFO = 0 8, rw Flag, Any, "recvmsg tells interface and destination";
            MtuDiscover IP_MTU_DISCOVER = 0 10, rw Int, Said("IP_PMTUDISC_*"), "what is done about the size of packets";
            ReceiveErrors IP_RECVERR = 0 11, rw Flag, Any, "errors are told at once"
                ["crates/udp/src/tests/errors.rs" "who_hears_what"];
            ReceiveTtl IP_RECVTTL = 0 12, rw Flag, Any, "recvmsg tells the TTL";
            ReceiveTos IP_RECVTOS = 0 13, rw Flag, Any, "recvmsg tells the TOS";
            Mtu IP_MTU = 0 14, ro Int, Any, "the MTU of a connected socket's path";
            FreeBind IP_FREEBIND = 0 15, rw Flag, Any, "it may be bound to an address that the node does not have";
            PassSecurity IP_PASSSEC = 0 18, rw Flag, Any, "recvmsg tells the security label of what arrives; packets have none here";
            Transparent IP_TRANSPARENT = 0 19, rw Flag, Said("EPERM without `net_admin` or `raw_sockets`"), "it may be bound to any address, and sends from it"
                ["crates/udp/src/tests/states.rs" "who_is_transparent_sends_from_any_address"];
            OriginalDestination IP_RECVORIGDSTADDR = 0 20, rw Flag, Any, "recvmsg tells address and port that a datagram was sent to"
                ["crates/udp/src/tests/headers.rs" "recvmsg_tells_in_the_order_of_linux"];
            MinTtl IP_MINTTL = 0 21, rw Int, Range(0, 255), "segments of TCP that have a smaller TTL are dropped (RFC 5082); as on Linux it means nothing to datagrams"
                ["crates/tcp/src/tests/options.rs" "who_comes_from_too_far_is_not_heard"];
            NoDefragment IP_NODEFRAG = 0 22, rw Flag, Said("of a raw socket; else ENOPROTOOPT"), "what it sends is not put together by the connection tracker, which a node does not have";
            ReceiveChecksum IP_CHECKSUM = 0 23, rw Flag, Any, "recvmsg tells the sum of the packet where the link has made it over all of it; no link of a node does";
            BindAddressNoPort IP_BIND_ADDRESS_NO_PORT = 0 24, rw Flag, Any, "what is bound to an address with port 0 gets its port when it connects: one that connections to other peers may have too"
                ["crates/tcp/src/tests/opening.rs" "an_address_is_bound_and_the_port_left_to_connect"];
            ReceiveFragmentSize IP_RECVFRAGSIZE = 0 25, rw Flag, Said("of a stream: EINVAL"), "recvmsg tells the size of the largest fragment of a datagram"
                ["crates/udp/src/tests/headers.rs" "the_largest_fragment_is_told"];
            MulticastInterface IP_MULTICAST_IF = 0 32, rw MulticastDevice, Said("an address or an interface"), "the interface that groups are reached by";
            MulticastTtl IP_MULTICAST_TTL = 0 33, rw Int, Said("0 to 255, -1 for the default"), "the TTL of what is sent to groups";
            MulticastLoop IP_MULTICAST_LOOP = 0 34, rw Flag, Any, "what is sent to a group is heard by the node itself";
            AddMembership IP_ADD_MEMBERSHIP = 0 35, wo Membership, Said("a group, and an address or an interface"), "joins a group";
            DropMembership IP_DROP_MEMBERSHIP = 0 36, wo Membership, Said("a group, and an address or an interface"), "leaves a group";
            UnblockSource IP_UNBLOCK_SOURCE = 0 37, wo Membership, Said("struct ip_mreq_source"), "hears a source of a group again"
                ["crates/core/src/multicast/tests/sockets.rs" "calls_and_what_they_return"];
            BlockSource IP_BLOCK_SOURCE = 0 38, wo Membership, Said("struct ip_mreq_source"), "no longer hears a source of a group"
                ["crates/core/src/multicast/tests/sockets.rs" "calls_and_what_they_return"];
            AddSourceMembership IP_ADD_SOURCE_MEMBERSHIP = 0 39, wo Membership, Said("struct ip_mreq_source"), "joins a source of a group"
                ["crates/udp/src/tests/groups.rs" "who_hears_whom"];
            DropSourceMembership IP_DROP_SOURCE_MEMBERSHIP = 0 40, wo Membership, Said("struct ip_mreq_source"), "leaves a source of a group"
                ["crates/core/src/multicast/tests/sockets.rs" "calls_and_what_they_return"];
            MsFilter IP_MSFILTER = 0 41, rw Membership, Said("struct ip_msfilter; no more than `igmp_max_msf` sources"), "the sources of a group that are heard, or are not"
                ["tests/interop/group_options.rs" "calls_about_groups_are_as_the_kernels"];
            JoinGroup MCAST_JOIN_GROUP = 0 42, wo Membership, Said("struct group_req"), "joins a group (RFC 3678)"
                ["tests/interop/group_options.rs" "calls_about_groups_are_as_the_kernels"];
            BlockSourceOfGroup MCAST_BLOCK_SOURCE = 0 43, wo Membership, Said("struct group_source_req"), "no longer hears a source of a group"
                ["tests/interop/group_options.rs" "calls_about_groups_are_as_the_kernels"];
            UnblockSourceOfGroup MCAST_UNBLOCK_SOURCE = 0 44, wo Membership, Said("struct group_source_req"), "hears a source of a group again"
                ["tests/interop/group_options.rs" "calls_about_groups_are_as_the_kernels"];
            LeaveGroup MCAST_LEAVE_GROUP = 0 45, wo Membership, Said("struct group_req"), "leaves a group"
                ["tests/interop/group_options.rs" "calls_about_groups_are_as_the_kernels"];
            JoinSourceGroup MCAST_JOIN_SOURCE_GROUP = 0 46, wo Membership, Said("struct group_source_req"), "joins a source of a group"
                ["tests/interop/group_options.rs" "calls_about_groups_are_as_the_kernels"];
            LeaveSourceGroup MCAST_LEAVE_SOURCE_GROUP = 0 47, wo Membership, Said("struct group_source_req"), "leaves a source of a group"
                ["tests/interop/group_options.rs" "calls_about_groups_are_as_the_kernels"];
            GroupFilter MCAST_MSFILTER = 0 48, rw Membership, Said("struct group_filter; no more than `igmp_max_msf` or `mld_max_msf` sources"), "the sources of a group that are heard, or are not"
                ["tests/interop/group_options.rs" "calls_about_groups_are_as_the_kernels"];
            MulticastAll IP_MULTICAST_ALL = 0 49, rw Int, Range(0, 1), "it hears groups of its port that others have joined"
                ["crates/udp/src/tests/groups.rs" "who_hears_whom"];
            UnicastInterface IP_UNICAST_IF = 0 50, rw Word, Said("an interface in network byte order"), "the interface that hosts are reached by, unless the socket is bound to one"
                ["crates/udp/src/tests/sending.rs" "hosts_are_reached_by_the_interface_of_choice"];
            LocalPortRange IP_LOCAL_PORT_RANGE = 0 51, rw Word, Said("two shorts, the lower in the low half; 0 for the node's"), "the ports that it may get by itself"
                ["crates/udp/src/tests/states.rs" "a_port_comes_from_the_sockets_own_range"];
            ProtocolNumber IP_PROTOCOL = 0 52, ro Int, Any, "what Linux keeps of the protocol: of a raw socket its number, else the bound port";
        }
        also {}
        refused {
            IP_PKTOPTIONS = 0 9, NONE, NONE, "what recvmsg tells of a datagram; a stream has none";
            IP_IPSEC_POLICY = 0 16, Error::NotPermitted, NONE, "policies of IPsec are a kernel's";
            IP_RECVERR_RFC4884 = 0 26, NONE, NONE, "where the extensions of an ICMP message lie is not looked for";
            IP_XFRM_POLICY = 0 17, Error::NotPermitted, NONE, "policies of IPsec are a kernel's";
            SO_ORIGINAL_DST = 0 80, NONE, Error::NoEntry, "nobody has turned a connection of a node elsewhere; Linux says so, too, where it tracks connections";
        }
    }
    "ipv6(7)" {
        works {
            AddressForm IPV6_ADDRFORM = 41 1, rw Int, Said("AF_INET, of a socket that is connected to a mapped address; else ENOTCONN, EADDRNOTAVAIL"), "turns an IPv6 socket into one of IPv4; refused (EADDRNOTAVAIL), as a socket of a node keeps its family: connected, it reads as AF_INET6";
            OldPacketInfo IPV6_2292PKTINFO = 41 2, rw Flag, Any, "IPV6_RECVPKTINFO with the numbers of RFC 2292";
            OldHopOptions IPV6_2292HOPOPTS = 41 3, rw Flag, Any, "IPV6_RECVHOPOPTS with the numbers of RFC 2292";
            OldDestinationOptions IPV6_2292DSTOPTS = 41 4, rw Flag, Any, "IPV6_RECVDSTOPTS with the numbers of RFC 2292";
            OldRoutingHeader IPV6_2292RTHDR = 41 5, rw Flag, Any, "IPV6_RECVRTHDR with the numbers of RFC 2292";
            OldHopLimit IPV6_2292HOPLIMIT = 41 8, rw Flag, Any, "IPV6_RECVHOPLIMIT with the numbers of RFC 2292";
            ReceiveFlowInfo IPV6_FLOWINFO = 41 11, rw Flag, Any, "recvmsg tells traffic class and flow label"
                ["crates/udp/src/tests/headers.rs" "recvmsg_tells_in_the_order_of_linux"];
            UnicastHops IPV6_UNICAST_HOPS = 41 16, rw Int, Said("0 to 255, -1 for the default"), "the hop limit of what is sent";
            MulticastInterfaceV6 IPV6_MULTICAST_IF = 41 17, rw Int, Said("an interface"), "the interface that groups are reached by";
            MulticastHops IPV6_MULTICAST_HOPS = 41 18, rw Int, Said("0 to 255, -1 for the default"), "the hop limit of what is sent to groups";
            MulticastLoopV6 IPV6_MULTICAST_LOOP = 41 19, rw Int, Range(0, 1), "what is sent to a group is heard by the node itself";
            AddMembershipV6 IPV6_ADD_MEMBERSHIP = 41 20, wo Membership, Said("a group and an interface"), "joins a group";
            DropMembershipV6 IPV6_DROP_MEMBERSHIP = 41 21, wo Membership, Said("a group and an interface"), "leaves a group";
            MulticastAllV6 IPV6_MULTICAST_ALL = 41 29, rw Flag, Any, "it hears groups of its port that others have joined"
                ["crates/udp/src/tests/groups.rs" "who_hears_whom"];
            RouterAlertV6 IPV6_ROUTER_ALERT = 41 22, rw Int, Said("of a raw socket for protocol 255, else ENOPROTOOPT; twice EADDRINUSE; below zero takes it back"), "packets that carry a router alert (RFC 2711) of this value are handed to it, where they would be sent on; reads as whether another number than 0 was set"
                ["crates/node/tests/nodes/forward/alerts.rs" "over_ipv6_the_value_says_whose_it_is"];
            MtuDiscoverV6 IPV6_MTU_DISCOVER = 41 23, rw Int, Said("IPV6_PMTUDISC_*"), "what is done about the size of packets";
            MtuV6 IPV6_MTU = 41 24, rw Int, Said("0 or from 1280 on"), "set, the size that what is sent is fragmented to; read, the MTU of a connected socket's path"
                ["crates/udp/src/tests/headers.rs" "ipv6_mtu_says_how_large_fragments_are"];
            ReceiveErrorsV6 IPV6_RECVERR = 41 25, rw Flag, Any, "errors are told at once";
            OnlyV6 IPV6_V6ONLY = 41 26, rw Flag, Any, "it does without IPv4";
            RouterAlertIsolate IPV6_ROUTER_ALERT_ISOLATE = 41 30, rw Flag, Any, "of IPV6_ROUTER_ALERT";
            SendFlowInfo IPV6_FLOWINFO_SEND = 41 33, rw Flag, Any, "what the address of a send says of flow label and traffic class counts"
                ["crates/udp/src/tests/headers.rs" "flow_labels"];
            ReceivePacketInfoV6 IPV6_RECVPKTINFO = 41 49, rw Flag, Any, "recvmsg tells interface and destination";
            StickyPacketInfo IPV6_PKTINFO = 41 50, wo Struct(20), Said("struct in6_pktinfo"), "interface and source of what is sent"
                ["crates/udp/src/tests/headers.rs" "sticky_packet_info_is_for_every_send"];
            ReceiveHopLimit IPV6_RECVHOPLIMIT = 41 51, rw Flag, Any, "recvmsg tells the hop limit";
            ReceiveHopOptions IPV6_RECVHOPOPTS = 41 53, rw Flag, Any, "recvmsg tells the hop-by-hop options"
                ["crates/udp/src/tests/headers.rs" "extension_headers_travel_in_their_order"];
            HopOptions IPV6_HOPOPTS = 41 54, rw Struct(2048), Said("a header; none takes it away; EPERM without `raw_sockets`"), "the hop-by-hop options of what is sent (RFC 3542 §7)"
                ["crates/udp/src/tests/headers.rs" "extension_headers_travel_in_their_order"];
            RoutingDestinationOptions IPV6_RTHDRDSTOPTS = 41 55, rw Struct(2048), Said("a header; none takes it away; EPERM without `raw_sockets`"), "destination options before a routing header, without which they are not sent";
            ReceiveRoutingHeader IPV6_RECVRTHDR = 41 56, rw Flag, Any, "recvmsg tells the routing header"
                ["crates/udp/src/tests/headers.rs" "extension_headers_travel_in_their_order"];
            RoutingHeader IPV6_RTHDR = 41 57, rw Struct(2048), Said("none takes it away; else EINVAL: type 0 is deprecated (RFC 5095), of the others a node knows none"), "the routing header of what is sent";
            ReceiveDestinationOptions IPV6_RECVDSTOPTS = 41 58, rw Flag, Any, "recvmsg tells the destination options"
                ["crates/udp/src/tests/headers.rs" "extension_headers_travel_in_their_order"];
            DestinationOptions IPV6_DSTOPTS = 41 59, rw Struct(2048), Said("a header; none takes it away; EPERM without `raw_sockets`"), "the destination options of what is sent (RFC 3542 §9)"
                ["crates/udp/src/tests/headers.rs" "extension_headers_travel_in_their_order"];
            ReceivePathMtu IPV6_RECVPATHMTU = 41 60, rw Flag, Any, "recvmsg tells the MTU of a path that something did not fit (RFC 3542 §11.3)"
                ["crates/udp/src/tests/headers.rs" "who_does_not_fragment_hears_of_the_path"];
            PathMtu IPV6_PATHMTU = 41 61, ro Exact(32), Any, "the MTU of a connected socket's path, as struct ip6_mtuinfo";
            DontFragment IPV6_DONTFRAG = 41 62, rw LooseFlag, Any, "what does not fit the path is refused (EMSGSIZE), not fragmented (RFC 3542 §11.2)"
                ["crates/udp/src/tests/headers.rs" "who_does_not_fragment_hears_of_the_path"];
            ReceiveTrafficClass IPV6_RECVTCLASS = 41 66, rw Flag, Any, "recvmsg tells the traffic class";
            TrafficClass IPV6_TCLASS = 41 67, rw Int, Said("0 to 255, -1 for the default"), "the traffic class of what is sent";
            AutoFlowLabel IPV6_AUTOFLOWLABEL = 41 70, rw LooseFlag, Any, "what is sent has a flow label of its flow (RFC 6437); a stream always has"
                ["crates/udp/src/tests/headers.rs" "flow_labels"];
            AddressPreferences IPV6_ADDR_PREFERENCES = 41 72, rw Int, Said("IPV6_PREFER_SRC_*, no two that contradict"), "which source addresses are preferred (RFC 5014)"
                ["crates/core/src/ip/source.rs" "rule_7_prefers_what_the_socket_does"];
            MinHopCount IPV6_MINHOPCOUNT = 41 73, rw Int, Range(0, 255), "segments of TCP that have a smaller hop limit are dropped (RFC 5082); as on Linux it means nothing to datagrams"
                ["crates/tcp/src/tests/options.rs" "who_comes_from_too_far_is_not_heard"];
            OriginalDestinationV6 IPV6_RECVORIGDSTADDR = 41 74, rw Flag, Any, "recvmsg tells address and port that a datagram was sent to"
                ["crates/udp/src/tests/headers.rs" "recvmsg_tells_in_the_order_of_linux"];
            UnicastInterfaceV6 IPV6_UNICAST_IF = 41 76, rw Word, Said("an interface in network byte order"), "the interface that hosts are reached by, unless the socket is bound to one"
                ["crates/udp/src/tests/sending.rs" "hosts_are_reached_by_the_interface_of_choice"];
            ReceiveFragmentSizeV6 IPV6_RECVFRAGSIZE = 41 77, rw LooseFlag, Any, "recvmsg tells the size of the largest fragment of a datagram"
                ["crates/udp/src/tests/headers.rs" "the_largest_fragment_is_told"];
        }
        also {
            HeaderIncluded IPV6_HDRINCL = 41 36, rw Flag, Any, "what a raw socket sends starts with the IPv6 header";
            JoinGroup MCAST_JOIN_GROUP = 41 42, wo Membership, Said("struct group_req"), "joins a group (RFC 3678)";
            BlockSourceOfGroup MCAST_BLOCK_SOURCE = 41 43, wo Membership, Said("struct group_source_req"), "no longer hears a source of a group";
            UnblockSourceOfGroup MCAST_UNBLOCK_SOURCE = 41 44, wo Membership, Said("struct group_source_req"), "hears a source of a group again";
            LeaveGroup MCAST_LEAVE_GROUP = 41 45, wo Membership, Said("struct group_req"), "leaves a group";
            JoinSourceGroup MCAST_JOIN_SOURCE_GROUP = 41 46, wo Membership, Said("struct group_source_req"), "joins a source of a group";
            LeaveSourceGroup MCAST_LEAVE_SOURCE_GROUP = 41 47, wo Membership, Said("struct group_source_req"), "leaves a source of a group";
            GroupFilter MCAST_MSFILTER = 41 48, rw Membership, Said("struct group_filter; no more than `igmp_max_msf` or `mld_max_msf` sources"), "the sources of a group that are heard, or are not";
            Transparent IPV6_TRANSPARENT = 41 75, rw Flag, Said("as IP_TRANSPARENT"), "IP_TRANSPARENT";
            FreeBind IPV6_FREEBIND = 41 78, rw Flag, Any, "IP_FREEBIND";
        }
        refused {
            IPV6_2292PKTOPTIONS = 41 6, NONE, NONE, "RFC 3542 has taken it away: the sticky options are one by one";
            IPV6_NEXTHOP = 41 9, NONE, NONE, "Linux does not have it";
            IPV6_AUTHHDR = 41 10, NONE, NONE, "Linux does not have it";
            IPV6_JOIN_ANYCAST = 41 27, Error::NotPermitted, NONE, "anycast addresses are the node's owner's to give";
            IPV6_LEAVE_ANYCAST = 41 28, Error::NotPermitted, NONE, "anycast addresses are the node's owner's to give";
            IPV6_RECVERR_RFC4884 = 41 31, NONE, NONE, "where the extensions of an ICMPv6 message lie is not looked for";
            IPV6_FLOWLABEL_MGR = 41 32, NONE, NONE, "nobody leases flow labels: each sender takes what it likes, as by IPV6_FLOWINFO_SEND";
            IP6T_SO_ORIGINAL_DST = 41 80, NONE, Error::NoEntry, "as SO_ORIGINAL_DST";
            IPV6_IPSEC_POLICY = 41 34, Error::NotPermitted, NONE, "policies of IPsec are a kernel's";
            IPV6_XFRM_POLICY = 41 35, Error::NotPermitted, NONE, "policies of IPsec are a kernel's";
            IPV6_HOPLIMIT = 41 52, NONE, NONE, "of a single datagram only: IPV6_UNICAST_HOPS";
        }
    }
    "raw(7)" {
        works {
            ChecksumOffset IPV6_CHECKSUM = 41 7, rw Int, Said("even, or -1 for none"), "where a raw socket's checksum is";
            IcmpFilter ICMP_FILTER = 255 1, rw Mask(4), Any, "the ICMP types that are held back";
            Icmp6Filter ICMPV6_FILTER = 58 1, rw Mask(32), Any, "the ICMPv6 types that are held back";
        }
        also {
            ChecksumOffset IPV6_CHECKSUM = 255 7, rw Int, Said("even, or -1 for none"), "where a raw socket's checksum is";
        }
        refused {}
    }
    "sctp(7)" {
        works {
            SctpRtoInfo SCTP_RTOINFO = 132 0, rw Struct(16), Said("struct sctp_rtoinfo; 0 leaves a value; RTO.Min above RTO.Max is EINVAL"), "RTO.Initial, RTO.Max and RTO.Min"
                ["crates/sockeye/tests/sctp.rs" "options_are_laid_out_as_linux_has_them"];
            SctpAssocInfo SCTP_ASSOCINFO = 132 1, rw Struct(20), Said("struct sctp_assocparams; 0 leaves a value"), "Association.Max.Retrans and the life of cookies; the windows of both sides are read"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpInitMsg SCTP_INITMSG = 132 2, rw Struct(8), Said("struct sctp_initmsg; 0 leaves a value"), "streams, attempts and the longest time-out of an INIT"
                ["crates/sockeye/tests/sctp.rs" "options_are_laid_out_as_linux_has_them"];
            SctpNoDelay SCTP_NODELAY = 132 3, rw Flag, Any, "small messages do not wait for others (Nagle)"
                ["crates/sockeye/tests/sctp.rs" "options_are_laid_out_as_linux_has_them"];
            SctpAutoClose SCTP_AUTOCLOSE = 132 4, rw Int, Said("seconds, 0 for never; of one-to-one sockets EOPNOTSUPP"), "an association that is not used for so long is shut down"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpSetPeerPrimaryAddr SCTP_SET_PEER_PRIMARY_ADDR = 132 5, wo Struct(132), Said("struct sctp_setpeerprim; EPERM where the peer knows nothing of it"), "the peer is to send to this address of ours (RFC 5061)"
                ["crates/sctp/src/tests/dynamic.rs" "a_host_moves_while_data_flows"];
            SctpPrimaryAddr SCTP_PRIMARY_ADDR = 132 6, rw Struct(132), Said("struct sctp_prim, an address of the peer"), "data goes to this address as long as it answers"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpAdaptationLayer SCTP_ADAPTATION_LAYER = 132 7, rw Int, Any, "the adaptation indication that the peer is told (RFC 5061)"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpDisableFragments SCTP_DISABLE_FRAGMENTS = 132 8, rw Flag, Any, "what does not fit one packet is EMSGSIZE"
                ["crates/sctp/src/tests/sending.rs" "without_fragments_long_messages_are_refused"];
            SctpPeerAddrParams SCTP_PEER_ADDR_PARAMS = 132 9, rw Struct(156), Said("struct sctp_paddrparams, with or without its last two members"), "heartbeats, retransmissions, MTU, delay of SACKs, flow label and DSCP of a path or of all"
                ["crates/sockeye/tests/sctp.rs" "options_are_laid_out_as_linux_has_them"];
            SctpDefaultSendParam SCTP_DEFAULT_SEND_PARAM = 132 10, rw Struct(32), Said("struct sctp_sndrcvinfo"), "how messages go of which nothing is said"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpEvents SCTP_EVENTS = 132 11, rw Struct(14), Said("struct sctp_event_subscribe, as much of it as there is"), "which notifications are read"
                ["crates/sockeye/tests/sctp.rs" "control_messages_and_notifications_are_laid_out_as_linux_has_them"];
            SctpMappedV4Addr SCTP_I_WANT_MAPPED_V4_ADDR = 132 12, rw Flag, Any, "IPv4 addresses of an IPv6 socket are told as mapped ones"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpMaxSeg SCTP_MAXSEG = 132 13, rw Struct(8), Said("struct sctp_assoc_value, or an int; 0 for what the path takes"), "bytes of a message that one chunk has at the most"
                ["crates/sockeye/tests/sctp.rs" "options_are_laid_out_as_linux_has_them"];
            SctpStatus SCTP_STATUS = 132 14, ro Struct(176), Any, "state, windows, streams and primary path of an association: struct sctp_status"
                ["crates/sockeye/tests/sctp.rs" "options_are_laid_out_as_linux_has_them"];
            SctpGetPeerAddrInfo SCTP_GET_PEER_ADDR_INFO = 132 15, ro Struct(152), Any, "state, window, times and MTU of a path: struct sctp_paddrinfo"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpDelayedSack SCTP_DELAYED_SACK = 132 16, rw Struct(12), Said("struct sctp_sack_info or sctp_assoc_value; 500 ms at the most"), "how long a SACK waits, and for how many packets"
                ["crates/sockeye/tests/sctp.rs" "options_are_laid_out_as_linux_has_them"];
            SctpContext SCTP_CONTEXT = 132 17, rw Struct(8), Said("struct sctp_assoc_value"), "a number that is told with what is received"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpFragmentInterleave SCTP_FRAGMENT_INTERLEAVE = 132 18, rw Int, Said("above 1 counts as 1"), "parts of messages of several associations may be read in turn; SCTP_INTERLEAVING_SUPPORTED wants it"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpPartialDeliveryPoint SCTP_PARTIAL_DELIVERY_POINT = 132 19, rw Int, Said("bytes, half the receive buffer at the most; 0 for never"), "a message that is longer is delivered in parts"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpMaxBurst SCTP_MAX_BURST = 132 20, rw Struct(8), Said("struct sctp_assoc_value, or an int; 0 for no limit"), "packets of new data that one SACK lets go"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpAuthChunk SCTP_AUTH_CHUNK = 132 21, wo Struct(1), Said("a chunk type; EACCES without SCTP_AUTH_SUPPORTED"), "chunks of this type are taken authenticated only (RFC 4895)"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpHmacIdent SCTP_HMAC_IDENT = 132 22, rw Struct(8), Said("struct sctp_hmacalgo with SHA-1 among them, else EOPNOTSUPP; EACCES without SCTP_AUTH_SUPPORTED"), "the algorithms that are offered, the preferred one first; SHA-256 unless it is set"
                ["crates/sctp/src/tests/dynamic.rs" "algorithms_are_offered_in_the_order_that_is_said"];
            SctpAuthKey SCTP_AUTH_KEY = 132 23, wo Struct(1032), Said("struct sctp_authkey; EACCES without SCTP_AUTH_SUPPORTED"), "a shared key"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpAuthActiveKey SCTP_AUTH_ACTIVE_KEY = 132 24, rw Struct(8), Said("struct sctp_authkeyid; EACCES without SCTP_AUTH_SUPPORTED"), "the key that packets are signed with"
                ["crates/sctp/src/tests/dynamic.rs" "keys_change_while_data_flows"];
            SctpAuthDeleteKey SCTP_AUTH_DELETE_KEY = 132 25, wo Struct(8), Said("struct sctp_authkeyid; EINVAL for one in use"), "forgets a key"
                ["crates/sctp/src/tests/dynamic.rs" "each_message_has_its_own_key"];
            SctpPeerAuthChunks SCTP_PEER_AUTH_CHUNKS = 132 26, ro Struct(264), Any, "what the peer takes authenticated only: struct sctp_authchunks"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpLocalAuthChunks SCTP_LOCAL_AUTH_CHUNKS = 132 27, ro Struct(264), Any, "what is taken authenticated only: struct sctp_authchunks"
                ["crates/sockeye/tests/sctp.rs" "what_is_counted_and_said_of_associations"];
            SctpGetAssocNumber SCTP_GET_ASSOC_NUMBER = 132 28, ro Int, Any, "how many associations a one-to-many socket has"
                ["crates/sockeye/tests/sctp.rs" "what_is_counted_and_said_of_associations"];
            SctpGetAssocIdList SCTP_GET_ASSOC_ID_LIST = 132 29, ro Struct(1024), Any, "their names: struct sctp_assoc_ids"
                ["crates/sockeye/tests/sctp.rs" "what_is_counted_and_said_of_associations"];
            SctpAutoAsconf SCTP_AUTO_ASCONF = 132 30, rw Flag, Said("of sockets that are bound to all addresses, else EINVAL"), "addresses that the node gets and loses reach the peers (RFC 6458 §8.1.23)"
                ["crates/sctp/src/tests/dynamic.rs" "addresses_that_come_and_go_reach_the_peer"];
            SctpPeerAddrThresholds SCTP_PEER_ADDR_THLDS = 132 31, rw Struct(144), Said("struct sctp_paddrthlds; ENOENT for an address that the peer does not have"), "errors after which a path has failed, perhaps or for certain (RFC 7829)"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpRecvRcvInfo SCTP_RECVRCVINFO = 132 32, rw Flag, Any, "recvmsg tells SCTP_RCVINFO"
                ["crates/sockeye/tests/sctp.rs" "control_messages_and_notifications_are_laid_out_as_linux_has_them"];
            SctpRecvNxtInfo SCTP_RECVNXTINFO = 132 33, rw Flag, Any, "recvmsg tells SCTP_NXTINFO of the message behind"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpDefaultSndInfo SCTP_DEFAULT_SNDINFO = 132 34, rw Struct(16), Said("struct sctp_sndinfo"), "how messages go of which nothing is said"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpAuthDeactivateKey SCTP_AUTH_DEACTIVATE_KEY = 132 35, wo Struct(8), Said("struct sctp_authkeyid; EINVAL for the active one"), "nothing new is signed with a key; a notification tells when it is free"
                ["crates/sctp/src/tests/dynamic.rs" "each_message_has_its_own_key"];
            SctpReusePort SCTP_REUSE_PORT = 132 36, rw Flag, Said("of one-to-one sockets, else EOPNOTSUPP"), "several sockets may be bound to one port, as by SO_REUSEPORT"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpPeerAddrThresholdsV2 SCTP_PEER_ADDR_THLDS_V2 = 132 37, rw Struct(144), Said("struct sctp_paddrthlds_v2"), "the same, and errors of the primary path after which another takes its place (RFC 7829 §5)"
                ["crates/sctp/src/tests/multihomed.rs" "the_primary_path_is_given_up_for_good_where_that_is_wanted"];
            SctpBindxAdd SCTP_SOCKOPT_BINDX_ADD = 132 100, wo Struct(1024), Said("addresses, one behind the other"), "sctp_bindx(3): further addresses of its own"
                ["tests/interop/messages.rs" "one_to_many_sctp"];
            SctpBindxRemove SCTP_SOCKOPT_BINDX_REM = 132 101, wo Struct(1024), Said("addresses, one behind the other"), "sctp_bindx(3): fewer addresses of its own"
                ["crates/sctp/src/tests/dynamic.rs" "a_bound_address_more_and_one_less"];
            SctpPeelOff SCTP_SOCKOPT_PEELOFF = 132 102, ro Struct(8), Any, "sctp_peeloff(3): under `run` alone; in the library it is `Socket::peel_off`, which gives a socket, no number (EOPNOTSUPP)"
                ["tests/interop/messages.rs" "one_to_many_sctp"];
            SctpConnectxOld SCTP_SOCKOPT_CONNECTX_OLD = 132 107, wo Struct(1024), Said("addresses, one behind the other"), "sctp_connectx(3) as old libraries call it"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpGetPeerAddrs SCTP_GET_PEER_ADDRS = 132 108, ro Struct(1024), Any, "sctp_getpaddrs(3): struct sctp_getaddrs"
                ["crates/sockeye/tests/sctp.rs" "options_are_laid_out_as_linux_has_them"];
            SctpGetLocalAddrs SCTP_GET_LOCAL_ADDRS = 132 109, ro Struct(1024), Any, "sctp_getladdrs(3): struct sctp_getaddrs"
                ["crates/sockeye/tests/sctp.rs" "what_is_counted_and_said_of_associations"];
            SctpConnectx SCTP_SOCKOPT_CONNECTX = 132 110, wo Struct(1024), Said("addresses, one behind the other"), "sctp_connectx(3): connects to a peer of several addresses"
                ["tests/interop/messages.rs" "one_to_many_sctp"];
            SctpConnectx3 SCTP_SOCKOPT_CONNECTX3 = 132 111, ro Struct(1024), Any, "the same, and the name of the association is told"
                ["tests/interop/messages.rs" "one_to_many_sctp"];
            SctpGetAssocStats SCTP_GET_ASSOC_STATS = 132 112, ro Struct(256), Any, "the traffic of an association: struct sctp_assoc_stats, as much of it as there is room for"
                ["crates/sctp/src/tests/statistics.rs" "traffic_is_counted_as_it_crosses_the_wire"];
            SctpPrSupported SCTP_PR_SUPPORTED = 132 113, rw Struct(8), Said("struct sctp_assoc_value, of associations still to come"), "messages may be given up (RFC 3758)"
                ["crates/sockeye/tests/sctp.rs" "what_is_counted_and_said_of_associations"];
            SctpDefaultPrInfo SCTP_DEFAULT_PRINFO = 132 114, rw Struct(12), Said("struct sctp_default_prinfo"), "when messages are given up of which nothing is said (RFC 7496)"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpPrAssocStatus SCTP_PR_ASSOC_STATUS = 132 115, ro Struct(24), Any, "messages given up, by policy: struct sctp_prstatus (RFC 7496 §4.3)"
                ["crates/sctp/src/tests/statistics.rs" "messages_given_up_are_counted_by_policy_and_stream"];
            SctpPrStreamStatus SCTP_PR_STREAM_STATUS = 132 116, ro Struct(24), Any, "the same of one stream (RFC 7496 §4.4)"
                ["crates/sctp/src/tests/statistics.rs" "messages_given_up_are_counted_by_policy_and_stream"];
            SctpReconfigSupported SCTP_RECONFIG_SUPPORTED = 132 117, rw Struct(8), Said("struct sctp_assoc_value, of associations still to come"), "streams are reset and added (RFC 6525)"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpEnableStreamReset SCTP_ENABLE_STREAM_RESET = 132 118, rw Struct(8), Said("struct sctp_assoc_value, a sum of 1, 2 and 4"), "which requests of either side are granted"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpResetStreams SCTP_RESET_STREAMS = 132 119, wo Struct(1024), Said("struct sctp_reset_streams"), "messages of streams are numbered anew"
                ["crates/sctp/src/tests/reconfig.rs" "outgoing_streams_are_reset_while_data_flows"];
            SctpResetAssoc SCTP_RESET_ASSOC = 132 120, wo Struct(4), Said("an association"), "streams and TSNs of both sides begin anew"
                ["crates/sctp/src/tests/reconfig.rs" "tsns_are_reset"];
            SctpAddStreams SCTP_ADD_STREAMS = 132 121, wo Struct(8), Said("struct sctp_add_streams"), "more streams for both sides"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpPeelOffFlags SCTP_SOCKOPT_PEELOFF_FLAGS = 132 122, ro Struct(12), Any, "as SCTP_SOCKOPT_PEELOFF, with SOCK_NONBLOCK and SOCK_CLOEXEC"
                ["tests/interop/messages.rs" "one_to_many_sctp"];
            SctpStreamScheduler SCTP_STREAM_SCHEDULER = 132 123, rw Struct(8), Said("struct sctp_assoc_value: 0 first come, 1 priorities, 2 round robin, 3 fair bandwidth, 4 weighted, as Linux 6.4"), "whose turn it is among streams (RFC 8260 §3)"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpStreamSchedulerValue SCTP_STREAM_SCHEDULER_VALUE = 132 124, rw Struct(8), Said("struct sctp_stream_value; EINVAL without an association"), "the priority or weight of a stream"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpInterleavingSupported SCTP_INTERLEAVING_SUPPORTED = 132 125, rw Struct(8), Said("struct sctp_assoc_value; EPERM without SCTP_FRAGMENT_INTERLEAVE; `intl_enable` is what new sockets have, not a leave"), "messages interleave (RFC 8260)"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpEvent SCTP_EVENT = 132 127, rw Struct(8), Said("struct sctp_event"), "whether one kind of notification is read"
                ["crates/sockeye/tests/sctp.rs" "what_is_counted_and_said_of_associations"];
            SctpAsconfSupported SCTP_ASCONF_SUPPORTED = 132 128, rw Struct(8), Said("struct sctp_assoc_value, of associations still to come"), "addresses change while an association stands (RFC 5061)"
                ["crates/sockeye/tests/sctp.rs" "what_is_counted_and_said_of_associations"];
            SctpAuthSupported SCTP_AUTH_SUPPORTED = 132 129, rw Struct(8), Said("struct sctp_assoc_value, of associations still to come"), "chunks are authenticated (RFC 4895)"
                ["crates/sockeye/tests/sctp.rs" "extensions_are_had_by_options"];
            SctpEcnSupported SCTP_ECN_SUPPORTED = 132 130, rw Struct(8), Said("struct sctp_assoc_value, of associations still to come"), "marks of congestion are heeded"
                ["crates/sockeye/tests/sctp.rs" "what_is_counted_and_said_of_associations"];
            SctpExposePotentiallyFailed SCTP_EXPOSE_POTENTIALLY_FAILED_STATE = 132 131, rw Struct(8), Said("struct sctp_assoc_value: 0 the state when it is asked for, 1 nothing, 2 notifications, too"), "what is told of potentially failed paths (RFC 7829 §7.3)"
                ["crates/sctp/src/tests/multihomed.rs" "potential_failures_are_told_on_request"];
            SctpRemoteUdpEncapsPort SCTP_REMOTE_UDP_ENCAPS_PORT = 132 132, rw Struct(144), Said("struct sctp_udpencaps"), "the port of the peer, where packets travel in UDP (RFC 6951)"
                ["crates/sockeye/tests/sctp.rs" "paths_and_defaults_by_options"];
            SctpProbeInterval SCTP_PLPMTUD_PROBE_INTERVAL = 132 133, rw Struct(144), Said("struct sctp_probeinterval; 0, or 5000 ms at the least"), "how often the MTU of a path is probed (RFC 8899)"
                ["crates/sockeye/tests/sctp.rs" "the_interval_of_mtu_probes"];
        }
        also {}
        refused {
            SCTP_SENDMSG_CONNECT = 132 126, NONE, NONE, "Linux has the number for its security modules alone";
        }
    }
    "dccp(4)" {
        works {
            DccpService DCCP_SOCKOPT_SERVICE = 269 2, rw Struct(128), Said("one service code in network order, of a listener up to 32; 4,294,967,295 is none"), "the service that a client asks for, and those that a listener answers for"
                ["crates/dccp/src/tests/opening.rs" "a_listener_serves_several_service_codes"];
            DccpMaxPacketSize DCCP_SOCKOPT_GET_CUR_MPS = 269 5, ro Int, Any, "the largest message that can be sent now"
                ["crates/dccp/src/tests/data.rs" "a_message_is_no_larger_than_the_path_carries"];
            DccpServerTimeWait DCCP_SOCKOPT_SERVER_TIMEWAIT = 269 6, rw Int, Any, "a server that closes holds TIMEWAIT itself, and does not ask its client to"
                ["crates/dccp/src/tests/closing.rs" "a_server_may_hold_time_wait"];
            DccpSendCoverage DCCP_SOCKOPT_SEND_CSCOV = 269 10, rw Int, Range(0, 15), "how much of a packet its checksum covers: 0 for all, 1 for the header, then a word more each"
                ["crates/dccp/src/tests/data.rs" "checksums_cover_as_much_as_was_agreed_on"];
            DccpReceiveCoverage DCCP_SOCKOPT_RECV_CSCOV = 269 11, rw Int, Range(0, 15), "how much of a packet has to be covered for its data to be delivered"
                ["crates/dccp/src/tests/data.rs" "checksums_cover_as_much_as_was_agreed_on"];
            DccpAvailableCcids DCCP_SOCKOPT_AVAILABLE_CCIDS = 269 12, ro Struct(16), Any, "the congestion controls there are, a byte each"
                ["crates/sockeye/tests/dccp.rs" "congestion_controls_are_chosen_by_number"];
            DccpCcid DCCP_SOCKOPT_CCID = 269 13, wo Struct(4), Said("bytes, the preferred one first"), "the congestion controls of both directions"
                ["crates/sockeye/tests/dccp.rs" "congestion_controls_are_chosen_by_number"];
            DccpTxCcid DCCP_SOCKOPT_TX_CCID = 269 14, rw Struct(4), Said("bytes, the preferred one first; an int is read"), "the congestion control of what is sent"
                ["crates/dccp/src/tests/rates.rs" "half_connections_differ"];
            DccpRxCcid DCCP_SOCKOPT_RX_CCID = 269 15, rw Struct(4), Said("bytes, the preferred one first; an int is read"), "the congestion control of what is received"
                ["crates/dccp/src/tests/rates.rs" "half_connections_differ"];
            DccpQueuePolicy DCCP_SOCKOPT_QPOLICY_ID = 269 16, rw Int, Range(0, 1), "what waits to be sent leaves in the order in which it came (0), or by its priority (1), which DCCP_SCM_PRIORITY gives"
                ["crates/dccp/src/tests/data.rs" "messages_leave_by_their_priority"];
            DccpQueueLength DCCP_SOCKOPT_QPOLICY_TXQLEN = 269 17, rw Int, Said("0 for no limit but that of bytes"), "messages that wait to be sent; with priorities, one more takes the place of the lowest"
                ["crates/dccp/src/tests/data.rs" "messages_leave_by_their_priority"];
            DccpRxInfo DCCP_SOCKOPT_CCID_RX_INFO = 269 128, ro Exact(12), Any, "the figures of CCID 3's receiver, struct tfrc_rx_info; other CCIDs have none"
                ["crates/dccp/src/tests/rates.rs" "the_figures_of_ccid_3"];
            DccpTxInfo DCCP_SOCKOPT_CCID_TX_INFO = 269 192, ro Exact(40), Any, "the figures of CCID 3's sender, struct tfrc_tx_info; other CCIDs have none"
                ["crates/dccp/src/tests/rates.rs" "the_figures_of_ccid_3"];
        }
        also {}
        refused {
            DCCP_SOCKOPT_PACKET_SIZE = 269 1, NONE, NONE, "Linux has given it up";
            DCCP_SOCKOPT_CHANGE_L = 269 3, Error::NotSupported, NONE, "Linux has given it up: each feature has its option";
            DCCP_SOCKOPT_CHANGE_R = 269 4, Error::NotSupported, NONE, "Linux has given it up: each feature has its option";
        }
    }
    "packet(7)" {
        works {
            PacketAddMembership PACKET_ADD_MEMBERSHIP = 263 1, wo Struct(16), Said("an interface, PACKET_MR_PROMISC, ALLMULTI, MULTICAST or UNICAST, and an address; 64 of a socket at the most, else ENOBUFS"), "the link lets more through: everything, all groups, one group or station"
                ["crates/core/src/raw/tests/packet.rs" "a_link_lets_through_what_a_membership_asks_for"];
            PacketDropMembership PACKET_DROP_MEMBERSHIP = 263 2, wo Struct(16), Said("as it was added"), "takes a membership back"
                ["crates/core/src/raw/tests/packet.rs" "a_link_lets_through_what_a_membership_asks_for"];
            PacketStatistics PACKET_STATISTICS = 263 6, ro Struct(8), Any, "frames received and dropped since this was last read"
                ["crates/core/src/raw/tests/packet.rs" "a_full_queue_drops_and_counts"];
            PacketAuxdata PACKET_AUXDATA = 263 8, rw Flag, Any, "recvmsg tells length, tag and what is known of the checksum"
                ["crates/sockeye/tests/packet.rs" "recvmsg_tells_what_was_asked_for"];
            PacketOriginalDevice PACKET_ORIGDEV = 263 9, rw Flag, Any, "the interface told is the one that a frame came by; no other is ever told, as links are not bonded"
                ["crates/sockeye/tests/packet.rs" "recvmsg_tells_what_was_asked_for"];
            PacketIgnoreOutgoing PACKET_IGNORE_OUTGOING = 263 23, rw Int, Range(0, 1), "what leaves is not received"
                ["crates/core/src/raw/tests/packet.rs" "what_leaves_is_seen_by_those_who_see_everything"];
        }
        also {}
        refused {
            PACKET_RECV_OUTPUT = 263 3, NONE, NONE, "no Linux has it any more";
            PACKET_RX_RING = 263 5, NONE, NONE, "a ring is memory that a kernel shares with the program; recvmsg reads here, without a system call";
            PACKET_COPY_THRESH = 263 7, NONE, NONE, "copies beside a ring: there is none";
            PACKET_VERSION = 263 10, NONE, NONE, "the layout of a ring: there is none";
            PACKET_HDRLEN = 263 11, NONE, NONE, "the layout of a ring: there is none";
            PACKET_RESERVE = 263 12, NONE, NONE, "the layout of a ring: there is none";
            PACKET_TX_RING = 263 13, NONE, NONE, "a ring is memory that a kernel shares with the program";
            PACKET_LOSS = 263 14, NONE, NONE, "malformed frames of a ring: there is none";
            PACKET_VNET_HDR = 263 15, NONE, NONE, "frames are shown as they are on the wire, their checksums made";
            PACKET_TX_TIMESTAMP = 263 16, NONE, NONE, "when a frame left is seen by links alone";
            PACKET_TIMESTAMP = 263 17, NONE, NONE, "the clock of a ring; SO_TIMESTAMPNS tells when a frame was seen";
            PACKET_FANOUT = 263 18, NONE, NONE, "a node's frames come one after the other: there is nothing to spread over threads";
            PACKET_TX_HAS_OFF = 263 19, NONE, NONE, "the layout of a ring: there is none";
            PACKET_QDISC_BYPASS = 263 20, NONE, NONE, "interfaces have one queue and no disciplines to go around";
            PACKET_ROLLOVER_STATS = 263 21, NONE, NONE, "of a fanout group: there is none";
            PACKET_FANOUT_DATA = 263 22, NONE, NONE, "of a fanout group: there is none";
            PACKET_VNET_HDR_SZ = 263 24, NONE, NONE, "as PACKET_VNET_HDR";
        }
    }
}
