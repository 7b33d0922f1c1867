use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use sockeye_wire::dccp::options::{RawOption, walk};

fn pair() -> (Features, Features) {
    (Features::new(false), Features::new(true))
}

/// Carries what `from` has to say, as packet `seq` acknowledging `ack`, to `to`.
fn carry(from: &mut Features, to: &mut Features, seq: u64, ack: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    from.write(Seq::new(seq), true, &mut bytes);
    take(to, &bytes, seq, ack)?;
    Ok(bytes)
}

fn take(to: &mut Features, bytes: &[u8], seq: u64, ack: u64) -> Result<(), Fault> {
    let mut mandatory = false;
    for option in walk(bytes).map(RawOption::meaning) {
        if option == Meaning::Mandatory {
            mandatory = true;
            continue;
        }
        to.option(&option, Seq::new(seq), Some(Seq::new(ack)), mandatory)?;
        mandatory = false;
    }
    to.finish(Seq::new(seq));
    Ok(())
}

/// RFC 4340 §6.5, the first example.
/// RFC 4340 §6.2-1 and §6.6.1-3: by the Confirm.
#[test]
fn the_servers_preference_counts() {
    let (mut client, mut server) = pair();
    client.prefer(Feature::Ccid, Side::Remote, &[2, 3, 1]);
    client.remote[Feature::Ccid as usize].stage = Stage::Unsent;
    server.prefer(Feature::Ccid, Side::Local, &[3, 2, 1]);
    assert_eq!(
        carry(&mut client, &mut server, 10, 50),
        Ok(vec![34, 6, 1, 2, 3, 1])
    );
    assert_eq!(server.local(Feature::Ccid), 3);
    let confirm = carry(&mut server, &mut client, 51, 10);
    assert_eq!(confirm, Ok(vec![33, 7, 1, 3, 3, 2, 1]));
    assert_eq!(client.remote(Feature::Ccid), 3);
    assert!(!client.is_changing() && !server.is_changing());
}

/// RFC 4340 §6.5, the third example, and what is invalid (§6.6.8).
/// RFC 4340 §6.3.2-1, §6.3.2-2, §6.3.2-3, §6.6.8-1, §7.5.2-1, §15-5 and §15-6: what is valid is
/// taken.
#[test]
fn what_is_not_negotiated_is_announced() {
    let (mut client, mut server) = pair();
    server.announce(Feature::AckRatio, 3);
    assert_eq!(
        carry(&mut server, &mut client, 51, 10),
        Ok(vec![32, 5, 5, 0, 3])
    );
    assert_eq!(client.remote(Feature::AckRatio), 3);
    assert_eq!(
        carry(&mut client, &mut server, 11, 51),
        Ok(vec![35, 5, 5, 0, 3])
    );
    assert_eq!(server.local(Feature::AckRatio), 3);
    // Change R of such a feature, a window that is too small, an unknown number.
    take(
        &mut client,
        &[34, 5, 5, 0, 4, 32, 9, 3, 0, 0, 0, 0, 0, 31, 32, 4, 99, 1],
        52,
        11,
    )
    .unwrap();
    let mut out = Vec::new();
    client.write(Seq::new(12), true, &mut out);
    assert_eq!(out, [33, 3, 5, 35, 3, 3, 35, 3, 99]);
    assert_eq!(client.remote(Feature::SequenceWindow), 100);
}

/// RFC 4340 §6.6.6: the example with both negotiations under way.
/// RFC 4340 §6.6.6-1: both lists count.
#[test]
fn both_may_begin_at_once() {
    let (mut client, mut server) = pair();
    client.prefer(Feature::Ccid, Side::Remote, &[2, 3, 1]);
    client.remote[Feature::Ccid as usize].stage = Stage::Unsent;
    server.prefer(Feature::Ccid, Side::Local, &[3, 2, 1]);
    server.ask(Feature::Ccid, Side::Local, false);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    client.write(Seq::new(10), true, &mut a);
    server.write(Seq::new(50), true, &mut b);
    take(&mut client, &b, 50, 9).unwrap();
    take(&mut server, &a, 10, 49).unwrap();
    assert_eq!(
        (client.remote(Feature::Ccid), server.local(Feature::Ccid)),
        (3, 3)
    );
    assert!(!client.is_changing() && !server.is_changing());
}

/// RFC 4340 §6.6.4: MUST be ignored.
/// RFC 4340 §6.6.4-1, §6.6.4-3 and §6.6.4-4: Changes and Confirms.
#[test]
fn what_comes_out_of_order_is_ignored() {
    let (mut client, mut server) = pair();
    take(&mut server, &[32, 5, 5, 0, 9], 20, 0).unwrap();
    take(&mut server, &[32, 5, 5, 0, 7], 20, 0).unwrap();
    take(&mut server, &[32, 5, 5, 0, 7], 19, 0).unwrap();
    assert_eq!(server.remote(Feature::AckRatio), 9);
    // A Confirm of what was sent before the latest Change.
    client.announce(Feature::AckRatio, 4);
    client.write(Seq::new(30), true, &mut Vec::new());
    take(&mut client, &[35, 5, 5, 0, 4], 60, 29).unwrap();
    assert_eq!(client.local(Feature::AckRatio), 2);
    take(&mut client, &[35, 5, 5, 0, 4], 61, 30).unwrap();
    assert_eq!(client.local(Feature::AckRatio), 4);
}

/// RFC 4340 §6.6.7, §6.6.8, §6.6.9.
/// RFC 4340 §6.6.7-2, §6.6.7-3, §6.6.8-2, §6.6.9-1 and §6.4-1: and what does not.
#[test]
fn what_resets_a_connection() {
    let fault = |code, data| Err(Fault { code, data });
    let (mut client, _) = pair();
    let mandatory = ResetCode::MANDATORY_ERROR;
    assert_eq!(
        take(&mut client, &[1, 32, 4, 99, 1], 1, 1),
        fault(mandatory, [32, 99, 1])
    );
    assert_eq!(
        take(&mut client, &[1, 32, 4, 1, 77], 1, 1),
        fault(mandatory, [32, 1, 77])
    );
    assert_eq!(take(&mut client, &[32, 4, 1, 77], 1, 1), Ok(()));
    let option = ResetCode::OPTION_ERROR;
    client.announce(Feature::SequenceWindow, 200);
    client.write(Seq::new(5), true, &mut Vec::new());
    assert_eq!(
        take(&mut client, &[35, 3, 3], 2, 5),
        fault(option, [35, 3, 0])
    );
    client.ask(Feature::SendAckVector, Side::Remote, false);
    client.write(Seq::new(6), true, &mut Vec::new());
    let wrong = take(&mut client, &[33, 6, 6, 0, 1, 0], 3, 6);
    assert_eq!(wrong, fault(option, [33, 6, 0]));
}

/// RFC 4340 §6.6.4: a packet that overtook the Change is acknowledged together with what the peer
/// confirms of the Change before.
#[test]
fn a_confirm_of_what_was_announced_before_is_too_late() {
    let (mut client, _) = pair();
    client.announce(Feature::SequenceWindow, 200);
    client.write(Seq::new(5), true, &mut Vec::new());
    client.announce(Feature::SequenceWindow, 300);
    client.write(Seq::new(6), true, &mut Vec::new());
    let confirm = |value| [35, 9, 3, 0, 0, 0, 0, value as u8, 44];
    take(&mut client, &[35, 9, 3, 0, 0, 0, 0, 0, 200], 2, 7).unwrap();
    assert!(client.is_changing());
    take(&mut client, &confirm(1), 3, 8).unwrap();
    assert!(!client.is_changing());
    assert_eq!(client.local(Feature::SequenceWindow), 300);
}

/// RFC 4340 §6.3.1-1: without a shared value the old one stays, and is confirmed. RFC 4340 §6.6.7-1 and
/// §6.6.7-4: an unknown feature gets an empty Confirm, and a Confirm that nobody asked for nothing.
#[test]
fn what_is_not_shared_stays() {
    let (_, mut server) = pair();
    // Change L (CCID, 9), Change R (99, 1).
    take(&mut server, &[32, 4, 1, 9, 34, 4, 99, 1], 10, 1).unwrap();
    assert_eq!(server.remote(Feature::Ccid), 2);
    let mut out: Vec<u8> = Vec::new();
    server.write(Seq::new(2), true, &mut out);
    assert_eq!(out[..4], [35, 5, 1, 2]);
    let empty = out.windows(3).any(|three| three == [33, 3, 99]);
    assert!(empty, "{out:?}");
    take(&mut server, &[33, 3, 99, 35, 4, 1, 7], 11, 1).unwrap();
    assert_eq!(server.remote(Feature::Ccid), 2);
}

proptest! {
    /// Whatever gets lost and whoever asks for what, both ends agree once they are quiet (RFC 4340 §6.6.1-2,
    /// §6.6.4-2 and §6.6.5-1).
    #[test]
    fn features_always_agree(
        lists in vec(proptest::sample::subsequence(vec![2u8, 3, 4], 1..=3).prop_shuffle(), 4),
        asks in any::<[bool; 4]>(), lost in vec(any::<bool>(), 40), ratio in 1u64..100,
    ) {
        let (mut client, mut server) = pair();
        for (list, (ends, side)) in lists.iter().zip([
            (&mut client, Side::Local), (&mut server, Side::Remote),
        ]) {
            ends.prefer(Feature::Ccid, side, list);
        }
        client.prefer(Feature::Ccid, Side::Remote, &lists[2]);
        server.prefer(Feature::Ccid, Side::Local, &lists[3]);
        if asks[0] { client.ask(Feature::Ccid, Side::Local, false); }
        if asks[1] { server.ask(Feature::Ccid, Side::Remote, false); }
        if asks[2] { client.ask(Feature::Ccid, Side::Remote, false); }
        if asks[3] { server.ask(Feature::Ccid, Side::Local, false); }
        client.announce(Feature::AckRatio, ratio);
        let (mut a, mut b) = (100u64, 500u64);
        let (mut seen_a, mut seen_b) = (99, 499);
        for n in 0..60 {
            let gone = lost.get(n).copied().unwrap_or(false);
            let mut bytes = Vec::new();
            if n % 2 == 0 {
                a += 1;
                client.write(Seq::new(a), true, &mut bytes);
                if !gone { take(&mut server, &bytes, a, seen_b).unwrap(); seen_a = a; }
            } else {
                b += 1;
                server.write(Seq::new(b), true, &mut bytes);
                if !gone { take(&mut client, &bytes, b, seen_a).unwrap(); seen_b = b; }
            }
        }
        prop_assert!(!client.is_changing() && !server.is_changing());
        for feature in Feature::ALL {
            prop_assert_eq!(client.local(feature), server.remote(feature));
            prop_assert_eq!(client.remote(feature), server.local(feature));
        }
    }

    #[test]
    fn nothing_received_panics(bytes in vec(any::<u8>(), 0..200), server in any::<bool>()) {
        let mut features = Features::new(server);
        features.ask(Feature::SendAckVector, Side::Remote, true);
        features.write(Seq::new(1), true, &mut Vec::new());
        let _ = take(&mut features, &bytes, 1, 1);
        prop_assert!(features.confirms.len() <= CONFIRMS_MAX);
    }
}
