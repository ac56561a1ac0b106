//! Where the walk over a request on its way out is; see [`crate::connection::outgoing`].

use crate::state::arena::Position;
use crate::state::list::NIL;

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
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self { batch: 0, position: Position { block: 0, at: 0 }, ..Self::new() };

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
