//! Response bodies as data: the instructions that [`Decoder`](super::decode::Decoder) interprets.
//!
//! A response is a flat `&'static [Op]` in wire order, for all versions at once; each instruction says in which
//! versions it exists, and whether text and counts are compact follows from the version. Groups (an array's
//! element, a tagged field) are bracketed: opener, contents, [`end()`]. [`link`] checks the brackets while
//! compiling and fills in the jumps, so that a wrong table does not build.
//!
//! This costs six bytes of flash per field, where straight code costs dozens and would not be resumable.

/// The field number of what no sink wants to hear about.
pub(crate) const IGNORED: u8 = 0;

/// Deepest nesting of arrays and tag buffers in any table.
pub(crate) const MAX_DEPTH: usize = 4;

/// What an [`Op`] does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A big-endian integer of `arg` bytes.
    Int,
    /// ApiVersions' leading error code: an `i16` which, if it is 35, puts the rest in version 0's layout.
    VersionError,
    /// Sixteen raw bytes.
    Uuid,
    /// Text, which may be null: `i16` length, or compact.
    Text,
    /// An array of `i32`, skipped: only its count is looked at.
    SkipInt32s,
    /// Opens an array of structures; `arg` is the least number of bytes an element can take.
    Array,
    /// Opens a tag buffer of known fields; exists in flexible versions only.
    Tags,
    /// Opens the contents of the tagged field number `arg`.
    Tag,
    /// Closes an [`Kind::Array`], [`Kind::Tags`] or [`Kind::Tag`].
    End,
}

/// One instruction of a response program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    /// What to do.
    pub(crate) kind: Kind,
    /// What the sink knows the value as; [`IGNORED`] if it shall not hear of it.
    pub(crate) field: u8,
    /// First version that has it.
    pub(crate) from: u8,
    /// Last version that has it.
    pub(crate) to: u8,
    /// By kind: width, least element size, or tag number.
    pub(crate) arg: u8,
    /// Where to go on: past the group for an opener, the opener for an [`Kind::End`], else the next instruction.
    pub(crate) link: u8,
}

impl Op {
    const fn new(kind: Kind, field: u8, arg: u8) -> Self {
        Self { kind, field, from: 0, to: u8::MAX, arg, link: 0 }
    }

    /// Restricts the field to `version` and later.
    pub(crate) const fn since(mut self, version: u8) -> Self {
        self.from = version;
        self
    }

    /// Restricts the field to `version` and earlier.
    pub(crate) const fn until(mut self, version: u8) -> Self {
        self.to = version;
        self
    }

    /// Whether the field is on the wire in `version`.
    pub(crate) const fn exists_in(&self, version: u8) -> bool {
        self.from <= version && version <= self.to
    }

    const fn opens(&self) -> bool {
        matches!(self.kind, Kind::Array | Kind::Tags | Kind::Tag)
    }

    /// The least number of bytes that this takes in every version; 0 if some version lacks it.
    const fn least_bytes(&self) -> u8 {
        if self.from != 0 || self.to != u8::MAX {
            return 0;
        }
        match self.kind {
            Kind::Int => self.arg,
            Kind::VersionError => 2,
            Kind::Uuid => 16,
            Kind::Text | Kind::SkipInt32s | Kind::Array => 1,
            Kind::Tags | Kind::Tag | Kind::End => 0,
        }
    }
}

/// A boolean (one byte).
pub(crate) const fn bool(field: u8) -> Op {
    Op::new(Kind::Int, field, 1)
}

/// A 16-bit integer.
pub(crate) const fn int16(field: u8) -> Op {
    Op::new(Kind::Int, field, 2)
}

/// A 32-bit integer.
pub(crate) const fn int32(field: u8) -> Op {
    Op::new(Kind::Int, field, 4)
}

/// A 64-bit integer.
pub(crate) const fn int64(field: u8) -> Op {
    Op::new(Kind::Int, field, 8)
}

/// See [`Kind::VersionError`].
pub(crate) const fn version_error(field: u8) -> Op {
    Op::new(Kind::VersionError, field, 2)
}

/// A UUID.
pub(crate) const fn uuid(field: u8) -> Op {
    Op::new(Kind::Uuid, field, 16)
}

/// Text. Null is let through for any field: one peer's nullable is another's bug, and a null name matches nothing.
pub(crate) const fn text(field: u8) -> Op {
    Op::new(Kind::Text, field, 0)
}

/// An array of `i32` that nobody wants.
pub(crate) const fn skip_int32s() -> Op {
    Op::new(Kind::SkipInt32s, IGNORED, 4)
}

/// Opens an array of structures; `field` is told for each element's begin and end.
pub(crate) const fn array(field: u8) -> Op {
    Op::new(Kind::Array, field, 0)
}

/// Opens a tag buffer; [`tag`] groups follow, and [`end()`].
pub(crate) const fn tags() -> Op {
    Op::new(Kind::Tags, IGNORED, 0)
}

/// Opens the contents of tagged field `number`, told to the sink as one element of `field`.
pub(crate) const fn tag(number: u8, field: u8) -> Op {
    Op::new(Kind::Tag, field, number)
}

/// Closes the innermost group.
pub(crate) const fn end() -> Op {
    Op::new(Kind::End, IGNORED, 0)
}

/// Fills in jumps and least element sizes; refuses, while compiling, a table that the interpreter could not trust.
pub(crate) const fn link<const N: usize>(mut ops: [Op; N]) -> [Op; N] {
    assert!(N < u8::MAX as usize, "program counters are bytes");
    let mut openers = [0usize; MAX_DEPTH * 2];
    let mut open = 0;
    let mut depth = 0;
    let mut in_tag = false;
    let mut at = 0;
    while at < N {
        ops[at].link = (at + 1) as u8;
        if ops[at].opens() {
            if matches!(ops[at].kind, Kind::Tag) {
                // One saved bound is enough for the decoder as long as known tags do not nest.
                assert!(!in_tag, "a known tag inside a known tag");
                assert!(open > 0 && matches!(ops[openers[open - 1]].kind, Kind::Tags), "a tag outside of tags");
                in_tag = true;
            } else {
                depth += 1;
                assert!(depth <= MAX_DEPTH, "nested too deep");
            }
            openers[open] = at;
            open += 1;
        } else if matches!(ops[at].kind, Kind::End) {
            assert!(open > 0, "an end without a beginning");
            open -= 1;
            let opener = openers[open];
            match ops[opener].kind {
                Kind::Tag => in_tag = false,
                Kind::Array => {
                    depth -= 1;
                    ops[opener].arg = least_element(&ops, opener + 1, at);
                    // Else a count of four thousand million would be work without bytes.
                    assert!(ops[opener].arg > 0, "an array element that may be empty");
                }
                _ => depth -= 1,
            }
            ops[opener].link = (at + 1) as u8;
            ops[at].link = opener as u8;
        }
        at += 1;
    }
    assert!(open == 0, "a group without an end");
    ops
}

/// The sum of what the fields of one element take at least; nested groups are linked already and counted as a whole.
const fn least_element(ops: &[Op], mut at: usize, end: usize) -> u8 {
    let mut sum = 0;
    while at < end {
        sum += ops[at].least_bytes();
        at = ops[at].link as usize;
    }
    sum
}
