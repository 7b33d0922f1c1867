//! NFS version 3 with the crates `nfs3_server` and `nfs3_client` at the other end: 100 MiB are
//! written and read, and have the right hash.

use nfs3_client::Nfs3ConnectionBuilder;
use nfs3_client::io::{AsyncRead, AsyncWrite};
use nfs3_client::net::Connector;
use nfs3_client::nfs3_types::nfs3 as theirs;
use nfs3_client::nfs3_types::xdr_codec::Opaque;
use nfs3_client::tokio::TokioIo;
use nfs3_server::memfs::{MemFs, MemFsConfig};
use nfs3_server::tcp::{NFSTcp, NFSTcpListener};
use sha2::{Digest, Sha256};
use sockeye::Node;
use sockeye::tokio::{TcpListener, TcpStream};
use sockeye_ecosystem::nodes;
use sockeye_rpc::tokio::Client;
use sockeye_rpc::{Call, Fault, Programs, Server};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What our rpcgen makes of the interface.
#[expect(dead_code, reason = "not all of it is called")]
mod interface {
    include!(concat!(env!("OUT_DIR"), "/nfs3.rs"));
}

use interface::*;

const LENGTH: usize = 100 << 20;
const PIECE: usize = 256 << 10;

/// Bytes that repeat nowhere, and their hash.
fn contents() -> (Vec<u8>, Vec<u8>) {
    let words = (0..LENGTH as u64 / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let bytes: Vec<u8> = words.flat_map(u64::to_be_bytes).collect();
    let hash = Sha256::digest(&bytes).to_vec();
    (bytes, hash)
}

#[tokio::test]
async fn our_client_writes_and_reads_at_a_server_of_others() {
    let files = MemFs::new(MemFsConfig::default()).unwrap();
    let listener = NFSTcpListener::bind("127.0.0.1:0", files).await.unwrap();
    let server = SocketAddr::new(listener.get_listen_ip(), listener.get_listen_port());
    tokio::spawn(async move { listener.handle_forever().await });

    let stream = tokio::net::TcpStream::connect(server).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let client = Client::stream(stream, NFS_PROGRAM, NFS_V3);
    let mount = MountV3Client(client.program(MOUNT_PROGRAM, MOUNT_V3));
    let Mountres3::Mnt3Ok(mounted) = mount.mountproc3_mnt("/").await.unwrap() else {
        panic!("it is not mounted");
    };
    let root = NfsFh3 {
        data: mounted.fhandle,
    };
    let nfs = NfsV3Client(client);
    nfs.nfsproc3_null().await.unwrap();
    let file = create(&nfs, root).await;
    let (bytes, hash) = contents();
    for (n, piece) in bytes.chunks(PIECE).enumerate() {
        let write = WRITE3args {
            file: file.clone(),
            offset: (n * PIECE) as u64,
            count: piece.len() as u32,
            stable: StableHow::FileSync,
            data: piece.to_vec(),
        };
        let WRITE3res::Nfs3Ok(written) = nfs.nfsproc3_write(&write).await.unwrap() else {
            panic!("nothing is written at {}", write.offset);
        };
        assert_eq!(written.count, write.count);
    }
    let mut sum = Sha256::new();
    for offset in (0..LENGTH as u64).step_by(PIECE) {
        let read = READ3args {
            file: file.clone(),
            offset,
            count: PIECE as u32,
        };
        let READ3res::Nfs3Ok(read) = nfs.nfsproc3_read(&read).await.unwrap() else {
            panic!("nothing is read at {offset}");
        };
        sum.update(&read.data);
        assert_eq!(read.eof, offset as usize + PIECE == LENGTH);
    }
    assert_eq!(sum.finalize().to_vec(), hash);
}

async fn create(nfs: &NfsV3Client<Client>, root: NfsFh3) -> NfsFh3 {
    let keep = Sattr3 {
        mode: SetUint32::True(0o644),
        uid: SetUint32::False,
        gid: SetUint32::False,
        size: SetSize3::True(0),
        atime: SetTime::Default(TimeHow::DontChange),
        mtime: SetTime::Default(TimeHow::DontChange),
    };
    let name = "nerka".to_owned();
    let create = CREATE3args {
        r#where: Diropargs3 { dir: root, name },
        how: Createhow3::Unchecked(keep),
    };
    let CREATE3res::Nfs3Ok(created) = nfs.nfsproc3_create(&create).await.unwrap() else {
        panic!("it is not created");
    };
    let PostOpFh3::True(file) = created.obj else {
        panic!("it has no handle");
    };
    file
}

/// One directory with one file.
#[derive(Clone, Default)]
struct OneFile(Arc<Mutex<Vec<u8>>>);

const ROOT: &[u8] = b"root";
const FILE: &[u8] = b"file";

fn nothing() -> WccData {
    WccData {
        before: PreOpAttr::False,
        after: PostOpAttr::False,
    }
}

impl MountV3 for OneFile {
    fn mountproc3_mnt(&self, _: &Call, _: Dirpath) -> Result<Mountres3, Fault> {
        Ok(Mountres3::Mnt3Ok(Mountres3Ok {
            fhandle: ROOT.to_vec(),
            auth_flavors: vec![0],
        }))
    }

    fn mountproc3_umnt(&self, _: &Call, _: Dirpath) -> Result<(), Fault> {
        Ok(())
    }
}

impl NfsV3 for OneFile {
    fn nfsproc3_getattr(&self, _: &Call, _: GETATTR3args) -> Result<GETATTR3res, Fault> {
        Ok(GETATTR3res::Default(Nfsstat3::Nfs3errNotsupp))
    }

    fn nfsproc3_lookup(&self, _: &Call, argument: LOOKUP3args) -> Result<LOOKUP3res, Fault> {
        if argument.what.name != "nerka" {
            let none = PostOpAttr::False;
            return Ok(LOOKUP3res::Default(Nfsstat3::Nfs3errNoent, none));
        }
        Ok(LOOKUP3res::Nfs3Ok(LOOKUP3resok {
            object: NfsFh3 {
                data: FILE.to_vec(),
            },
            obj_attributes: PostOpAttr::False,
            dir_attributes: PostOpAttr::False,
        }))
    }

    fn nfsproc3_read(&self, _: &Call, argument: READ3args) -> Result<READ3res, Fault> {
        let file = self.0.lock().map_err(|_| Fault::SystemError)?;
        let start = file.len().min(argument.offset as usize);
        let end = file.len().min(start + argument.count as usize);
        Ok(READ3res::Nfs3Ok(READ3resok {
            file_attributes: PostOpAttr::False,
            count: (end - start) as u32,
            eof: end == file.len(),
            data: file[start..end].to_vec(),
        }))
    }

    fn nfsproc3_write(&self, _: &Call, argument: WRITE3args) -> Result<WRITE3res, Fault> {
        let mut file = self.0.lock().map_err(|_| Fault::SystemError)?;
        let start = argument.offset as usize;
        let end = start + argument.data.len();
        if end > LENGTH {
            return Ok(WRITE3res::Default(Nfsstat3::Nfs3errFbig, nothing()));
        }
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(&argument.data);
        Ok(WRITE3res::Nfs3Ok(WRITE3resok {
            file_wcc: nothing(),
            count: argument.count,
            committed: StableHow::FileSync,
            verf: [0; 8],
        }))
    }

    fn nfsproc3_create(&self, _: &Call, argument: CREATE3args) -> Result<CREATE3res, Fault> {
        if argument.r#where.name != "nerka" {
            return Ok(CREATE3res::Default(Nfsstat3::Nfs3errNospc, nothing()));
        }
        let data = FILE.to_vec();
        Ok(CREATE3res::Nfs3Ok(CREATE3resok {
            obj: PostOpFh3::True(NfsFh3 { data }),
            obj_attributes: PostOpAttr::False,
            dir_wcc: nothing(),
        }))
    }
}

/// Connects their client from a node.
struct From(Node);

impl Connector for From {
    type Connection = TokioIo<TcpStream>;

    async fn connect(&self, to: SocketAddr) -> io::Result<Self::Connection> {
        let stream = TcpStream::connect_on(&self.0, to).await?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
    }

    async fn connect_with_port(&self, to: SocketAddr, _: u16) -> io::Result<Self::Connection> {
        self.connect(to).await
    }
}

#[tokio::test]
async fn a_client_of_others_writes_and_reads_at_our_server() {
    let (here, there) = nodes().unwrap();
    let listener = TcpListener::bind_on(&there, "10.0.0.2:2049").await;
    let listener = listener.unwrap();
    let file = OneFile::default();
    let programs = Programs::new()
        .with(NfsV3Server(file.clone()))
        .with(MountV3Server(file.clone()));
    tokio::spawn(async move { Server::new(programs).serve_async(listener).await });

    let builder = Nfs3ConnectionBuilder::new(From(here), "10.0.0.2", "/");
    let builder = builder.mount_port(2049).nfs3_port(2049);
    let mut nfs = builder.mount().await.unwrap();
    nfs.null().await.unwrap();
    let place = |name: &'static [u8], dir| theirs::diropargs3 {
        dir,
        name: theirs::filename3(Opaque::borrowed(name)),
    };
    let create = |name| theirs::CREATE3args {
        where_: place(name, nfs.root_nfs_fh3()),
        how: theirs::createhow3::UNCHECKED(theirs::sattr3::default()),
    };
    let (create, other) = (create(b"nerka"), create(b"other"));
    let full = nfs.create(&other).await.unwrap();
    assert!(
        matches!(
            full,
            theirs::CREATE3res::Err((theirs::nfsstat3::NFS3ERR_NOSPC, _))
        ),
        "{full:?}"
    );
    let theirs::Nfs3Option::Some(handle) = nfs.create(&create).await.unwrap().unwrap().obj else {
        panic!("it has no handle");
    };
    let (bytes, hash) = contents();
    write_all(&mut nfs, &handle, &bytes).await;
    assert_eq!(Sha256::digest(&*file.0.lock().unwrap()).to_vec(), hash);
    let mut sum = Sha256::new();
    for offset in (0..LENGTH as u64).step_by(PIECE) {
        let read = theirs::READ3args {
            file: handle.clone(),
            offset,
            count: PIECE as u32,
        };
        sum.update(nfs.read(&read).await.unwrap().unwrap().data.to_vec());
    }
    assert_eq!(sum.finalize().to_vec(), hash);
    nfs.unmount().await.unwrap();
}

async fn write_all<S: AsyncRead + AsyncWrite>(
    nfs: &mut nfs3_client::Nfs3Client<S>,
    file: &theirs::nfs_fh3,
    bytes: &[u8],
) {
    for (n, piece) in bytes.chunks(PIECE).enumerate() {
        let write = theirs::WRITE3args {
            file: file.clone(),
            offset: (n * PIECE) as u64,
            count: piece.len() as u32,
            stable: theirs::stable_how::FILE_SYNC,
            data: Opaque::borrowed(piece),
        };
        let written = nfs.write(&write).await.unwrap().unwrap();
        assert_eq!(written.count, write.count);
    }
}
