//! RPC with TLS (RFC 9289), over a stream: a call asks whether TLS may begin, and it does on the
//! same connection.
//!
//! Which certificates are believed is the configuration's affair, whether clients have to show one
//! (a server has to ask them for it, §4.2), and which cryptography is used: this crate brings none.
//! TLS 1.3 and the protocol's name in ALPN are insisted on here.

use super::Client;
use super::channel::Channel;
use super::server::End;
use super::transport::AsyncListener;
use crate::CallError;
use crate::client::{TIMEOUT, Target, encode_call, first_xid};
use crate::dispatch::Peer;
use crate::message::{Auth, AuthStatus, ReplyBody, ReplyHeader, STARTTLS, flavor};
use crate::record::{self, RECORD_MAX};
use crate::server::Server;
use crate::xdr::Decoder;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, CommonState, ProtocolVersion, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The protocol's name in ALPN (RFC 9289 §5).
const ALPN: &[u8] = b"sunrpc";

impl Client {
    /// Calls over TLS on `stream`, to a server that proves to be `name`. There is no falling back:
    /// a server that does not begin TLS gets no call. Within a runtime of tokio.
    ///
    /// # Errors
    /// [`CallError::Auth`] when the server does not speak TLS, or no valid one (RFC 9289 §4.1);
    /// the stream's.
    pub async fn stream_tls<S>(
        stream: S,
        config: &ClientConfig,
        name: ServerName<'static>,
        program: u32,
        version: u32,
    ) -> Result<Self, CallError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let target = Target { program, version };
        let asked = timeout(TIMEOUT, probe(stream, target)).await;
        let stream = asked.unwrap_or(Err(CallError::TimedOut))?;
        let mut config = config.clone();
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Early data could be replayed (RFC 9289 §6.3).
        config.enable_early_data = false;
        let connector = TlsConnector::from(Arc::new(config));
        let connected = timeout(TIMEOUT, connector.connect(name, stream)).await;
        // A failure is told as the rejection of an identity is (RFC 9289 §4.1).
        match connected.map_err(|_| CallError::TimedOut)? {
            Ok(stream) if is_for_rpc(stream.get_ref().1) => {
                Ok(Self::stream(stream, program, version))
            }
            _ => Err(CallError::Auth(AuthStatus::Failed)),
        }
    }
}

/// Whether both ends agreed on TLS 1.3 and on this protocol (RFC 9289 §5).
fn is_for_rpc(agreed: &CommonState) -> bool {
    agreed.protocol_version() == Some(ProtocolVersion::TLSv1_3)
        && agreed.alpn_protocol() == Some(ALPN)
}

/// Asks whether TLS may begin (RFC 9289 §4.1); gives the stream back if so.
async fn probe<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    target: Target,
) -> Result<S, CallError> {
    let credential = Auth {
        flavor: flavor::TLS,
        body: &[],
    };
    let number = first_xid();
    let call = encode_call(number, target, 0, credential, RECORD_MAX, |_| Ok(()))?;
    let mut channel = Channel::new(stream, RECORD_MAX);
    record::mark(&call, &mut channel.out);
    poll_fn(|cx| channel.poll_write(cx)).await?;
    loop {
        if let Some(reply) = channel.reader.next_record().map_err(io::Error::from)? {
            let header = ReplyHeader::decode(&mut Decoder::new(reply)).map_err(CallError::Reply)?;
            let begins = matches!(
                header.body,
                ReplyBody::Accepted { verifier, .. }
                    if verifier.flavor == flavor::NONE && verifier.body == STARTTLS
            );
            // Whatever follows in the clear is not TLS's.
            if header.xid == number && begins && channel.reader.is_between_records() {
                return Ok(channel.stream);
            }
            return Err(CallError::Auth(AuthStatus::RejectedCredential));
        }
        if !poll_fn(|cx| channel.poll_fill(cx)).await? {
            return Err(CallError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

impl Server {
    /// Takes connections and serves each in a task of its own, which ends with this future: by
    /// [`serve_stream_tls`](Self::serve_stream_tls).
    ///
    /// # Errors
    /// The listener's; it serves until then.
    pub async fn serve_tls(
        &self,
        listener: impl AsyncListener,
        config: &ServerConfig,
    ) -> io::Result<()> {
        self.serve_each(listener, |server, stream, peer| {
            let config = config.clone();
            async move { server.serve_stream_tls(stream, peer, &config).await }
        })
        .await
    }

    /// Serves one connection to its end, and over TLS once its client asks for that. The programs
    /// have to say that it may: [`Programs::with_starttls`](crate::Programs::with_starttls).
    ///
    /// # Errors
    /// The stream's, TLS's, or its records break a limit.
    pub async fn serve_stream_tls<S>(
        &self,
        stream: S,
        peer: Peer,
        config: &ServerConfig,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.counters().connections.add();
        let End::StartTls(stream) = self.serve_until_tls(stream, peer, false).await? else {
            return Ok(());
        };
        let mut config = config.clone();
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream);
        let stream = timeout(self.limits().idle_time, accepted).await??;
        if !is_for_rpc(stream.get_ref().1) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.serve_until_tls(stream, peer, true).await.map(drop)
    }
}
