//! Options of SOL_SCTP, by linux/sctp.h.

use sockeye_sctp::Events;

macro_rules! numbers {
    ($($name:ident = $number:literal)*) => {$(
        pub(super) const $name: i32 = $number;
    )*};
}

numbers! {
    RTOINFO = 0
    ASSOCINFO = 1
    INITMSG = 2
    NODELAY = 3
    AUTOCLOSE = 4
    SET_PEER_PRIMARY_ADDR = 5
    PRIMARY_ADDR = 6
    ADAPTATION_LAYER = 7
    DISABLE_FRAGMENTS = 8
    PEER_ADDR_PARAMS = 9
    DEFAULT_SEND_PARAM = 10
    EVENTS = 11
    I_WANT_MAPPED_V4_ADDR = 12
    MAXSEG = 13
    STATUS = 14
    GET_PEER_ADDR_INFO = 15
    DELAYED_SACK = 16
    CONTEXT = 17
    FRAGMENT_INTERLEAVE = 18
    PARTIAL_DELIVERY_POINT = 19
    MAX_BURST = 20
    AUTH_CHUNK = 21
    HMAC_IDENT = 22
    AUTH_KEY = 23
    AUTH_ACTIVE_KEY = 24
    AUTH_DELETE_KEY = 25
    PEER_AUTH_CHUNKS = 26
    LOCAL_AUTH_CHUNKS = 27
    GET_ASSOC_NUMBER = 28
    GET_ASSOC_ID_LIST = 29
    AUTO_ASCONF = 30
    PEER_ADDR_THLDS = 31
    RECVRCVINFO = 32
    RECVNXTINFO = 33
    DEFAULT_SNDINFO = 34
    AUTH_DEACTIVATE_KEY = 35
    REUSE_PORT = 36
    PEER_ADDR_THLDS_V2 = 37
    BINDX_ADD = 100
    BINDX_REM = 101
    PEELOFF = 102
    CONNECTX_OLD = 107
    GET_PEER_ADDRS = 108
    GET_LOCAL_ADDRS = 109
    CONNECTX = 110
    CONNECTX3 = 111
    GET_ASSOC_STATS = 112
    PR_SUPPORTED = 113
    DEFAULT_PRINFO = 114
    PR_ASSOC_STATUS = 115
    PR_STREAM_STATUS = 116
    RECONFIG_SUPPORTED = 117
    ENABLE_STREAM_RESET = 118
    RESET_STREAMS = 119
    RESET_ASSOC = 120
    ADD_STREAMS = 121
    PEELOFF_FLAGS = 122
    STREAM_SCHEDULER = 123
    STREAM_SCHEDULER_VALUE = 124
    INTERLEAVING_SUPPORTED = 125
    EVENT = 127
    ASCONF_SUPPORTED = 128
    AUTH_SUPPORTED = 129
    ECN_SUPPORTED = 130
    EXPOSE_POTENTIALLY_FAILED_STATE = 131
    REMOTE_UDP_ENCAPS_PORT = 132
    PLPMTUD_PROBE_INTERVAL = 133
}

/// SCTP_ASSOC_CHANGE: the first of the numbers of events, and the events in their order.
pub(super) const FIRST_EVENT: u16 = 0x8001;
/// SCTP_SEND_FAILED, of the older structure.
pub(super) const SEND_FAILED: u16 = 0x8003;

/// Events by their numbers, from [`FIRST_EVENT`] on; `struct sctp_event_subscribe` has them in this
/// order behind sctp_data_io_event.
pub(super) const EVENTS_IN_ORDER: [Events; 13] = [
    Events::ASSOC_CHANGE,
    Events::PEER_ADDR_CHANGE,
    Events::SEND_FAILED,
    Events::REMOTE_ERROR,
    Events::SHUTDOWN,
    Events::PARTIAL_DELIVERY,
    Events::ADAPTATION,
    Events::AUTHENTICATION,
    Events::SENDER_DRY,
    Events::STREAM_RESET,
    Events::ASSOC_RESET,
    Events::STREAM_CHANGE,
    Events::SEND_FAILED,
];

/// SPP_* flags of SCTP_PEER_ADDR_PARAMS.
pub(super) mod spp {
    pub(crate) const HB_ENABLE: u32 = 1;
    pub(crate) const HB_DISABLE: u32 = 1 << 1;
    pub(crate) const HB_DEMAND: u32 = 1 << 2;
    pub(crate) const PMTUD_ENABLE: u32 = 1 << 3;
    pub(crate) const PMTUD_DISABLE: u32 = 1 << 4;
    pub(crate) const SACKDELAY_ENABLE: u32 = 1 << 5;
    pub(crate) const SACKDELAY_DISABLE: u32 = 1 << 6;
    pub(crate) const HB_TIME_IS_ZERO: u32 = 1 << 7;
    pub(crate) const IPV6_FLOWLABEL: u32 = 1 << 8;
    pub(crate) const DSCP: u32 = 1 << 9;
}
