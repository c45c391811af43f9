//! The Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write};

const PREFIX: &str = "lavandin_";

/// A text under construction.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
    }

    /// A sample of the family begun last; `labels` without braces, empty for none.
    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{PREFIX}{name} {value}"),
            labels => writeln!(self.0, "{PREFIX}{name}{{{labels}}} {value}"),
        };
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, "", value);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}
