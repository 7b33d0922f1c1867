//! Packet scripts: one node and a peer that says and expects exact segments, in virtual time.
//!
//! A script is text, one step a line, `#` starts a comment:
//! ```text
//! listen
//! at 0.1s   <  S   seq 0 win 1000 <mss 1460>      # the peer sends
//!           >  S.  seq 0 ack 1 <mss 1460>         # the node answers, at the same moment
//! at +10ms  <  .   seq 1 ack 1 win 1000
//!           accept
//!           state ESTABLISHED
//! ```
//! The node is 10.0.0.1 with port 80, the peer 10.0.0.2 with port 4000, on a link of bare IP
//! packets. Sequence numbers count from each side's initial one; of a side that has none yet they
//! are as they stand on the wire.
//!
//! - **Time**: `at 1.5s` is counted from the start, `at +200ms` from the step before;
//!   `at +0ms..500ms >` lets a segment come at any time in between. A step without `at` happens at
//!   the moment of the one before.
//! - **Segments**: `<` goes to the node, `>` comes from it: flags (`S F R P U`, `E W A` for ECE, CWR and
//!   AE, `.` for ACK), then
//!   `seq N`, `len N`, `ack N`, `win N`, `up N`, `port N` (the peer's), of the IP header `tos N`,
//!   `ttl N` and `ipopts BYTES`, and options in angle
//!   brackets: `mss N`, `wscale N`, `sackOK`, `sack A-B …`, `ts N` (on `<` the value, on `>` the
//!   echo; `ts N ecr M` on `<` echoes the node's first value and M), `accecn E0B CEB E1B` (RFC
//!   9768), `fo COOKIE` and `foexp COOKIE` (RFC 7413), `none`. Of what the node sends flags, `seq`, `len` and `ack` always count; `P`, the
//!   window and options where they are written. Text is a fixed pattern of its place in the stream, and
//!   checked.
//! - **ICMP**: `< icmp too-big MTU seq N`: a router says that it would have had to fragment the segment
//!   that the node has sent with that number.
//! - **What the node sends and no step expects is an error**, at once; `quiet` says only that.
//! - **Calls**: `listen [BACKLOG]`, `connect`, `open N [port P]` (with N bytes, by Fast Open),
//!   `accept`, `use N`, `send N [oob]`, `recv N`, `recv oob [peek]`, `atmark = 0|1`, `shutdown
//!   read|write|both`, `close`, `abort`, `set OPTION VALUE` (nodelay, cork, linger, oobinline, tos,
//!   ttl, fastopen, syncnt, keepalive, keepidle, keepintvl, keepcnt and defer_accept, all in seconds,
//!   user_timeout in milliseconds), and what they return as `= N` or `= ERRNO`. They concern the
//!   connection that was accepted or opened last, or `use`d; before there is one, options are the
//!   listener's.
//! - **Checks**: `state NAME`, `error ERRNO|none`, `sockets N` (that the node holds in all),
//!   `ready readable writable …`, `count COUNTER N`, `cwnd BYTES`, `ca STATE` (loss recovery's, as TCP_INFO
//!   names it).
//! - **Settings**, before all steps: `config NAME VALUE`; see [`Setting`]; or by Linux's name. Window
//!   scaling, timestamps and SACK are off unless a script turns them on.

mod parse;
mod play;
mod segment;

pub use parse::{ParseError, Script, Setting};
pub use play::{Failure, play};

/// What went wrong with a script.
#[derive(Debug)]
pub enum Error {
    /// It is not a script.
    Parse(ParseError),
    /// The node did something else.
    Play(Failure),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::Play(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Reads `text` and plays it on a fresh node whose chance comes from `seed`.
///
/// # Errors
/// The text is no script, or the node did something else than it says.
pub fn run(text: &str, seed: u64) -> Result<(), Error> {
    let script = parse::parse(text).map_err(Error::Parse)?;
    play(&script, seed).map_err(Error::Play)
}
