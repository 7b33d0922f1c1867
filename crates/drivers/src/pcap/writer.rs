//! The pcapng format (draft-ietf-opsawg-pcapng), as far as a capture needs it: one section,
//! interfaces, names of addresses, and packets, little-endian, timestamps in nanoseconds.
//!
//! What is written depends on what is handed over alone, so that equal captures are equal files.

use crate::watched::Direction;
use sockeye_link::Medium;
use std::io::{self, Write};
use std::net::IpAddr;

/// Most bytes of a comment or a name; longer ones are cut.
pub const TEXT_LEN_MAX: usize = 1000;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const ENHANCED_PACKET: u32 = 6;

const LINKTYPE_ETHERNET: u16 = 1;
const LINKTYPE_RAW: u16 = 101;

/// Records of a name resolution block.
mod record {
    pub(super) const END: u16 = 0;
    pub(super) const IPV4: u16 = 1;
    pub(super) const IPV6: u16 = 2;
}

mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SHB_USERAPPL: u16 = 4;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_DESCRIPTION: u16 = 3;
    pub(super) const IF_MACADDR: u16 = 6;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const EPB_FLAGS: u16 = 2;
}

/// Names an interface of a capture: [`PcapWriter::interface`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureInterface(u32);

/// Writes a capture.
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
    interfaces: u32,
    /// The block that is being made; reused.
    block: Vec<u8>,
}

impl<W: Write> PcapWriter<W> {
    /// Begins a capture. `out` is best buffered: each block is one write.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self {
            out,
            interfaces: 0,
            block: Vec::new(),
        };
        writer.begin(SECTION_HEADER);
        writer.put(&BYTE_ORDER_MAGIC.to_le_bytes());
        // Version 1.0; the section's length is not known.
        writer.put(&[1, 0, 0, 0]);
        writer.put(&u64::MAX.to_le_bytes());
        writer.option(option::SHB_USERAPPL, b"sockeye");
        writer.finish()?;
        Ok(writer)
    }

    /// Says what addresses are called, to who reads the capture.
    ///
    /// # Errors
    /// Those of the output.
    pub fn names(&mut self, names: &[(IpAddr, &str)]) -> io::Result<()> {
        self.begin(NAME_RESOLUTION);
        for (address, name) in names {
            let mut value = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            value.extend_from_slice(cut(name));
            value.push(0);
            let kind = match address {
                IpAddr::V4(_) => record::IPV4,
                IpAddr::V6(_) => record::IPV6,
            };
            // Records are laid out as options are.
            self.option(kind, &value);
        }
        self.option(record::END, &[]);
        self.finish()
    }

    /// Adds an interface, which packets then belong to; a description that is empty is left out.
    ///
    /// # Errors
    /// Those of the output.
    pub fn interface(
        &mut self,
        name: &str,
        description: &str,
        medium: Medium,
    ) -> io::Result<CaptureInterface> {
        let link_type = match medium {
            Medium::Ethernet(_) => LINKTYPE_ETHERNET,
            Medium::Ip => LINKTYPE_RAW,
        };
        self.begin(INTERFACE_DESCRIPTION);
        self.put(&link_type.to_le_bytes());
        // Reserved, and no limit of the packets' length.
        self.put(&[0; 2 + 4]);
        self.option(option::IF_NAME, cut(name));
        if !description.is_empty() {
            self.option(option::IF_DESCRIPTION, cut(description));
        }
        if let Medium::Ethernet(address) = medium {
            self.option(option::IF_MACADDR, &address.0);
        }
        // Timestamps count in 10^-9 seconds.
        self.option(option::IF_TSRESOL, &[9]);
        self.finish()?;
        let number = self.interfaces;
        self.interfaces += 1;
        Ok(CaptureInterface(number))
    }

    /// Adds a packet, whose bytes lie in `chunks`. `time` is nanoseconds since 1970.
    ///
    /// # Errors
    /// Those of the output; [`InvalidInput`](io::ErrorKind::InvalidInput) when the packet does
    /// not fit into a block.
    pub fn packet<'a>(
        &mut self,
        interface: CaptureInterface,
        time: u64,
        direction: Direction,
        chunks: impl Iterator<Item = &'a [u8]> + Clone,
        comment: Option<&str>,
    ) -> io::Result<()> {
        let len: usize = chunks.clone().map(<[u8]>::len).sum();
        let len = u32::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.begin(ENHANCED_PACKET);
        self.put(&interface.0.to_le_bytes());
        let [high, low] = [(time >> 32) as u32, time as u32];
        for field in [high, low, len, len] {
            self.put(&field.to_le_bytes());
        }
        chunks.for_each(|chunk| self.put(chunk));
        self.pad();
        let flags: u32 = match direction {
            Direction::Inbound => 0b01,
            Direction::Outbound => 0b10,
        };
        self.option(option::EPB_FLAGS, &flags.to_le_bytes());
        if let Some(comment) = comment {
            self.option(option::COMMENT, cut(comment));
        }
        self.finish()
    }

    /// Hands all that was written on.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn begin(&mut self, block_type: u32) {
        self.block.clear();
        self.put(&block_type.to_le_bytes());
        // The block's length, which `finish` fills in.
        self.put(&[0; 4]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        // `cut` sees to it that texts fit, and the other values are a few bytes.
        let len = value.len() as u16;
        self.put(&code.to_le_bytes());
        self.put(&len.to_le_bytes());
        self.put(value);
        self.pad();
    }

    /// Fields begin at multiples of four.
    fn pad(&mut self) {
        let len = self.block.len().next_multiple_of(4);
        self.block.resize(len, 0);
    }

    /// Ends the options and the block, and writes it.
    fn finish(&mut self) -> io::Result<()> {
        self.option(option::END, &[]);
        let len = u32::try_from(self.block.len() + 4).map_err(|_| io::ErrorKind::InvalidInput)?;
        let len = len.to_le_bytes();
        self.block[4..8].copy_from_slice(&len);
        self.put(&len);
        self.out.write_all(&self.block)
    }
}

/// `text` without what exceeds [`TEXT_LEN_MAX`].
fn cut(text: &str) -> &[u8] {
    let mut end = text.len().min(TEXT_LEN_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text.as_bytes()[..end]
}
