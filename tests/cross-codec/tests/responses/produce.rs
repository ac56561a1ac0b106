//! Answers to Produce.

use std::collections::BTreeMap;

use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceResponse, RequestKind, TopicName};
use kafka_protocol::protocol::StrBytes;
use klamm_core::{Acks, BatchOutcome, Delivered, DeliveryError, ErrorCode, Fate, PeerError};
use klamm_cross_codec::broker::{Offer, Reply, World};
use klamm_cross_codec::driver::Told;
use klamm_cross_codec::generate::{Setup, Tags, nullable_text, pieces, tags, text, topic_names};
use klamm_cross_codec::wire::Request;
use klamm_cross_codec::{PRODUCE, check};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Strategy, any, prop_oneof};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use uuid::Uuid;

use super::{error_code, none, number, send, throttle, trailing, with_trailing, world};

/// What is said of a partition.
#[derive(Clone, Debug)]
struct Answer {
    error: i16,
    base_offset: i64,
    log_append_time: i64,
    log_start_offset: i64,
    record_errors: Vec<(i32, Option<StrBytes>, Tags)>,
    message: Option<StrBytes>,
    leader: Option<(i32, i32)>,
    /// How often it is said; once in a sound answer.
    times: usize,
    /// Where it is said among the others.
    rank: u16,
    tags: Tags,
}

fn answer() -> BoxedStrategy<Answer> {
    let numbers = (error_code(), number(), number(), number());
    let index = prop_oneof![0..5i32, any::<i32>()];
    let words = (vec((index, nullable_text(300), tags()), 0..3), nullable_text(300));
    let leader = option::of((prop_oneof![-1..2i32, 100..102i32], any::<i32>()));
    let times = prop_oneof![20 => 1..2usize, 1 => 0..1usize, 1 => 2..3usize];
    (numbers, words, leader, times, any::<u16>(), tags())
        .prop_map(|(numbers, (record_errors, message), leader, times, rank, tags)| Answer {
            error: numbers.0,
            base_offset: numbers.1,
            log_append_time: numbers.2,
            log_start_offset: numbers.3,
            record_errors,
            message,
            leader,
            times,
            rank,
            tags,
        })
        .boxed()
}

impl Answer {
    fn encode(&self, index: i32, version: i16) -> PartitionProduceResponse {
        let response = PartitionProduceResponse::default()
            .with_index(index)
            .with_error_code(self.error)
            .with_base_offset(self.base_offset)
            .with_log_append_time_ms(self.log_append_time)
            .with_log_start_offset(self.log_start_offset)
            .with_unknown_tagged_fields(self.tags.clone());
        let response = if version < 8 {
            response
        } else {
            let errors = self.record_errors.iter().map(|(index, message, tags)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(*index)
                    .with_batch_index_error_message(message.clone())
                    .with_unknown_tagged_fields(tags.clone())
            });
            response.with_record_errors(errors.collect()).with_error_message(self.message.clone())
        };
        match self.leader {
            Some((id, epoch)) if version >= 10 => response
                .with_current_leader(LeaderIdAndEpoch::default().with_leader_id(BrokerId(id)).with_leader_epoch(epoch)),
            _ => response,
        }
    }

    /// What the broker says, in words: of the first record that it names and has words on, else of the whole.
    fn words(&self, version: i16) -> String {
        if version < 8 {
            return String::new();
        }
        let records = self.record_errors.iter().map(|(_, message, _)| message);
        let words = records.chain([&self.message]).flatten().find(|words| !words.is_empty());
        let words = words.map_or("", |words| words.as_str());
        let end = (0..=words.len().min(255)).rev().find(|at| words.is_char_boundary(*at));
        words[..end.unwrap_or(0)].to_owned()
    }

    /// The first record that the broker names, if the batch has it.
    fn first_record(&self, version: i16, records: usize) -> Option<u32> {
        let mut named = self.record_errors.iter().filter_map(|(index, ..)| u32::try_from(*index).ok());
        named.next().filter(|&record| version >= 8 && (record as usize) < records)
    }
}

/// A whole answer and what it answers.
#[derive(Clone, Debug)]
struct Plan {
    acks: Acks,
    /// Records to each partition, by topic.
    topics: BTreeMap<String, Vec<usize>>,
    /// By partition, over and over.
    answers: Vec<Answer>,
    /// A topic stands once, with all its partitions.
    grouped: bool,
    /// Said of a partition that nobody asked for, at this rank.
    stray: Option<(Answer, bool)>,
    throttle: i32,
    nodes: Vec<(u16, StrBytes, Option<StrBytes>, Tags)>,
    tags: [Tags; 3],
    trailing: Vec<u8>,
    reads: Vec<usize>,
}

fn plan() -> BoxedStrategy<Plan> {
    let topics = topic_names(1..4).prop_flat_map(|names| {
        let count = names.len();
        vec(vec(1..4usize, 1..6), count).prop_map(move |records| names.iter().cloned().zip(records).collect())
    });
    let acks = any::<bool>().prop_map(|all| if all { Acks::All } else { Acks::Leader });
    let stray = prop_oneof![9 => proptest::strategy::Just(None), 1 => (answer(), any::<bool>()).prop_map(Some)];
    let nodes = vec((20_000..30_000u16, text(40), nullable_text(20), tags()), 0..3);
    let rest = (throttle(), nodes, [tags(), tags(), tags()], trailing(), pieces());
    (acks, topics, vec(answer(), 1..12), any::<bool>(), stray, rest)
        .prop_map(|(acks, topics, answers, grouped, stray, (throttle, nodes, tags, trailing, reads))| Plan {
            acks,
            topics,
            answers,
            grouped,
            stray,
            throttle,
            nodes,
            tags,
            trailing,
            reads,
        })
        .boxed()
}

impl Plan {
    /// Every partition with its answer.
    fn said(&self) -> Vec<(&str, i32, &Answer)> {
        let places = self
            .topics
            .iter()
            .flat_map(|(name, records)| (0i32..).zip(records).map(move |(partition, _)| (name.as_str(), partition)));
        places.zip(self.answers.iter().cycle()).map(|((name, partition), answer)| (name, partition, answer)).collect()
    }

    fn encode(&self, world_topics: &[(String, Uuid)], request: &Request) -> Vec<u8> {
        let mut said: Vec<(&str, i32, &Answer)> =
            self.said().into_iter().flat_map(|entry| std::iter::repeat_n(entry, entry.2.times)).collect();
        if let Some((stray, other_topic)) = &self.stray {
            let name = if *other_topic { "stray" } else { self.topics.keys().next().expect("a topic") };
            said.push((name, 77, stray));
        }
        said.sort_by_key(|(_, _, answer)| answer.rank);
        let mut groups: Vec<(&str, Vec<(i32, &Answer)>)> = Vec::new();
        for (name, partition, answer) in said {
            let known = groups.iter().position(|(other, _)| *other == name).filter(|_| self.grouped);
            match known.or_else(|| groups.len().checked_sub(1).filter(|last| groups[*last].0 == name)) {
                Some(at) => groups[at].1.push((partition, answer)),
                None => groups.push((name, vec![(partition, answer)])),
            }
        }
        let topics = groups.into_iter().map(|(name, answers)| {
            let id = world_topics.iter().find(|(known, _)| known == name).map_or(Uuid::max(), |(_, id)| *id);
            let answers = answers.into_iter().map(|(partition, answer)| answer.encode(partition, request.version));
            TopicProduceResponse::default()
                .with_name(TopicName(StrBytes::from_string(name.to_owned())))
                .with_topic_id(id)
                .with_partition_responses(answers.collect())
                .with_unknown_tagged_fields(self.tags[0].clone())
        });
        let response = ProduceResponse::default()
            .with_responses(topics.collect())
            .with_throttle_time_ms(self.throttle)
            .with_unknown_tagged_fields(self.tags[1].clone());
        let response = if request.version < 10 { response } else { response.with_node_endpoints(self.nodes()) };
        with_trailing(request.respond(&self.tags[2], &response), &self.trailing)
    }

    fn nodes(&self) -> Vec<NodeEndpoint> {
        let nodes = (100i32..).zip(&self.nodes).map(|(id, (port, host, rack, tags))| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(id))
                .with_host(host.clone())
                .with_port(i32::from(*port))
                .with_rack(rack.clone())
                .with_unknown_tagged_fields(tags.clone())
        });
        nodes.collect()
    }

    /// Whether it says something of each partition that was asked for, once, and of no other.
    fn fits(&self) -> bool {
        self.stray.is_none() && self.said().iter().all(|(_, _, answer)| answer.times == 1)
    }

    fn play(&self, version: i16) -> World {
        let setup = Setup { acks: self.acks, ..Setup::plain() };
        let partitions = self.topics.iter().map(|(name, records)| (name.clone(), records.len())).collect();
        let (mut world, topics) = world(&Offer::around(version), &setup, &partitions, &self.reads);
        for (topic, records) in topics.iter().zip(self.topics.values()) {
            for (partition, records) in (0i32..).zip(records) {
                (0..*records).for_each(|_| send(&mut world, *topic, partition));
            }
        }
        let now = world.driver.now();
        world.driver.producer.flush(now);
        let names: Vec<(String, Uuid)> =
            world.cluster.topics.iter().map(|topic| (topic.name.clone(), topic.id)).collect();
        let sent: usize = self.topics.values().flatten().sum();
        let mut answered = false;
        let done = world.run_with(
            60_000,
            |_, request| match &request.body {
                RequestKind::Produce(body) if !answered => {
                    answered = true;
                    let asked: usize = body.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
                    assert_eq!(asked, self.said().len(), "one request for everything");
                    Reply::Bytes(self.encode(&names, request))
                }
                _ => Reply::Sound,
            },
            |world| world.settled() == sent,
        );
        assert!(done, "{} of {sent} records have an outcome", world.settled());
        world
    }
}

#[test]
fn every_answer_is_told_as_it_was_said() {
    for version in PRODUCE {
        check(60, &plan(), |plan| {
            let world = plan.play(version);
            let expected = if plan.fits() { vec![] } else { vec![PeerError::Mismatch] };
            prop_assert_eq!(&world.driver.peer_errors, &expected);
            let throttle = u64::try_from(plan.throttle).unwrap_or(0);
            prop_assert_eq!(world.driver.producer.stats().throttle_ms, throttle);
            for (name, partition, answer) in plan.said() {
                let of = |told: &&Told| {
                    let BatchOutcome { topic, partition: of, .. } = told.outcome;
                    world.driver.producer.topic_name(topic) == Some(name) && of == partition
                };
                let told: Vec<&Told> = world.driver.told.iter().filter(of).collect();
                let records = plan.topics[name][usize::try_from(partition).expect("an index")];
                check_partition(answer, version, records, &told)?;
            }
            Ok(())
        });
    }
}

fn check_partition(answer: &Answer, version: i16, records: usize, told: &[&Told]) -> Result<(), TestCaseError> {
    let counted: usize = told.iter().map(|told| told.outcome.count as usize).sum();
    prop_assert_eq!(counted, records);
    if answer.times == 0 {
        let [told] = told else { return Err(TestCaseError::fail("several outcomes")) };
        let failed = told.outcome.result.expect_err("not answered");
        prop_assert_eq!(failed.error, DeliveryError::Broker(ErrorCode::NETWORK_EXCEPTION));
        prop_assert_eq!(failed.fate, Fate::Unknown);
        return Ok(());
    }
    if answer.error == 10 && records > 1 {
        // Split, and its parts delivered.
        prop_assert!(told.len() > 1 && told.iter().all(|told| told.outcome.result.is_ok()));
        return Ok(());
    }
    let [told] = told else { return Err(TestCaseError::fail("several outcomes")) };
    match (answer.error, told.outcome.result) {
        (0, Ok(delivered)) => {
            let log_append_time = Some(answer.log_append_time).filter(|time| *time >= 0);
            prop_assert_eq!(delivered, Delivered { base_offset: answer.base_offset, log_append_time });
        }
        (46, Ok(delivered)) => prop_assert_eq!(delivered, Delivered { base_offset: -1, log_append_time: None }),
        (10, Err(failed)) => prop_assert_eq!(failed.error, DeliveryError::RecordTooLarge),
        (error, Err(failed)) => {
            let code = ErrorCode::from(error);
            prop_assert_eq!(failed.error, DeliveryError::Broker(code));
            // It may be in the log if the leader moved behind the append, which an offset gives away; if it is known to have
            // been appended; or if nobody knows.
            let moved = [3, 6, 9, 56].contains(&error) && answer.base_offset >= 0;
            if moved || [-1, 7, 13, 20].contains(&error) || code.name().is_none() {
                prop_assert_eq!(failed.fate, Fate::Unknown);
            }
            if !code.is_retriable() {
                prop_assert_eq!(failed.record, answer.first_record(version, records));
                // 45 and 59 speak of sequences; what is said besides is of no use.
                let words = if [45, 59].contains(&error) { String::new() } else { answer.words(version) };
                prop_assert_eq!(&told.text, &words);
            }
        }
        (error, result) => prop_assert!(false, "{}: {:?}", error, result),
    }
    Ok(())
}

/// Port of the broker to which a refused batch went next.
fn after_refusal(version: i16, plan: &Hint) -> u16 {
    let setup = Setup { retries: 5, ..Setup::plain() };
    let partitions = BTreeMap::from([("t".to_owned(), 1)]);
    let (mut world, topics) = world(&Offer::around(version), &setup, &partitions, &plan.reads);
    send(&mut world, topics[0], 0);
    let mut refused = false;
    let refuse = |request: &Request| {
        let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(100)).with_leader_epoch(plan.epoch);
        let partition = PartitionProduceResponse::default()
            .with_error_code(6)
            .with_base_offset(-1)
            .with_current_leader(leader.with_unknown_tagged_fields(plan.tags.clone()))
            .with_unknown_tagged_fields(plan.tags.clone());
        let RequestKind::Produce(body) = &request.body else { panic!("a Produce request") };
        let topic = TopicProduceResponse::default()
            .with_name(body.topic_data[0].name.clone())
            .with_topic_id(body.topic_data[0].topic_id)
            .with_partition_responses(vec![partition]);
        let node = NodeEndpoint::default()
            .with_node_id(BrokerId(100))
            .with_host(StrBytes::from_string(plan.host.clone()))
            .with_port(i32::from(plan.port))
            .with_unknown_tagged_fields(plan.tags.clone());
        let response = ProduceResponse::default().with_responses(vec![topic]).with_node_endpoints(vec![node]);
        request.respond(&none(), &response)
    };
    let done = world.run_with(
        20_000,
        |_, request| match &request.body {
            RequestKind::Produce(_) if !std::mem::replace(&mut refused, true) => Reply::Bytes(refuse(request)),
            // Only the hint leads on.
            RequestKind::Metadata(_) => Reply::Silence,
            _ => Reply::Sound,
        },
        |world| world.settled() == 1,
    );
    assert!(done && world.driver.told[0].outcome.result.is_ok(), "{:?}", world.driver.told);
    world.produces().last().expect("it was sent").0.port
}

#[derive(Clone, Debug)]
struct Hint {
    epoch: i32,
    host: String,
    port: u16,
    tags: Tags,
    reads: Vec<usize>,
}

/// KIP-951.
#[test]
fn a_new_leader_named_in_a_refusal_is_gone_to() {
    let hint = (2..i32::MAX, "[a-z]{1,200}", 10_000..u16::MAX, tags(), pieces())
        .prop_map(|(epoch, host, port, tags, reads)| Hint { epoch, host, port, tags, reads })
        .boxed();
    for version in 10..=*PRODUCE.end() {
        check(20, &hint, |hint| {
            prop_assert_eq!(after_refusal(version, &hint), hint.port);
            Ok(())
        });
    }
}
