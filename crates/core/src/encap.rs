//! Transports in UDP: SCTP (RFC 6951) and DCCP (RFC 6773).

use crate::{Error, Packet};
use sockeye_link::{Checksum, UdpPorts};
use sockeye_wire::{IpProtocol, checksum, udp};
use std::net::IpAddr;

/// Puts a UDP header before a packet, its checksum left to the device.
///
/// # Errors
/// [`Error::MessageSize`] when both are more than a UDP datagram.
pub fn wrap(
    packet: &mut Packet,
    ports: UdpPorts,
    source: IpAddr,
    destination: IpAddr,
) -> Result<(), Error> {
    let len = packet.len() + udp::HEADER_LEN;
    let length = u16::try_from(len).map_err(|_| Error::MessageSize)?;
    let sum = checksum::pseudo_header(source, destination, IpProtocol::UDP, length.into());
    let header = udp::Header {
        source_port: ports.source,
        destination_port: ports.destination,
        length,
        checksum: sum.folded(),
    };
    header.emit(packet.push(udp::HEADER_LEN));
    packet.meta.checksum = Checksum::Partial {
        start: 0,
        offset: udp::CHECKSUM_OFFSET as u16,
    };
    Ok(())
}
