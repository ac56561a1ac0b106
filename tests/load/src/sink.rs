//! A broker that acknowledges and forgets: what a client costs is measured best against one that costs next to nothing.
//!
//! Produce requests (versions 3 to 13) are walked without a look at the records: each batch's header says how many
//! offsets it takes. Everything else, such as metadata and producer ids, is answered by the simulated cluster.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use klamm_sim::{Cluster, ClusterOptions, ConnectionId};

/// Frames are read in pieces of this size, and grow it if need be.
const BUFFER: usize = 1 << 20;
/// Kafka's `socket.request.max.bytes`.
const MAX_FRAME: usize = 100 << 20;
const PRODUCE: i16 = 0;
/// The first version of Produce with compact lengths and tags.
const FLEXIBLE: i16 = 9;
/// The first version of Produce that names topics by id.
const TOPIC_IDS: i16 = 13;
/// Where a batch says how many records it has.
const RECORD_COUNT: usize = 57;

/// A running sink on 127.0.0.1. It runs until the process ends.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Debug)]
struct Shared {
    /// Answers everything but Produce.
    cluster: Mutex<Cluster>,
    /// Next offsets per topic (by name or id) and partition.
    offsets: Mutex<HashMap<Vec<u8>, HashMap<i32, i64>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    /// Starts it. Topics come into being when asked for, with so many partitions.
    ///
    /// # Errors
    /// No socket or thread is to be had.
    pub fn start(partitions: u32) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let cluster = Cluster::new(ClusterOptions {
            brokers: 1,
            host: Ipv4Addr::LOCALHOST.to_string(),
            base_port: port,
            auto_create_topics: true,
            default_partitions: partitions,
            keep_history: false,
            ..ClusterOptions::default()
        });
        let shared = Arc::new(Shared { cluster: Mutex::new(cluster), offsets: Mutex::default() });
        let own = Arc::clone(&shared);
        thread::Builder::new().name("sink".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&own);
                // A connection without a thread is one that the client sees closed.
                let _ = thread::Builder::new().name("sink-conn".into()).spawn(move || {
                    let _ = serve(&shared, stream);
                });
            }
        })?;
        Ok(Self { shared, port })
    }

    /// Its address, in the form of `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// How many records were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        let offsets = lock(&self.shared.offsets);
        offsets.values().flat_map(HashMap::values).map(|&next| next.unsigned_abs()).sum()
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let id = lock(&shared.cluster).connect(0, 1).ok_or(ErrorKind::ConnectionRefused)?;
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    let mut out = Vec::new();
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            lock(&shared.cluster).disconnect(id);
            return Ok(());
        }
        filled += count;
        let mut start = 0;
        while let Some(frame) = frame(&buffer[start..filled])? {
            answer(shared, id, frame, &mut out)?;
            start += frame.len();
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        // Room for the whole of the next frame: reading it in small pieces would cost the machine that we share.
        if filled >= 4 {
            let wanted = 4 + size_of_frame(&buffer)?;
            if wanted > buffer.len() {
                buffer.resize(wanted, 0);
            }
        }
        stream.write_all(&out)?;
        out.clear();
    }
}

fn size_of_frame(bytes: &[u8]) -> io::Result<usize> {
    let size = Walk(bytes).i32()?;
    usize::try_from(size).ok().filter(|&size| size <= MAX_FRAME).ok_or_else(bad)
}

/// The first frame with its length, if it is complete.
fn frame(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    if bytes.len() < 4 {
        return Ok(None);
    }
    Ok(bytes.get(..4 + size_of_frame(bytes)?))
}

fn answer(shared: &Shared, id: ConnectionId, frame: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    if Walk(&frame[4..]).i16()? == PRODUCE {
        return produce(shared, &frame[4..], out);
    }
    let mut cluster = lock(&shared.cluster);
    cluster.receive(0, id, frame);
    let open = cluster.transmit(0, id, out);
    if open { Ok(()) } else { Err(ErrorKind::ConnectionAborted.into()) }
}

/// Acknowledges every batch of a Produce request.
fn produce(shared: &Shared, frame: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let walk = &mut Walk(frame);
    let (_api, version, correlation_id) = (walk.i16()?, walk.i16()?, walk.i32()?);
    let flexible = version >= FLEXIBLE;
    let client_id = walk.i16()?;
    walk.take(usize::try_from(client_id).unwrap_or(0))?;
    walk.tags(flexible)?;
    let _transactional_id = walk.string(flexible)?;
    let (acks, _timeout_ms) = (walk.i16()?, walk.i32()?);
    let start = out.len();
    let mut answer = Answer { out, flexible };
    answer.out.extend_from_slice(&[0; 4]);
    answer.i32(correlation_id);
    answer.tags();
    let topics = walk.count(flexible)?;
    answer.count(topics);
    let mut offsets = lock(&shared.offsets);
    for _ in 0..topics {
        let topic = if version >= TOPIC_IDS {
            let topic = walk.take(16)?;
            answer.out.extend_from_slice(topic);
            topic
        } else {
            let topic = walk.string(flexible)?;
            answer.string(topic);
            topic
        };
        if !offsets.contains_key(topic) {
            offsets.insert(topic.to_vec(), HashMap::new());
        }
        let Some(next) = offsets.get_mut(topic) else { return Err(bad()) };
        let partitions = walk.count(flexible)?;
        answer.count(partitions);
        for _ in 0..partitions {
            let index = walk.i32()?;
            let records = walk.bytes(flexible)?;
            walk.tags(flexible)?;
            let count = Walk(records.get(RECORD_COUNT..).ok_or_else(bad)?).i32()?;
            let next = next.entry(index).or_default();
            answer.partition(version, index, *next);
            *next += i64::from(count);
        }
        walk.tags(flexible)?;
        answer.tags();
    }
    drop(offsets);
    answer.i32(0); // throttle_time_ms
    answer.tags();
    if acks == 0 {
        out.truncate(start);
        return Ok(());
    }
    let size = i32::try_from(out.len() - start - 4).map_err(|_| bad())?;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    Ok(())
}

fn bad() -> io::Error {
    ErrorKind::InvalidData.into()
}

/// A walk over the fields of a request.
struct Walk<'b>(&'b [u8]);

impl<'b> Walk<'b> {
    fn take(&mut self, count: usize) -> io::Result<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(bad)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| bad())
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn uvarint(&mut self) -> io::Result<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(bad())
    }

    /// A length or count; −1 (null) is 0.
    fn length(&mut self, flexible: bool, fixed: fn(&mut Self) -> io::Result<i32>) -> io::Result<usize> {
        if flexible { Ok(self.uvarint()?.saturating_sub(1)) } else { Ok(usize::try_from(fixed(self)?).unwrap_or(0)) }
    }

    fn count(&mut self, flexible: bool) -> io::Result<usize> {
        self.length(flexible, Self::i32)
    }

    fn string(&mut self, flexible: bool) -> io::Result<&'b [u8]> {
        let length = self.length(flexible, |walk| walk.i16().map(i32::from))?;
        self.take(length)
    }

    fn bytes(&mut self, flexible: bool) -> io::Result<&'b [u8]> {
        let length = self.length(flexible, Self::i32)?;
        self.take(length)
    }

    fn tags(&mut self, flexible: bool) -> io::Result<()> {
        if flexible {
            for _ in 0..self.uvarint()? {
                let _tag = self.uvarint()?;
                let size = self.uvarint()?;
                self.take(size)?;
            }
        }
        Ok(())
    }
}

/// The fields of an answer.
struct Answer<'o> {
    out: &'o mut Vec<u8>,
    flexible: bool,
}

impl Answer<'_> {
    fn i16(&mut self, value: i16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn uvarint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn count(&mut self, count: usize) {
        if self.flexible { self.uvarint(count + 1) } else { self.i32(count as i32) }
    }

    fn string(&mut self, text: &[u8]) {
        if self.flexible {
            self.uvarint(text.len() + 1)
        } else {
            self.i16(text.len() as i16)
        }
        self.out.extend_from_slice(text);
    }

    fn tags(&mut self) {
        if self.flexible {
            self.out.push(0);
        }
    }

    /// A batch was appended at `base_offset`.
    fn partition(&mut self, version: i16, index: i32, base_offset: i64) {
        self.i32(index);
        self.i16(0); // error_code
        self.i64(base_offset);
        self.i64(-1); // log_append_time_ms
        if version >= 5 {
            self.i64(0); // log_start_offset
        }
        if version >= 8 {
            self.count(0); // record_errors
            // error_message: null
            if self.flexible { self.out.push(0) } else { self.i16(-1) }
        }
        self.tags();
    }
}
