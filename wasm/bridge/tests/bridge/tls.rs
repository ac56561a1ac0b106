//! The listener with a certificate of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use klamm_bridge::{Config, TlsFiles};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::common::{PATIENCE, Random, Running, config, echo};

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("klamm-bridge-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { certificate: self.0.join("cert.pem"), key: self.0.join("key.pem") }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Puts a new certificate there, and gives a client that trusts it alone.
fn certify(files: &TlsFiles) -> TlsConnector {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write(&files.certificate, &cert.pem());
    write(&files.key, &signing_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

async fn connect(bridge: &Running, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(bridge.address).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_through_tls_and_the_certificate_can_be_changed() {
    let folder = Folder::new("tls");
    let old = certify(&folder.files());
    let bridge = Running::start(Config { tls: Some(folder.files()), ..config() }).await;
    let echo = echo().await;
    let stream = connect(&bridge, &old).await.unwrap();
    let (client, _) = client_async(bridge.request(echo), stream).await.unwrap();
    let (mut sink, mut stream) = client.split();
    let bytes = Random(11).bytes(3_000_000);
    let sent = bytes.clone();
    let sending = tokio::spawn(async move {
        for piece in sent.chunks(100_000) {
            sink.send(Message::binary(piece.to_vec())).await.unwrap();
        }
        sink
    });
    let mut received = Vec::new();
    while received.len() < bytes.len() {
        received.extend(timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap().into_data());
    }
    assert!(received == bytes);

    // A new certificate: for new connections, after the order to read it.
    let new = certify(&folder.files());
    assert!(connect(&bridge, &old).await.is_ok() && connect(&bridge, &new).await.is_err());
    bridge.handle.reload().unwrap();
    assert!(connect(&bridge, &old).await.is_err() && connect(&bridge, &new).await.is_ok());
    // One that cannot be used changes nothing.
    write(&folder.files().key, "no key");
    assert!(bridge.handle.reload().unwrap_err().contains("key.pem"));
    assert!(connect(&bridge, &new).await.is_ok());
    assert_eq!((bridge.metric("reloads_total"), bridge.metric("reloads_failed_total")), (1, 1));

    // The open tunnel has not noticed, and ends in order, with TLS's own goodbye.
    let mut sink = sending.await.unwrap();
    sink.send(Message::binary(b"still".to_vec())).await.unwrap();
    let still = timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(still.into_data(), b"still"[..]);
    sink.close().await.unwrap();
    while let Some(message) = timeout(PATIENCE, stream.next()).await.unwrap() {
        message.unwrap();
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_speak_no_tls_or_nothing_are_let_go() {
    let folder = Folder::new("no-tls");
    let connector = certify(&folder.files());
    let mut config = Config { tls: Some(folder.files()), ..config() };
    config.limits.handshake = Duration::from_millis(300);
    let bridge = Running::start(config).await;
    let plain = bridge.raw(b"GET /health HTTP/1.1\r\n\r\n").await;
    assert!(!plain.contains("HTTP"), "{plain}");
    let mut silent = TcpStream::connect(bridge.address).await.unwrap();
    let read = timeout(PATIENCE, silent.read(&mut [0; 10])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    // TLS and then nothing: that can be answered.
    let mut quiet = connect(&bridge, &connector).await.unwrap();
    let mut answer = String::new();
    drop(timeout(PATIENCE, quiet.read_to_string(&mut answer)).await.unwrap());
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    bridge.until("handshakes_failed_total", 2).await;
    bridge.stop().await;
}
