//! RPC with TLS (RFC 9289) over a connection of sockeye's.

use sockeye::Node;
use sockeye::tokio::{TcpListener, TcpStream};
use sockeye_ecosystem::{certificate, nodes};
use sockeye_rpc::tokio::Client;
use sockeye_rpc::{CallError, Programs, Server, service_fn};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

const PROGRAM: u32 = 0x2000_0013;

fn double() -> Programs {
    let double = service_fn(PROGRAM, 1, |_, arguments, results| {
        Ok(results.u32(arguments.u32()?.wrapping_mul(2))?)
    });
    Programs::new().with(double)
}

/// A connection to a server that begins TLS where its programs say so.
async fn connected(programs: Programs, config: ServerConfig) -> (TcpStream, (Node, Node)) {
    let nodes = nodes().unwrap();
    let listener = TcpListener::bind_on(&nodes.1, "10.0.0.2:2049").await;
    let listener = listener.unwrap();
    tokio::spawn(async move { Server::new(programs).serve_tls(listener, &config).await });
    let stream = TcpStream::connect_on(&nodes.0, "10.0.0.2:2049").await;
    (stream.unwrap(), nodes)
}

/// A server's configuration, that of a client that believes it, and one of a client that does not.
fn configs() -> (ServerConfig, ClientConfig, ClientConfig) {
    let (certificate, key, roots) = certificate().unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let believing = |roots| {
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth()
    };
    (
        server.unwrap(),
        believing(roots),
        believing(RootCertStore::empty()),
    )
}

fn name() -> ServerName<'static> {
    ServerName::try_from("nerka.example").unwrap()
}

#[tokio::test]
async fn calls_go_by_tls_where_both_speak_it() {
    let (server, client, _) = configs();
    let programs = double().with_starttls();
    let (stream, _nodes) = connected(programs, server).await;
    let client = Client::stream_tls(stream, &client, name(), PROGRAM, 1).await;
    let client = client.unwrap();
    assert_eq!(client.call::<u32>(1, &21_u32).await.unwrap(), 42);
}

#[tokio::test]
async fn nothing_is_called_in_the_clear_by_who_wants_tls() {
    let (server, client, _) = configs();
    let (stream, _nodes) = connected(double(), server).await;
    let refused = Client::stream_tls(stream, &client, name(), PROGRAM, 1).await;
    assert!(matches!(refused, Err(CallError::Auth(_))));
}

#[tokio::test]
async fn a_server_that_is_not_believed_is_not_called() {
    let (server, _, client) = configs();
    let programs = double().with_starttls();
    let (stream, _nodes) = connected(programs, server).await;
    let refused = Client::stream_tls(stream, &client, name(), PROGRAM, 1).await;
    assert!(matches!(refused, Err(CallError::Auth(_))));
}

#[tokio::test]
async fn who_asks_for_nothing_is_served_in_the_clear() {
    let (server, ..) = configs();
    let programs = double().with_starttls();
    let (stream, _nodes) = connected(programs, server).await;
    let client = Client::stream(stream, PROGRAM, 1);
    assert_eq!(client.call::<u32>(1, &1_u32).await.unwrap(), 2);
}

/// RFC 9289 §5: certificates of both ends.
#[tokio::test]
async fn a_client_shows_its_certificate_to_a_server_that_insists() {
    let (certificate, key, roots) = certificate().unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots.clone()));
    let server = ServerConfig::builder()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.clone()], key.clone_key());
    let server = server.unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots);
    let known = client.clone().with_client_auth_cert(vec![certificate], key);
    let (stream, _nodes) = connected(double().with_starttls(), server.clone()).await;
    let calling = Client::stream_tls(stream, &known.unwrap(), name(), PROGRAM, 1).await;
    assert_eq!(calling.unwrap().call::<u32>(1, &4_u32).await.unwrap(), 8);

    let (stream, _nodes) = connected(double().with_starttls(), server).await;
    let unknown = client.with_no_client_auth();
    let called = match Client::stream_tls(stream, &unknown, name(), PROGRAM, 1).await {
        // In TLS 1.3 the client is done before it is refused.
        Ok(client) => client.call::<u32>(1, &4_u32).await,
        Err(error) => Err(error),
    };
    assert!(called.is_err());
}

/// A call with AUTH_TLS in the clear, as its bytes.
fn probe(procedure: u32) -> Vec<u8> {
    let words = [1 << 31 | 40, 1, 0, 2, PROGRAM, 1, procedure, 7, 0, 0, 0];
    words.into_iter().flat_map(u32::to_be_bytes).collect()
}

async fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let length = stream.read_u32().await.unwrap() & !(1 << 31);
    let mut reply = vec![0; length as usize];
    stream.read_exact(&mut reply).await.unwrap();
    reply
}

/// RFC 9289 §4.1: the token, or MSG_DENIED, AUTH_ERROR and AUTH_BADCRED.
#[tokio::test]
async fn the_question_is_answered_word_for_word() {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let bad: Vec<u8> = words(&[1, 1, 1, 1, 1]);
    let (mut stream, _nodes) = connected(double(), configs().0).await;
    stream.write_all(&probe(0)).await.unwrap();
    assert_eq!(answer(&mut stream).await, bad, "a server without TLS");
    let (mut stream, _nodes) = connected(double().with_starttls(), configs().0).await;
    stream.write_all(&probe(1)).await.unwrap();
    assert_eq!(answer(&mut stream).await, bad, "not the NULL procedure");
    stream.write_all(&probe(0)).await.unwrap();
    let good: Vec<u8> = words(&[1, 1, 0, 0, 8]);
    let good = [good, b"STARTTLS".to_vec(), vec![0; 4]].concat();
    assert_eq!(answer(&mut stream).await, good);
}

/// RFC 9289 §5.1.1: discarded without a response, and the connection ends.
#[tokio::test]
async fn what_follows_the_question_in_the_clear_is_discarded() {
    let (mut stream, _nodes) = connected(double().with_starttls(), configs().0).await;
    let call = [1 << 31 | 44, 2, 0, 2, PROGRAM, 1, 1, 0, 0, 0, 0, 21];
    let call = call.into_iter().flat_map(u32::to_be_bytes);
    let both: Vec<u8> = probe(0).into_iter().chain(call).collect();
    stream.write_all(&both).await.unwrap();
    answer(&mut stream).await;
    assert_eq!(stream.read(&mut [0; 100]).await.unwrap_or(0), 0);
}

/// RFC 9289 §4.1: TLS within TLS is a bad credential.
#[tokio::test]
async fn the_question_within_tls_is_refused() {
    let (server, client, _) = configs();
    let (mut stream, _nodes) = connected(double().with_starttls(), server).await;
    stream.write_all(&probe(0)).await.unwrap();
    answer(&mut stream).await;
    let mut client = client;
    client.alpn_protocols = vec![b"sunrpc".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect(name(), stream).await.unwrap();
    stream.write_all(&probe(0)).await.unwrap();
    let mut reply = [0; 24];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[4..], [[0, 0, 0, 1]; 5].concat());
}

/// RFC 9289 §5: both ends name the protocol in ALPN, or there is no session.
#[tokio::test]
async fn a_client_that_does_not_name_the_protocol_is_not_served() {
    let (server, client, _) = configs();
    let (mut stream, _nodes) = connected(double().with_starttls(), server).await;
    stream.write_all(&probe(0)).await.unwrap();
    answer(&mut stream).await;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect(name(), stream).await.unwrap();
    let call = [1_u32 << 31 | 40, 2, 0, 2, PROGRAM, 1, 0, 0, 0, 0, 0];
    let call: Vec<u8> = call.into_iter().flat_map(u32::to_be_bytes).collect();
    let _ = stream.write_all(&call).await;
    assert_eq!(stream.read(&mut [0; 100]).await.unwrap_or(0), 0);
}
