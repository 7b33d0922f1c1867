use super::fields::{Fields, mask};
use super::get_keys::AO_GET_LEN;
use super::*;
use crate::{Domain, Node, Type};
use std::net::IpAddr;

// Of linux/tcp.h; libc does not have them.
const TCP_AO_ADD_KEY: i32 = 38;
const TCP_AO_DEL_KEY: i32 = 39;
const TCP_AO_INFO: i32 = 40;
const TCP_AO_GET_KEYS: i32 = 41;

fn address(ip: &str, port: u16) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    match ip.parse().expect("an address") {
        IpAddr::V4(ip) => {
            bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            bytes[4..8].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            bytes[8..24].copy_from_slice(&ip.octets());
        }
    }
    bytes
}

fn md5(ip: &str, key: &[u8], len: u16) -> Vec<u8> {
    let mut bytes = address(ip, 0);
    bytes.extend([0, 0]);
    bytes.extend(len.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(key);
    bytes.resize(MD5SIG_LEN, 0);
    bytes
}

fn add(ip: &str, prefix: u8, send_id: u8, receive_id: u8) -> Vec<u8> {
    let mut bytes = address(ip, 0);
    bytes.extend(b"hmac(sha1)");
    bytes.resize(202, 0);
    bytes.extend([prefix, send_id, receive_id, 0, 0, 6]);
    bytes.extend(b"secret");
    bytes.resize(AO_ADD_LEN, 0);
    bytes
}

fn socket(domain: Domain) -> (Node, Socket) {
    let node = Node::builder().background(false).build();
    let node = node.expect("a node without links");
    let socket = Socket::new_on(&node, domain, Type::STREAM, None).expect("a socket");
    (node, socket)
}

fn set(socket: &Socket, name: i32, value: &[u8]) -> i32 {
    code(socket.set_option_raw(libc::IPPROTO_TCP, name, value))
}

fn code(result: io::Result<()>) -> i32 {
    result.map_or_else(|error| error.raw_os_error().expect("an errno"), |()| 0)
}

/// What Linux 6.18 answers to the same calls.
#[test]
fn md5_keys_are_set_and_taken_away() {
    let (_node, v4) = socket(Domain::IPV4);
    let set = |s: &Socket, value: &[u8]| set(s, libc::TCP_MD5SIG, value);
    assert_eq!(set(&v4, &md5("127.0.0.1", b"hello", 5)), 0);
    assert_eq!(set(&v4, &md5("1.2.3.4", b"", 0)), libc::ENOENT);
    assert_eq!(set(&v4, &md5("127.0.0.1", b"", 0)), 0);
    assert_eq!(set(&v4, &md5("127.0.0.1", b"", 0)), libc::ENOENT);
    assert_eq!(set(&v4, &md5("127.0.0.1", b"", 81)), libc::EINVAL);
    assert_eq!(
        set(&v4, &md5("127.0.0.1", b"hello", 5)[..200]),
        libc::EINVAL
    );
    assert_eq!(
        set(&v4, &[&md5("127.0.0.1", b"hello", 5)[..], b"xxx"].concat()),
        0
    );
    assert_eq!(set(&v4, &md5("::1", b"hello", 5)), libc::EINVAL);
    let (node, v6) = socket(Domain::IPV6);
    assert_eq!(set(&v6, &md5("127.0.0.1", b"hello", 5)), libc::EINVAL);
    assert_eq!(set(&v6, &md5("::1", b"hello", 5)), 0);
    assert_eq!(set(&v6, &md5("::ffff:127.0.0.1", b"hello", 5)), 0);
    assert_eq!(code(v6.remove_md5_key([127, 0, 0, 1].into())), 0);
    assert_eq!(
        code(v6.add_md5_key([127, 0, 0, 1].into(), b"")),
        libc::EINVAL
    );
    let read = v6.option_raw(libc::IPPROTO_TCP, libc::TCP_MD5SIG, &mut [0; 216]);
    assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::ENOPROTOOPT));
    let udp = Socket::new_on(&node, Domain::IPV4, Type::DGRAM, None).unwrap();
    assert_eq!(set(&udp, &md5("127.0.0.1", b"hello", 5)), libc::ENOPROTOOPT);
}

/// Adds the key 5/6 of 10.0.0.0/24 after a `change` to what asks for it.
fn add_changed(socket: &Socket, change: &dyn Fn(&mut Vec<u8>)) -> i32 {
    let mut bytes = add("10.0.0.0", 24, 5, 6);
    change(&mut bytes);
    set(socket, TCP_AO_ADD_KEY, &bytes)
}

/// A socket with that key and, as its current one, 7/8.
fn with_two_keys() -> (Node, Socket) {
    let (node, socket) = socket(Domain::IPV4);
    assert_eq!(add_changed(&socket, &|_| ()), 0);
    let current = |b: &mut Vec<u8>| {
        (b[203], b[204]) = (7, 8);
        b[206] = KEYF_EXCLUDE_OPT;
        b[196..200].copy_from_slice(&mask(0, 32).to_ne_bytes());
    };
    assert_eq!(add_changed(&socket, &current), 0);
    (node, socket)
}

#[test]
fn master_keys_are_added_if_all_is_right_with_them() {
    let (_node, socket) = socket(Domain::IPV4);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| add_changed(&socket, change);
    assert_eq!(changed(&|b| b.truncate(287)), libc::EINVAL);
    assert_eq!(changed(&|b| b.push(1)), libc::E2BIG);
    assert_eq!(changed(&|b| b[207] = 81), libc::EINVAL);
    assert_eq!(changed(&|b| b[200] = 1), libc::EINVAL);
    assert_eq!(
        changed(&|b| b[196..200].copy_from_slice(&mask(2, 32).to_ne_bytes())),
        libc::EINVAL
    );
    assert_eq!(changed(&|b| b[3] = 1), libc::EINVAL);
    assert_eq!(
        changed(&|b| b[192..196].copy_from_slice(&1i32.to_ne_bytes())),
        libc::EINVAL
    );
    assert_eq!(changed(&|b| b[206] = 4), libc::EINVAL);
    assert_eq!(changed(&|b| b[202] = 33), libc::EINVAL);
    assert_eq!(changed(&|b| b[7] = 1), libc::EINVAL);
    assert_eq!(changed(&|b| b[133] = b'x'), libc::ENOENT);
    assert_eq!(changed(&|b| b[205] = 17), libc::EMSGSIZE);
    let mut no_keys = [0; AO_GET_LEN];
    let none = socket.option_raw(libc::IPPROTO_TCP, TCP_AO_GET_KEYS, &mut no_keys);
    assert_eq!(none.unwrap_err().raw_os_error(), Some(libc::ENOENT));
    assert_eq!(changed(&|_| ()), 0);
    assert_eq!(changed(&|_| ()), libc::EEXIST);
}

#[test]
fn all_master_keys_are_shown_for_which_there_is_room() {
    let (_node, socket) = with_two_keys();
    let mut out = vec![0; 2 * AO_GET_LEN];
    let ask = |out: &mut [u8], room: u32, bit: u32| {
        out.fill(0);
        out[272..276].copy_from_slice(&room.to_ne_bytes());
        out[276..278].copy_from_slice(&(mask(bit, 16) as u16).to_ne_bytes());
        socket.option_raw(libc::IPPROTO_TCP, TCP_AO_GET_KEYS, out)
    };
    assert_eq!(ask(&mut out, 1, 2).unwrap(), AO_GET_LEN);
    assert_eq!(Fields(&out).u32(272), 2);
    assert!(out[AO_GET_LEN..].iter().all(|byte| *byte == 0));
    assert_eq!(ask(&mut out, 2, 2).unwrap(), 2 * AO_GET_LEN);
    let (new, old) = out.split_at(AO_GET_LEN);
    assert_eq!(
        (&new[278..284], &old[278..284]),
        (&[7, 8, 24, 12, 2, 6][..], &[5, 6, 24, 12, 0, 6][..])
    );
    assert_eq!(
        (&old[..8], &old[128..140]),
        (&address("10.0.0.0", 0)[..8], &b"hmac(sha1)\0\0"[..])
    );
    assert_eq!(&old[192..199], b"secret\0");
    assert_eq!(
        (Fields(new).u16(276), Fields(old).u16(276)),
        (mask(0, 16) as u16, 0)
    );
    assert_eq!(ask(&mut out, 2, 0).unwrap(), AO_GET_LEN);
    assert_eq!((out[278], Fields(&out).u32(272)), (7, 1));
}

#[test]
fn the_current_key_goes_only_when_another_takes_its_place() {
    let (_node, socket) = with_two_keys();
    let set = |name: i32, value: &[u8]| set(&socket, name, value);
    let del = |send_id: u8, receive_id: u8, current: Option<u8>| {
        let mut bytes = address("10.0.0.0", 0);
        bytes.resize(AO_DEL_LEN, 0);
        let bits = current.map_or(0, |_| mask(0, 32));
        bytes[132..136].copy_from_slice(&bits.to_ne_bytes());
        bytes[138..142].copy_from_slice(&[24, send_id, receive_id, current.unwrap_or(0)]);
        set(TCP_AO_DEL_KEY, &bytes)
    };
    assert_eq!(del(7, 9, None), libc::ENOENT);
    assert_eq!(del(7, 8, None), libc::EBUSY);
    assert_eq!(del(7, 8, Some(99)), libc::ENOENT);
    assert_eq!(del(7, 8, Some(5)), 0);

    let mut info = [0; AO_INFO_LEN];
    info[..4].copy_from_slice(&(mask(2, 32) | mask(3, 32) | mask(1, 32)).to_ne_bytes());
    (info[7], info[8]) = (6, 77);
    assert_eq!(set(TCP_AO_INFO, &info), 0);
    info[4] = 1;
    assert_eq!(set(TCP_AO_INFO, &info), libc::EINVAL);
    let mut told = [0; AO_INFO_LEN];
    let len = socket.option_raw(libc::IPPROTO_TCP, TCP_AO_INFO, &mut told);
    assert_eq!(len.unwrap(), AO_INFO_LEN);
    let bits = mask(0, 32) | mask(1, 32) | mask(2, 32);
    assert_eq!(Fields(&told).u32(0), bits);
    assert_eq!((told[6], told[7], Fields(&told).u64(8)), (5, 6, 77));
}
