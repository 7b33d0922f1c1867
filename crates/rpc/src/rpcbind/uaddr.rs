//! Universal addresses (RFC 1833 §2.1, and RFC 5665 §5.2.3 for their form).

use std::net::{IpAddr, SocketAddr};

/// `192.0.2.1.8.1` for port 2049.
#[must_use]
pub fn to_uaddr(address: SocketAddr) -> String {
    let [high, low] = address.port().to_be_bytes();
    format!("{}.{high}.{low}", address.ip())
}

/// The address that `uaddr` names.
#[must_use]
pub fn from_uaddr(uaddr: &str) -> Option<SocketAddr> {
    let (rest, low) = uaddr.rsplit_once('.')?;
    let (host, high) = rest.rsplit_once('.')?;
    // A scope is a name on the server's machine: it says nothing here.
    let host = host.split('%').next()?;
    let ip: IpAddr = host.parse().ok()?;
    let port = u16::from_be_bytes([high.parse().ok()?, low.parse().ok()?]);
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_the_last_two_numbers() {
        for (text, uaddr) in [
            ("192.0.2.1:2049", "192.0.2.1.8.1"),
            ("[2001:db8::1]:111", "2001:db8::1.0.111"),
            ("[::]:65535", "::.255.255"),
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(to_uaddr(address), uaddr);
            assert_eq!(from_uaddr(uaddr), Some(address));
        }
        for wrong in [
            "",
            "1.2.3.4",
            "1.2.3.4.256.1",
            "x.0.111",
            "/run/rpcbind.sock",
        ] {
            assert_eq!(from_uaddr(wrong), None, "{wrong}");
        }
    }
}
