//! Kafka's error codes and what each means for a batch.

use core::fmt;

/// An error code as a broker sent it. Codes that are newer than this crate keep their number.
///
/// [`Display`](fmt::Display) writes `NAME (code)`. The table of names is linked only where it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ErrorCode(i16);

/// Constants and the table of names from one list, which has to go on without gaps from code −1.
macro_rules! error_codes {
    ($($code:literal $name:ident $(= $doc:literal)?,)*) => {
        impl ErrorCode {
            $(
                $(#[doc = $doc])?
                #[doc = concat!("(code ", $code, ")")]
                pub const $name: Self = Self($code);
            )*
        }

        /// All names, each followed by a newline, in the order of their codes.
        const NAMES: &str = concat!($(stringify!($name), "\n"),*);
    };
}

error_codes! {
    -1 UNKNOWN_SERVER_ERROR = "Something unexpected at the broker; we treat codes that we do not know like it.",
    0 NONE = "Success.",
    1 OFFSET_OUT_OF_RANGE,
    2 CORRUPT_MESSAGE = "The batch's CRC or layout is wrong.",
    3 UNKNOWN_TOPIC_OR_PARTITION = "The broker does not host the partition, or we may not see the topic.",
    4 INVALID_FETCH_SIZE,
    5 LEADER_NOT_AVAILABLE = "No leader is elected now.",
    6 NOT_LEADER_OR_FOLLOWER = "The broker is not the partition's leader.",
    7 REQUEST_TIMED_OUT = "The batch was appended but not confirmed in time.",
    8 BROKER_NOT_AVAILABLE,
    9 REPLICA_NOT_AVAILABLE,
    10 MESSAGE_TOO_LARGE = "The batch exceeds what the topic allows.",
    11 STALE_CONTROLLER_EPOCH,
    12 OFFSET_METADATA_TOO_LARGE,
    13 NETWORK_EXCEPTION = "The connection failed; made by clients, never sent.",
    14 COORDINATOR_LOAD_IN_PROGRESS,
    15 COORDINATOR_NOT_AVAILABLE,
    16 NOT_COORDINATOR,
    17 INVALID_TOPIC_EXCEPTION,
    18 RECORD_LIST_TOO_LARGE,
    19 NOT_ENOUGH_REPLICAS = "Fewer in-sync replicas than the topic demands; not appended.",
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND = "Appended, but then fewer in-sync replicas than the topic demands.",
    21 INVALID_REQUIRED_ACKS,
    22 ILLEGAL_GENERATION,
    23 INCONSISTENT_GROUP_PROTOCOL,
    24 INVALID_GROUP_ID,
    25 UNKNOWN_MEMBER_ID,
    26 INVALID_SESSION_TIMEOUT,
    27 REBALANCE_IN_PROGRESS,
    28 INVALID_COMMIT_OFFSET_SIZE,
    29 TOPIC_AUTHORIZATION_FAILED = "We may not write to the topic.",
    30 GROUP_AUTHORIZATION_FAILED,
    31 CLUSTER_AUTHORIZATION_FAILED = "We may not act on the cluster, e.g. write idempotently.",
    32 INVALID_TIMESTAMP,
    33 UNSUPPORTED_SASL_MECHANISM,
    34 ILLEGAL_SASL_STATE,
    35 UNSUPPORTED_VERSION = "The broker does not speak that version of the API.",
    36 TOPIC_ALREADY_EXISTS,
    37 INVALID_PARTITIONS,
    38 INVALID_REPLICATION_FACTOR,
    39 INVALID_REPLICA_ASSIGNMENT,
    40 INVALID_CONFIG,
    41 NOT_CONTROLLER,
    42 INVALID_REQUEST,
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT,
    44 POLICY_VIOLATION,
    45 OUT_OF_ORDER_SEQUENCE_NUMBER = "The batch's sequence does not follow the last one that was appended.",
    46 DUPLICATE_SEQUENCE_NUMBER = "The batch was appended earlier.",
    47 INVALID_PRODUCER_EPOCH = "The batch's producer epoch is older than the one the broker knows.",
    48 INVALID_TXN_STATE,
    49 INVALID_PRODUCER_ID_MAPPING,
    50 INVALID_TRANSACTION_TIMEOUT,
    51 CONCURRENT_TRANSACTIONS,
    52 TRANSACTION_COORDINATOR_FENCED,
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    54 SECURITY_DISABLED,
    55 OPERATION_NOT_ATTEMPTED,
    56 KAFKA_STORAGE_ERROR = "The broker's disk failed.",
    57 LOG_DIR_NOT_FOUND,
    58 SASL_AUTHENTICATION_FAILED,
    59 UNKNOWN_PRODUCER_ID = "The broker forgot this producer's sequences.",
    60 REASSIGNMENT_IN_PROGRESS,
    61 DELEGATION_TOKEN_AUTH_DISABLED,
    62 DELEGATION_TOKEN_NOT_FOUND,
    63 DELEGATION_TOKEN_OWNER_MISMATCH,
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED,
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED,
    66 DELEGATION_TOKEN_EXPIRED,
    67 INVALID_PRINCIPAL_TYPE,
    68 NON_EMPTY_GROUP,
    69 GROUP_ID_NOT_FOUND,
    70 FETCH_SESSION_ID_NOT_FOUND,
    71 INVALID_FETCH_SESSION_EPOCH,
    72 LISTENER_NOT_FOUND,
    73 TOPIC_DELETION_DISABLED,
    74 FENCED_LEADER_EPOCH,
    75 UNKNOWN_LEADER_EPOCH,
    76 UNSUPPORTED_COMPRESSION_TYPE,
    77 STALE_BROKER_EPOCH,
    78 OFFSET_NOT_AVAILABLE,
    79 MEMBER_ID_REQUIRED,
    80 PREFERRED_LEADER_NOT_AVAILABLE,
    81 GROUP_MAX_SIZE_REACHED,
    82 FENCED_INSTANCE_ID,
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE,
    84 ELECTION_NOT_NEEDED,
    85 NO_REASSIGNMENT_IN_PROGRESS,
    86 GROUP_SUBSCRIBED_TO_TOPIC,
    87 INVALID_RECORD = "A record was refused; the response says which.",
    88 UNSTABLE_OFFSET_COMMIT,
    89 THROTTLING_QUOTA_EXCEEDED,
    90 PRODUCER_FENCED,
    91 RESOURCE_NOT_FOUND,
    92 DUPLICATE_RESOURCE,
    93 UNACCEPTABLE_CREDENTIAL,
    94 INCONSISTENT_VOTER_SET,
    95 INVALID_UPDATE_VERSION,
    96 FEATURE_UPDATE_FAILED,
    97 PRINCIPAL_DESERIALIZATION_FAILURE,
    98 SNAPSHOT_NOT_FOUND,
    99 POSITION_OUT_OF_RANGE,
    100 UNKNOWN_TOPIC_ID = "The broker does not know the topic's id (yet).",
    101 DUPLICATE_BROKER_REGISTRATION,
    102 BROKER_ID_NOT_REGISTERED,
    103 INCONSISTENT_TOPIC_ID,
    104 INCONSISTENT_CLUSTER_ID,
    105 TRANSACTIONAL_ID_NOT_FOUND,
    106 FETCH_SESSION_TOPIC_ID_ERROR,
    107 INELIGIBLE_REPLICA,
    108 NEW_LEADER_ELECTED,
    109 OFFSET_MOVED_TO_TIERED_STORAGE,
    110 FENCED_MEMBER_EPOCH,
    111 UNRELEASED_INSTANCE_ID,
    112 UNSUPPORTED_ASSIGNOR,
    113 STALE_MEMBER_EPOCH,
    114 MISMATCHED_ENDPOINT_TYPE,
    115 UNSUPPORTED_ENDPOINT_TYPE,
    116 UNKNOWN_CONTROLLER_ID,
    117 UNKNOWN_SUBSCRIPTION_ID,
    118 TELEMETRY_TOO_LARGE,
    119 INVALID_REGISTRATION,
    120 TRANSACTION_ABORTABLE,
    121 INVALID_RECORD_STATE,
    122 SHARE_SESSION_NOT_FOUND,
    123 INVALID_SHARE_SESSION_EPOCH,
    124 FENCED_STATE_EPOCH,
    125 INVALID_VOTER_KEY,
    126 DUPLICATE_VOTER,
    127 VOTER_NOT_FOUND,
    128 INVALID_REGULAR_EXPRESSION,
    129 REBOOTSTRAP_REQUIRED = "The cluster asks clients to start from their bootstrap addresses (KIP-1102).",
    130 STREAMS_INVALID_TOPOLOGY,
    131 STREAMS_INVALID_TOPOLOGY_EPOCH,
    132 STREAMS_TOPOLOGY_FENCED,
    133 SHARE_SESSION_LIMIT_REACHED,
    134 GROUP_DELETION_FAILED,
    135 STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED,
    136 CONTROLLER_ID_NOT_REGISTERED,
}

/// A set of codes, as bits. A `matches!` of many codes is code instead, and more of it.
struct Codes([u32; 5]);

impl Codes {
    #[expect(clippy::indexing_slicing, reason = "called while this is compiled")]
    const fn of(codes: &[u8]) -> Self {
        let mut bits = [0; 5];
        let mut at = 0;
        while at < codes.len() {
            let code = codes[at];
            bits[(code / 32) as usize] |= 1 << (code % 32);
            at += 1;
        }
        Self(bits)
    }

    #[expect(clippy::indexing_slicing, reason = "the index is looked at")]
    const fn contains(&self, code: ErrorCode) -> bool {
        let word = (code.0 as u16 / 32) as usize;
        word < self.0.len() && self.0[word] >> (code.0 as u32 % 32) & 1 == 1
    }
}

impl From<i16> for ErrorCode {
    fn from(code: i16) -> Self {
        Self(code)
    }
}

impl ErrorCode {
    /// The number.
    pub const fn code(self) -> i16 {
        self.0
    }

    /// Whether this is [`ErrorCode::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Kafka's name for the code, if it had one when this crate was written.
    ///
    /// It counts lines: 3.4 KB of text and a loop, where a table of slices would add another kilobyte.
    pub fn name(self) -> Option<&'static str> {
        let index = usize::try_from(self.0.checked_add(1)?).ok()?;
        let mut names = NAMES.as_bytes().split(|byte| *byte == b'\n');
        let name = core::str::from_utf8(names.nth(index)?).ok()?;
        if name.is_empty() { None } else { Some(name) }
    }

    /// Whether the same request may succeed later (Java's `RetriableException`). Unknown codes are not retriable: a retry
    /// without end is worse than a failure that is told.
    pub const fn is_retriable(self) -> bool {
        static CODES: Codes = Codes::of(&[
            2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100, 103,
            106, 122, 123, 133,
        ]);
        CODES.contains(self)
    }

    /// Whether it shows that our view of the cluster is old (Java's `InvalidMetadataException`).
    pub const fn refreshes_metadata(self) -> bool {
        static CODES: Codes = Codes::of(&[3, 5, 6, 9, 13, 56, 72, 74, 80, 83, 84, 100, 103]);
        CODES.contains(self)
    }

    /// Whether a produce response with this code and `base_offset` proves that the batch was **not** appended.
    ///
    /// A batch may be sent again under another epoch or sequence only after such an answer. Two traps:
    ///
    /// * 3, 6, 9 and 56 mostly come before the append, but with acks=all also *after* it, when the leader moves or its disk
    ///   fails while the broker waits for the followers (`DelayedProduce.tryComplete`, case A and B). The broker
    ///   then overwrites the error only: the assigned base offset stays in the answer, and gives it away.
    /// * 7 and 20 say that the batch *was* appended at the leader. 13 is ours: nobody knows.
    ///
    /// Everything that a broker is not known to say about a refused batch counts as unknown.
    pub(crate) fn proves_not_appended(self, base_offset: i64) -> bool {
        static CODES: Codes = Codes::of(&[
            2, 3, 5, 6, 9, 10, 14, 15, 16, 17, 18, 19, 21, 29, 31, 32, 35, 42, 43, 45, 47, 48, 49, 51, 53, 56, 59, 72,
            74, 75, 76, 87, 89, 90, 100, 103, 120,
        ]);
        base_offset < 0 && CODES.contains(self)
    }

    /// What to do with a batch that was answered with this code and `base_offset`, outside of transactions (PRODUCER j.4).
    pub(crate) fn produce_action(self, base_offset: i64) -> ProduceAction {
        let definite = self.proves_not_appended(base_offset);
        match self {
            Self::NONE => ProduceAction::Success,
            // Older than the broker's last five batches (k.3): it is there, but where is not known any more.
            Self::DUPLICATE_SEQUENCE_NUMBER => ProduceAction::SuccessWithoutOffset,
            // Java retries for ever, others fail at once: the same bytes fail again, unless the wire flipped a bit.
            Self::CORRUPT_MESSAGE => ProduceAction::RetryOnce,
            // Two halves may pass; a single record fails (i.5).
            Self::MESSAGE_TOO_LARGE => ProduceAction::Split,
            // A gap or a forgotten producer: k.5 weighs sequences and offsets, which are not known here.
            Self::OUT_OF_ORDER_SEQUENCE_NUMBER | Self::UNKNOWN_PRODUCER_ID => ProduceAction::Sequence,
            // Not fenced, ids are our own: a late batch of the epoch before a bump (k.5). It fails; the epoch is bumped.
            Self::INVALID_PRODUCER_EPOCH => ProduceAction::Epoch,
            _ if self.is_retriable() => ProduceAction::Retry { refresh: self.refreshes_metadata(), definite },
            _ => ProduceAction::Fail { fatal: self.is_fatal_for_producer(), definite },
        }
    }

    /// Whether no later batch can fare better: no right to write idempotently (31), no common version (35), an id that
    /// the coordinator does not know (49), a transaction timeout beyond the broker's (50), no right to the
    /// transactional id (53), another producer in our place (90).
    const fn is_fatal_for_producer(self) -> bool {
        static CODES: Codes = Codes::of(&[31, 35, 49, 50, 53, 90]);
        CODES.contains(self)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("UNKNOWN_CODE"))?;
        write!(f, " ({})", self.0)
    }
}

/// What a produce response means for a batch; see [`ErrorCode::produce_action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProduceAction {
    /// Delivered at the base offset told.
    Success,
    /// Delivered, at an offset that is not known.
    SuccessWithoutOffset,
    /// Send the same bytes again after the back-off.
    Retry {
        /// Ask for metadata first.
        refresh: bool,
        /// The broker certainly did not append it; else its fate is open until a later attempt is answered.
        definite: bool,
    },
    /// Send it once more; a second answer like this is a failure. Certainly not appended.
    RetryOnce,
    /// Cut it in two if it holds several records, else it fails. Certainly not appended.
    Split,
    /// Sequences disagree (45, 59): the rules of PRODUCER k.5 decide.
    Sequence,
    /// It fails, and the producer's epoch is bumped (47).
    Epoch,
    /// It fails.
    Fail {
        /// And so will every other: the producer is of no more use.
        fatal: bool,
        /// Certainly not written; else its fate is unknown.
        definite: bool,
    },
}
