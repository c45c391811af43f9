//! The order of calls within a lane: each call holds a turn, and the next of its lane begins when the turn is dropped.

use crate::frame::Lane;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Lanes kept before those that are idle are dropped.
const LANES_KEPT: usize = 1024;

/// The right of a call to be the one of its lane that runs. Within a lane, calls begin in the order of their arrival,
/// each when the turn before was dropped. A handler that has put its call where the order is kept, such as a thread's
/// queue, drops the turn there, so that the lane goes on while it waits for the outcome.
#[derive(Debug)]
pub struct Turn {
    _next: Option<oneshot::Sender<()>>,
}

/// Resolves, with an error that means nothing, when the turn before was dropped.
pub(super) type Before = oneshot::Receiver<()>;

/// The last turn of each lane in use.
#[derive(Default)]
pub(super) struct Lanes {
    last: HashMap<Lane, Before>,
}

impl Lanes {
    /// A turn in `lane`, behind the last one, if that is not over.
    pub(super) fn enter(&mut self, lane: Lane) -> (Turn, Option<Before>) {
        if lane == Lane::NONE {
            return (Turn { _next: None }, None);
        }
        if self.last.len() >= LANES_KEPT {
            self.last.retain(|_, turn| turn.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        }
        let (next, over) = oneshot::channel();
        let before = self.last.insert(lane, over);
        (Turn { _next: Some(next) }, before)
    }
}
