//! rustls by tokio-rustls, both ends: TLS 1.3 over sockeye's TCP, with a certificate made here.

use sockeye::tokio::{TcpListener, TcpStream};
use sockeye_ecosystem::{Result, certificate, nodes};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[tokio::main]
async fn main() -> Result {
    println!("{}", demonstrate().await?);
    Ok(())
}

async fn demonstrate() -> Result<String> {
    let (certificate, key, roots) = certificate()?;
    let of_server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let of_client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let (client, server) = nodes()?;
    let listener = TcpListener::bind_on(&server, "10.0.0.2:443").await?;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = TlsAcceptor::from(Arc::new(of_server))
            .accept(stream)
            .await?;
        stream.write_all(b"hello in secret").await?;
        stream.shutdown().await
    });

    let stream = TcpStream::connect_on(&client, "10.0.0.2:443").await?;
    let name = ServerName::try_from("nerka.example")?;
    let connector = TlsConnector::from(Arc::new(of_client));
    let mut stream = connector.connect(name, stream).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn a_secret_crosses_the_cable() {
    assert_eq!(demonstrate().await.unwrap(), "hello in secret");
}
