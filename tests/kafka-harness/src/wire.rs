//! Four requests of the Kafka protocol, so that waiting and creating topics costs milliseconds instead of a JVM start.
//!
//! Written by hand and apart from klamm's own codec on purpose: the harness judges klamm and must not share its mistakes.
//! The versions are the oldest that 4.x brokers accept; none of them is "flexible", so no tagged fields occur.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{Context, Error, Result};

const LIST_OFFSETS: (i16, i16) = (2, 1);
const METADATA: (i16, i16) = (3, 1);
const CREATE_TOPICS: (i16, i16) = (19, 2);
const DELETE_TOPICS: (i16, i16) = (20, 1);

/// What one broker believes about the cluster.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// Ids of the brokers that are registered and not fenced.
    pub brokers: Vec<i32>,
    /// All partitions.
    pub partitions: Vec<Partition>,
}

/// One partition in a [`Metadata`].
#[derive(Clone, Debug)]
pub struct Partition {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub index: i32,
    /// Leader's id, -1 for none.
    pub leader: i32,
    /// Replicas in order of preference.
    pub replicas: Vec<i32>,
    /// Replicas in sync.
    pub isr: Vec<i32>,
}

/// Asks the broker on this port what it knows.
pub(crate) fn metadata(port: u16) -> Result<Metadata> {
    let mut body = Writer::default();
    body.i32(-1); // null array: all topics
    let answer = call(port, METADATA, &body.0)?;
    let mut input = Reader(&answer);
    let mut metadata = Metadata::default();
    for _ in 0..input.count()? {
        metadata.brokers.push(input.i32()?);
        input.string()?; // host
        input.i32()?; // port
        input.string()?; // rack
    }
    input.i32()?; // controller
    for _ in 0..input.count()? {
        input.i16()?; // error
        let topic = input.string()?;
        input.take(1)?; // is internal
        for _ in 0..input.count()? {
            input.i16()?; // error
            metadata.partitions.push(Partition {
                topic: topic.clone(),
                index: input.i32()?,
                leader: input.i32()?,
                replicas: input.ints()?,
                isr: input.ints()?,
            });
        }
    }
    metadata.brokers.sort_unstable();
    Ok(metadata)
}

/// Creates topics that differ in their names only; KRaft brokers pass the request on to the controller.
pub(crate) fn create_topics(
    port: u16,
    names: &[&str],
    partitions: i32,
    replication: i16,
    configs: &[(&str, &str)],
) -> Result<()> {
    let mut body = Writer::default();
    body.i32(names.len() as i32);
    for name in names {
        body.string(name);
        body.i32(partitions);
        body.i16(replication);
        body.i32(0); // assignments: the controller chooses
        body.i32(configs.len() as i32);
        for (key, value) in configs {
            body.string(key);
            body.string(value);
        }
    }
    body.i32(20_000); // timeout in ms
    body.0.push(0); // validate only: no
    let answer = call(port, CREATE_TOPICS, &body.0)?;
    let mut input = Reader(&answer);
    input.i32()?; // throttle time
    for _ in 0..input.count()? {
        let name = input.string()?;
        let code = input.i16()?;
        let text = input.string()?;
        if code != 0 {
            return Err(Error::new(format!("cannot create topic {name}: error {code} {text}")));
        }
    }
    Ok(())
}

/// True if the broker on this port is ready to serve these partitions as their leader. It may be named as such in metadata a moment
/// earlier, and until then a producer with acks=0 loses what it sends.
pub(crate) fn serves(port: u16, partitions: &[&Partition]) -> Result<bool> {
    let mut body = Writer::default();
    body.i32(-1); // replica: a client
    body.i32(partitions.len() as i32);
    for partition in partitions {
        body.string(&partition.topic);
        body.i32(1);
        body.i32(partition.index);
        body.i64(-1); // the end
    }
    let answer = call(port, LIST_OFFSETS, &body.0)?;
    let mut input = Reader(&answer);
    let mut all = true;
    for _ in 0..input.count()? {
        input.string()?;
        for _ in 0..input.count()? {
            input.i32()?; // index
            all &= input.i16()? == 0;
            input.take(16)?; // timestamp and offset
        }
    }
    Ok(all)
}

/// Deletes a topic.
pub(crate) fn delete_topic(port: u16, name: &str) -> Result<()> {
    let mut body = Writer::default();
    body.i32(1);
    body.string(name);
    body.i32(20_000); // timeout in ms
    let answer = call(port, DELETE_TOPICS, &body.0)?;
    let mut input = Reader(&answer);
    input.i32()?; // throttle time
    for _ in 0..input.count()? {
        input.string()?;
        let code = input.i16()?;
        if code != 0 {
            return Err(Error::new(format!("cannot delete topic {name}: error {code}")));
        }
    }
    Ok(())
}

fn call(port: u16, (api, version): (i16, i16), body: &[u8]) -> Result<Vec<u8>> {
    let mut header = Writer::default();
    header.i16(api);
    header.i16(version);
    header.i32(1); // correlation id
    header.string("klamm-kafka-harness");
    let mut frame = Writer::default();
    frame.i32((header.0.len() + body.len()) as i32);
    frame.0.extend_from_slice(&header.0);
    frame.0.extend_from_slice(body);

    let exchange = || -> std::io::Result<Vec<u8>> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(25)))?;
        stream.write_all(&frame.0)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length).min(64 << 20) as usize];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().context(|| format!("no answer from the broker on 127.0.0.1:{port}"))?;
    // The response header is the correlation id alone; one request per connection needs no matching.
    answer.get(4..).map(<[u8]>::to_vec).ok_or_else(|| Error::new("a response without a header"))
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn i16(&mut self, value: i16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn string(&mut self, text: &str) {
        self.i16(text.len() as i16);
        self.0.extend_from_slice(text.as_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n).ok_or_else(|| Error::new("a response that is too short"))?;
        self.0 = tail;
        Ok(head)
    }

    fn i16(&mut self) -> Result<i16> {
        self.take(2).map(|b| i16::from_be_bytes([b[0], b[1]]))
    }

    fn i32(&mut self) -> Result<i32> {
        self.take(4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn count(&mut self) -> Result<i32> {
        self.i32()
    }

    fn ints(&mut self) -> Result<Vec<i32>> {
        (0..self.count()?).map(|_| self.i32()).collect()
    }

    /// A string; a null one reads as empty.
    fn string(&mut self) -> Result<String> {
        let length = self.i16()?.max(0) as usize;
        self.take(length).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}
