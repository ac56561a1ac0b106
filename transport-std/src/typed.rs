//! A producer of typed keys and values.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::delivery::{Delivery, RecordMetadata};
use crate::error::{CloseError, DeliveryError, SendError, SerializationError};
use crate::producer::Producer;
use crate::record::{Header, Record};
use crate::serializer::{RecordPart, Serialized, Serializer, SerializerContext};

thread_local! {
    /// Where keys and values are written, from record to record.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Largest buffer that a thread keeps, in bytes.
const KEPT: usize = 1 << 20;

/// A [`Producer`] of keys `K` and values `V`, with their serializers; made by [`Producer::typed`]. It is
/// another handle of the same producer: cheap to clone, and to be closed once for all of them.
///
/// In the steady state a send allocates nothing beyond what its serializers do: bytes are written to a
/// buffer that the thread keeps.
///
/// ```no_run
/// use klamm::{Native, Producer, TypedProducer, TypedRecord};
///
/// let producer = Producer::builder().bootstrap_servers("localhost:9092").build()?;
/// let readings: TypedProducer<str, f64> = producer.typed(Native, Native);
/// let delivery = readings.send(&TypedRecord::to("readings").key("boiler-7").value(&21.5))?;
/// delivery.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedProducer<K: ?Sized, V: ?Sized> {
    producer: Producer,
    key: Arc<dyn Serializer<K>>,
    value: Arc<dyn Serializer<V>>,
}

/// One record with a typed key and value, borrowed for the duration of a send.
///
/// ```
/// use klamm::TypedRecord;
///
/// let record: TypedRecord<'_, str, i64> = TypedRecord::to("counts").key("a").value(&7).header("trace", "4bf9");
/// assert_eq!(record.topic(), "counts");
/// ```
#[must_use = "a record does nothing until it is sent"]
pub struct TypedRecord<'r, K: ?Sized, V: ?Sized> {
    /// Without key and value.
    record: Record<'r>,
    key: Option<&'r K>,
    value: Option<&'r V>,
}

impl<'r, K: ?Sized, V: ?Sized> TypedRecord<'r, K, V> {
    /// An empty record for `topic`.
    pub const fn to(topic: &'r str) -> Self {
        Self { record: Record::to(topic), key: None, value: None }
    }

    /// The key. Without one, and if its serializer says null, the record has none.
    pub fn key(mut self, key: &'r K) -> Self {
        self.key = Some(key);
        self
    }

    /// The value. Without one, and if its serializer says null, the record is a tombstone.
    pub fn value(mut self, value: &'r V) -> Self {
        self.value = Some(value);
        self
    }

    /// As [`Record::header`].
    pub fn header<B: AsRef<[u8]> + ?Sized>(mut self, name: &'r str, value: &'r B) -> Self {
        self.record = self.record.header(name, value);
        self
    }

    /// As [`Record::null_header`].
    pub fn null_header(mut self, name: &'r str) -> Self {
        self.record = self.record.null_header(name);
        self
    }

    /// As [`Record::headers`].
    pub fn headers(mut self, headers: &'r [Header<'r>]) -> Self {
        self.record = self.record.headers(headers);
        self
    }

    /// As [`Record::partition`].
    pub fn partition(mut self, partition: i32) -> Self {
        self.record = self.record.partition(partition);
        self
    }

    /// As [`Record::timestamp`].
    pub fn timestamp(mut self, unix_ms: i64) -> Self {
        self.record = self.record.timestamp(unix_ms);
        self
    }

    /// The topic's name.
    #[must_use]
    pub const fn topic(&self) -> &'r str {
        self.record.topic()
    }
}

impl<K: ?Sized, V: ?Sized> Clone for TypedRecord<'_, K, V> {
    fn clone(&self) -> Self {
        Self { record: self.record.clone(), key: self.key, value: self.value }
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for TypedRecord<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedRecord").field("record", &self.record).finish_non_exhaustive()
    }
}

/// Key and value as bytes, one behind the other.
struct Bytes {
    buffer: Vec<u8>,
    key: Option<usize>,
    value: Option<usize>,
}

impl Bytes {
    fn record<'r>(&'r self, plain: &'r Record<'_>) -> Record<'r> {
        let klamm_core::Record { headers, timestamp, partition, .. } = plain.as_core();
        let (key, value) = self.buffer.split_at(self.key.unwrap_or(0));
        let (key, value) = (self.key.map(|_| key), self.value.map(|_| value));
        Record::from_parts(plain.topic(), key, value, headers, timestamp, partition)
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if self.buffer.capacity() <= KEPT {
            // The thread may be ending.
            let _ = BUFFER.try_with(|kept| kept.set(std::mem::take(&mut self.buffer)));
        }
    }
}

impl<K: ?Sized, V: ?Sized> TypedProducer<K, V> {
    pub(crate) fn new(producer: Producer, key: Arc<dyn Serializer<K>>, value: Arc<dyn Serializer<V>>) -> Self {
        Self { producer, key, value }
    }

    /// The producer of bytes underneath.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// As [`Producer::send`].
    ///
    /// # Errors
    /// [`SendError::Serialization`] if a serializer refuses; else as there.
    pub fn send(&self, record: &TypedRecord<'_, K, V>) -> Result<Delivery, SendError> {
        let bytes = self.serialize(record)?;
        self.producer.send(&bytes.record(&record.record))
    }

    /// As [`Producer::try_send`].
    ///
    /// # Errors
    /// [`SendError::Serialization`] if a serializer refuses; else as there.
    pub fn try_send(&self, record: &TypedRecord<'_, K, V>) -> Result<Delivery, SendError> {
        let bytes = self.serialize(record)?;
        self.producer.try_send(&bytes.record(&record.record))
    }

    /// As [`Producer::send_async`]. The record is serialized when the future is first polled.
    ///
    /// # Errors
    /// [`SendError::Serialization`] if a serializer refuses; else as there.
    pub async fn send_async(&self, record: &TypedRecord<'_, K, V>) -> Result<Delivery, SendError> {
        let bytes = self.serialize(record)?;
        self.producer.send_async(&bytes.record(&record.record)).await
    }

    /// As [`Producer::send_with`].
    ///
    /// # Errors
    /// [`SendError::Serialization`] if a serializer refuses; else as there.
    pub fn send_with(
        &self,
        record: &TypedRecord<'_, K, V>,
        callback: impl FnOnce(Result<RecordMetadata, DeliveryError>) + Send + 'static,
    ) -> Result<(), SendError> {
        let bytes = self.serialize(record)?;
        self.producer.send_with(&bytes.record(&record.record), callback)
    }

    /// As [`Producer::try_send_with`].
    ///
    /// # Errors
    /// [`SendError::Serialization`] if a serializer refuses; else as there.
    pub fn try_send_with(
        &self,
        record: &TypedRecord<'_, K, V>,
        callback: impl FnOnce(Result<RecordMetadata, DeliveryError>) + Send + 'static,
    ) -> Result<(), SendError> {
        let bytes = self.serialize(record)?;
        self.producer.try_send_with(&bytes.record(&record.record), callback)
    }

    /// As [`Producer::flush`].
    pub fn flush(&self) {
        self.producer.flush();
    }

    /// As [`Producer::close`]: every handle is closed with it.
    ///
    /// # Errors
    /// As there.
    pub fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.producer.close(timeout)
    }

    fn serialize(&self, record: &TypedRecord<'_, K, V>) -> Result<Bytes, SendError> {
        // Taken, not borrowed: a serializer may send something itself.
        let mut bytes = Bytes { buffer: BUFFER.take(), key: None, value: None };
        bytes.buffer.clear();
        let topic = record.topic();
        if let Some(key) = record.key {
            bytes.key = write(&*self.key, RecordPart::Key, topic, key, &mut bytes.buffer)?;
        }
        if let Some(value) = record.value {
            bytes.value = write(&*self.value, RecordPart::Value, topic, value, &mut bytes.buffer)?;
        }
        Ok(bytes)
    }
}

/// Appends one part; says where it ends, unless it is null.
fn write<T: ?Sized>(
    serializer: &dyn Serializer<T>,
    part: RecordPart,
    topic: &str,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<Option<usize>, SendError> {
    let start = out.len();
    match serializer.serialize(&SerializerContext { topic, part }, value, out) {
        Ok(Serialized::Bytes) => Ok(Some(out.len())),
        Ok(Serialized::Null) => {
            out.truncate(start);
            Ok(None)
        }
        Err(cause) => {
            let error = SerializationError { part, topic: topic.into(), cause: cause.into() };
            Err(SendError::Serialization(Box::new(error)))
        }
    }
}

impl<K: ?Sized, V: ?Sized> Clone for TypedProducer<K, V> {
    fn clone(&self) -> Self {
        Self::new(self.producer.clone(), Arc::clone(&self.key), Arc::clone(&self.value))
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for TypedProducer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedProducer").field("producer", &self.producer).finish_non_exhaustive()
    }
}
