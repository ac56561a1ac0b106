//! Which versions a broker of a Kafka release advertises.

use crate::protocol::Api;
use std::collections::BTreeMap;

/// The API versions that a broker advertises and accepts, with the habits of its release.
///
/// The presets follow Kafka's releases, cut to what this crate's codec speaks (Fetch to v13, ListOffsets to v7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSet {
    pub(crate) ranges: BTreeMap<i16, (i16, i16)>,
    /// Brokers before 2.4 answer an unknown ApiVersions version with an empty list (KIP-511 added the entry).
    pub(crate) empty_unsupported_answer: bool,
    /// Before 2.8 a topic that is being created is LEADER_NOT_AVAILABLE; later, UNKNOWN_TOPIC_OR_PARTITION.
    pub(crate) creating_is_leaderless: bool,
    /// Finalized level of `transaction.version` (KIP-890), 0 for none.
    pub(crate) transaction_version: i16,
}

impl Default for VersionSet {
    fn default() -> Self {
        Self::kafka_4_3()
    }
}

impl VersionSet {
    fn release(maxima: [(Api, i16, i16); 7]) -> Self {
        let ranges = maxima.into_iter().map(|(api, min, max)| (api.key(), (min, max.min(api.versions().1)))).collect();
        Self { ranges, empty_unsupported_answer: false, creating_is_leaderless: false, transaction_version: 0 }
    }

    /// Kafka 2.1: the oldest broker that today's clients must support (KIP-896).
    #[must_use]
    pub fn kafka_2_1() -> Self {
        Self {
            empty_unsupported_answer: true,
            creating_is_leaderless: true,
            ..Self::release([
                (Api::Produce, 0, 7),
                (Api::Fetch, 0, 10),
                (Api::ListOffsets, 0, 4),
                (Api::Metadata, 0, 7),
                (Api::FindCoordinator, 0, 2),
                (Api::ApiVersions, 0, 2),
                (Api::InitProducerId, 0, 1),
            ])
        }
    }

    /// Kafka 2.4: the first with KIP-511 (ApiVersions v3) and reliable leader epochs (Metadata v9).
    #[must_use]
    pub fn kafka_2_4() -> Self {
        Self {
            creating_is_leaderless: true,
            ..Self::release([
                (Api::Produce, 0, 8),
                (Api::Fetch, 0, 11),
                (Api::ListOffsets, 0, 5),
                (Api::Metadata, 0, 9),
                (Api::FindCoordinator, 0, 3),
                (Api::ApiVersions, 0, 3),
                (Api::InitProducerId, 0, 2),
            ])
        }
    }

    /// Kafka 2.8: flexible Produce, topic ids in metadata.
    #[must_use]
    pub fn kafka_2_8() -> Self {
        Self::release([
            (Api::Produce, 0, 9),
            (Api::Fetch, 0, 12),
            (Api::ListOffsets, 0, 6),
            (Api::Metadata, 0, 11),
            (Api::FindCoordinator, 0, 3),
            (Api::ApiVersions, 0, 3),
            (Api::InitProducerId, 0, 4),
        ])
    }

    /// Kafka 3.3.
    #[must_use]
    pub fn kafka_3_3() -> Self {
        Self::release([
            (Api::Produce, 0, 9),
            (Api::Fetch, 0, 13),
            (Api::ListOffsets, 0, 7),
            (Api::Metadata, 0, 12),
            (Api::FindCoordinator, 0, 4),
            (Api::ApiVersions, 0, 3),
            (Api::InitProducerId, 0, 4),
        ])
    }

    /// Kafka 3.9: KIP-951 leader hints in Produce answers.
    #[must_use]
    pub fn kafka_3_9() -> Self {
        Self::release([
            (Api::Produce, 0, 11),
            (Api::Fetch, 0, 17),
            (Api::ListOffsets, 0, 9),
            (Api::Metadata, 0, 12),
            (Api::FindCoordinator, 0, 6),
            (Api::ApiVersions, 0, 4),
            (Api::InitProducerId, 0, 5),
        ])
    }

    /// Kafka 4.0: KIP-896 removed the oldest versions; Produce still advertises 0 and refuses 0-2 (KAFKA-18659).
    #[must_use]
    pub fn kafka_4_0() -> Self {
        Self {
            transaction_version: 2,
            ..Self::release([
                (Api::Produce, 0, 12),
                (Api::Fetch, 4, 17),
                (Api::ListOffsets, 1, 10),
                (Api::Metadata, 0, 13),
                (Api::FindCoordinator, 0, 6),
                (Api::ApiVersions, 0, 4),
                (Api::InitProducerId, 0, 5),
            ])
        }
    }

    /// Kafka 4.3: Produce with topic ids (KIP-516).
    #[must_use]
    pub fn kafka_4_3() -> Self {
        Self::kafka_4_0().with(Api::Produce, 0, 13)
    }

    /// The release branch 4.4: ApiVersions v5 names the broker that the client expects (KIP-1242).
    #[must_use]
    pub fn kafka_4_4() -> Self {
        Self::kafka_4_3().with(Api::ApiVersions, 0, 5)
    }

    /// The same with another range for one API; a maximum above the codec's is cut.
    #[must_use]
    pub fn with(mut self, api: Api, min: i16, max: i16) -> Self {
        self.ranges.insert(api.key(), (min, max.min(api.versions().1)));
        self
    }

    /// The same without one API.
    #[must_use]
    pub fn without(mut self, api: Api) -> Self {
        self.ranges.remove(&api.key());
        self
    }

    /// The same with a range for any key, also one that this crate does not implement: it is advertised, and a request for it
    /// closes the connection.
    #[must_use]
    pub fn with_raw(mut self, key: i16, min: i16, max: i16) -> Self {
        self.ranges.insert(key, (min, max));
        self
    }

    /// The advertised range.
    #[must_use]
    pub fn range(&self, api: Api) -> Option<(i16, i16)> {
        self.ranges.get(&api.key()).copied()
    }

    /// Whether a request of this version is served: advertised, and known to the codec.
    pub(crate) fn serves(&self, api: Api, version: i16) -> bool {
        let (low, high) = api.versions();
        self.range(api).is_some_and(|(min, max)| version >= min.max(low) && version <= max.min(high))
    }
}
