//! The two questions of `klamm metadata` and their answers, as bytes: ApiVersions 0, which every broker since 0.10
//! answers, and Metadata 7 to 13.
//!
//! The producer has its own decoder, which keeps only what producing takes. This one keeps everything, and may use the
//! heap. Lengths are what a peer claims, so nothing is reserved for them.

/// The bytes are not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

type Read<T> = Result<T, Malformed>;

/// An API, and the versions of it that klamm speaks.
pub(super) struct Api {
    pub(super) name: &'static str,
    pub(super) key: i16,
    pub(super) min: i16,
    pub(super) max: i16,
}

/// What the producer uses; `the_versions_told_are_the_ones_used` in tests/metadata.rs holds it to the truth.
pub(super) const APIS: [Api; 4] = [
    Api { name: "Produce", key: 0, min: 7, max: 13 },
    Api { name: "Metadata", key: METADATA, min: 7, max: 13 },
    Api { name: "InitProducerId", key: 22, min: 1, max: 5 },
    Api { name: "ApiVersions", key: API_VERSIONS, min: 0, max: 4 },
];

pub(super) const METADATA: i16 = 3;
pub(super) const API_VERSIONS: i16 = 18;
const FIRST_FLEXIBLE_METADATA: i16 = 9;

impl Api {
    /// The version that klamm uses with a broker that has these; none in common is `None`.
    pub(super) fn used(&self, range: Range) -> Option<i16> {
        let version = self.max.min(range.max);
        (version >= self.min.max(range.min)).then_some(version)
    }
}

/// Versions that a broker has of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) key: i16,
    pub(super) min: i16,
    pub(super) max: i16,
}

/// The answer to Metadata.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) id: Option<String>,
    pub(super) controller: i32,
    pub(super) brokers: Vec<Broker>,
    pub(super) topics: Vec<Topic>,
    /// Since version 13.
    pub(super) error: i16,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broker {
    pub(super) id: i32,
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) rack: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) error: i16,
    pub(super) name: String,
    /// Since version 10.
    pub(super) id: Option<[u8; 16]>,
    pub(super) internal: bool,
    pub(super) partitions: Vec<Partition>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) error: i16,
    pub(super) index: i32,
    pub(super) leader: i32,
    pub(super) leader_epoch: i32,
    pub(super) replicas: Vec<i32>,
    pub(super) isr: Vec<i32>,
    pub(super) offline: Vec<i32>,
}

/// A request without its size.
fn request(key: i16, version: i16, correlation: i32, client_id: &str, flexible: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(correlation.to_be_bytes());
    // The client id keeps its two bytes of length in flexible versions too. Ours comes from a setting: cut, not refused.
    let length = client_id.len().min(i16::MAX as usize);
    bytes.extend((length as i16).to_be_bytes());
    bytes.extend(&client_id.as_bytes()[..length]);
    if flexible {
        bytes.push(0);
    }
    bytes
}

pub(super) fn api_versions_request(correlation: i32, client_id: &str) -> Vec<u8> {
    request(API_VERSIONS, 0, correlation, client_id, false)
}

/// Asks for these topics, or for all if none is named; creates none.
pub(super) fn metadata_request(version: i16, correlation: i32, client_id: &str, topics: &[String]) -> Vec<u8> {
    let flexible = version >= FIRST_FLEXIBLE_METADATA;
    let mut bytes = request(METADATA, version, correlation, client_id, flexible);
    match (topics.len() as u32, flexible) {
        (0, true) => bytes.push(0),
        (0, false) => bytes.extend((-1i32).to_be_bytes()),
        (count, true) => put_varint(&mut bytes, count + 1),
        (count, false) => bytes.extend(count.to_be_bytes()),
    }
    for topic in topics {
        if version >= 10 {
            bytes.extend([0; 16]);
        }
        if flexible {
            put_varint(&mut bytes, topic.len() as u32 + 1);
        } else {
            bytes.extend((topic.len() as i16).to_be_bytes());
        }
        bytes.extend(topic.as_bytes());
        if flexible {
            bytes.push(0);
        }
    }
    // Create topics, tell what we may do with the cluster, with the topics: no, all three.
    bytes.push(0);
    if (8..=10).contains(&version) {
        bytes.push(0);
    }
    if version >= 8 {
        bytes.push(0);
    }
    if flexible {
        bytes.push(0);
    }
    bytes
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The error code and the ranges of an ApiVersions answer, version 0, without its size and header.
pub(super) fn api_versions_response(body: &[u8]) -> Read<(i16, Vec<Range>)> {
    let mut reader = Reader { rest: body, flexible: false };
    let error = reader.i16()?;
    let ranges = reader.array(|r| Ok(Range { key: r.i16()?, min: r.i16()?, max: r.i16()? }))?;
    reader.end()?;
    Ok((error, ranges))
}

/// A Metadata answer without its size and correlation id.
pub(super) fn metadata_response(version: i16, body: &[u8]) -> Read<Cluster> {
    let mut reader = Reader { rest: body, flexible: version >= FIRST_FLEXIBLE_METADATA };
    let r = &mut reader;
    r.tags()?;
    let _throttle_ms = r.i32()?;
    let brokers = r.array(|r| {
        let broker = Broker { id: r.i32()?, host: r.text()?, port: r.i32()?, rack: r.nullable_text()? };
        r.tags().map(|()| broker)
    })?;
    let id = r.nullable_text()?;
    let controller = r.i32()?;
    let topics = r.array(|r| topic(r, version))?;
    if (8..=10).contains(&version) {
        let _what_we_may_do = r.i32()?;
    }
    let error = if version >= 13 { r.i16()? } else { 0 };
    r.tags()?;
    r.end()?;
    Ok(Cluster { id, controller, brokers, topics, error })
}

fn topic(r: &mut Reader<'_>, version: i16) -> Read<Topic> {
    let error = r.i16()?;
    let name = r.nullable_text()?.unwrap_or_default();
    let id = if version >= 10 { Some(r.bytes()?) } else { None };
    let internal = r.bytes::<1>()? != [0];
    let partitions = r.array(partition)?;
    if version >= 8 {
        let _what_we_may_do = r.i32()?;
    }
    r.tags()?;
    Ok(Topic { error, name, id: id.filter(|id| *id != [0; 16]), internal, partitions })
}

fn partition(r: &mut Reader<'_>) -> Read<Partition> {
    let partition = Partition {
        error: r.i16()?,
        index: r.i32()?,
        leader: r.i32()?,
        leader_epoch: r.i32()?,
        replicas: r.array(Reader::i32)?,
        isr: r.array(Reader::i32)?,
        offline: r.array(Reader::i32)?,
    };
    r.tags().map(|()| partition)
}

/// Takes values off the front.
struct Reader<'b> {
    rest: &'b [u8],
    /// Lengths are compact, and structures end in tags.
    flexible: bool,
}

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Read<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn i16(&mut self) -> Read<i16> {
        self.bytes().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Read<i32> {
        self.bytes().map(i32::from_be_bytes)
    }

    fn varint(&mut self) -> Read<u32> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.bytes()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| Malformed);
            }
        }
        Err(Malformed)
    }

    /// A length of text or of an array, whose old form has `width` bytes; `None` for null.
    fn length(&mut self, width: usize) -> Read<Option<usize>> {
        let length = match (self.flexible, width) {
            (true, _) => i64::from(self.varint()?) - 1,
            (false, 2) => self.i16()?.into(),
            (false, _) => self.i32()?.into(),
        };
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length).map(Some).map_err(|_| Malformed),
        }
    }

    fn nullable_text(&mut self) -> Read<Option<String>> {
        let Some(length) = self.length(2)? else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Malformed)?;
        Ok(Some(text.to_owned()))
    }

    fn text(&mut self) -> Read<String> {
        self.nullable_text()?.ok_or(Malformed)
    }

    /// Elements have at least a byte, so a count that lies runs out of bytes.
    fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = self.length(4)?.unwrap_or(0);
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Tagged fields are for newer readers.
    fn tags(&mut self) -> Read<()> {
        if self.flexible {
            for _ in 0..self.varint()? {
                self.varint()?;
                let size = self.varint()?;
                self.take(size as usize)?;
            }
        }
        Ok(())
    }

    fn end(&self) -> Read<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// A frame that Kafka's own code wrote, and what it says.
    fn vector(name: &str) -> (Vec<u8>, Value) {
        let path = format!("{}/../tests/vectors/data/{name}", env!("CARGO_MANIFEST_DIR"));
        let hex = std::fs::read_to_string(path.clone() + ".hex").unwrap();
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let json = std::fs::read_to_string(path + ".json").unwrap();
        (digits.chunks(2).map(byte).collect(), serde_json::from_str(&json).unwrap())
    }

    fn ids(json: &Value) -> Vec<i32> {
        json.as_array().unwrap().iter().map(|id| id.as_i64().unwrap() as i32).collect()
    }

    fn same_partition(partition: &Partition, json: &Value) {
        assert_eq!(i64::from(partition.error), json["errorCode"]);
        assert_eq!(i64::from(partition.index), json["partitionIndex"]);
        assert_eq!(i64::from(partition.leader), json["leaderId"]);
        assert_eq!(i64::from(partition.leader_epoch), json["leaderEpoch"]);
        assert_eq!(partition.replicas, ids(&json["replicaNodes"]));
        assert_eq!(partition.isr, ids(&json["isrNodes"]));
        assert_eq!(partition.offline, ids(&json["offlineReplicas"]));
    }

    #[test]
    fn answers_that_kafka_wrote() {
        for version in 7..=13 {
            let (frame, json) = vector(&format!("metadata_resp_v{version}"));
            let body = &json["body"];
            // Size and correlation id.
            let cluster = metadata_response(version, &frame[8..]).unwrap_or_else(|_| panic!("v{version}"));
            assert_eq!(cluster.id.as_deref(), body["clusterId"].as_str());
            assert_eq!(i64::from(cluster.controller), body["controllerId"]);
            assert_eq!(cluster.brokers.len(), body["brokers"].as_array().unwrap().len());
            for (broker, json) in cluster.brokers.iter().zip(body["brokers"].as_array().unwrap()) {
                assert_eq!(
                    (i64::from(broker.id), i64::from(broker.port)),
                    (json["nodeId"].as_i64().unwrap(), json["port"].as_i64().unwrap())
                );
                assert_eq!(
                    (Some(broker.host.as_str()), broker.rack.as_deref()),
                    (json["host"].as_str(), json["rack"].as_str())
                );
            }
            assert_eq!(cluster.topics.len(), body["topics"].as_array().unwrap().len());
            for (topic, json) in cluster.topics.iter().zip(body["topics"].as_array().unwrap()) {
                assert_eq!(i64::from(topic.error), json["errorCode"]);
                assert_eq!(topic.name, json["name"].as_str().unwrap());
                assert_eq!(topic.internal, json["isInternal"].as_bool().unwrap());
                let id = topic.id.map(|id| id.map(|byte| format!("{byte:02x}")).concat());
                assert_eq!(
                    id.as_deref(),
                    json["topicId"].as_str().filter(|id| version >= 10 && !id.trim_matches('0').is_empty())
                );
                assert_eq!(topic.partitions.len(), json["partitions"].as_array().unwrap().len());
                let partitions = topic.partitions.iter().zip(json["partitions"].as_array().unwrap());
                partitions.for_each(|(partition, json)| same_partition(partition, json));
            }
            // Cut anywhere, it is malformed, and neither a panic nor an answer.
            for end in 8..frame.len() {
                assert_eq!(metadata_response(version, &frame[8..end]), Err(Malformed), "v{version} to {end}");
            }
        }
        let (frame, json) = vector("apiversions_resp_v0");
        let (error, ranges) = api_versions_response(&frame[8..]).unwrap();
        assert_eq!(i64::from(error), json["body"]["errorCode"]);
        assert_eq!(ranges.len(), json["body"]["apiKeys"].as_array().unwrap().len());
    }

    #[test]
    fn questions_as_kafka_writes_them() {
        for version in [7, 9, 10, 12, 13] {
            let (frame, json) = vector(&format!("metadata_req_v{version}"));
            let names =
                json["body"]["topics"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_owned());
            let names: Vec<String> = names.collect();
            let client_id = json["header"]["client_id"].as_str().unwrap_or("");
            let correlation = json["header"]["correlation_id"].as_i64().unwrap() as i32;
            let mut ours = metadata_request(version, correlation, client_id, &names);
            // The vector may ask for more than we do; its flags are the bytes at the end.
            let flags =
                1 + usize::from(version >= 8) + usize::from((8..=10).contains(&version)) + usize::from(version >= 9);
            let cut = ours.len() - flags;
            assert_eq!(ours.len(), frame.len() - 4, "v{version}");
            ours.truncate(cut);
            assert_eq!(ours, frame[4..4 + cut], "v{version}");
        }
        for (version, name) in [(9, "metadata_req_all_v9"), (12, "metadata_req_all_v12")] {
            let (frame, json) = vector(name);
            let client_id = json["header"]["client_id"].as_str().unwrap_or("");
            let correlation = json["header"]["correlation_id"].as_i64().unwrap() as i32;
            assert_eq!(metadata_request(version, correlation, client_id, &[]).len(), frame.len() - 4, "{name}");
        }
    }

    #[test]
    fn counts_that_lie_reserve_nothing() {
        let mut body = vec![0, 0];
        body.extend(i32::MAX.to_be_bytes());
        assert_eq!(api_versions_response(&body), Err(Malformed));
        assert_eq!(metadata_response(12, &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Malformed));
        assert_eq!(metadata_response(12, &[0xff; 64]), Err(Malformed));
    }

    #[test]
    fn the_greatest_common_version_is_used() {
        let metadata = &APIS[1];
        let used = |min, max| metadata.used(Range { key: METADATA, min, max });
        assert_eq!(
            [used(0, 12), used(0, 20), used(8, 9), used(0, 6), used(14, 15)],
            [Some(12), Some(13), Some(9), None, None]
        );
    }
}
