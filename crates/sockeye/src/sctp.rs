//! SCTP (RFC 9260) in the words of RFC 6458: messages on streams, over several addresses of each
//! side.
//!
//! A one-to-one socket is used like TCP's: [`SctpListener`] and [`SctpStream`], which keep the
//! boundaries of messages. A one-to-many socket ([`SctpSocket`]) has associations with many peers.
//! What belongs to a message stands in [`SndInfo`] and [`RcvInfo`]; what happens beside them comes
//! as a [`Notification`] to those who ask for it in [`Settings::events`]. On the [`Socket`] below
//! are the rest of the calls, and the options as Linux numbers them.
//!
//! ```
//! use sockeye::sctp::{Incoming, SctpListener, SctpStream, SndInfo};
//!
//! # fn main() -> std::io::Result<()> {
//! let node = sockeye::Node::builder().build()?;
//! let listener = SctpListener::bind_on(&node, "127.0.0.1:5000")?;
//! let server = std::thread::spawn(move || {
//!     let (stream, _) = listener.accept()?;
//!     let mut buffer = [0; 100];
//!     stream.recv_msg(&mut buffer)
//! });
//! let client = SctpStream::connect_on(&node, "127.0.0.1:5000")?;
//! let info = SndInfo {
//!     stream: 3,
//!     ppid: 46,
//!     ..SndInfo::default()
//! };
//! client.send_msg(b"a message", &info)?;
//! let Incoming::Message(received) = server.join().unwrap()? else {
//!     panic!("it was a message");
//! };
//! assert_eq!((received.len, received.end_of_record), (9, true));
//! assert_eq!((received.info.stream, received.info.ppid), (3, 46));
//! # Ok(())
//! # }
//! ```
#[allow(unused_imports, reason = "for the documentation")]
use crate::Socket;

pub use crate::net::{SctpListener, SctpSocket, SctpStream};
pub use sockeye_sctp::{
    Abandoned, AbandonedCount, AddressState, AssocChange, AssocId, AssocStats, Events, Extensions,
    Grants, Incoming, InitMsg, KeyChange, Notification, NxtInfo, PathInfo, PathSettings, PathState,
    PfExposure, PrInfo, RcvInfo, Received, RtoBounds, Settings, SndFlags, SndInfo, State, Status,
    Told,
};
