//! Places for wakers, one for each future that waits.

use core::task::Waker;

/// Wakers of at most `N` futures. Each has a place of its own from when it first waits until it ends or is dropped, so nothing stale stays
/// behind, and nobody is forgotten.
#[derive(Debug)]
pub(crate) struct WaitingRoom<const N: usize> {
    places: [Place; N],
}

#[derive(Debug)]
struct Place {
    taken: bool,
    waker: Option<Waker>,
}

impl<const N: usize> WaitingRoom<N> {
    pub(crate) const fn new() -> Self {
        Self { places: [const { Place { taken: false, waker: None } }; N] }
    }

    /// Waits in `place`, which is found if there is none yet. False if no place is free.
    pub(crate) fn wait(&mut self, place: &mut Option<usize>, waker: &Waker) -> bool {
        let index = place.or_else(|| self.places.iter().position(|place| !place.taken));
        let Some((index, entry)) = index.and_then(|index| Some((index, self.places.get_mut(index)?))) else {
            return false;
        };
        *place = Some(index);
        entry.taken = true;
        match &mut entry.waker {
            Some(old) if old.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
        true
    }

    pub(crate) fn leave(&mut self, place: usize) {
        if let Some(place) = self.places.get_mut(place) {
            *place = Place { taken: false, waker: None };
        }
    }

    /// Wakes all that wait; they keep their places.
    pub(crate) fn wake(&mut self) {
        self.places.iter_mut().filter_map(|place| place.waker.take()).for_each(Waker::wake);
    }
}
