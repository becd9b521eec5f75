//! How many calls to a bucket are in flight: fewer when S3 says SlowDown, slowly more when it does not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Additive increase, multiplicative decrease.
#[derive(Debug)]
pub(crate) struct Gate {
    max: u32,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: u32,
    in_flight: u32,
    /// Successes since the limit last changed.
    calm: u32,
}

/// A place in the gate.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    pub(crate) fn new(max: u32) -> Self {
        Self { max, state: Mutex::new(State { limit: max, in_flight: 0, calm: 0 }), freed: Notify::new() }
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Pass<'_> {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.in_flight < state.limit {
                    state.in_flight += 1;
                    return Pass(self);
                }
            }
            freed.await;
        }
    }

    /// S3 answered.
    pub(crate) fn went_well(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.calm += 1;
        if state.calm >= state.limit && state.limit < self.max {
            state.limit += 1;
            state.calm = 0;
            drop(state);
            self.freed.notify_one();
        }
    }

    /// S3 said SlowDown: half as many from now on. Returns how long the caller waits before it tries again.
    pub(crate) fn slow_down(&self, attempt: u32) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A burst of answers to one moment's calls halves it once.
        if state.calm > 0 || state.limit == self.max {
            state.limit = (state.limit / 2).max(1);
            state.calm = 0;
        }
        Duration::from_millis(100 << attempt.min(5))
    }

    #[cfg(test)]
    fn limit(&self) -> u32 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).limit
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).in_flight -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_down_halves_once_and_calm_brings_it_back_one_by_one() {
        let gate = Gate::new(16);
        for _ in 0..10 {
            gate.slow_down(0);
        }
        assert_eq!(gate.limit(), 8);
        for _ in 0..8 {
            gate.went_well();
        }
        assert_eq!(gate.limit(), 9);
        gate.went_well();
        gate.slow_down(0);
        assert_eq!(gate.limit(), 4);
    }
    #[test]
    fn one_call_is_always_allowed() {
        let gate = Gate::new(2);
        for _ in 0..5 {
            gate.went_well();
            gate.slow_down(0);
        }
        assert_eq!(gate.limit(), 1);
    }
    #[test]
    fn waits_double_and_end_at_some_seconds() {
        let gate = Gate::new(2);
        let waits: Vec<u128> = [0, 1, 2, 9].map(|attempt| gate.slow_down(attempt).as_millis()).into();
        assert_eq!(waits, [100, 200, 400, 3200]);
    }
    #[tokio::test(start_paused = true)]
    async fn nobody_enters_beyond_the_limit() {
        let gate = Gate::new(1);
        let pass = gate.enter().await;
        let second = tokio::time::timeout(Duration::from_secs(1), gate.enter()).await;
        assert!(second.is_err());
        drop(pass);
        assert!(tokio::time::timeout(Duration::from_secs(1), gate.enter()).await.is_ok());
    }
}
