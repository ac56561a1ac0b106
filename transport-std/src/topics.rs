//! The topics in use, by name.

use std::collections::HashMap;
use std::sync::Arc;

use klamm_core::TopicId;

/// The topics in use, with a short way to the one used last.
#[derive(Default)]
pub(crate) struct Topics {
    pub(crate) entries: Vec<Topic>,
    index: HashMap<Arc<str>, usize>,
    pub(crate) last: usize,
}

/// A topic in use.
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: TopicId,
    /// Its partition count has been seen.
    pub(crate) known: bool,
}

impl Topics {
    #[inline]
    pub(crate) fn last(&self, name: &str) -> Option<usize> {
        let topic = self.entries.get(self.last)?;
        (*topic.name == *name).then_some(self.last)
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The topic of that name.
    pub(crate) fn id(&self, name: &str) -> Option<TopicId> {
        self.find(name).map(|at| self.entries[at].id)
    }

    pub(crate) fn insert(&mut self, name: &str, id: TopicId) -> usize {
        let name: Arc<str> = name.into();
        let at = self.entries.len();
        self.index.insert(Arc::clone(&name), at);
        self.entries.push(Topic { name, id, known: false });
        at
    }

    /// Removes the first topic that `forget` lets go.
    pub(crate) fn remove_first(&mut self, mut forget: impl FnMut(TopicId) -> bool) -> bool {
        let Some(at) = self.entries.iter().position(|topic| forget(topic.id)) else { return false };
        self.entries.remove(at);
        self.index = self.entries.iter().enumerate().map(|(at, topic)| (Arc::clone(&topic.name), at)).collect();
        self.last = 0;
        true
    }
}
