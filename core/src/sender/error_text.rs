//! What a broker says of a batch that it refuses (KIP-467), with the feature `error-text`.

use crate::protocol::error_code::ProduceAction;
use crate::state::batch::HEADROOM;
use crate::state::list::NIL;

use super::response::ProduceSink;
use crate::state::State;

impl State<'_> {
    /// The words on the batch that was told last.
    pub(crate) fn error_text(&self) -> &str {
        let told = self.accumulator.told;
        if told == NIL || !self.batches.at(told).has_text() {
            return "";
        }
        let batch = self.batches.at(told);
        let end = (HEADROOM as usize).saturating_add(batch.text_len.into());
        let bytes = self.arena.block(batch.first_block).get(HEADROOM as usize..end).unwrap_or(&[]);
        // The text may have been cut within a character.
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or(&[]);
                core::str::from_utf8(valid).unwrap_or("")
            }
        }
    }
}

impl ProduceSink<'_, '_> {
    /// The broker's words on a batch that will fail go into the batch's own first block: its records
    /// are of no use any more.
    pub(super) fn begin_error_text(&mut self) {
        let answer = self.reading().answer;
        let last = matches!(
            answer.error.produce_action(answer.base_offset),
            ProduceAction::Fail { .. } | ProduceAction::Epoch
        );
        let batch = self.batch().filter(|&batch| {
            let batch = self.state.batches.at(batch);
            last && !batch.expired && batch.text_len == 0
        });
        self.reading().text_batch = batch.unwrap_or(NIL);
        if let Some(batch) = batch {
            self.state.batches.at_mut(batch).last_error = answer.error;
        }
    }

    pub(super) fn take_error_text(&mut self, chunk: &[u8]) {
        let index = self.reading().text_batch;
        if index == NIL {
            return;
        }
        let (len, block) = (self.state.batches.at(index).text_len, self.state.batches.at(index).first_block);
        let start = (HEADROOM as usize).saturating_add(len.into());
        let room = self.state.arena.block_mut(block).get_mut(start..).unwrap_or(&mut []);
        let taken = chunk.len().min(room.len()).min(usize::from(u8::MAX - len));
        if let (Some(to), Some(from)) = (room.get_mut(..taken), chunk.get(..taken)) {
            to.copy_from_slice(from);
            self.state.batches.at_mut(index).text_len = len.wrapping_add(taken as u8);
        }
    }
}
