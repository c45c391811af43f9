//! Which steps a state allows, and what they do.

mod copy;
mod fault;
mod metadata;
mod primary;

use crate::action::Action;
use crate::config::Config;
use crate::state::State;
pub(crate) use primary::serves;

/// Collects the states that one step leads to.
pub(crate) struct Successors<'a> {
    config: &'a Config,
    before: &'a State,
    found: &'a mut Vec<(Action, State)>,
}

impl Successors<'_> {
    /// Takes a successor, unless nothing has changed.
    fn push(&mut self, action: Action, mut after: State) {
        after.normalize(self.config);
        if after != *self.before {
            self.found.push((action, after));
        }
    }

    fn nodes(&self) -> std::ops::Range<usize> {
        0..usize::from(self.config.nodes)
    }
}

/// Replaces the contents of `found` by every step from `state`, in a fixed order.
pub(crate) fn successors(config: &Config, state: &State, found: &mut Vec<(Action, State)>) {
    found.clear();
    let mut successors = Successors { config, before: state, found };
    metadata::steps(&mut successors);
    primary::steps(&mut successors);
    copy::steps(&mut successors);
    fault::steps(&mut successors);
}
