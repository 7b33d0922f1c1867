//! RFC 4342: each MUST by its section and its place there.

use super::Requirement;

pub(super) const ROWS: &[Requirement] = &[
    Requirement::kept(
        "5.2-1",
        "dropped data lowers the rate by a packet a round trip for those codes alone that mean no corruption",
    ),
    Requirement::kept("6.1-1", "the lossy part is no longer than a round trip"),
    Requirement::kept("6.1-2", "a lost packet is taken for one of data"),
    Requirement::kept("6.1.1-1", "an interval is taken for data alone"),
    Requirement::kept(
        "6.3-1",
        "acknowledgements are acknowledged where Ack Vectors or Data Dropped are used",
    ),
    Requirement::kept("6.3-2", "about once for each round trip"),
    Requirement::left(
        "7-1",
        "Loss Intervals return the nonce",
        "RFC 8311 §5 has taken the nonce away",
    ),
    Requirement::left(
        "7-2",
        "Ack Vectors do, too",
        "RFC 8311 §5 has taken the nonce away",
    ),
    Requirement::kept("8-1", "options of CCID 3 on Data are ignored"),
    Requirement::kept("8-2", "required features are understood"),
    Requirement::kept("8.1-1", "CCVal does not wrap between adjacent packets"),
    Requirement::kept("8.2-1", "acknowledgements tell the elapsed time"),
    Requirement::kept("8.2-2", "by Elapsed Time at least"),
    Requirement::kept("8.3-1", "acknowledgements have a Receive Rate"),
    Requirement::kept("8.3-2", "Receive Rate is not sent on Data"),
    Requirement::kept("8.3-3", "it is ignored there"),
    Requirement::kept("8.4-1", "Send Loss Event Rate is negotiated"),
    Requirement::kept("8.4-2", "Loss Event Rate is sent where it says so"),
    Requirement::kept("8.5-1", "Loss Event Rate is not sent on Data"),
    Requirement::kept("8.5-2", "it is ignored there"),
    Requirement::kept("8.6-1", "acknowledgements have Loss Intervals"),
    Requirement::kept("8.6-2", "Loss Intervals are not sent on Data"),
    Requirement::kept("8.6-3", "they are ignored there"),
    Requirement::kept(
        "8.6.1-1",
        "nine intervals at least, where there are as many",
    ),
    Requirement::kept("8.6.1-2", "one at least"),
    Requirement::kept("8.6.1-3", "not without an Acknowledgement Number"),
    Requirement::kept("8.6.1-4", "they are ignored there"),
    Requirement::kept("8.6.1-5", "Skip Length is zero but in the first option"),
    Requirement::kept("8.6.1-6", "others are ignored"),
    Requirement::left(
        "8.6.1-7",
        "the nonce is zero where there is none",
        "RFC 8311 §5 has taken the nonce away",
    ),
    Requirement::left(
        "8.6.1-8",
        "packets without data have none",
        "RFC 8311 §5 has taken the nonce away",
    ),
];
