//! Two nodes talk while chance sits between them. The `fuzz/` crate drives the same [`play`] with
//! libFuzzer; what it found lies in `fuzz/seeds/talk` and is played here, too.

use crate::talk::play;
use sockeye_core::Rng;
use std::panic::catch_unwind;
use std::path::Path;

/// Conversations by chance; a few seconds in all.
const CONVERSATIONS: u16 = 400;

#[test]
fn conversations_by_chance_hold_what_they_promise() {
    for seed in 0..CONVERSATIONS {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::new(bytes);
        // Some networks are good, some lie.
        let worst = [0xbf, 0xdf, 0xef, 0xfb, 0xff][usize::from(seed) % 5];
        let len = 50 + rng.below(3000);
        let input: Vec<u8> = (0..len)
            .map(|_| match rng.next_u32() as u8 {
                byte if byte > worst => byte & 0x7f,
                byte => byte,
            })
            .collect();
        let played = catch_unwind(|| play(&input));
        assert!(played.is_ok(), "the conversation of seed {seed}");
    }
}

#[test]
fn conversations_that_were_kept_hold_what_they_promise() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/talk");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "only {} seeds", files.len());
    for file in files {
        let input = std::fs::read(&file).unwrap();
        let played = catch_unwind(|| play(&input));
        assert!(played.is_ok(), "{}", file.display());
    }
}

/// The same with associations over two cables.
#[test]
fn nodes_have_associations_while_chance_sits_between_them() {
    for seed in 0..80 {
        let mut rng = Rng::new([seed; 32]);
        // Half of them without packets that are changed.
        let mask = if seed % 2 == 0 { 0xef } else { 0xff };
        let input: Vec<u8> = (0..300).map(|_| rng.next_u32() as u8 & mask).collect();
        crate::associations::play(&input);
    }
}

/// The same with connections of DCCP.
#[test]
fn nodes_have_connections_while_chance_sits_between_them() {
    for seed in 0..120 {
        let mut rng = Rng::new([seed; 32]);
        // A third of them without packets that are changed, and a third on a good network.
        let mask = [0xef, 0xff, 0xbf][usize::from(seed) % 3];
        let input: Vec<u8> = (0..400).map(|_| rng.next_u32() as u8 & mask).collect();
        crate::connections::play(&input);
    }
}

/// What fuzzing has found once: the initial TSN of an INIT is another on its way, and nothing that is
/// sent has a TSN that is awaited.
#[test]
fn associations_of_different_tsns_are_ended_by_their_users() {
    crate::associations::play(&[
        0x31, 0x48, 0xff, 0x3d, 0x01, 0x31, 0x48, 0xff, 0x3d, 0x01, 0x00,
    ]);
}

/// What fuzzing has found once: both sides call at the same time, and of what the peer says of itself
/// its cookie alone arrives. The addresses in that count.
#[test]
fn associations_know_their_addresses_by_a_cookie_alone() {
    crate::associations::play(&[
        0xe1, 0xe0, 0xe0, 0xe0, 0xe0, 0x73, 0xd1, 0x45, 0x17, 0x5d, 0x74, 0xd1, 0x05, 0xe1, 0xda,
        0xe0, 0xe0, 0x02, 0x00, 0x5d, 0x3b, 0x3b, 0x3b, 0x3b, 0x3b, 0x3b, 0x3b, 0x3b, 0x5d, 0x3b,
        0x3b, 0x3b, 0x3b, 0x3b, 0x3b, 0x3b, 0x20, 0xf2,
    ]);
}

/// What fuzzing has found once: both sides call at the same time, and the cookie comes from another of
/// the peer's addresses than the one that is called.
#[test]
fn associations_are_found_by_the_addresses_of_a_cookie() {
    crate::associations::play(&[
        0xc5, 0xca, 0x94, 0x24, 0xcd, 0xcd, 0xcd, 0x3a, 0x40, 0xca, 0x94, 0xe5, 0xdb, 0x06, 0x00,
        0x00, 0xcd, 0xcd, 0x40, 0xca, 0x94, 0xe5,
    ]);
}
