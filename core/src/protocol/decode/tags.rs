//! Tag buffers (KIP-482): known fields are decoded within their size, unknown ones passed over.

use super::super::program::{Kind, Op};
use super::{DecodeError, Decoder, Sink, Step, Stop};

impl Decoder {
    pub(super) fn begin_tags(&mut self, op: &Op, input: &mut &[u8]) -> Result<(), Stop> {
        if !self.flexible {
            self.pc = op.link;
            return Ok(());
        }
        let count = self.uvarint(input)?;
        if count == 0 {
            self.pc = op.link;
            return Ok(());
        }
        // A tag takes at least its number and its size.
        if count > self.bound >> 1 {
            return Err(DecodeError::Count.into());
        }
        self.push(count)?;
        self.step = Step::TagNumber;
        Ok(())
    }

    pub(super) fn read_tag_number(&mut self, input: &mut &[u8]) -> Result<(), Stop> {
        let number = self.uvarint(input)?;
        let level = self.level()?;
        if number < u32::from(level.next_tag) {
            return Err(DecodeError::TagOrder.into());
        }
        // Saturating: numbers that large are unknown to us, and then any order will do.
        level.next_tag = u16::try_from(number).unwrap_or(u16::MAX).saturating_add(1);
        self.step = Step::TagSize;
        Ok(())
    }

    pub(super) fn read_tag_size(&mut self, input: &mut &[u8], sink: &mut dyn Sink) -> Result<(), Stop> {
        let size = self.uvarint(input)?;
        let Some(after) = self.bound.checked_sub(size) else {
            return Err(DecodeError::Length.into());
        };
        let Some((tag, field)) = self.known_tag()? else {
            self.pending = size;
            self.step = Step::SkipTag;
            return Ok(());
        };
        self.after_tag = after;
        self.bound = size;
        self.pc = tag.wrapping_add(1);
        self.step = Step::Op;
        sink.element_begin(field);
        Ok(())
    }

    /// Where the program describes the tag whose number was just read, and the field it is told as.
    fn known_tag(&mut self) -> Result<Option<(u8, u8)>, Stop> {
        let level = *self.level()?;
        let number = level.next_tag.wrapping_sub(1);
        let mut at = level.pc.wrapping_add(1);
        while let Some(op) = self.op(usize::from(at)) {
            if op.kind != Kind::Tag {
                break;
            }
            if u16::from(op.arg) == number && op.exists_in(self.version) {
                return Ok(Some((at, op.field)));
            }
            at = op.link;
        }
        Ok(None)
    }

    pub(super) fn skip_tag(&mut self, input: &mut &[u8]) -> Result<(), Stop> {
        self.take_pending(input)?;
        if self.pending > 0 {
            return Err(Stop::NeedMore);
        }
        let tags = self.level()?.pc;
        if self.next_of_level()? {
            self.step = Step::TagNumber;
        } else {
            self.pc = self.op(usize::from(tags)).ok_or(DecodeError::Program)?.link;
            self.step = Step::Op;
        }
        Ok(())
    }
}
