//! Sizes of the core's tables. Slots hold no pointers, so that they are as large here as on a board.

use klamm_core::{Producer, static_storage};

type Board = static_storage!(
    block: 256, blocks: 16, batches: 8, partitions: 4, topics: 1, brokers: 2, connections: 2
);

/// The size of one more slot, by the difference of two boards.
macro_rules! slot {
    ($batches:expr, $partitions:expr, $topics:expr, $brokers:expr, $connections:expr) => {
        size_of::<
            static_storage!(
                block: 256, blocks: 16, batches: 8 + $batches, partitions: 4 + $partitions, topics: 1 + $topics,
                brokers: 2 + $brokers, connections: 2 + $connections
            ),
        >() - size_of::<Board>()
    };
}

pub(crate) fn print() {
    println!("board_1x4x2_4KiB {}", size_of::<Board>());
    println!("batch {}", slot!(1, 0, 0, 0, 0));
    println!("partition {}", slot!(0, 1, 0, 0, 0));
    println!("topic_with_64B_name {}", slot!(0, 0, 1, 0, 0));
    println!("broker_with_64B_host {}", slot!(0, 0, 0, 1, 0));
    println!("connection_with_160B_scratch {}", slot!(0, 0, 0, 0, 1));
    println!("producer_on_this_host {}", size_of::<Producer<'_>>());
}
