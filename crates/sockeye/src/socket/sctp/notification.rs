//! Notifications as programs read them (RFC 6458 §6): the structures of linux/sctp.h.

use super::layout::Writer;
use super::numbers::{EVENTS_IN_ORDER, FIRST_EVENT, SEND_FAILED};
use sockeye_sctp::{AddressState, AssocChange, Events, KeyChange, Notification, SndInfo, Told};

/// Bytes that a chunk begins with: type, flags, length.
const CHUNK_HEADER_LEN: usize = 4;
/// Bytes of what all notifications begin with: type, flags, length.
const HEADER_LEN: usize = 8;

/// The bytes of a notification.
pub(in crate::socket) fn lay_out(notification: &Notification, told: &Told) -> Vec<u8> {
    let body = Writer(vec![0; HEADER_LEN]);
    let (flags, body) = match notification {
        Notification::AssocChange {
            assoc,
            change,
            error,
            info,
        } => {
            let (state, (out, within)) = match change {
                AssocChange::Up { streams } => (0, *streams),
                AssocChange::Lost => (1, (0, 0)),
                AssocChange::Restart { streams } => (2, *streams),
                AssocChange::ShutdownComplete => (3, (0, 0)),
                AssocChange::CantStart => (4, (0, 0)),
            };
            let body = body.u16(state).u16(*error).u16(out).u16(within);
            // Linux tells the causes of an ABORT, without the chunk's own head.
            let info = match change {
                AssocChange::Lost => info.get(CHUNK_HEADER_LEN..).unwrap_or_default(),
                _ => info,
            };
            (0, body.assoc(*assoc).bytes(info))
        }
        Notification::PeerAddrChange {
            assoc,
            address,
            state,
            error,
        } => {
            let state = match state {
                AddressState::Available => 0,
                AddressState::Unreachable => 1,
                AddressState::Removed => 2,
                AddressState::Added => 3,
                AddressState::MadePrimary => 4,
                AddressState::Confirmed => 5,
                AddressState::PotentiallyFailed => 6,
            };
            let body = body.storage(Some(*address)).u32(state);
            (0, body.u32((*error).into()).assoc(*assoc))
        }
        Notification::RemoteError { assoc, error, data } => {
            let body = body.bytes(&error.to_be_bytes()).u16(0);
            (0, body.assoc(*assoc).bytes(data))
        }
        Notification::SendFailed {
            assoc,
            sent,
            error,
            info,
            data,
        } => {
            let body = body.u32((*error).into());
            let body = match told.old_send_failed {
                true => old_info(body, info),
                false => new_info(body, info),
            };
            (u16::from(*sent), body.assoc(*assoc).bytes(data))
        }
        Notification::Shutdown { assoc } | Notification::SenderDry { assoc } => {
            (0, body.assoc(*assoc))
        }
        Notification::Adaptation { assoc, indication } => (0, body.u32(*indication).assoc(*assoc)),
        Notification::PartialDelivery {
            assoc,
            stream,
            number,
        } => {
            let body = body.u32(0).assoc(*assoc);
            (0, body.u32((*stream).into()).u32(*number))
        }
        Notification::Authentication { assoc, key, change } => {
            let indication = match change {
                KeyChange::New => 0,
                KeyChange::Free => 1,
                KeyChange::NoAuthentication => 2,
            };
            (0, body.u16(*key).u16(0).u32(indication).assoc(*assoc))
        }
        Notification::StreamReset {
            assoc,
            flags,
            streams,
        } => {
            let body = streams
                .iter()
                .fold(body.assoc(*assoc), |body, stream| body.u16(*stream));
            (*flags, body)
        }
        Notification::AssocReset { assoc, flags, tsns } => {
            (*flags, body.assoc(*assoc).u32(tsns.0).u32(tsns.1))
        }
        Notification::StreamChange {
            assoc,
            flags,
            streams,
        } => (*flags, body.assoc(*assoc).u16(streams.0).u16(streams.1)),
    };
    let mut bytes = body.0;
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let ty = number(notification.event(), told);
    bytes[..HEADER_LEN].copy_from_slice(&Writer::default().u16(ty).u16(flags).u32(len).0);
    bytes
}

/// sn_type.
fn number(event: Events, told: &Told) -> u16 {
    if event == Events::SEND_FAILED && told.old_send_failed {
        return SEND_FAILED;
    }
    let all = (FIRST_EVENT..).zip(EVENTS_IN_ORDER);
    // Of the two of SEND_FAILED the newer comes last.
    let found = all.filter(|(_, at)| *at == event).last();
    found.map_or(0, |(number, _)| number)
}

/// `struct sctp_sndinfo`.
fn new_info(body: Writer, info: &SndInfo) -> Writer {
    let body = body.u16(info.stream).u16(info.flags.bits()).ppid(info.ppid);
    body.u32(info.context).assoc(info.assoc)
}

/// `struct sctp_sndrcvinfo`.
fn old_info(body: Writer, info: &SndInfo) -> Writer {
    let body = body.u16(info.stream).u16(0).u16(info.flags.bits()).u16(0);
    let body = body.ppid(info.ppid).u32(info.context);
    body.u32(0).u32(0).u32(0).assoc(info.assoc)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use sockeye_sctp::AssocId;

    #[test]
    fn a_notification_says_what_it_is_and_how_long() {
        let told = Told::default();
        let up = Notification::AssocChange {
            assoc: AssocId(7),
            change: AssocChange::Up { streams: (10, 20) },
            error: 0,
            info: bytes::Bytes::new(),
        };
        let expected = Writer::default().u16(0x8001).u16(0).u32(20);
        let expected = expected.u16(0).u16(0).u16(10).u16(20).u32(7).0;
        assert_eq!(lay_out(&up, &told), expected);
        let failed = Notification::SendFailed {
            assoc: AssocId(7),
            sent: true,
            error: 0,
            info: SndInfo::default(),
            data: bytes::Bytes::from_static(b"lost"),
        };
        let head = |ty, len| Writer::default().u16(ty).u16(1).u32(len).0;
        let new = lay_out(&failed, &told);
        assert_eq!((&new[..8], new.len()), (&head(0x800d, 36)[..], 36));
        let told = Told {
            old_send_failed: true,
            ..told
        };
        let old = lay_out(&failed, &told);
        assert_eq!((&old[..8], old.len()), (&head(SEND_FAILED, 52)[..], 52));
        assert!(old.ends_with(b"lost"));
    }
}
