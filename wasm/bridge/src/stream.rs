//! The client's side of a connection: TCP or TLS over it, and when it was last heard.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::activity::Activity;

/// Bytes of the longest control frame: 125 and a header.
const LONGEST_PING: usize = 127;

/// A client's connection. Bytes that move are noted in its activity.
#[derive(Debug)]
pub(crate) struct ClientStream {
    inner: Inner,
    activity: Arc<Activity>,
}

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ClientStream {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self { inner: Inner::Plain(stream), activity: Arc::default() }
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self { inner: Inner::Tls(Box::new(stream)), activity: Arc::default() }
    }

    pub(crate) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }
}

/// What both kinds do in the same way.
macro_rules! either {
    ($self:ident, $stream:ident => $what:expr) => {
        match &mut $self.inner {
            Inner::Plain(stream) => {
                let $stream = Pin::new(stream);
                $what
            }
            Inner::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $what
            }
        }
    };
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = either!(self, stream => stream.poll_read(cx, buf));
        if buf.filled().len() > before {
            self.activity.client_alive();
        }
        polled
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = either!(self, stream => stream.poll_write(cx, buf));
        // Data that leaves shows that the client reads; a ping that leaves shows nothing.
        if polled.is_ready() && buf.len() > LONGEST_PING {
            self.activity.client_alive();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}
