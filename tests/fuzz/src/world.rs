//! klamm-sim's [`World`], led by a fuzzer: what the network does, when, at which byte; and what the cluster suffers. The world
//! checks itself after every step, and the logs at the end.

use klamm_core::{Acks, Compression, TopicId};
use klamm_sim::world::{Checks, Codecs, Cut, Direction, Network, Pieces, World, WorldOptions};

use crate::input::Input;
use crate::{setup, shapes};

const STEPS: usize = 80;

/// See the module.
pub fn world(data: &[u8]) {
    let mut input = Input::new(data);
    let (memory, cluster, seed) = (input.u8(), input.u8(), input.u8());
    let mut config = setup::config(&mut input);
    if matches!(config.compression, Compression::Gzip | Compression::Zstd) {
        config.compression = Compression::Snappy; // the slow ones are the fuzzer of records'
    }
    let mut limits = setup::limits(memory % 4 + 1);
    limits.buffer_memory = limits.buffer_memory.max(16 << 10);
    let mut options = setup::cluster(cluster);
    options.min_insync_replicas = 1;
    options.keep_history = true; // or nobody could say whether a failure has a reason
    let promised = Checks::promised(&config);
    let options = WorldOptions::seeded(seed.into())
        // A leader that is killed may take with it what it alone has.
        .checks(Checks { offsets: promised.offsets && config.acks == Acks::All, ..promised })
        .cluster(options)
        .limits(limits)
        .network(network(&mut input))
        .codecs(Codecs { delay_us: 0..=u64::from(seed >> 4) * 100, ..Codecs::default() })
        .bootstrap("broker.sim:9092,broker.sim:9093")
        .configure(move |own| *own = config);
    let Ok(mut world) = World::try_new(options) else { return };
    world.cluster_mut().create_topic("a", 1 + u32::from(memory >> 6));
    let mut topics: Vec<TopicId> = world.try_topic("a").into_iter().collect();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        step(&mut world, &mut topics, &mut input);
    }
    world.network_mut().heal();
    world.cluster_mut().faults().clear();
    for broker in 1..=3 {
        let now_ms = world.now_ms();
        world.cluster_mut().restart(now_ms, broker);
    }
    if seed & 1 == 0 {
        world.close(5000);
    }
    assert!(world.run_until_settled(600_000), "records without outcome");
    world.verify();
}

/// Byte by byte is the machine's fuzzer's: here it would be most of the time.
fn network(input: &mut Input<'_>) -> Network {
    let (a, b) = (input.u8(), input.u8());
    Network {
        latency_us: 100..=100 + (u64::from(a & 7) << 10),
        write: [Pieces::Whole, Pieces::Random(1000), Pieces::Random(100), Pieces::Fixed(61)][usize::from(a >> 3 & 3)],
        read: [Pieces::Whole, Pieces::Random(40), Pieces::Random(400), Pieces::Fixed(61)][usize::from(a >> 5 & 3)],
        write_pause_us: u64::from(b & 3) * 50,
        vectored_permille: if b & 4 == 0 { 0 } else { 600 },
        reset_permille: u32::from(b >> 3 & 3) * 10,
        late_arrival_permille: if b & 32 == 0 { 1000 } else { 300 },
        ..Network::default()
    }
}

fn step(world: &mut World, topics: &mut Vec<TopicId>, input: &mut Input<'_>) {
    let choice = input.u8();
    let n = u64::from(choice >> 4);
    let broker = 1 + (choice >> 4 & 3) as i32 % 3;
    match choice & 15 {
        0..3 => {
            let Some(topic) = topics.get(n as usize % topics.len().max(1)).copied() else { return };
            shapes::record(input, |record| {
                for _ in 0..=n {
                    let _ = world.send(topic, record);
                }
            });
        }
        3 => world.run_for(1 << n.min(10)),
        4 => world.run_for(n),
        5 => {
            let until = n as usize + world.delivered();
            world.run_until(|world| world.delivered() >= until, 2000);
        }
        6 => world.network_mut().block(broker),
        7 => {
            world.network_mut().unblock(broker);
            world.network_mut().admit(broker);
        }
        8 => {
            // The next connection, or the one after, breaks at this byte.
            let connection = world.connections_made() + 1 + n % 2;
            let direction = if n & 2 == 0 { Direction::ToBroker } else { Direction::ToClient };
            world.network_mut().cuts.push(Cut { connection, direction, after: input.u16().into() });
        }
        9 => world.reset_connections(),
        10 => world.cluster_mut().kill(broker),
        11 => {
            let now_ms = world.now_ms();
            world.cluster_mut().restart(now_ms, broker);
        }
        12 => world.cluster_mut().move_leader("a", (n & 3) as u32, broker),
        13 => world.flush(),
        14 => world.network_mut().refuse(broker),
        _ => match n {
            0 => world.cluster_mut().add_partitions("a", 1),
            1 => world.set_wall_clock(),
            2 => topics.extend(world.try_topic("b")),
            _ => scripted(world, input),
        },
    }
}

/// A fault that a correct broker may show: what the promises hold under.
fn scripted(world: &mut World, input: &mut Input<'_>) {
    use klamm_sim::{Action, Api, Fault, error};
    const RETRIABLE: [i16; 7] = [
        error::NOT_LEADER_OR_FOLLOWER,
        error::LEADER_NOT_AVAILABLE,
        error::REQUEST_TIMED_OUT,
        error::NOT_ENOUGH_REPLICAS,
        error::UNKNOWN_TOPIC_OR_PARTITION,
        error::MESSAGE_TOO_LARGE,
        error::KAFKA_STORAGE_ERROR,
    ];
    let (which, n) = (input.u8(), input.u8());
    let api = [Api::Produce, Api::Produce, Api::Metadata, Api::InitProducerId][usize::from(which >> 3 & 3)];
    let action = match which & 7 {
        // Only batches are too large.
        0 | 1 => match RETRIABLE[usize::from(n) % RETRIABLE.len()] {
            error::MESSAGE_TOO_LARGE if api != Api::Produce => Action::Error(error::LEADER_NOT_AVAILABLE),
            code => Action::Error(code),
        },
        2 => Action::AppendThenError(error::REQUEST_TIMED_OUT),
        3 => Action::CloseAfter,
        4 => Action::CloseAfterBytes(n.into()),
        5 => Action::Delay(u64::from(n) * 4),
        6 => Action::NoAnswer,
        _ => Action::Throttle(n.into()),
    };
    world.cluster_mut().faults().push(Fault::on(api).skip(u32::from(which >> 6)).then(action));
}
