//! The request on its way out, as a walk over pieces that lie where they lie: the connection's
//! scratch, the topics' names, the batches in the arena. Nothing is copied together.

use crate::protocol::produce;
use crate::state::State;
use crate::state::arena::Position;
use crate::state::batch::{HEADROOM, InState};
use crate::state::list::{List, NIL};
use crate::state::outgoing::{Outgoing, Piece};

impl State<'_> {
    /// The bytes at the walk's position; empty only when the request is written.
    pub(crate) fn outgoing_slice(&self, connection: u16, out: &Outgoing) -> &[u8] {
        let whole: &[u8] = match out.piece {
            Piece::None => &[],
            Piece::Scratch => self.scratch.get(connection.into()).get(..out.scratch_len.into()).unwrap_or(&[]),
            Piece::TopicLength => self.topic_compact_length(self.topic_of(out.batch)),
            Piece::TopicName => {
                let former = self.batches.at(out.batch).former_id;
                self.topic_wire_name(self.topic_of(out.batch), out.version.into(), former)
            }
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
