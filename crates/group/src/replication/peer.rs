//! What a primary knows of another copy, and what is on its way there.
//!
//! One ordered stream goes to each: from where the logs part, or from the end of a snapshot, to the end of the log. Its
//! first message asks whether that is where they part; only when that is acknowledged is a window of bytes under way.
//! So an answer that moves the stream never causes more than one message, and messages that overtake each other cannot
//! multiply. Where nothing is acknowledged for a while, all that is under way is sent again.

use super::options::ReplicationOptions;
use lavandin_types::SequenceNumber;
use std::collections::VecDeque;

pub(super) struct Peer {
    pub incarnation: u64,
    /// Up to here its log is the primary's, on its disk. Never falls.
    pub matched: SequenceNumber,
    /// Since when it lacks something without having got further.
    behind_since: Option<u64>,
    heard_ms: u64,
    /// The last round that it has confirmed.
    pub round: u64,
    /// The next record to send.
    next: SequenceNumber,
    /// Where the stream began: what is sent again is sent from here, until something is acknowledged.
    first: SequenceNumber,
    /// Whether the stream's first message was sent, and whether it was acknowledged.
    asked: bool,
    confirmed: bool,
    /// Messages under way: each one's last record and bytes.
    in_flight: VecDeque<(SequenceNumber, usize)>,
    in_flight_bytes: usize,
    progress_ms: u64,
    sent_ms: u64,
    /// The commit point that it was told last.
    pub told: SequenceNumber,
    /// The log no longer reaches back to what it lacks.
    pub needs_snapshot: bool,
    /// What it will need behind the snapshot that it is taking.
    pub pin: Option<SequenceNumber>,
}

impl Peer {
    /// A copy of which nothing is known. It is asked whether it holds the record before `next`.
    pub(super) fn new(incarnation: u64, next: SequenceNumber, now: u64) -> Self {
        Self {
            incarnation,
            matched: SequenceNumber::ZERO,
            behind_since: Some(now),
            heard_ms: now,
            round: 0,
            next,
            first: next,
            asked: false,
            confirmed: false,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            progress_ms: now,
            sent_ms: now,
            told: SequenceNumber::ZERO,
            needs_snapshot: false,
            pin: None,
        }
    }

    /// Whether it is time to count it out.
    pub(super) fn is_silent(&self, options: &ReplicationOptions, now: u64) -> bool {
        self.is_unheard(options, now)
            || self.behind_since.is_some_and(|since| now >= since + options.silence_ms)
    }

    pub(super) fn is_unheard(&self, options: &ReplicationOptions, now: u64) -> bool {
        now >= self.heard_ms + options.silence_ms
    }

    /// The primary itself was asleep: its silence was not the peer's.
    pub(super) fn excuse(&mut self, now: u64) {
        self.heard_ms = now;
        self.behind_since = self.behind_since.map(|_| now);
    }

    pub(super) fn heard(&mut self, now: u64) {
        self.heard_ms = now;
    }

    /// The log has grown to `last`.
    pub(super) fn note_last(&mut self, last: SequenceNumber, now: u64) {
        if self.matched < last && self.behind_since.is_none() {
            self.behind_since = Some(now);
        }
    }

    /// It has everything up to `durable`, of a log that ends at `last`.
    pub(super) fn acknowledged(&mut self, durable: SequenceNumber, last: SequenceNumber, now: u64) {
        self.heard(now);
        if durable > self.matched {
            self.matched = durable;
            self.progress_ms = now;
            self.behind_since = Some(now);
            self.next = self.next.max(durable.next());
            self.needs_snapshot = false;
            self.pin = None;
        }
        if self.matched >= last {
            self.behind_since = None;
        }
        self.confirmed |= self.asked && self.matched.next() >= self.first;
        while let Some((_, bytes)) = self.in_flight.pop_front_if(|(end, _)| *end <= self.matched) {
            self.in_flight_bytes -= bytes;
        }
    }

    /// It stands elsewhere than was thought: the stream begins behind `fork`. Nothing is sent twice for being told twice.
    pub(super) fn restart_behind(&mut self, fork: SequenceNumber, now: u64) {
        let first = fork.max(self.matched).next();
        if first != self.first {
            (self.first, self.needs_snapshot) = (first, false);
            self.rewind(now);
        }
    }

    /// Whether what was sent has been waiting for long.
    pub(super) fn is_stuck(&self, options: &ReplicationOptions, now: u64) -> bool {
        let waits = !self.in_flight.is_empty() || self.needs_snapshot;
        waits && now >= self.progress_ms + options.resend_ms
    }

    /// Nothing came back: what was asked for is asked for again.
    pub(super) fn retry(&mut self, now: u64) {
        match self.needs_snapshot {
            true => self.progress_ms = now,
            false => self.rewind(now),
        }
    }

    /// Everything under way counts as lost.
    fn rewind(&mut self, now: u64) {
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.first = self.first.max(self.matched.next());
        self.next = self.first;
        (self.asked, self.confirmed, self.progress_ms) = (false, false, now);
    }

    /// The first record that it lacks.
    pub(super) fn lacks(&self) -> SequenceNumber {
        self.first.max(self.matched.next())
    }

    /// The first record that the log must keep for it.
    pub(super) fn needed(&self) -> SequenceNumber {
        self.pin.unwrap_or(self.lacks())
    }

    /// From which record on something should be sent now, and how many bytes at most.
    pub(super) fn due(
        &self,
        options: &ReplicationOptions,
        last: SequenceNumber,
    ) -> Option<(SequenceNumber, usize)> {
        let window = options.in_flight_bytes_max.saturating_sub(self.in_flight_bytes);
        let has_more = if self.confirmed { self.next <= last } else { !self.asked };
        (has_more && !self.needs_snapshot && window > 0)
            .then_some((self.next, window.min(options.message_bytes_max)))
    }

    /// A message with `bytes` of records up to `last` went out.
    pub(super) fn sent(&mut self, last: SequenceNumber, bytes: usize, committed: SequenceNumber, now: u64) {
        if self.in_flight.is_empty() {
            self.progress_ms = now;
        }
        self.in_flight.push_back((last, bytes));
        self.in_flight_bytes += bytes;
        self.next = last.next();
        self.asked = true;
        self.told(committed, now);
    }

    pub(super) fn told(&mut self, committed: SequenceNumber, now: u64) {
        (self.told, self.sent_ms) = (committed, now);
    }

    pub(super) fn is_heartbeat_due(
        &self,
        options: &ReplicationOptions,
        committed: SequenceNumber,
        now: u64,
    ) -> bool {
        let pause = if self.told < committed { options.commit_notice_ms } else { options.heartbeat_ms };
        now >= self.sent_ms + pause
    }
}
