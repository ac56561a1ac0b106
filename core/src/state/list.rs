//! Intrusive doubly linked lists of slot indices.
//!
//! The links live in the slots, so a list costs two words and can hold every slot there is.

use crate::state::slots::Slots;
use core::marker::PhantomData;

/// No slot.
pub(crate) const NIL: u32 = u32::MAX;

/// A slot's place in one list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    prev: u32,
    next: u32,
}

impl Link {
    pub(crate) const fn new() -> Self {
        Self { prev: NIL, next: NIL }
    }

    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self { prev: 0, next: 0 };
}

/// Says which of a slot's links a list uses.
pub(crate) trait Chain {
    type Slot;
    fn link(slot: &Self::Slot) -> &Link;
    fn link_mut(slot: &mut Self::Slot) -> &mut Link;
}

/// Defines a [`Chain`] over a field of a slot.
macro_rules! chain {
    ($(#[$doc:meta])* $name:ident, $slot:ty, $($field:ident).+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;
        impl $crate::state::list::Chain for $name {
            type Slot = $slot;
            #[inline]
            fn link(slot: &$slot) -> &$crate::state::list::Link {
                &slot.$($field).+
            }
            #[inline]
            fn link_mut(slot: &mut $slot) -> &mut $crate::state::list::Link {
                &mut slot.$($field).+
            }
        }
    };
}
pub(crate) use chain;

/// A list of slots, in order. A slot may be in it once; the caller keeps track of which list a
/// link belongs to.
#[derive(Debug)]
pub(crate) struct List<C> {
    head: u32,
    tail: u32,
    chain: PhantomData<C>,
}

impl<C> Clone for List<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for List<C> {}

impl<C> List<C> {
    pub(crate) const fn new() -> Self {
        Self { head: NIL, tail: NIL, chain: PhantomData }
    }

    /// As a `static` holds it before there is a producer: zeros only, which take no flash.
    pub(crate) const BLANK: Self = Self { head: 0, tail: 0, chain: PhantomData };

    #[inline]
    pub(crate) const fn front(&self) -> u32 {
        self.head
    }

    #[inline]
    pub(crate) const fn back(&self) -> u32 {
        self.tail
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.head == NIL
    }
}

impl<C: Chain> List<C> {
    /// The slot after `index`, or [`NIL`].
    #[inline]
    pub(crate) fn after(slots: &Slots<'_, C::Slot>, index: u32) -> u32 {
        C::link(slots.at(index)).next
    }

    pub(crate) fn push_back(&mut self, slots: &mut Slots<'_, C::Slot>, index: u32) {
        self.insert_after(slots, self.tail, index);
    }

    /// Puts `index` behind `place`; [`NIL`] means at the front.
    pub(crate) fn insert_after(&mut self, slots: &mut Slots<'_, C::Slot>, place: u32, index: u32) {
        let next = if place == NIL { self.head } else { C::link(slots.at(place)).next };
        *C::link_mut(slots.at_mut(index)) = Link { prev: place, next };
        if place == NIL {
            self.head = index;
        } else {
            C::link_mut(slots.at_mut(place)).next = index;
        }
        if next == NIL {
            self.tail = index;
        } else {
            C::link_mut(slots.at_mut(next)).prev = index;
        }
    }

    pub(crate) fn remove(&mut self, slots: &mut Slots<'_, C::Slot>, index: u32) {
        let Link { prev, next } = core::mem::replace(C::link_mut(slots.at_mut(index)), Link::new());
        if prev == NIL {
            self.head = next;
        } else {
            C::link_mut(slots.at_mut(prev)).next = next;
        }
        if next == NIL {
            self.tail = prev;
        } else {
            C::link_mut(slots.at_mut(next)).prev = prev;
        }
    }

    pub(crate) fn pop_front(&mut self, slots: &mut Slots<'_, C::Slot>) -> Option<u32> {
        let index = self.head;
        if index == NIL {
            return None;
        }
        self.remove(slots, index);
        Some(index)
    }
}
