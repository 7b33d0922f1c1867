//! The pooling client of hyper-util, by a connector of a few lines; a server of a few
//! bytes answers.

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye::tokio::{TcpListener, TcpStream};
use sockeye_ecosystem::{Result, Stream, nodes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> Result {
    println!("{}", demonstrate().await?);
    Ok(())
}

async fn demonstrate() -> Result<String> {
    let (client, server) = nodes()?;
    let listener = TcpListener::bind_on(&server, "10.0.0.2:80").await?;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let _ = stream.read(&mut [0; 1024]).await?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            .await
    });

    let connector = tower::service_fn(move |to: Uri| {
        let client = client.clone();
        Box::pin(async move {
            let to = (to.host().unwrap_or(""), to.port_u16().unwrap_or(80));
            let stream = TcpStream::connect_on(&client, to).await?;
            std::io::Result::Ok(TokioIo::new(Stream(stream)))
        })
    });
    let http: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let response = http.get("http://10.0.0.2/".parse()?).await?;
    Ok(String::from_utf8(
        response.into_body().collect().await?.to_bytes().into(),
    )?)
}

#[tokio::test]
async fn a_page_crosses_the_cable() {
    assert_eq!(demonstrate().await.unwrap(), "hello");
}
