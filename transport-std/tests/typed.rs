//! Typed producers: what arrives is what the serializers wrote.

mod common;

use std::borrow::Cow;
use std::error::Error;

use common::{PATIENCE, builder, closed_port, cluster, producer};
use klamm::{
    Header, Native, Nullable, Record, RecordPart, SendError, Serialized, Serializer, SerializerContext, TypedProducer,
    TypedRecord,
};

type Outcome = Result<Serialized, Box<dyn Error + Send + Sync>>;

/// Key and value as stored.
type Stored = (Option<Vec<u8>>, Option<Vec<u8>>);

fn log(cluster: &klamm_sim::tcp::TcpCluster) -> Vec<Stored> {
    cluster.with(|cluster| cluster.log("t", 0)).into_iter().map(|record| (record.key, record.value)).collect()
}

fn pair(key: &[u8], value: &[u8]) -> Stored {
    (Some(key.to_vec()), Some(value.to_vec()))
}

#[test]
fn every_way_to_send_serializes() {
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    let typed: TypedProducer<str, i64> = producer.typed(Native, Native);
    let clone = typed.clone();
    typed.send(&TypedRecord::to("t").key("a").value(&1)).unwrap().wait().unwrap();
    clone.try_send(&TypedRecord::to("t").key("b").value(&2)).unwrap().wait().unwrap();
    typed.send_with(&TypedRecord::to("t").key("c").value(&3), |outcome| drop(outcome.unwrap())).unwrap();
    typed.try_send_with(&TypedRecord::to("t").key("d").value(&4), |outcome| drop(outcome.unwrap())).unwrap();
    smol::block_on(async {
        typed.send_async(&TypedRecord::to("t").key("e").value(&-5)).await.unwrap().await.unwrap();
    });
    typed.send(&TypedRecord::to("t").key("tombstone")).unwrap().wait().unwrap();
    typed.send(&TypedRecord::to("t").value(&6)).unwrap().wait().unwrap();
    drop(typed.send(&TypedRecord::to("t").key("").value(&7)).unwrap());
    typed.flush();
    typed.close(PATIENCE).unwrap();
    assert_eq!(typed.producer().try_send(&Record::to("t")).unwrap_err(), SendError::Closed);
    let expected = [
        pair(b"a", &1i64.to_be_bytes()),
        pair(b"b", &2i64.to_be_bytes()),
        pair(b"c", &3i64.to_be_bytes()),
        pair(b"d", &4i64.to_be_bytes()),
        pair(b"e", &(-5i64).to_be_bytes()),
        (Some(b"tombstone".to_vec()), None),
        (None, Some(6i64.to_be_bytes().to_vec())),
        pair(b"", &7i64.to_be_bytes()),
    ];
    assert_eq!(log(&cluster), expected);
}

#[test]
fn the_rest_of_a_record_goes_with_it() {
    let cluster = cluster(1, 3);
    let producer = producer(&cluster);
    let typed: TypedProducer<(), Cow<'_, str>> = producer.typed(Native, Native);
    let value = Cow::Borrowed("v");
    let record = TypedRecord::to("t").key(&()).value(&value).partition(2).timestamp(1_234);
    let stored = typed.send(&record.clone().header("a", "1").null_header("b")).unwrap().wait().unwrap();
    assert_eq!((stored.partition, stored.timestamp), (2, 1_234));
    let headers = [Header { key: "c", value: None }];
    typed.send(&record.headers(&headers)).unwrap().wait().unwrap();
    let log = cluster.with(|cluster| cluster.log("t", 2));
    assert_eq!((log[0].key.as_deref(), log[0].value.as_deref()), (None, Some(&b"v"[..])));
    assert_eq!(log[0].headers, [("a".to_owned(), Some(b"1".to_vec())), ("b".to_owned(), None)]);
    assert_eq!(log[1].headers, [("c".to_owned(), None)]);
}

#[test]
fn serializers_of_every_kind() {
    struct Refuses;
    impl Serializer<i32> for Refuses {
        fn serialize(&self, context: &SerializerContext<'_>, value: &i32, out: &mut Vec<u8>) -> Outcome {
            out.extend_from_slice(b"half");
            match *value {
                0 => Ok(Serialized::Null),
                1 => Ok(Serialized::Bytes),
                _ => Err(format!("{value} is no {} of {}", context.part, context.topic).into()),
            }
        }
    }
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    let upper = |_: &SerializerContext<'_>, value: &String, out: &mut Vec<u8>| -> Outcome {
        out.extend_from_slice(value.to_uppercase().as_bytes());
        Ok(Serialized::Bytes)
    };
    let typed: TypedProducer<i32, Option<String>> = producer.typed(std::sync::Arc::new(Refuses), Nullable(upper));
    let (some, none) = (Some("shout".to_owned()), None);
    typed.send(&TypedRecord::to("t").key(&1).value(&some)).unwrap().wait().unwrap();
    typed.send(&TypedRecord::to("t").key(&0).value(&some)).unwrap().wait().unwrap();
    typed.send(&TypedRecord::to("t").key(&1).value(&none)).unwrap().wait().unwrap();
    let half = b"half".to_vec();
    assert_eq!(log(&cluster), [pair(b"half", b"SHOUT"), (None, Some(b"SHOUT".to_vec())), (Some(half), None)]);

    let refused = typed.send(&TypedRecord::to("t").key(&2)).unwrap_err();
    assert_eq!(refused.to_string(), "the key of a record for topic 't' cannot be serialized: 2 is no key of t");
    assert_eq!(refused.source().unwrap().to_string(), "2 is no key of t");
    assert_eq!(refused, typed.try_send(&TypedRecord::to("t").key(&2)).unwrap_err());
    assert_ne!(refused, typed.try_send(&TypedRecord::to("t").key(&3)).unwrap_err());
    assert!(!refused.is_retriable());
    let SendError::Serialization(error) = refused else { panic!("{refused:?}") };
    assert_eq!((error.part, &*error.topic), (RecordPart::Key, "t"));
    assert!(smol::block_on(typed.send_async(&TypedRecord::to("t").key(&2))).is_err());
    assert!(typed.send_with(&TypedRecord::to("t").key(&2), |_| panic!("never called")).is_err());
    let values: TypedProducer<[u8], i32> = producer.typed(Native, Refuses);
    let error = values.send(&TypedRecord::to("t").key(&b"k"[..]).value(&9)).unwrap_err();
    assert!(error.to_string().starts_with("the value of"), "{error}");
    producer.close(PATIENCE).unwrap();
    assert_eq!(log(&cluster).len(), 3);
}

/// A serializer may send something itself, and several records may be on their way in one thread.
#[test]
fn buffers_are_nobodys_but_the_records() {
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    let inner: TypedProducer<str, str> = producer.typed(Native, Native);
    let nested = move |_: &SerializerContext<'_>, value: &str, out: &mut Vec<u8>| -> Outcome {
        out.extend_from_slice(b"outer ");
        drop(inner.send(&TypedRecord::to("t").key("inner").value(value))?);
        out.extend_from_slice(value.as_bytes());
        Ok(Serialized::Bytes)
    };
    let outer: TypedProducer<str, str> = producer.typed(Native, nested);
    outer.send(&TypedRecord::to("t").key("key").value("value")).unwrap().wait().unwrap();
    let (first, second) = (TypedRecord::to("t").key("1").value("one"), TypedRecord::to("t").key("2").value("two"));
    smol::block_on(async {
        let (first, second) = futures_lite::future::zip(outer.send_async(&first), outer.send_async(&second)).await;
        drop(first.unwrap().await.unwrap());
        drop(second.unwrap().await.unwrap());
    });
    producer.close(PATIENCE).unwrap();
    let expected = [
        pair(b"inner", b"value"),
        pair(b"key", b"outer value"),
        pair(b"inner", b"one"),
        pair(b"1", b"outer one"),
        pair(b"inner", b"two"),
        pair(b"2", b"outer two"),
    ];
    assert_eq!(log(&cluster), expected);
}

#[test]
fn typed_producers_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn goes<T: Send>(_: &T) {}
    let producer = builder(&closed_port().to_string()).build().unwrap();
    let typed: TypedProducer<str, [u8]> = producer.typed(Native, Native);
    shared(&typed);
    goes(&typed.send_async(&TypedRecord::to("t")));
    assert!(format!("{typed:?}").contains("Producer"));
}

#[cfg(feature = "serde")]
#[test]
fn json_is_compact() {
    let cluster = cluster(1, 1);
    let producer = producer(&cluster);
    let typed: TypedProducer<str, serde_json::Value> = producer.typed(Native, klamm::Json);
    let value = serde_json::json!({"cents": 1250, "to": "é"});
    typed.send(&TypedRecord::to("t").key("k").value(&value)).unwrap().wait().unwrap();
    let lists: TypedProducer<str, [f64]> = producer.typed(Native, klamm::Json);
    // JSON has no NaN: serde_json writes null.
    lists.send(&TypedRecord::to("t").value(&[1.5, f64::NAN][..])).unwrap().wait().unwrap();
    let keys: TypedProducer<std::collections::HashMap<Vec<u8>, u8>, str> = producer.typed(klamm::Json, Native);
    let map = std::collections::HashMap::from([(vec![1], 2)]);
    let error = keys.send(&TypedRecord::to("t").key(&map)).unwrap_err();
    assert!(error.to_string().contains("key must be a string"), "{error}");
    let expected = [pair(b"k", r#"{"cents":1250,"to":"é"}"#.as_bytes()), (None, Some(b"[1.5,null]".to_vec()))];
    assert_eq!(log(&cluster), expected);
}
