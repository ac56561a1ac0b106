//! Answers to InitProducerId and to ApiVersions.

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, InitProducerIdResponse, ProducerId, RequestKind};
use kafka_protocol::protocol::StrBytes;
use klamm_core::{Acks, DeliveryError, ErrorCode, PeerError, Record, SendError, TopicId};
use klamm_cross_codec::broker::{Cluster, Offer, Reply, UNSUPPORTED_VERSION, World};
use klamm_cross_codec::generate::{Setup, Tags, pieces, tags, text};
use klamm_cross_codec::wire::{Request, decode_batch};
use klamm_cross_codec::{API_VERSIONS, INIT_PRODUCER_ID, METADATA, PRODUCE, Versions, check};
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

use super::{error_code, none, throttle, trailing, with_trailing};

fn idempotent() -> Setup {
    Setup { acks: Acks::All, idempotence: true, retries: i32::MAX as u32, ..Setup::plain() }
}

/// An idempotent producer that has a record for a topic of one partition, and has not asked for anything yet.
fn unconnected(offer: &Offer, reads: &[usize]) -> (World, TopicId) {
    let mut cluster = Cluster::new(1, offer);
    cluster.create("t", 1);
    let mut world = World::new(idempotent().producer(), cluster, &[], reads);
    let now = world.driver.now();
    let topic = world.driver.producer.topic("t").expect("a topic");
    world.driver.producer.send(now, topic, &Record::value(b"v")).expect("room");
    (world, topic)
}

#[derive(Clone, Debug)]
struct Identity {
    error: i16,
    id: i64,
    epoch: i16,
    throttle: i32,
    tags: [Tags; 2],
    trailing: Vec<u8>,
    reads: Vec<usize>,
}

fn identity() -> BoxedStrategy<Identity> {
    let id = prop_oneof![3 => 0..=i64::MAX, 1 => i64::MIN..0];
    let epoch = prop_oneof![3 => 0..=i16::MAX, 1 => i16::MIN..0];
    (error_code(), id, epoch, throttle(), [tags(), tags()], trailing(), pieces())
        .prop_map(|(error, id, epoch, throttle, tags, trailing, reads)| Identity {
            error,
            id,
            epoch,
            throttle,
            tags,
            trailing,
            reads,
        })
        .boxed()
}

impl Identity {
    fn encode(&self, request: &Request) -> Vec<u8> {
        let response = InitProducerIdResponse::default()
            .with_throttle_time_ms(self.throttle)
            .with_error_code(self.error)
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_unknown_tagged_fields(self.tags[0].clone());
        with_trailing(request.respond(&self.tags[1], &response), &self.trailing)
    }

    fn check(&self, version: i16) -> Result<(), TestCaseError> {
        let (mut world, topic) = unconnected(&Offer::exactly(9, 9, version, 4), &self.reads);
        let mut answered = false;
        let answer = |_: &mut Cluster, request: &Request| match &request.body {
            RequestKind::InitProducerId(_) if !std::mem::replace(&mut answered, true) => {
                Reply::Bytes(self.encode(request))
            }
            _ => Reply::Sound,
        };
        prop_assert!(world.run_with(60_000, answer, |world| world.settled() == 1), "no outcome");
        prop_assert_eq!(&world.driver.peer_errors, &[]);
        prop_assert_eq!(world.driver.producer.stats().throttle_ms, u64::try_from(self.throttle).unwrap_or(0));
        let code = ErrorCode::from(self.error);
        let result = world.driver.told[0].outcome.result;
        if self.error == 0 || code.is_retriable() {
            prop_assert!(result.is_ok());
            let told = self.error == 0 && self.id >= 0 && self.epoch >= 0;
            let expected = if told { (self.id, self.epoch) } else { world.cluster.producer };
            let (info, _) = decode_batch(&world.batches()[0].3);
            prop_assert_eq!((info.producer_id, info.producer_epoch, info.base_sequence), (expected.0, expected.1, 0));
            return Ok(());
        }
        prop_assert_eq!(result.expect_err("refused").error, DeliveryError::Broker(code));
        prop_assert!(world.produces().next().is_none(), "nothing was sent without an id");
        let now = world.driver.now();
        let next = world.driver.producer.send(now, topic, &Record::value(b"w"));
        // A right that is missing now may be given later; all else is final.
        let expected = if self.error == 31 { None } else { Some(SendError::Fatal(code)) };
        prop_assert_eq!(next.err(), expected);
        Ok(())
    }
}

#[test]
fn every_producer_id_is_taken_over() {
    for version in INIT_PRODUCER_ID {
        check(80, &identity(), |identity| identity.check(version));
    }
}

/// What a broker says of itself.
#[derive(Clone, Debug)]
struct Itself {
    error: i16,
    /// Least version, how many more, tags; in the order of [`OURS`], absent ones left out.
    ours: Vec<Option<(i16, i16, Tags)>>,
    others: Vec<(i16, i16, i16)>,
    /// How far the list is turned.
    turned: usize,
    features: Vec<(StrBytes, i16, i16)>,
    features_epoch: i64,
    migrating: bool,
    throttle: i32,
    tags: Tags,
    trailing: Vec<u8>,
    reads: Vec<usize>,
}

const OURS: [(ApiKey, Versions); 3] =
    [(ApiKey::Produce, PRODUCE), (ApiKey::Metadata, METADATA), (ApiKey::InitProducerId, INIT_PRODUCER_ID)];

fn itself() -> BoxedStrategy<Itself> {
    let range = (prop_oneof![3 => 0..8i16, 1 => any::<i16>()], prop_oneof![3 => 0..16i16, 1 => any::<i16>()], tags());
    let offered = prop_oneof![19 => range.prop_map(Some), 1 => Just(None)];
    let error = prop_oneof![9 => Just(0i16), 1 => error_code()]
        .prop_filter("has a meaning of its own", |error| ![UNSUPPORTED_VERSION, 129].contains(error));
    let others = vec((23..2000i16, any::<i16>(), any::<i16>()), 0..60);
    let features = vec((text(20), any::<i16>(), any::<i16>()), 0..4);
    let rest = (any::<i64>(), any::<bool>(), throttle(), tags(), trailing(), pieces());
    (error, vec(offered, 3), others, any::<usize>(), features, rest)
        .prop_map(|(error, ours, others, turned, features, rest)| {
            let (features_epoch, migrating, throttle, tags, trailing, reads) = rest;
            Itself { error, ours, others, turned, features, features_epoch, migrating, throttle, tags, trailing, reads }
        })
        .boxed()
}

impl Itself {
    fn encode(&self, request: &Request) -> Vec<u8> {
        let entry = |key: i16, min: i16, max: i16| {
            ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
        };
        let ours = OURS.iter().zip(&self.ours).filter_map(|((api, _), range)| {
            let (min, more, tags) = range.as_ref()?;
            Some(entry(*api as i16, *min, min.saturating_add(*more)).with_unknown_tagged_fields(tags.clone()))
        });
        let mut list: Vec<ApiVersion> =
            ours.chain(self.others.iter().map(|(key, min, max)| entry(*key, *min, *max))).collect();
        let turned = self.turned % list.len().max(1);
        list.rotate_left(turned);
        let mut response = ApiVersionsResponse::default().with_error_code(self.error).with_api_keys(list);
        if request.version >= 1 {
            response = response.with_throttle_time_ms(self.throttle);
        }
        if request.version >= 3 {
            response = self.with_features(response);
        }
        with_trailing(request.respond(&none(), &response), &self.trailing)
    }

    fn with_features(&self, response: ApiVersionsResponse) -> ApiVersionsResponse {
        let supported = self.features.iter().map(|(name, min, max)| {
            SupportedFeatureKey::default().with_name(name.clone()).with_min_version(*min).with_max_version(*max)
        });
        let finalized = self.features.iter().map(|(name, min, max)| {
            FinalizedFeatureKey::default()
                .with_name(name.clone())
                .with_min_version_level(*min)
                .with_max_version_level(*max)
        });
        response
            .with_supported_features(supported.collect())
            .with_finalized_features(finalized.collect())
            .with_finalized_features_epoch(self.features_epoch)
            .with_zk_migration_ready(self.migrating)
            .with_unknown_tagged_fields(self.tags.clone())
    }

    /// The greatest version of each API that both sides speak.
    fn common(&self) -> Vec<Option<i16>> {
        let pairs = OURS.iter().zip(&self.ours);
        let common = pairs.map(|((_, ours), range)| {
            let (min, more, _) = range.as_ref()?;
            (*min..=min.saturating_add(*more)).rev().find(|version| ours.contains(version))
        });
        let mut common: Vec<Option<i16>> = common.collect();
        // Metadata before v10 has no ids, so that topics must be named: Produce v13 cannot.
        if common[1].is_some_and(|metadata| metadata < 10) {
            common[0] = common[0].map(|produce| produce.min(12));
        }
        common
    }

    /// A broker that takes topics by id only and gives out no ids cannot be produced to at all. There is none.
    fn is_absurd(&self) -> bool {
        let least = |api: usize| self.ours[api].as_ref().map_or(0, |(min, ..)| *min);
        let most = |api: usize| self.ours[api].as_ref().map_or(0, |(min, more, _)| min.saturating_add(*more));
        least(0) > 12 && most(1) < 10
    }

    fn check(&self, version: i16) -> Result<(), TestCaseError> {
        let (mut world, _) = unconnected(&Offer::exactly(9, 9, 4, version), &self.reads);
        let answer = |_: &mut Cluster, request: &Request| match &request.body {
            RequestKind::ApiVersions(_) if request.version <= version => Reply::Bytes(self.encode(request)),
            _ => Reply::Sound,
        };
        let common = self.common();
        let agreed = self.error == 0 && common.iter().all(Option::is_some);
        let done = world.run_with(20_000, answer, |world| world.settled() == 1);
        prop_assert_eq!(done, agreed);
        for request in &world.seen {
            let known = OURS.iter().zip(&common).find(|((api, _), _)| *api == request.api);
            if let Some((_, common)) = known {
                prop_assert!(agreed && Some(request.version) == *common, "{:?}", request);
            }
        }
        if agreed {
            prop_assert_eq!(&world.driver.peer_errors, &[]);
            // KIP-219: from v2 on it is the client that waits.
            let throttle = if version < 2 { 0 } else { u64::try_from(self.throttle).unwrap_or(0) };
            prop_assert_eq!(world.driver.producer.stats().throttle_ms, throttle);
        } else {
            let expected = PeerError::UnsupportedVersion;
            prop_assert!(!world.driver.peer_errors.is_empty());
            prop_assert!(world.driver.peer_errors.iter().all(|error| *error == expected));
        }
        Ok(())
    }
}

#[test]
fn every_list_of_versions_is_understood() {
    for version in API_VERSIONS {
        check(100, &itself(), |itself| if itself.is_absurd() { Ok(()) } else { itself.check(version) });
    }
}
