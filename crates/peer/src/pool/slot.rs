//! What a pool knows of one target: a connection, an attempt to make one, or when the next attempt is due.

use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::error::{ConnectionError, Reason};
use crate::identity::PeerIdentity;
use crate::options::ClientOptions;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) type Outcome = Result<Arc<Connection>, Arc<ConnectionError>>;
/// Holds nothing until the attempt is over.
pub(super) type Attempt = watch::Receiver<Option<Outcome>>;

pub(super) struct Slot {
    state: State,
    /// Why the last attempt failed, until one succeeds.
    failure: Option<Arc<ConnectionError>>,
    backoff: Backoff,
    backoff_max: Duration,
}

enum State {
    Idle,
    Attempting(Attempt),
    Open { connection: Arc<Connection>, identity: PeerIdentity, since: Instant },
    Failed { error: Arc<ConnectionError>, retry_at: Instant },
}

pub(super) enum Found {
    Open(Arc<Connection>),
    Attempt(Attempt),
}

pub(super) enum Look {
    Found(Found),
    /// An attempt may be made.
    Due,
}

impl Slot {
    pub(super) fn new(options: &ClientOptions, seed: u64) -> Self {
        let backoff = Backoff::new(options.backoff_first, options.backoff_max, seed);
        Self { state: State::Idle, failure: None, backoff, backoff_max: options.backoff_max }
    }

    pub(super) fn look(&mut self, identity: PeerIdentity, now: Instant) -> Result<Look, Reason> {
        self.notice_end(identity, now);
        match &self.state {
            State::Idle => Ok(Look::Due),
            State::Attempting(attempt) => Ok(Look::Found(Found::Attempt(attempt.clone()))),
            State::Open { connection, .. } => Ok(Look::Found(Found::Open(Arc::clone(connection)))),
            State::Failed { retry_at, .. } if *retry_at <= now => Ok(Look::Due),
            State::Failed { error, retry_at } => {
                let left = retry_at.saturating_duration_since(now).as_millis();
                let retry_ms = u64::try_from(left).unwrap_or(u64::MAX);
                Err(Reason::BackingOff { error: Arc::clone(error), retry_ms })
            }
        }
    }

    pub(super) fn failure(&self) -> Option<Arc<ConnectionError>> {
        self.failure.clone()
    }

    pub(super) fn begin(&mut self, attempt: Attempt) {
        self.state = State::Attempting(attempt);
    }

    pub(super) fn settle(
        &mut self,
        outcome: Result<(Arc<Connection>, PeerIdentity), Arc<ConnectionError>>,
        now: Instant,
    ) {
        self.failure = outcome.as_ref().err().cloned();
        self.state = match outcome {
            Ok((connection, identity)) => State::Open { connection, identity, since: now },
            Err(error) => State::Failed { error, retry_at: now + self.backoff.failed() },
        };
    }

    pub(super) fn leave(&mut self) {
        if let State::Open { connection, .. } = &self.state {
            connection.leave();
        }
        self.state = State::Idle;
    }

    /// Lets go of a connection that has ended, or was made under another identity.
    fn notice_end(&mut self, now_identity: PeerIdentity, now: Instant) {
        let State::Open { connection, identity, since } = &self.state else { return };
        if *identity != now_identity {
            self.leave();
            return;
        }
        let Some(error) = connection.ended() else { return };
        // A node that takes connections only to drop them must not be dialled at the rate of the calls.
        let lasted = now.saturating_duration_since(*since) >= self.backoff_max;
        self.state = if lasted {
            self.backoff.succeeded();
            State::Idle
        } else {
            State::Failed { error, retry_at: now + self.backoff.failed() }
        };
    }
}
