//! hyper, both ends: HTTP/1.1 over a connection of sockeye's.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use hyper_util::rt::TokioIo;
use sockeye::tokio::{TcpListener, TcpStream};
use sockeye_ecosystem::{Result, nodes};
use std::convert::Infallible;

#[tokio::main]
async fn main() -> Result {
    println!("{}", demonstrate().await?);
    Ok(())
}

async fn demonstrate() -> Result<String> {
    let (client, server) = nodes()?;
    let listener = TcpListener::bind_on(&server, "10.0.0.2:80").await?;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let greet = service_fn(|request: Request<_>| async move {
            let _: hyper::body::Incoming = request.into_body();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello from hyper"))))
        });
        let connection = server::conn::http1::Builder::new();
        connection
            .serve_connection(TokioIo::new(stream), greet)
            .await?;
        Result::Ok(())
    });

    let stream = TcpStream::connect_on(&client, "10.0.0.2:80").await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/").header("host", "10.0.0.2");
    let response = sender
        .send_request(request.body(Empty::<Bytes>::new())?)
        .await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.into())?)
}

#[tokio::test]
async fn a_page_crosses_the_cable() {
    assert_eq!(demonstrate().await.unwrap(), "hello from hyper");
}
