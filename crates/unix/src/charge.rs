//! What a message counts against its sender's buffer: what it takes in Linux's memory on a machine
//! with pages of 4096 bytes (`skb->truesize`), so that a buffer holds here what it holds there.

const PAGE: usize = 4096;
const CACHE_LINE: usize = 64;
/// `sizeof(struct sk_buff)` in whole cache lines.
const HEAD: usize = 256;
/// `sizeof(struct skb_shared_info)`, which lies behind the data.
const SHARED_INFO: usize = 320;
/// Data of a datagram that lies in one piece; what is above lies in pages.
const LINEAR_MAX: usize = 4 * PAGE - SHARED_INFO;
/// Pages of a datagram.
const FRAGMENTS_MAX: usize = 17;
/// Data of a stream's message that lies in one piece.
const STREAM_LINEAR_MAX: usize = PAGE - SHARED_INFO;
/// And the most that lies behind it in pages.
const STREAM_PAGED_MAX: usize = 8 * PAGE;

/// The largest message of a stream.
pub(crate) const STREAM_MAX: usize = STREAM_LINEAR_MAX + STREAM_PAGED_MAX;

/// Of a datagram of `len` bytes.
pub(crate) fn datagram(len: usize) -> usize {
    let paged = len.saturating_sub(LINEAR_MAX).min(FRAGMENTS_MAX * PAGE);
    let paged = paged.next_multiple_of(PAGE).min(len);
    truesize(len - paged, paged)
}

/// How much of `len` bytes goes into the next message of a stream whose sender's buffer is
/// `send_buffer`, and what that counts.
pub(crate) fn stream(len: usize, send_buffer: usize) -> (usize, usize) {
    // Two messages fit the buffer, so that reader and writer take turns.
    let size = len
        .min((send_buffer / 2).saturating_sub(64))
        .min(STREAM_MAX);
    let paged = size.saturating_sub(STREAM_LINEAR_MAX);
    let paged = paged.next_multiple_of(PAGE).min(size);
    (size, truesize(size - paged, paged))
}

fn truesize(linear: usize, paged: usize) -> usize {
    let needed = linear.next_multiple_of(CACHE_LINE) + SHARED_INFO;
    HEAD + needed.next_power_of_two().max(512) + paged.next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    /// Measured by SIOCOUTQ on Linux 6.18.
    #[test]
    fn messages_count_what_they_count_in_linux() {
        for (len, charge) in [
            (0, 768),
            (64, 768),
            (512, 1280),
            (1400, 2304),
            (4096, 8448),
            (9000, 16640),
            (65507, 69888),
        ] {
            assert_eq!(super::datagram(len), charge, "{len}");
        }
        assert_eq!(super::stream(1, 212_992), (1, 768));
        assert_eq!(super::stream(65_536, 212_992), (36_544, 37_120));
    }
}
