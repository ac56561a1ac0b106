//! The resumable response decoder.
//!
//! A [`Decoder`] is fed whatever bytes the transport has, in pieces of any size, and tells a [`Sink`] the fields as
//! they stream by; it keeps at most one split primitive, so a response of any size needs no buffer. It runs the
//! program ([`Op`]s) of the response's API, and it is the one place where bytes of a peer become numbers:
//!
//! * It never reads past the frame, nor past the size of a tagged field. What a frame holds after its program is
//!   skipped: a future minor change must not kill the connection.
//! * Every length and count is checked against the bytes that are left before it is believed, and each element of an
//!   array takes at least one byte. So the work is bounded by the bytes received, whatever they are.
//! * No table and no input can make it panic.
//!
//! # Life of a frame
//!
//! ```text
//! advance ─► Header { correlation_id } ─► begin(api, version) ─► advance … ─► Frame ─► (next frame)
//!                                     └─► skip_frame() ───────►
//! ```

mod read;
mod tags;

use super::program::{IGNORED, Kind, MAX_DEPTH, Op};
use super::{ApiKey, error_code::ErrorCode};

/// The largest response we accept unless told otherwise: the brokers' own limit for requests, 100 MiB.
pub(crate) const DEFAULT_MAX_FRAME: u32 = 100 * 1024 * 1024;

/// Hears the fields of a response, in wire order. `field` is a number of the API's `field` module.
///
/// A field of an older version simply is not told: a sink starts with the field's default. Text arrives in chunks of any
/// size between its begin and end, split anywhere, also within a character.
pub(crate) trait Sink {
    /// An integer or boolean.
    fn int(&mut self, field: u8, value: i64) {
        let _ = (field, value);
    }
    /// A UUID.
    fn uuid(&mut self, field: u8, value: &[u8; 16]) {
        let _ = (field, value);
    }
    /// Text of `len` bytes begins; `None` is null. [`Sink::text_end`] follows in each case.
    fn text_begin(&mut self, field: u8, len: Option<u32>) {
        let _ = (field, len);
    }
    /// Some bytes of the text, never none.
    fn text(&mut self, field: u8, chunk: &[u8]) {
        let _ = (field, chunk);
    }
    /// The text is complete.
    fn text_end(&mut self, field: u8) {
        let _ = field;
    }
    /// An array of `count` elements begins (0 also if it is null).
    fn array(&mut self, field: u8, count: u32) {
        let _ = (field, count);
    }
    /// An element of an array, or the contents of a tagged field, begins.
    fn element_begin(&mut self, field: u8) {
        let _ = field;
    }
    /// All fields of that element were told.
    fn element_end(&mut self, field: u8) {
        let _ = field;
    }
}

/// The sink that wants nothing, for headers and skipped frames.
impl Sink for () {}

/// How far [`Decoder::advance`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All input is consumed and the frame is not complete.
    NeedMore,
    /// A response begins: find its request, then [`Decoder::begin`] or [`Decoder::skip_frame`]. Told again until then.
    Header {
        /// Which request this answers.
        correlation_id: i32,
    },
    /// The frame is complete; input beyond it belongs to the next one.
    Frame,
}

/// Why bytes are not a response. There is no way on after it but to close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// A frame without room for its header, or above the limit.
    FrameSize,
    /// The frame or tagged field ends within its fields.
    Truncated,
    /// A varint of more than five bytes or 32 bits.
    Varint,
    /// A length that is negative or beyond the rest of the frame.
    Length,
    /// A count that is negative, or of more elements than the rest of the frame can hold.
    Count,
    /// Tags that repeat or are out of order.
    TagOrder,
    /// A program that nests deeper than it was checked for: a mistake of ours.
    Program,
}

/// Why reading stopped within a field.
enum Stop {
    /// The input is used up; the state to go on from is kept.
    NeedMore,
    /// The peer's bytes make no sense.
    Bad(DecodeError),
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Bad(error)
    }
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The frame's size.
    Size,
    /// The correlation id.
    Correlation,
    /// Nothing: the owner has to say what the response is.
    Undecided,
    /// The integer, length or count that the instruction at `pc` begins with.
    Op,
    /// The `pending` bytes of the text at `pc`.
    Text,
    /// `pending` bytes to pass over, then the instruction after `pc`.
    Skip,
    /// A tag's number.
    TagNumber,
    /// A tag's size.
    TagSize,
    /// `pending` bytes to pass over, then the next tag.
    SkipTag,
    /// What the frame holds after the program.
    Rest,
}

/// An array or tag buffer that is being gone through.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// Elements or tags left, with the current one.
    count: u32,
    /// The least number that the next tag may have.
    next_tag: u16,
    /// Its opening instruction.
    pc: u8,
}

/// Decodes the responses of one connection; see the module.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    /// None before the first frame.
    program: Option<&'static [Op]>,
    levels: [Level; MAX_DEPTH],
    /// The bytes so far of a primitive that the input split; `have` of them.
    scratch: [u8; 16],
    /// Bytes left of the frame, or of the known tag that we are in.
    bound: u32,
    /// Bytes of the frame after the known tag that we are in.
    after_tag: u32,
    /// Bytes left of a text or of something skipped.
    pending: u32,
    max_frame: u32,
    step: Step,
    have: u8,
    pc: u8,
    depth: u8,
    version: u8,
    flexible: bool,
    /// Malformed bytes end the program instead of the connection.
    lenient: bool,
}

/// The RAM formula counts one decoder per connection.
const _: () = assert!(size_of::<Decoder>() <= 72 + 2 * size_of::<usize>());

impl Decoder {
    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self { bound: 0, ..Self::new(0) };

    /// A decoder before its first frame. Frames larger than `max_frame` are refused.
    pub(crate) const fn new(max_frame: u32) -> Self {
        Self {
            program: None,
            levels: [Level { count: 0, next_tag: 0, pc: 0 }; MAX_DEPTH],
            scratch: [0; 16],
            bound: SIZE_BYTES,
            after_tag: 0,
            pending: 0,
            max_frame,
            step: Step::Size,
            have: 0,
            pc: 0,
            depth: 0,
            version: 0,
            flexible: false,
            lenient: false,
        }
    }

    /// The instruction at a place of the program.
    fn op(&self, at: usize) -> Option<&'static Op> {
        self.program?.get(at)
    }

    #[cfg(test)]
    /// Whether no byte of a next frame has been consumed yet.
    pub(crate) fn is_idle(&self) -> bool {
        self.step == Step::Size && self.have == 0
    }

    /// After [`Progress::Header`]: the response is of this API, in the version that the request was sent with.
    pub(crate) fn begin(&mut self, api: ApiKey, version: i16) {
        if self.step != Step::Undecided {
            return;
        }
        self.program = Some(api.response());
        self.version = version as u8;
        self.flexible = version >= api.first_flexible();
        self.step = Step::Op;
    }

    /// After [`Progress::Header`]: nobody wants this response.
    pub(crate) fn skip_frame(&mut self) {
        if self.step == Step::Undecided {
            self.step = Step::Rest;
        }
    }

    /// Consumes from the front of `input` up to the next event: a header, the end of a frame, or the end of `input`.
    pub(crate) fn advance(&mut self, input: &mut &[u8], sink: &mut dyn Sink) -> Result<Progress, DecodeError> {
        loop {
            let outcome = match self.step {
                Step::Size => self.read_size(input),
                Step::Correlation => self.read_correlation(input),
                Step::Undecided => {
                    let [a, b, c, d, ..] = self.scratch;
                    return Ok(Progress::Header { correlation_id: i32::from_be_bytes([a, b, c, d]) });
                }
                Step::Op => self.run(input, sink),
                Step::Text => self.pass_text(input, sink),
                Step::Skip => self.skip(input),
                Step::TagNumber => self.read_tag_number(input),
                Step::TagSize => self.read_tag_size(input, sink),
                Step::SkipTag => self.skip_tag(input),
                Step::Rest => match self.skip_rest(input) {
                    Ok(()) => return Ok(Progress::Frame),
                    Err(stop) => Err(stop),
                },
            };
            match outcome {
                Ok(()) => {}
                Err(Stop::NeedMore) => return Ok(Progress::NeedMore),
                // What follows error 35 need not be well formed; see `read_version_error`.
                Err(Stop::Bad(_)) if self.lenient => self.step = Step::Rest,
                Err(Stop::Bad(error)) => return Err(error),
            }
        }
    }

    // ---- the frame around the body ----

    fn read_size(&mut self, input: &mut &[u8]) -> Result<(), Stop> {
        let size = self.int(input, 4)?;
        // A response holds at least its correlation id. A negative size is a huge one.
        self.bound = size as u32;
        if self.bound < 4 || self.bound > self.max_frame {
            return Err(DecodeError::FrameSize.into());
        }
        self.step = Step::Correlation;
        Ok(())
    }

    fn read_correlation(&mut self, input: &mut &[u8]) -> Result<(), Stop> {
        self.gather(input, 4)?;
        self.step = Step::Undecided;
        Ok(())
    }

    /// Passes over what the frame has beyond its program, then is ready for the next frame.
    fn skip_rest(&mut self, input: &mut &[u8]) -> Result<(), Stop> {
        self.take(input, self.bound)?;
        if self.bound > 0 {
            return Err(Stop::NeedMore);
        }
        *self = Self::new(self.max_frame);
        Ok(())
    }

    // ---- instructions ----

    /// Runs the instruction at `pc`, or goes on with its leading primitive.
    fn run(&mut self, input: &mut &[u8], sink: &mut dyn Sink) -> Result<(), Stop> {
        let Some(op) = self.op(usize::from(self.pc)) else {
            self.step = Step::Rest;
            return Ok(());
        };
        if !op.exists_in(self.version) {
            self.pc = op.link;
            return Ok(());
        }
        match op.kind {
            Kind::Int => {
                let value = self.int(input, op.arg)?;
                self.pc = op.link;
                if op.field != IGNORED {
                    sink.int(op.field, value);
                }
                Ok(())
            }
            Kind::VersionError => self.read_version_error(op, input, sink),
            Kind::Uuid => {
                self.gather(input, 16)?;
                self.pc = op.link;
                sink.uuid(op.field, &self.scratch);
                Ok(())
            }
            Kind::Text => self.begin_text(op, input, sink),
            Kind::SkipInt32s => {
                let count = self.count(input, op.arg)?;
                self.pending = count.wrapping_mul(4);
                self.step = Step::Skip;
                Ok(())
            }
            Kind::Array => self.begin_array(op, input, sink),
            Kind::Tags => self.begin_tags(op, input),
            // Only jumped into, by `read_tag_size`.
            Kind::Tag => {
                self.pc = op.link;
                Ok(())
            }
            Kind::End => self.end_group(op, sink),
        }
    }

    /// ApiVersions, KIP-511: a broker that does not know the version sent answers with error 35 and, whatever was sent, in
    /// version 0's layout. Brokers before 2.4 send no range with it, and other servers send bytes in no layout
    /// at all (librdkafka's mock): take a well-formed range, tolerate the rest.
    fn read_version_error(&mut self, op: &Op, input: &mut &[u8], sink: &mut dyn Sink) -> Result<(), Stop> {
        let code = self.int(input, op.arg)?;
        self.pc = op.link;
        if code == i64::from(ErrorCode::UNSUPPORTED_VERSION.code()) {
            self.version = 0;
            self.flexible = false;
            self.lenient = true;
        }
        sink.int(op.field, code);
        Ok(())
    }

    fn begin_text(&mut self, op: &Op, input: &mut &[u8], sink: &mut dyn Sink) -> Result<(), Stop> {
        let length = if self.flexible { self.compact(input)? } else { read::nullable(self.int(input, 2)?)? };
        self.pending = length.unwrap_or(0);
        if self.pending > self.bound {
            return Err(DecodeError::Length.into());
        }
        if op.field == IGNORED {
            self.step = Step::Skip;
        } else {
            sink.text_begin(op.field, length);
            self.step = Step::Text;
        }
        Ok(())
    }

    fn pass_text(&mut self, input: &mut &[u8], sink: &mut dyn Sink) -> Result<(), Stop> {
        let (field, next) = self.op(usize::from(self.pc)).map_or((0, self.pc), |op| (op.field, op.link));
        let chunk = self.take_pending(input)?;
        if !chunk.is_empty() {
            sink.text(field, chunk);
        }
        if self.pending > 0 {
            return Err(Stop::NeedMore);
        }
        sink.text_end(field);
        self.pc = next;
        self.step = Step::Op;
        Ok(())
    }

    fn skip(&mut self, input: &mut &[u8]) -> Result<(), Stop> {
        self.take_pending(input)?;
        if self.pending > 0 {
            return Err(Stop::NeedMore);
        }
        self.pc = self.pc.wrapping_add(1);
        self.step = Step::Op;
        Ok(())
    }

    fn begin_array(&mut self, op: &Op, input: &mut &[u8], sink: &mut dyn Sink) -> Result<(), Stop> {
        let count = self.count(input, op.arg)?;
        sink.array(op.field, count);
        if count == 0 {
            self.pc = op.link;
            return Ok(());
        }
        self.push(count)?;
        sink.element_begin(op.field);
        self.pc = self.pc.wrapping_add(1);
        Ok(())
    }

    /// At the end of an element or of a known tag's contents.
    fn end_group(&mut self, end: &Op, sink: &mut dyn Sink) -> Result<(), Stop> {
        let opener = self.op(usize::from(end.link)).ok_or(DecodeError::Program)?;
        sink.element_end(opener.field);
        if opener.kind == Kind::Tag {
            // A newer version may have appended fields: pass over the rest of the tag, then back to the frame's bound.
            self.pending = self.bound;
            self.bound = self.bound.wrapping_add(self.after_tag);
            self.step = Step::SkipTag;
            return Ok(());
        }
        if self.next_of_level()? {
            sink.element_begin(opener.field);
            self.pc = end.link.wrapping_add(1);
        } else {
            self.pc = opener.link;
        }
        Ok(())
    }

    // ---- levels ----

    /// Enters the array or tag buffer at `pc`.
    fn push(&mut self, count: u32) -> Result<(), Stop> {
        self.depth = self.depth.wrapping_add(1);
        let pc = self.pc;
        *self.level()? = Level { count, next_tag: 0, pc };
        Ok(())
    }

    /// The innermost array or tag buffer.
    fn level(&mut self) -> Result<&mut Level, Stop> {
        let index = usize::from(self.depth.wrapping_sub(1));
        self.levels.get_mut(index).ok_or(Stop::Bad(DecodeError::Program))
    }

    /// Counts the current element as done; leaves the level and returns false if it was the last.
    fn next_of_level(&mut self) -> Result<bool, Stop> {
        let level = self.level()?;
        level.count = level.count.wrapping_sub(1);
        if level.count > 0 {
            return Ok(true);
        }
        self.depth = self.depth.wrapping_sub(1);
        Ok(false)
    }
}

/// The bytes of a frame's size.
const SIZE_BYTES: u32 = 4;
