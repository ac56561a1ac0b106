//! Bytes between one WebSocket and one TCP connection, both ways, and the end of it.
//!
//! Memory is bounded by waiting: the next message is read when the target has taken the last one, the next bytes of the
//! target when the client's connection has. So a slow reader on either side slows its sender down, through TCP.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::activity::Activity;
use crate::config::Limits;
use crate::end::End;
use crate::metrics::Traffic;
use crate::pace::Pace;
use crate::server::stopped;
use crate::stream::ClientStream;

/// The client's side.
pub(crate) type Client = WebSocketStream<ClientStream>;

/// Most bytes in one message to the client.
const CHUNK: usize = 64 * 1024;
/// What may wait for the client besides one message: pongs.
const PONGS: usize = 4 * 1024;
/// Read from the client at once.
const READ_BUFFER: usize = 32 * 1024;

/// How tungstenite is used. Nothing waits unbounded: left to itself it keeps a pong for every ping of a client that does not read.
pub(crate) fn websocket_config(limits: &Limits) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(CHUNK + PONGS)
        .max_frame_size(Some(limits.max_frame))
        .max_message_size(Some(limits.max_message))
}

/// Carries bytes until either side or `stop` ends it, then closes both sides as far as the limits let it.
/// The end is reported through `ended` as soon as it is known.
pub(crate) async fn run(
    client: Client,
    target: TcpStream,
    limits: &Limits,
    traffic: Arc<Traffic>,
    mut stop: watch::Receiver<bool>,
    ended: impl FnOnce(End),
) {
    let activity = client.get_ref().activity();
    activity.data_moved();
    let (sink, stream) = client.split();
    let (from_target, to_target) = target.into_split();
    let mut up = Up::new(stream, to_target, limits, Arc::clone(&activity), Arc::clone(&traffic));
    let mut down = Down::new(sink, from_target, limits, Arc::clone(&activity), traffic);
    let end = tokio::select! {
        end = up.run() => end,
        end = down.run() => end,
        end = watch_over(&activity, limits) => end,
        () = stopped(&mut stop) => End::ShuttingDown,
    };
    ended(end);
    finish(up, down, end, limits.close).await;
}

/// Ends when nothing happens for too long. Looks no more often than it has to.
async fn watch_over(activity: &Activity, limits: &Limits) -> End {
    let patience = limits.ping_interval + limits.ping_timeout;
    loop {
        let (idle, silence) = (activity.idle(), activity.silence());
        if idle >= limits.idle {
            return End::Idle;
        }
        if silence >= patience {
            return End::Silent;
        }
        sleep((limits.idle - idle).min(patience - silence).max(Duration::from_millis(1))).await;
    }
}

/// From the client to the target.
struct Up {
    client: SplitStream<Client>,
    target: OwnedWriteHalf,
    /// What the target has not taken yet of the last message.
    pending: Bytes,
    pace: Pace,
    activity: Arc<Activity>,
    traffic: Arc<Traffic>,
}

impl Up {
    fn new(
        client: SplitStream<Client>,
        target: OwnedWriteHalf,
        limits: &Limits,
        activity: Arc<Activity>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self { client, target, pending: Bytes::new(), pace: Pace::new(limits.bytes_per_second), activity, traffic }
    }

    /// Can be dropped at any time and called again; nothing is lost.
    async fn run(&mut self) -> End {
        loop {
            while self.pending.has_remaining() {
                match self.target.write_buf(&mut self.pending).await {
                    Ok(n) if n > 0 => {
                        self.activity.data_moved();
                        self.traffic.to_target(n);
                    }
                    _ => return End::TargetFailed,
                }
            }
            self.pace.wait().await;
            self.activity.listen(true);
            let next = self.client.next().await;
            self.activity.listen(false);
            match next {
                Some(Ok(Message::Binary(bytes))) => {
                    self.traffic.message_from_client();
                    self.pace.spend(bytes.len());
                    self.pending = bytes;
                }
                Some(Ok(Message::Text(_))) => return End::Text,
                Some(Ok(Message::Close(_))) | None => return End::ClientClosed,
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.into(),
            }
        }
    }

    /// Reads until the client's Close has come and the answer to it has left; `forward`: data on the way goes to the target, if
    /// that takes it.
    async fn wait_for_close(&mut self, mut forward: bool) {
        while forward {
            match self.run().await {
                End::ClientClosed | End::Text => break,
                End::TargetFailed => forward = false,
                _ => return,
            }
        }
        while let Some(Ok(_)) = self.client.next().await {}
    }
}

/// From the target to the client.
struct Down {
    client: SplitSink<Client, Message>,
    target: OwnedReadHalf,
    /// What is to be sent next.
    pending: Option<Message>,
    buffer: BytesMut,
    chunk: usize,
    pace: Pace,
    ping: Interval,
    activity: Arc<Activity>,
    traffic: Arc<Traffic>,
}

impl Down {
    fn new(
        client: SplitSink<Client, Message>,
        target: OwnedReadHalf,
        limits: &Limits,
        activity: Arc<Activity>,
        traffic: Arc<Traffic>,
    ) -> Self {
        let mut ping = interval_at(Instant::now() + limits.ping_interval, limits.ping_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A slow tunnel gets small pieces, not long pauses.
        let rate = limits.bytes_per_second.map_or(u64::MAX, |rate| rate.get() / 4);
        let chunk = usize::try_from(rate).unwrap_or(usize::MAX).clamp(512, CHUNK);
        let pace = Pace::new(limits.bytes_per_second);
        Self { client, target, pending: None, buffer: BytesMut::new(), chunk, pace, ping, activity, traffic }
    }

    /// Can be dropped at any time and called again; nothing is lost.
    async fn run(&mut self) -> End {
        loop {
            let length = match &self.pending {
                Some(Message::Binary(bytes)) => bytes.len(),
                _ => 0,
            };
            if let Err(error) = self.send().await {
                return error.into();
            }
            if length > 0 {
                self.activity.data_moved();
                self.traffic.to_client(length);
                self.pace.spend(length);
            }
            tokio::select! {
                read = async { self.pace.wait().await; read(&self.target, &mut self.buffer, self.chunk).await } => match read {
                    Ok(0) => return End::TargetClosed,
                    Ok(_) => self.pending = Some(Message::Binary(std::mem::take(&mut self.buffer).freeze())),
                    Err(_) => return End::TargetFailed,
                },
                _ = self.ping.tick() => self.pending = Some(Message::Ping(Bytes::new())),
            }
        }
    }

    /// Sends what is pending, and all that waits before it.
    async fn send(&mut self) -> Result<(), Error> {
        poll_fn(|cx| {
            let mut client = Pin::new(&mut self.client);
            if self.pending.is_some() {
                // Pongs may fill the buffer so far that the message has no place: first they leave.
                ready!(client.as_mut().poll_flush(cx))?;
                ready!(client.as_mut().poll_ready(cx))?;
                if let Some(message) = self.pending.take() {
                    client.as_mut().start_send(message)?;
                }
            }
            client.poll_flush(cx)
        })
        .await
    }
}

/// Waits for bytes before it takes memory for them, so that a quiet tunnel has none. Can be dropped and called again.
async fn read(target: &OwnedReadHalf, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
    loop {
        target.readable().await?;
        buffer.reserve(most);
        let mut room = bytes::BufMut::limit(&mut *buffer, most);
        match target.try_read_buf(&mut room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// Tells the client why, waits for its Close, ends the target's side. None of it takes longer than `patience`.
async fn finish(mut up: Up, mut down: Down, end: End, patience: Duration) {
    let deadline = Instant::now() + patience;
    if end == End::TargetFailed {
        // What the target sent before it failed may still be there.
        drop(timeout_at(deadline, down.run()).await);
    }
    let deadline = Instant::now() + patience;
    if let Some(frame) = end.close_frame() {
        // What was read of the target goes first.
        drop(timeout_at(deadline, down.send()).await);
        down.pending = Some(Message::Close(Some(frame)));
        drop(timeout_at(deadline, down.send()).await);
    }
    match end {
        End::ClientGone | End::Aborted => {}
        _ if end.frames_are_lost() => {}
        End::TargetClosed | End::Idle | End::Silent | End::ShuttingDown => {
            drop(timeout_at(deadline, up.wait_for_close(true)).await);
        }
        _ => drop(timeout_at(deadline, up.wait_for_close(false)).await),
    }
    let Ok(client) = down.client.reunite(up.client) else { return };
    let target = end_target(up.target, down.target);
    let client = end_client(client, end);
    drop(timeout_at(deadline, async { tokio::join!(target, client) }).await);
}

/// Ends our side, then reads what the target still says: closing before would reset the connection, and the target might
/// not see the last bytes that the client sent it.
async fn end_target(mut writer: OwnedWriteHalf, mut reader: OwnedReadHalf) {
    drop(writer.shutdown().await);
    let mut scrap = [0; 4096];
    while matches!(reader.read(&mut scrap).await, Ok(1..)) {}
}

/// Ends the connection after the last frame. If the client is still sending, its bytes are read and thrown away for a while, since a
/// reset would overtake the Close.
async fn end_client(mut client: Client, end: End) {
    let stream = client.get_mut();
    drop(stream.shutdown().await);
    if end.frames_are_lost() {
        let mut scrap = vec![0; 16 * 1024];
        while matches!(stream.read(&mut scrap).await, Ok(1..)) {}
    }
}

/// Closes a client that never got its tunnel.
pub(crate) async fn close_early(mut client: Client, end: End, patience: Duration) {
    let deadline = Instant::now() + patience;
    drop(timeout_at(deadline, client.close(end.close_frame())).await);
    drop(timeout_at(deadline, async { while let Some(Ok(_)) = client.next().await {} }).await);
    drop(timeout_at(deadline, client.get_mut().shutdown()).await);
}
