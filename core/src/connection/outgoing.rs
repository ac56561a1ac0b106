//! The request on its way out, as a walk over pieces that lie where they lie: the connection's
//! scratch, the topics' names, the batches in the arena. Nothing is copied together.

use crate::accumulator::arena::Position;
use crate::accumulator::batch::{HEADROOM, InState};
use crate::list::{List, NIL};
use crate::protocol::produce;
use crate::state::State;

/// Which piece is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Nothing is on its way.
    None,
    /// The connection's scratch: a whole control request, or a Produce request up to its first topic.
    Scratch,
    /// A compact topic name's length (Produce v9–12).
    TopicLength,
    /// A topic's name (with its length up to v8), or its id (v13).
    TopicName,
    /// Framing, header and records of a batch.
    Batch,
    /// The tags that end a topic.
    TopicEnd,
    /// The tags that end the request.
    End,
}

/// Where the walk is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) piece: Piece,
    pub(crate) version: i8,
    /// Bytes in the scratch.
    pub(crate) scratch_len: u16,
    /// Bytes of this piece that are written; in a batch, `position` and `rest` say it.
    pub(crate) at: u32,
    /// The batch that is written, or the one whose topic is.
    pub(crate) batch: u32,
    pub(crate) position: Position,
    pub(crate) rest: u32,
    /// Bytes of the whole Produce request that are not written yet; 0 if that is not counted.
    pub(crate) left: u32,
}

impl Outgoing {
    pub(crate) const fn new() -> Self {
        Self {
            piece: Piece::None,
            version: 0,
            scratch_len: 0,
            at: 0,
            batch: NIL,
            position: Position { block: NIL, at: 0 },
            rest: 0,
            left: 0,
        }
    }

    /// A request that begins in the scratch and goes on with the batches from `batch`, if any.
    pub(crate) const fn begin(scratch_len: usize, version: i16, batch: u32) -> Self {
        Self { piece: Piece::Scratch, version: version as i8, scratch_len: scratch_len as u16, batch, ..Self::new() }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.piece == Piece::None
    }
}

impl State<'_> {
    /// The bytes at the walk's position; empty only when the request is written.
    pub(crate) fn outgoing_slice(&self, connection: u16, out: &Outgoing) -> &[u8] {
        let whole: &[u8] = match out.piece {
            Piece::None => &[],
            Piece::Scratch => self.scratch.get(connection.into()).get(..out.scratch_len.into()).unwrap_or(&[]),
            Piece::TopicLength => self.topic_compact_length(self.topic_of(out.batch)),
            Piece::TopicName => self.topic_wire_name(self.topic_of(out.batch), out.version.into()),
            Piece::Batch => return self.arena.slice(out.position, out.rest),
            Piece::TopicEnd => produce::close_topic(out.version.into()),
            Piece::End => produce::close_body(out.version.into()),
        };
        whole.get(out.at as usize..).unwrap_or(&[])
    }

    /// Moves the walk `written` bytes on, and over every piece that ends there.
    pub(crate) fn outgoing_advance(&self, connection: u16, out: &mut Outgoing, written: u32) {
        if out.piece == Piece::Batch {
            out.rest = out.rest.saturating_sub(written);
            out.position = self.arena.advance(out.position, written);
            if out.rest > 0 {
                return;
            }
        } else {
            out.at = out.at.saturating_add(written);
        }
        while !out.is_idle() && self.outgoing_slice(connection, out).is_empty() {
            self.outgoing_next_piece(out);
        }
    }

    fn outgoing_next_piece(&self, out: &mut Outgoing) {
        out.at = 0;
        match out.piece {
            Piece::None => {}
            Piece::Scratch if out.batch == NIL => out.piece = Piece::None,
            Piece::Scratch | Piece::TopicEnd => {
                out.piece = if (9..=12).contains(&out.version) { Piece::TopicLength } else { Piece::TopicName };
            }
            Piece::TopicLength => out.piece = Piece::TopicName,
            Piece::TopicName => self.outgoing_begin_batch(out),
            Piece::Batch => {
                let next = List::<InState>::after(&self.batches, out.batch);
                if next == NIL {
                    out.piece = Piece::End;
                    return;
                }
                out.batch = next;
                if self.batches.at(next).opens_topic {
                    out.piece = Piece::TopicEnd;
                } else {
                    self.outgoing_begin_batch(out);
                }
            }
            Piece::End => out.piece = Piece::None,
        }
    }

    fn outgoing_begin_batch(&self, out: &mut Outgoing) {
        let batch = self.batches.at(out.batch);
        let frame_at = u32::from(batch.frame_at);
        out.piece = Piece::Batch;
        out.position = Position { block: batch.first_block, at: frame_at };
        out.rest = HEADROOM.saturating_sub(frame_at).saturating_add(batch.wire_bytes());
    }

    fn topic_of(&self, batch: u32) -> u16 {
        self.partitions.at(self.batches.at(batch).partition).topic
    }
}
