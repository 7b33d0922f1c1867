//! Every state against every event, as RFC 9260 §4 to §9 has them: the table below was written from
//! the text, and the code has to agree with each of its cells.
//!
//! A cell is the state that follows (`=` for the same one) and the answer (`-` for none); for a user
//! call also what it returns. Chunks come from the peer with the right tag unless the row says
//! otherwise.

use super::pair::{A, B, PORT, Pair};
use crate::{AssocId, SndFlags, SndInfo, State, Style};
use core::time::Duration;
use sockeye_core::SocketId;
use sockeye_wire::sctp::{
    Abort, Cause, ChunkType, CookieAck, CookieEcho, Data, DataFlags, GapAckBlock, Heartbeat, Init,
    InitAck, List, OperationError, Parameter, Sack, Shutdown, ShutdownAck, ShutdownComplete, Tsn,
};
use std::io::IoSlice;

const COLUMNS: [&str; 8] = [
    "CLOSED",
    "COOKIE-WAIT",
    "COOKIE-ECHOED",
    "ESTABLISHED",
    "SHUTDOWN-PENDING",
    "SHUTDOWN-SENT",
    "SHUTDOWN-RECEIVED",
    "SHUTDOWN-ACK-SENT",
];

/// Event, then a cell for each column. In CLOSED the socket at the port listens.
const TABLE: &[(&str, [&str; 8])] = &[
    // §5.1 B; §5.2.1; §5.2.2; §9.2: in SHUTDOWN-ACK-SENT the SHUTDOWN ACK again.
    ("INIT", [
        "= INIT ACK", "= INIT ACK", "= INIT ACK", "= INIT ACK", "= INIT ACK", "= INIT ACK",
        "= INIT ACK", "= SHUTDOWN ACK",
    ]),
    // §3.3.2: the initiate tag 0 is discarded.
    ("INIT with tag 0", ["= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -"]),
    // §3.3.2: no streams: an ABORT, and nothing changes.
    ("INIT without streams", [
        "= ABORT", "= ABORT", "= ABORT", "= ABORT", "= ABORT", "= ABORT", "= ABORT", "= ABORT",
    ]),
    // §8.5.1 A.
    ("INIT in a packet with our tag", ["= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -"]),
    // §8.4 8); §5.1 C; §5.2.3.
    ("INIT ACK", [
        "= ABORT", "COOKIE-ECHOED COOKIE ECHO", "= -", "= -", "= -", "= -", "= -", "= -",
    ]),
    // §5.1: the cookie is mandatory.
    ("INIT ACK without a cookie", [
        "= ABORT", "CLOSED ABORT", "= -", "= -", "= -", "= -", "= -", "= -",
    ]),
    // §5.1.5 2): silently discarded.
    ("COOKIE ECHO of nobody", ["= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -"]),
    // §8.4 7); §5.2.5.
    ("COOKIE ACK", ["= -", "= -", "ESTABLISHED -", "= -", "= -", "= -", "= -", "= -"]),
    // §6: DATA is taken in three states; the first is acknowledged at once; §9.2: by SHUTDOWN, here with a SACK as in Linux.
    ("DATA", [
        "= ABORT", "= -", "= -", "= SACK", "= SACK", "= SHUTDOWN,SACK", "= -", "= -",
    ]),
    // §6: SACKs count where DATA is sent; all is acknowledged with it.
    ("SACK of everything", [
        "= ABORT", "= -", "= -", "= -", "SHUTDOWN-SENT SHUTDOWN", "= -",
        "SHUTDOWN-ACK-SENT SHUTDOWN ACK", "= -",
    ]),
    ("SACK of what was never sent", [
        "= ABORT", "= -", "= -", "CLOSED ABORT", "CLOSED ABORT", "= -", "CLOSED ABORT", "= -",
    ]),
    // §8.3: from COOKIE-ECHOED on, up to SHUTDOWN-ACK-SENT.
    ("HEARTBEAT", [
        "= ABORT", "= -", "= HEARTBEAT ACK", "= HEARTBEAT ACK", "= HEARTBEAT ACK",
        "= HEARTBEAT ACK", "= HEARTBEAT ACK", "= -",
    ]),
    // §9.1; §8.4 2).
    ("ABORT", [
        "= -", "CLOSED -", "CLOSED -", "CLOSED -", "CLOSED -", "CLOSED -", "CLOSED -", "CLOSED -",
    ]),
    // §8.5.1 B: our tag, but reflected it should be the peer's.
    ("ABORT that reflects the wrong tag", ["= -", "= -", "= -", "= -", "= -", "= -", "= -", "= -"]),
    // §9.2. Data of ours is outstanding in the second and fourth of these.
    ("SHUTDOWN", [
        "= ABORT", "= -", "= -", "SHUTDOWN-ACK-SENT SHUTDOWN ACK", "SHUTDOWN-RECEIVED -",
        "SHUTDOWN-ACK-SENT SHUTDOWN ACK", "= -", "= SHUTDOWN ACK",
    ]),
    // §8.4 5); §8.5.1 E; §9.2.
    ("SHUTDOWN ACK", [
        "= SHUTDOWN COMPLETE", "= SHUTDOWN COMPLETE", "= SHUTDOWN COMPLETE", "= -", "= -",
        "CLOSED SHUTDOWN COMPLETE", "= -", "CLOSED SHUTDOWN COMPLETE",
    ]),
    // §8.4 6); §8.5.1 C.
    ("SHUTDOWN COMPLETE", ["= -", "= -", "= -", "= -", "= -", "= -", "= -", "CLOSED -"]),
    // §5.2.6; §8.4 7).
    ("ERROR, stale cookie", [
        "= -", "= -", "COOKIE-WAIT INIT", "= -", "= -", "= -", "= -", "= -",
    ]),
    ("ERROR, another", ["= ABORT", "= -", "= -", "= -", "= -", "= -", "= -", "= -"]),
    // §3.2: types 63 (stop), 127 (stop, report), 191 (skip), 255 (skip, report).
    ("chunk 63", ["= ABORT", "= -", "= -", "= -", "= -", "= -", "= -", "= -"]),
    ("chunk 127", [
        "= ABORT", "= -", "= -", "= ERROR", "= ERROR", "= ERROR", "= ERROR", "= ERROR",
    ]),
    ("chunk 191", ["= ABORT", "= -", "= -", "= -", "= -", "= -", "= -", "= -"]),
    ("chunk 255", [
        "= ABORT", "= -", "= -", "= ERROR", "= ERROR", "= ERROR", "= ERROR", "= ERROR",
    ]),
    // §8.5: a wrong tag.
    ("DATA with a wrong tag", ["= ABORT", "= -", "= -", "= -", "= -", "= -", "= -", "= -"]),
    // §11.1.5; §4 notes 5, 7; §9.2: before ESTABLISHED it waits.
    ("SEND", [
        "= - NotConnected", "= - Ok", "= - Ok", "= DATA Ok", "= - BrokenPipe", "= - BrokenPipe",
        "= - BrokenPipe", "= - BrokenPipe",
    ]),
    // §9.2. Before ESTABLISHED it is remembered.
    ("SHUTDOWN of the user", [
        "= - NotConnected", "= - Ok", "= - Ok", "SHUTDOWN-SENT SHUTDOWN Ok", "= - Ok", "= - Ok",
        "= - Ok", "= - Ok",
    ]),
    // §9.1; in COOKIE-WAIT the peer knows nothing yet.
    ("ABORT of the user", [
        "= - Ok", "CLOSED - Ok", "CLOSED ABORT Ok", "CLOSED ABORT Ok", "CLOSED ABORT Ok",
        "CLOSED ABORT Ok", "CLOSED ABORT Ok", "CLOSED ABORT Ok",
    ]),
    // §4 notes 2, 3; §6.3.3; §9.2: whatever timer runs.
    ("time-out", [
        "= -", "= INIT", "= COOKIE ECHO", "= -", "= DATA", "= SHUTDOWN", "= DATA",
        "= SHUTDOWN ACK",
    ]),
];

/// One end of an association in a state, and what the other end would say.
struct Stage {
    pair: Pair,
    id: SocketId,
    ports: (u16, u16),
    tag: u32,
    peer_tag: u32,
    next_tsn: u32,
    una: u32,
}

/// Brings A to `state`; its wire is cut then. CLOSED: a socket that listens.
fn stage(column: &str) -> Stage {
    let mut pair = Pair::new();
    let id = match column {
        "CLOSED" => {
            let id = pair.open(A, Style::OneToOne);
            let (sctp, mut cx) = pair.host(A);
            sctp.bind(&mut cx, id, "0.0.0.0:80".parse().unwrap()).unwrap();
            sctp.listen(&mut cx, id, 5).unwrap();
            id
        }
        "COOKIE-WAIT" => {
            pair.wires[0].cut = true;
            pair.dial()
        }
        "COOKIE-ECHOED" => {
            pair.listen();
            pair.lose = Box::new(|sent| sent.chunks.contains(&ChunkType::COOKIE_ACK));
            let id = pair.dial();
            pair.run_for(Duration::from_millis(100));
            id
        }
        _ => pair.association().0,
    };
    pair.run_for(Duration::from_millis(500));
    pair.wires[0].cut = true;
    match column {
        "SHUTDOWN-PENDING" => {
            pair.send(A, id, b"outstanding").unwrap();
            pair.run_for(Duration::ZERO);
            pair.shutdown(A, id);
        }
        "SHUTDOWN-SENT" => pair.shutdown(A, id),
        "SHUTDOWN-RECEIVED" | "SHUTDOWN-ACK-SENT" => {
            if column == "SHUTDOWN-RECEIVED" {
                pair.send(A, id, b"outstanding").unwrap();
                pair.run_for(Duration::ZERO);
            }
            let look = look(pair, id);
            let mut stage = look;
            let chunks = shutdown(stage.una);
            stage.pair.inject(A, stage.ports, stage.tag, &chunks);
            stage.pair.run_for(Duration::ZERO);
            return stage;
        }
        _ => {}
    }
    pair.run_for(Duration::ZERO);
    look(pair, id)
}

fn look(pair: Pair, id: SocketId) -> Stage {
    let sctp = &pair.hosts[A].sctp;
    let association = sctp.all().first().and_then(|&id| sctp.association(id));
    let (ports, tag, peer_tag, next_tsn, una) = match association {
        Some(association) => (
            (PORT, association.local_port),
            association.tags.local,
            association.tags.peer,
            association.inbound.cumulative().wrapping_add(1),
            association.outstanding.cumulative(),
        ),
        None => ((4000, PORT), 0x1234, 0, 1, 1),
    };
    Stage {
        pair,
        id,
        ports,
        tag,
        peer_tag,
        next_tsn,
        una,
    }
}

fn chunk(emit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    emit(&mut out);
    out
}

fn shutdown(cumulative: u32) -> Vec<u8> {
    let cumulative_tsn = Tsn(cumulative);
    chunk(|out| Shutdown { cumulative_tsn }.emit(out))
}

fn init<'a>(tag: u32, streams: u16, parameters: &'a [u8]) -> Init<'a> {
    Init {
        initiate_tag: tag,
        a_rwnd: 100_000,
        outbound_streams: streams,
        inbound_streams: streams,
        initial_tsn: Tsn(77),
        parameters,
    }
}

fn sack(cumulative: u32) -> Vec<u8> {
    let none: [GapAckBlock; 0] = [];
    chunk(|out| {
        Sack {
            cumulative_tsn: Tsn(cumulative),
            a_rwnd: 100_000,
            gaps: List::Values(&none),
            duplicates: List::Values(&[]),
        }
        .emit(out);
    })
}

fn error(cause: &Cause<'_>) -> Vec<u8> {
    let causes = chunk(|out| cause.emit(out));
    chunk(|out| OperationError { causes: &causes }.emit(out))
}

fn data(tsn: u32) -> Vec<u8> {
    chunk(|out| {
        Data {
            flags: DataFlags::WHOLE,
            tsn: Tsn(tsn),
            stream: 0,
            ssn: 0,
            ppid: 0,
            payload: b"data",
        }
        .emit(out);
    })
}

/// The packet of an event: its tag, its chunks.
fn packet(stage: &Stage, event: &str) -> Option<(u32, Vec<u8>)> {
    let Stage {
        tag,
        next_tsn,
        una,
        ..
    } = *stage;
    let sctp = &stage.pair.hosts[A].sctp;
    let association = sctp.all().first().and_then(|&id| sctp.association(id));
    let sent = association.map_or(una, |a| a.outstanding.next_tsn().wrapping_sub(1));
    let cookie = chunk(|out| Parameter::StateCookie(b"cookie").emit(out));
    Some(match event {
        "INIT" => (0, chunk(|out| init(99, 5, &[]).emit(out))),
        "INIT with tag 0" => (0, chunk(|out| init(0, 5, &[]).emit(out))),
        "INIT without streams" => (0, chunk(|out| init(99, 0, &[]).emit(out))),
        "INIT in a packet with our tag" => (tag, chunk(|out| init(99, 5, &[]).emit(out))),
        "INIT ACK" => (tag, chunk(|out| InitAck(init(99, 5, &cookie)).emit(out))),
        "INIT ACK without a cookie" => (tag, chunk(|out| InitAck(init(99, 5, &[])).emit(out))),
        "COOKIE ECHO of nobody" => (tag, chunk(|out| CookieEcho { cookie: b"???" }.emit(out))),
        "COOKIE ACK" => (tag, chunk(|out| CookieAck.emit(out))),
        "DATA" => (tag, data(next_tsn)),
        "DATA with a wrong tag" => (tag ^ 1, data(next_tsn)),
        "SACK of everything" => (tag, sack(sent)),
        "SACK of what was never sent" => (tag, sack(sent.wrapping_add(5))),
        "HEARTBEAT" => (tag, chunk(|out| Heartbeat { info: b"?" }.emit(out))),
        "ABORT" => (tag, chunk(|out| Abort::default().emit(out))),
        "ABORT that reflects the wrong tag" => (
            tag,
            chunk(|out| {
                Abort {
                    tag_reflected: true,
                    causes: &[],
                }
                .emit(out);
            }),
        ),
        "SHUTDOWN" => (tag, shutdown(una)),
        "SHUTDOWN ACK" => (tag, chunk(|out| ShutdownAck.emit(out))),
        "SHUTDOWN COMPLETE" => (tag, chunk(|out| ShutdownComplete::default().emit(out))),
        "ERROR, stale cookie" => (tag, error(&Cause::StaleCookie(5000))),
        "ERROR, another" => (tag, error(&Cause::OutOfResource)),
        "chunk 63" => (tag, vec![63, 0, 0, 4]),
        "chunk 127" => (tag, vec![127, 0, 0, 4]),
        "chunk 191" => (tag, vec![191, 0, 0, 4]),
        "chunk 255" => (tag, vec![255, 0, 0, 4]),
        _ => return None,
    })
}

/// Lets an event happen to a stage; what the cell says of it.
fn happen(column: &str, event: &str) -> String {
    let mut stage = stage(column);
    assert_eq!(state(&stage), column, "before {event}");
    let from = stage.pair.log.len();
    let id = stage.id;
    let mut result = String::new();
    match packet(&stage, event) {
        Some((tag, chunks)) => {
            let ports = stage.ports;
            stage.pair.inject(A, ports, tag, &chunks);
        }
        None => {
            let (sctp, mut cx) = stage.pair.host(A);
            let done = match event {
                "SEND" => {
                    let info = SndInfo {
                        flags: SndFlags::empty(),
                        ..SndInfo::default()
                    };
                    let data = [IoSlice::new(b"data")];
                    sctp.send_msg(&mut cx, id, &data, None, &info).map(|_| ())
                }
                "SHUTDOWN of the user" => sctp.shutdown_association(&mut cx, id),
                "ABORT of the user" => sctp.abort(&mut cx, id),
                "time-out" => {
                    expire(&mut stage);
                    Ok(())
                }
                other => panic!("no such event: {other}"),
            };
            if event != "time-out" {
                result = match done {
                    Ok(()) => " Ok".to_owned(),
                    Err(error) => format!(" {error:?}"),
                };
            }
        }
    }
    stage.pair.run_for(Duration::ZERO);
    let after = state(&stage);
    let after = if after == column { "=" } else { after };
    let answer: Vec<String> = stage.pair.log[from..]
        .iter()
        .flat_map(|sent| &sent.chunks)
        .map(ToString::to_string)
        .collect();
    let answer = match answer.is_empty() {
        true => "-".to_owned(),
        false => answer.join(","),
    };
    let _ = stage.peer_tag;
    format!("{after} {answer}{result}")
}

/// The next timers run out, until something is sent; but for heartbeats, which come later.
fn expire(stage: &mut Stage) {
    let pair = &mut stage.pair;
    let (from, end) = (pair.log.len(), pair.now + Duration::from_secs(20));
    while pair.log.len() == from && pair.step(end) {
        pair.flush();
    }
}

fn state(stage: &Stage) -> &'static str {
    let sctp = &stage.pair.hosts[A].sctp;
    let state = match sctp.associations(stage.id) {
        Ok(all) => all.first().map_or(State::Closed, |&assoc| sctp.state(assoc)),
        Err(_) => State::Closed,
    };
    let _ = (B, AssocId::FUTURE);
    state.name()
}

/// RFC 9260 §3.3.2-5, §4-10, §4-11, §4-12, §5-1, §5.2.1-5, §5.2.1-7, §5.2.1-8, §5.2.1-9, §5.2.1-10,
/// §5.2.2-1, §6-1, §6-2, §6-3, §8.5.1-11, §9.2-1, §9.2-2, §9.2-3, §9.2-4, §9.2-5, §9.2-6, §9.2-9,
/// §9.2-10, §9.2-11, §9.2-12.
#[test]
fn every_cell_is_as_the_rfc_has_it() {
    let mut wrong = Vec::new();
    for (event, cells) in TABLE {
        for (column, expected) in COLUMNS.iter().zip(cells) {
            let found = happen(column, event);
            if found != *expected {
                wrong.push(format!("{event} in {column}: {expected:?}, but {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
