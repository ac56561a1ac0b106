//! The error codes that the simulated brokers answer, by Kafka's names; a fault may use any other number as well.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: i16 = $code;)*

        /// Kafka's name of a code in this table.
        #[must_use]
        pub const fn name(code: i16) -> Option<&'static str> {
            match code {
                $($name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

codes! {
    /// The server failed in an unexpected way.
    UNKNOWN_SERVER_ERROR = -1;
    /// Success.
    NONE = 0;
    /// The offset is outside the log.
    OFFSET_OUT_OF_RANGE = 1;
    /// The batch's checksum or structure is wrong.
    CORRUPT_MESSAGE = 2;
    /// This broker knows no such topic or partition.
    UNKNOWN_TOPIC_OR_PARTITION = 3;
    /// The partition has no leader right now.
    LEADER_NOT_AVAILABLE = 5;
    /// This broker does not lead the partition.
    NOT_LEADER_OR_FOLLOWER = 6;
    /// Replication took too long; the batch was appended.
    REQUEST_TIMED_OUT = 7;
    /// The batch exceeds `max.message.bytes`.
    MESSAGE_TOO_LARGE = 10;
    /// The coordinator is still loading.
    COORDINATOR_LOAD_IN_PROGRESS = 14;
    /// There is no coordinator.
    COORDINATOR_NOT_AVAILABLE = 15;
    /// This broker is not the coordinator.
    NOT_COORDINATOR = 16;
    /// The topic name is illegal.
    INVALID_TOPIC_EXCEPTION = 17;
    /// The batch exceeds the segment size.
    RECORD_LIST_TOO_LARGE = 18;
    /// Fewer replicas in sync than `min.insync.replicas`; nothing was appended.
    NOT_ENOUGH_REPLICAS = 19;
    /// The same, found after the batch was appended.
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20;
    /// acks is not -1, 0 or 1.
    INVALID_REQUIRED_ACKS = 21;
    /// No permission for the topic.
    TOPIC_AUTHORIZATION_FAILED = 29;
    /// No permission for the cluster.
    CLUSTER_AUTHORIZATION_FAILED = 31;
    /// A timestamp is out of the topic's bounds.
    INVALID_TIMESTAMP = 32;
    /// The version is not supported.
    UNSUPPORTED_VERSION = 35;
    /// The request contradicts itself.
    INVALID_REQUEST = 42;
    /// The sequence number does not follow the last one.
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45;
    /// The sequence number was already used.
    DUPLICATE_SEQUENCE_NUMBER = 46;
    /// The producer's epoch is older than the broker's.
    INVALID_PRODUCER_EPOCH = 47;
    /// The transaction is not in a state that allows this.
    INVALID_TXN_STATE = 48;
    /// The disk failed.
    KAFKA_STORAGE_ERROR = 56;
    /// The broker has no state for this producer id.
    UNKNOWN_PRODUCER_ID = 59;
    /// The fetch session is not known.
    FETCH_SESSION_ID_NOT_FOUND = 70;
    /// The client's leader epoch is older than the broker's.
    FENCED_LEADER_EPOCH = 74;
    /// The client's leader epoch is newer than the broker's.
    UNKNOWN_LEADER_EPOCH = 75;
    /// The codec is unknown, or not allowed for the request's version.
    UNSUPPORTED_COMPRESSION_TYPE = 76;
    /// A record breaks a rule of its topic.
    INVALID_RECORD = 87;
    /// No topic has this id.
    UNKNOWN_TOPIC_ID = 100;
    /// The transaction can only be aborted.
    TRANSACTION_ABORTABLE = 120;
    /// The client must start over from its bootstrap addresses.
    REBOOTSTRAP_REQUIRED = 129;
}
