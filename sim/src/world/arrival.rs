//! Bytes reach the producer, and the watch hears what they were.

use super::World;
use super::network::Pieces;
use crate::history::SeenRequest;
use crate::protocol::Api;
use klamm_core::ConnId;

impl World {
    /// Hands bytes to the producer in pieces, as long as it wants them.
    pub(super) fn hand_over(&mut self, conn: ConnId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let n = self.network.read.take(&mut self.random, bytes.len());
            self.watch.refreshes = self.producer.stats().metadata_refreshes.into();
            let (piece, rest) = bytes.split_at(n);
            let mut answered = 0;
            if let Some(link) = self.links.iter_mut().find(|link| link.conn == Some(conn)) {
                answered = link.talk.answered();
                let (id, watch, now_us) = (link.id, &mut self.watch, self.now_us);
                let requests = self.cluster.requests();
                link.talk.answer(piece, |asked| {
                    if let Some(id) = id {
                        // An answer that waited for replicas may say something else than when its request was read.
                        let of =
                            |seen: &&SeenRequest| (seen.connection, seen.correlation_id) == (id, asked.correlation_id);
                        requests.iter().rev().find(of).into_iter().for_each(|request| watch.amend(request));
                        watch.answered(now_us, id, asked.correlation_id, asked.news);
                        // Leaders are news, even in an answer that is otherwise of no use.
                        watch.heard += u64::from(asked.api_key == Api::Metadata.key());
                    }
                });
            }
            let throttled_ms = self.producer.stats().throttle_ms;
            let now = self.now();
            if let Err(error) = self.producer.handle_input(now, conn, piece) {
                self.trace.push(self.now_us, format_args!("{conn:?} {error}"));
                self.peer_errors.push((self.now_us, error));
            }
            let throttled_ms = self.producer.stats().throttle_ms - throttled_ms;
            if throttled_ms > 0
                && let Some(link) = self.links.iter_mut().find(|link| link.conn == Some(conn))
            {
                // Of several answers it is not known which one asked for how much: one for no less than their mean.
                let answers = (link.talk.answered() - answered).max(1);
                link.throttle(self.now_us, throttled_ms * 1000, answers);
            }
            // Many small pieces before a poll are as legal as one.
            if rest.is_empty() || self.network.read == Pieces::Whole || self.random.chance(100) {
                self.poll_all();
            }
            bytes = rest;
        }
    }
}
