//! axum: its router behind a listener of sockeye's, which is all that `axum::serve` asks for.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use axum::serve::Listener;
use sockeye::tokio::{TcpListener, TcpStream};
use sockeye_ecosystem::{Result, nodes};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> Result {
    println!("{}", demonstrate().await?);
    Ok(())
}

struct Sockets(TcpListener);

impl Listener for Sockets {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Ok(accepted) = self.0.accept().await {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

async fn demonstrate() -> Result<String> {
    let (client, server) = nodes()?;
    let listener = Sockets(TcpListener::bind_on(&server, "10.0.0.2:80").await?);
    let greet = get(|Path(name): Path<String>| async move { format!("hello, {name}") });
    let router: Router = Router::new().route("/greet/{name}", greet);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut stream = TcpStream::connect_on(&client, "10.0.0.2:80").await?;
    let request = "GET /greet/nerka HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}

#[tokio::test]
async fn a_page_crosses_the_cable() {
    let response = demonstrate().await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    assert!(response.ends_with("hello, nerka"), "{response}");
}
