//! tonic, both ends: a unary gRPC call over sockeye's TCP, and over a node's own streams. Messages
//! are written by hand where a build script would generate them.

use hyper_util::rt::TokioIo;
use sockeye::tokio::{TcpListener, TcpStream, UnixStream};
use sockeye_ecosystem::{Result, Stream, nodes};
use std::convert::Infallible;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Endpoint, Server};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(string, tag = "1")]
    text: String,
}

#[tokio::main]
async fn main() -> Result {
    println!("{}", over_tcp().await?);
    println!("{}", over_unix().await?);
    Ok(())
}

async fn over_tcp() -> Result<String> {
    let (client, server) = nodes()?;
    let listener = TcpListener::bind_on(&server, "10.0.0.2:50051").await?;
    let stream = TcpStream::connect_on(&client, "10.0.0.2:50051").await?;
    greet(stream, listener.accept().await?.0).await
}

async fn over_unix() -> Result<String> {
    let (client, server) = UnixStream::pair_on(&nodes()?.0)?;
    greet(client, server).await
}

async fn greet<S>(client: S, server: S) -> Result<String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = tower::service_fn(|request| async {
        let greet = tower::service_fn(|question: tonic::Request<Question>| async move {
            let text = format!("hello, {}", question.into_inner().name);
            Ok::<_, tonic::Status>(tonic::Response::new(Answer { text }))
        });
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<Answer, Question>::default());
        Ok::<_, Infallible>(grpc.unary(greet, request).await)
    });
    let connections = tokio_stream::once(io::Result::Ok(Stream(server)));
    tokio::spawn(Server::builder().serve_with_incoming(service, connections));

    let mut stream = Some(TokioIo::new(client));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.take().ok_or(io::ErrorKind::NotConnected);
        async move { Ok::<_, io::Error>(stream?) }
    });
    let endpoint = Endpoint::from_static("http://nerka.example");
    let channel = endpoint.connect_with_connector(connector).await?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let name = "nerka".into();
    let path = http::uri::PathAndQuery::from_static("/greeter.Greeter/Greet");
    let codec = ProstCodec::<Question, Answer>::default();
    let question = tonic::Request::new(Question { name });
    Ok(client.unary(question, path, codec).await?.into_inner().text)
}

#[tokio::test]
async fn a_call_crosses_the_cable_and_the_node() {
    assert_eq!(over_tcp().await.unwrap(), "hello, nerka");
    assert_eq!(over_unix().await.unwrap(), "hello, nerka");
}
