//! What a record costs in allocations: nothing, but what is allocated once per batch.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{PATIENCE, cluster, producer};
use klamm::{Native, Producer, Record, TypedProducer, TypedRecord};

struct Counting;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's own promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's own promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RECORDS: u32 = 20_000;

fn allocations(producer: &Producer, mut send: impl FnMut()) -> u32 {
    // Tables grow to their size.
    (0..RECORDS).for_each(|_| send());
    producer.flush();
    let before = COUNT.get();
    (0..RECORDS).for_each(|_| send());
    COUNT.get() - before
}

#[test]
fn a_record_allocates_nothing_typed_or_not() {
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    // Some 100 records fit a batch, which has a cell of its own; callers that wait allocate a little.
    let few = RECORDS / 10;
    let value = [0; 100];
    let plain = allocations(&producer, || drop(producer.send(&Record::to("t").key("key").value(&value)).unwrap()));
    assert!(plain < few, "{plain}");
    let typed: TypedProducer<str, Option<i64>> = producer.typed(Native, Native);
    let record = || TypedRecord::to("t").key("a key of some length, to be sure").value(&Some(7));
    let count = allocations(&producer, || drop(typed.send(&record()).unwrap()));
    assert!(count < few, "{count}");
    producer.close(PATIENCE).unwrap();
}
