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

/// Wakers of at most `N` tasks, none of which says when it no longer waits. One more takes the place of all others, who are woken: they
/// wait again if they like.
#[derive(Debug)]
pub(crate) struct Listeners<const N: usize> {
    wakers: [Option<Waker>; N],
}

impl<const N: usize> Listeners<N> {
    pub(crate) const fn new() -> Self {
        Self { wakers: [const { None }; N] }
    }

    pub(crate) fn register(&mut self, waker: &Waker) {
        if self.wakers.iter().flatten().any(|known| known.will_wake(waker)) {
            return;
        }
        if self.wakers.iter().all(Option::is_some) {
            self.wake();
        }
        if let Some(place) = self.wakers.iter_mut().find(|place| place.is_none()) {
            *place = Some(waker.clone());
        }
    }

    /// Wakes all.
    pub(crate) fn wake(&mut self) {
        self.wakers.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn no_listener_is_forgotten() {
        let counts = [(); 3].map(|()| Arc::new(Count::default()));
        let wakers = counts.each_ref().map(|count| Waker::from(count.clone()));
        let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        let mut listeners = Listeners::<2>::new();
        for waker in [&wakers[0], &wakers[0], &wakers[1], &wakers[1]] {
            listeners.register(waker);
        }
        assert_eq!(woken(), [0, 0, 0]);
        listeners.register(&wakers[2]); // no room: the others must look again
        assert_eq!(woken(), [1, 1, 0]);
        listeners.wake();
        listeners.wake();
        assert_eq!(woken(), [1, 1, 1]);
    }
}
