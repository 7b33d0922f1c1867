//! The MD5 signature (RFC 2385 §2).

use super::covered::Covered;
use hmac::digest::CtOutput;
use md5::{Digest, Md5};

/// Bytes of a signature.
pub(crate) const DIGEST_LEN: usize = 16;

/// RFC 2385 §2: the digest of pseudo-header, header without options, text and key.
pub(crate) fn digest(covered: &Covered<'_>, key: &[u8]) -> [u8; DIGEST_LEN] {
    let mut md5 = Md5::new();
    covered.feed_plain(&mut |bytes| md5.update(bytes));
    md5.update(key);
    md5.finalize().into()
}

/// Whether `theirs` is the digest; how long it takes does not tell where it differs.
pub(crate) fn verify(covered: &Covered<'_>, key: &[u8], theirs: &[u8; DIGEST_LEN]) -> bool {
    let ours = CtOutput::<Md5>::new(digest(covered, key).into());
    ours == CtOutput::new((*theirs).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sockeye_core::Payload;

    /// The digest as RFC 1321 defines it, over the very bytes that RFC 2385 §2 lists.
    #[test]
    fn it_covers_what_the_rfc_says() {
        let mut header = [0u8; 40];
        header[12] = 0xa0;
        // The checksum counts as zero, and options do not count.
        header[16..18].copy_from_slice(&[0xab, 0xcd]);
        header[20..].fill(7);
        let mut text = Payload::new();
        text.push(Bytes::from_static(b"ab"));
        text.push(Bytes::from_static(b"c"));
        let covered = Covered {
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
            header: &header,
            text: &text,
        };
        let mut plain = vec![10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 43];
        plain.extend([0; 12]);
        plain.extend([0xa0, 0, 0, 0, 0, 0, 0, 0]);
        plain.extend(b"abcsecret");
        assert_eq!(
            digest(&covered, b"secret"),
            <[u8; 16]>::from(Md5::digest(&plain))
        );
    }

    /// RFC 1321 §A.5.
    #[test]
    fn known_answers() {
        let of = |text: &str| format!("{:032x}", u128::from_be_bytes(Md5::digest(text).into()));
        assert_eq!(of(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(of("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }
}
