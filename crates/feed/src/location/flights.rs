//! One download for all who ask for the same file at the same time.
//!
//! The work runs as a task of its own, so that it goes on while those who wait are busy elsewhere; it is aborted when
//! the last of them is gone. All of them get the same outcome, an error too: the next one to ask starts anew.

use super::error::LocationError;
use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

type Outcome<T> = Result<T, LocationError>;

#[derive(Debug)]
pub(super) struct Flights<K, T: Clone + Send + 'static> {
    under_way: Mutex<HashMap<K, WeakShared<Flight<T>>>>,
}

/// A task that ends when nobody waits for it.
#[derive(Debug)]
struct Flight<T> {
    task: JoinHandle<Outcome<T>>,
}

impl<K: Clone + Eq + Hash + Unpin, T: Clone + Send + 'static> Flights<K, T> {
    pub(super) fn new() -> Self {
        Self { under_way: Mutex::default() }
    }

    /// The outcome of the work under way for `key`; of `work` if there is none.
    pub(super) async fn join(
        &self,
        key: K,
        work: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Outcome<T> {
        let flight = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            // One that has its outcome is not joined: it was for those who came before.
            let found =
                under_way.get(&key).and_then(WeakShared::upgrade).filter(|flight| flight.peek().is_none());
            found.unwrap_or_else(|| {
                let flight = Flight { task: tokio::spawn(work) }.shared();
                under_way.extend(flight.downgrade().map(|weak| (key.clone(), weak)));
                flight
            })
        };
        Passenger { flights: self, key, flight: Some(flight) }.await
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<T> Future for Flight<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        let stopped = |error: tokio::task::JoinError| LocationError::Stopped {
            file: "a download".into(),
            cause: error.to_string(),
        };
        Pin::new(&mut self.task)
            .poll(context)
            .map(|joined| joined.unwrap_or_else(|error| Err(stopped(error))))
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One who waits. The last one out clears up.
struct Passenger<'a, K: Clone + Eq + Hash, T: Clone + Send + 'static> {
    flights: &'a Flights<K, T>,
    key: K,
    flight: Option<Shared<Flight<T>>>,
}

impl<K: Clone + Eq + Hash + Unpin, T: Clone + Send + 'static> Future for Passenger<'_, K, T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        match &mut self.flight {
            Some(flight) => flight.poll_unpin(context),
            None => Poll::Pending,
        }
    }
}

impl<K: Clone + Eq + Hash, T: Clone + Send + 'static> Drop for Passenger<'_, K, T> {
    fn drop(&mut self) {
        self.flight = None;
        let mut under_way = self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |weak: &WeakShared<Flight<T>>| weak.upgrade().is_none_or(|flight| flight.peek().is_some());
        if under_way.get(&self.key).is_some_and(over) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
