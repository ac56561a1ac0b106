//! What the thread does with outcomes when it ends.

use std::sync::mpsc::channel;

use klamm_core::Fate;

use super::{Io, prepare};
use crate::error::DeliveryErrorKind;
use crate::record::Record;
use crate::shared::{Inner, Patience, Shared};

/// A thread that does not run, with a topic of one partition.
fn io() -> Io {
    let builder = crate::Producer::builder().bootstrap_servers("localhost:1").delivery_timeout_ms(30_010);
    let (settings, limits) = builder.settle().unwrap();
    let io = prepare(settings, &limits).unwrap();
    io.inner.with(|shared| {
        let topic = shared.core.topic("t").unwrap();
        shared.core.declare_partitions(topic, 1);
    });
    io
}

fn expire(shared: &mut Shared, inner: &Inner) {
    shared.now = inner.now().after(2 * inner.delivery_timeout);
    shared.core.handle_timeout(shared.now);
}

/// The thread ends between noting an outcome and telling it: the record hears that outcome, a record without one that the producer is
/// broken, and nobody hears twice (PITFALLS 59).
#[test]
fn what_was_settled_before_a_panic_is_told_once() {
    let mut io = io();
    let inner = std::sync::Arc::clone(&io.inner);
    let (tell, told) = channel();
    let accept = |value: &str| {
        let (tell, number) = (tell.clone(), value.to_owned());
        let mut callback: Option<crate::callbacks::Callback> =
            Some(Box::new(move |outcome| tell.send((number, outcome.unwrap_err().kind)).unwrap()));
        let record = Record::to("t").value(value).partition(0);
        inner.with(|shared| shared.accept_told(&inner, &record, Patience::None, &mut callback)).unwrap()
    };
    let settled = accept("settled");
    inner.with(|shared| {
        expire(shared, &inner);
        assert!(!io.collect_events(shared));
    });
    let open = accept("open");
    assert_eq!(io.completions.len(), 1);
    assert!(settled.try_get().is_none() && told.try_recv().is_err());

    io.finish(&inner, true);
    let error = |delivery: crate::Delivery| delivery.try_get().expect("an outcome").unwrap_err();
    let (settled, open) = (error(settled), error(open));
    assert!(matches!(settled.kind, DeliveryErrorKind::TimedOut { .. }), "{settled:?}");
    assert_eq!((open.kind, open.fate), (DeliveryErrorKind::Broken, Fate::Unknown));
    let calls: Vec<_> = told.try_iter().collect();
    assert_eq!(calls, [("settled".to_owned(), settled.kind), ("open".to_owned(), open.kind)]);
}
