//! RFC 4341: each MUST by its section and its place there.

use super::Requirement;

pub(super) const ROWS: &[Requirement] = &[
    Requirement::kept(
        "4-1",
        "Send Ack Vector is asked for when the connection opens",
    ),
    Requirement::kept("5-1", "no data while pipe is not less than cwnd"),
    Requirement::kept("5-2", "each packet leaves pipe once"),
    Requirement::kept("5-3", "an acknowledgement that comes twice changes nothing"),
    Requirement::kept("5-4", "nor does one of what was taken for lost"),
    Requirement::kept("5-5", "packets without data are not in it"),
    Requirement::kept("5.2-1", "Data Dropped and Slow Receiver end slow start"),
    Requirement::kept("6-1", "acknowledgements have Ack Vectors"),
    Requirement::kept("6.2-1", "acknowledgements are acknowledged now and then"),
];
