//! What devices do to packets, in software: for devices that can't.
//!
//! * [`segment`] cuts a super-segment into the packets that it stands for, [`fill_checksum`] sums
//!   what was left [`Partial`](Checksum::Partial). Payload is not copied: the pieces share it.
//! * [`fit`] does of both what a device lacks, [`to_wire`] does both: what a stage or a tap sees.
//! * [`Gro`] is the reverse of cutting, for received packets.
//!
//! Packets are judged as if they came from the network: one whose bytes contradict its
//! [`Meta`](crate::Meta) is an error, never a panic. IPv4 options, IPv6 extension headers and
//! padding behind the IP packet are understood; fragments and IEEE 802.1Q tags are not.

mod gro;
mod layout;
mod segment;

pub use gro::{GRO_FLOWS_MAX, GRO_SEGMENTS_MAX, Gro};
pub use segment::{SEGMENTS_MAX, Segments, segment};

use crate::{Batch, Capabilities, Checksum, Medium, Packet};
use layout::{Layout, sum_of};
use sockeye_wire::{ParseError, udp};

/// Appends to `out` what `packet` is on the wire: cut where it is a super-segment, every checksum
/// filled. Says how many packets that is.
///
/// # Errors
/// Those of [`segment`] and [`fill_checksum`]; `out` is unchanged then.
pub fn to_wire(packet: Packet, medium: Medium, out: &mut Batch) -> Result<usize, ParseError> {
    let before = out.len();
    for mut piece in segment(packet, medium)? {
        if let Err(error) = fill_checksum(&mut piece) {
            out.truncate(before);
            return Err(error);
        }
        out.push_back(piece);
    }
    Ok(out.len() - before)
}

/// Appends `packet` to `out` in a form that a device with `capabilities` takes, and says how many
/// packets that is. What the device does by itself is left to it.
///
/// # Errors
/// Those of [`segment`] and [`fill_checksum`]; `out` is unchanged then.
pub fn fit(
    mut packet: Packet,
    capabilities: &Capabilities,
    out: &mut Batch,
) -> Result<usize, ParseError> {
    let link_header = layout::link_header_len(capabilities.medium);
    let carried = packet.meta.gso.is_none_or(|gso| {
        capabilities.tx_checksum
            && capabilities.gso.contains(gso.kind)
            && packet.len().saturating_sub(link_header) <= capabilities.gso_max as usize
    });
    if carried {
        if !capabilities.tx_checksum {
            fill_checksum(&mut packet)?;
        } else if packet.meta.gso.is_some() {
            leave_checksum(&mut packet, capabilities.medium)?;
        }
        out.push_back(packet);
        return Ok(1);
    }
    if !capabilities.tx_checksum {
        return to_wire(packet, capabilities.medium, out);
    }
    let before = out.len();
    out.extend(segment(packet, capabilities.medium)?);
    Ok(out.len() - before)
}

/// Sums the packet where its checksum is [`Partial`](Checksum::Partial), which is then
/// [`Unverified`](Checksum::Unverified): whoever receives it checks it.
///
/// # Errors
/// [`BadLength`](ParseError::BadLength) when the checksum's place lies outside the packet.
pub fn fill_checksum(packet: &mut Packet) -> Result<(), ParseError> {
    let Checksum::Partial { start, offset } = packet.meta.checksum else {
        return Ok(());
    };
    let start = usize::from(start);
    let field = start + usize::from(offset);
    if !packet.pull_up(field + 2) {
        return Err(ParseError::BadLength);
    }
    let sum = sum_of(packet, start, packet.len());
    // RFC 768: a UDP checksum of 0 means that there is none. TCP and ICMPv6 have their field
    // elsewhere, and there 0 is a checksum as any other.
    let checksum = if usize::from(offset) == udp::CHECKSUM_OFFSET {
        sum.finish_nonzero()
    } else {
        sum.finish()
    };
    packet.head_mut()[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    packet.meta.checksum = Checksum::Unverified;
    Ok(())
}

/// Leaves the checksum of a TCP or UDP packet to whoever sends it on: it becomes
/// [`Partial`](Checksum::Partial), as devices want it of super-segments. One that nobody has
/// verified is verified first, lest a wrong one come out right.
///
/// # Errors
/// Those of parsing its headers, and [`BadChecksum`](ParseError::BadChecksum).
pub fn leave_checksum(packet: &mut Packet, medium: Medium) -> Result<(), ParseError> {
    if matches!(packet.meta.checksum, Checksum::Partial { .. }) {
        return Ok(());
    }
    let layout = Layout::read(packet, medium)?;
    if packet.meta.checksum == Checksum::Unverified && !layout.checksum_is_right(packet) {
        return Err(ParseError::BadChecksum);
    }
    packet.truncate(layout.end);
    layout.leave_checksum(packet)
}

#[cfg(test)]
mod tests;
