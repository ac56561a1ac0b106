//! How fast bytes go through the bridge, beside TCP without it: client, bridge and target in one process, over loopback.
//!
//! ```sh
//! cargo run --release -p klamm-bridge --example throughput [MIB [ROUNDS]]
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use klamm_bridge::{Bridge, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of one write and of one message.
const PIECE: usize = 64 * 1024;

#[tokio::main]
async fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mib = numbers.next().transpose()?.unwrap_or(1024);
    let rounds = numbers.next().transpose()?.unwrap_or(3);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = listener.local_addr()?;
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        allow: vec!["127.0.0.1:*".parse()?],
        allow_no_origin: true,
        ..Config::default()
    };
    let bridge = Bridge::bind(config).await?;
    let address = bridge.local_addr()?;
    tokio::spawn(bridge.run());

    println!("{mib} MiB in pieces of 64 KiB, MB/s; best of {rounds}");
    let length = mib << 20;
    let mut best = [0.0_f64; 4];
    for _ in 0..rounds {
        let speeds = [
            direct_to_target(&listener, target, length).await?,
            bridged_to_target(&listener, address, length).await?,
            direct_to_client(&listener, target, length).await?,
            bridged_to_client(&listener, address, length).await?,
        ];
        best.iter_mut().zip(speeds).for_each(|(best, speed)| *best = best.max(speed));
    }
    let [direct_up, bridged_up, direct_down, bridged_down] = best;
    println!("to the target:  {direct_up:6.0} without the bridge, {bridged_up:6.0} through it");
    println!("to the client:  {direct_down:6.0} without the bridge, {bridged_down:6.0} through it");
    Ok(())
}

fn speed(length: usize, since: Instant) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a few gigabytes fit into a double")]
    let megabytes = length as f64 / 1e6;
    megabytes / since.elapsed().as_secs_f64()
}

async fn write(stream: &mut TcpStream, length: usize) -> Result<()> {
    let piece = vec![7; PIECE];
    for _ in 0..length / PIECE {
        stream.write_all(&piece).await?;
    }
    Ok(())
}

async fn read(mut stream: TcpStream, length: usize) -> Result<TcpStream> {
    let mut buffer = vec![0; PIECE];
    let mut left = length;
    while left > 0 {
        match stream.read(&mut buffer).await? {
            0 => return Err("the connection ended early".into()),
            n => left -= n,
        }
    }
    Ok(stream)
}

async fn direct_to_target(listener: &TcpListener, target: SocketAddr, length: usize) -> Result<f64> {
    let mut client = TcpStream::connect(target).await?;
    let (accepted, _) = listener.accept().await?;
    let since = Instant::now();
    let reading = tokio::spawn(read(accepted, length));
    write(&mut client, length).await?;
    reading.await??;
    Ok(speed(length, since))
}

async fn direct_to_client(listener: &TcpListener, target: SocketAddr, length: usize) -> Result<f64> {
    let client = TcpStream::connect(target).await?;
    let (mut accepted, _) = listener.accept().await?;
    let since = Instant::now();
    let reading = tokio::spawn(read(client, length));
    write(&mut accepted, length).await?;
    reading.await??;
    Ok(speed(length, since))
}

async fn bridged_to_target(listener: &TcpListener, bridge: SocketAddr, length: usize) -> Result<f64> {
    let (mut client, accepted) = tunnel(listener, bridge).await?;
    let since = Instant::now();
    let reading = tokio::spawn(read(accepted, length));
    let piece = bytes::Bytes::from(vec![7; PIECE]);
    for _ in 0..length / PIECE {
        client.send(Message::Binary(piece.clone())).await?;
    }
    drop(reading.await??);
    Ok(speed(length, since))
}

async fn bridged_to_client(listener: &TcpListener, bridge: SocketAddr, length: usize) -> Result<f64> {
    let (mut client, mut accepted) = tunnel(listener, bridge).await?;
    let since = Instant::now();
    let writing = tokio::spawn(async move { write(&mut accepted, length).await.map(|()| accepted) });
    let mut left = length;
    while left > 0 {
        let message = client.next().await.ok_or("the tunnel ended early")??;
        left -= message.len();
    }
    drop(writing.await??);
    Ok(speed(length, since))
}

type Client = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn tunnel(listener: &TcpListener, bridge: SocketAddr) -> Result<(Client, TcpStream)> {
    let target = listener.local_addr()?;
    let url = format!("ws://{bridge}/tcp/{}/{}", target.ip(), target.port());
    let (client, _) = client_async(url, TcpStream::connect(bridge).await?).await?;
    let (accepted, _) = listener.accept().await?;
    Ok((client, accepted))
}
