//! The status as text for people.

use super::{list, text, under_way};
use serde_json::Value;
use std::fmt::Write as _;

/// Columns of words, as wide as their widest.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new<const N: usize>(titles: [&str; N]) -> Self {
        Self { rows: vec![titles.map(str::to_owned).to_vec()] }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    fn write(&self, out: &mut String) {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:width$}  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
}

/// What `lavandin cluster status` prints.
pub(super) fn status(info: &Value, metadata: &Value) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "cluster {}; metadata: {} of {} owners healthy\n",
        info["cluster"].as_str().unwrap_or("not formed"),
        metadata["healthy_owners"],
        metadata["owner_count"],
    );
    groups(info).write(&mut out);
    nodes(info).write(&mut out);
    if list(info, "feeding").iter().any(|node| !list(node, "ranks").is_empty()) {
        feeding(info).write(&mut out);
    }
    for (title, sentences) in [("under way", under_way(info)), ("degraded", degraded(info))] {
        for sentence in sentences {
            let _ = writeln!(out, "{title}: {sentence}");
        }
    }
    out
}

fn groups(info: &Value) -> Table {
    let mut table = Table::new(["GROUP", "COPY", "ROLE", "STATE", "LAG", "NOTE"]);
    for group in list(info, "shard_groups") {
        let name = || text(group, "name").to_owned();
        let state = match group["writable"].as_bool() {
            Some(true) => "writable",
            Some(false) => "not writable",
            None => "unknown",
        };
        let leaving = (group["primary_leaving"] == true).then_some("leaving");
        let note = leaving.or(group["primary_error"].as_str()).unwrap_or_default();
        let uri = text(group, "primary").to_owned();
        table.row([name(), uri, "primary".to_owned(), state.to_owned(), String::new(), note.to_owned()]);
        for replica in list(group, "replicas") {
            let lag = replica["lag"].as_u64().map_or_else(String::new, |lag| lag.to_string());
            let cells = [text(replica, "uri").to_owned(), "replica".to_owned(), state_of(replica), lag];
            let [uri, role, state, lag] = cells;
            table.row([name(), uri, role, state, lag, note_of(replica)]);
        }
    }
    table
}

/// What the nodes feed.
fn feeding(info: &Value) -> Table {
    let mut table = Table::new(["ITERATION", "RANK", "NODE", "BATCHES/S", "READY", "NOTE"]);
    for node in list(info, "feeding") {
        for rank in list(node, "ranks") {
            let speed = format!("{:.1}", rank["batches_per_second"].as_f64().unwrap_or_default());
            let ready = match rank["in_work"].as_u64() {
                Some(in_work) if in_work > 0 => format!("{} + {in_work}", rank["ready"]),
                _ => rank["ready"].to_string(),
            };
            let note = text(rank, "why_waiting").to_owned();
            let iteration = text(rank, "iteration").to_owned();
            table.row([
                iteration,
                rank["rank"].to_string(),
                text(node, "uri").to_owned(),
                speed,
                ready,
                note,
            ]);
        }
    }
    table
}

fn state_of(replica: &Value) -> String {
    match replica["joining"] == true {
        true => format!("joining{}", share(replica)),
        false => text(replica, "state").to_owned(),
    }
}

fn note_of(replica: &Value) -> String {
    let leaving = (replica["leaving"] == true).then_some("leaving");
    let error = replica["last_error"].as_str();
    let reason = error.or_else(|| replica["reason"].as_str());
    leaving.into_iter().chain(reason).collect::<Vec<_>>().join("; ")
}

/// How much of the primary's log a copy has, where that is known.
pub(super) fn share(replica: &Value) -> String {
    let percent = replica["progress"].as_f64().map(|share| (share * 100.0).floor());
    percent.map_or_else(String::new, |percent| format!(" ({percent} %)"))
}

fn nodes(info: &Value) -> Table {
    let mut table = Table::new(["NODE", "URI", "ROLE", "STATE", "COPIES", "NOTE"]);
    for node in list(info, "nodes") {
        let part = match node["copies"].as_u64() {
            _ if node["retiring"] == true => Some("retiring".to_owned()),
            Some(0) if node["role"] == "data" => Some("spare".to_owned()),
            _ => None,
        };
        let error = node["last_error"].as_str().map(str::to_owned);
        let note: Vec<String> = part.into_iter().chain(newer_protocol(info, node)).chain(error).collect();
        let cells = ["node", "uri", "role", "state", "copies"].map(|name| match &node[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let [number, uri, role, state, copies] = cells;
        table.row([number, uri, role, state, copies, note.join("; ")]);
    }
    table
}

/// That a node speaks more than all do, which is so while a cluster is upgraded.
fn newer_protocol(info: &Value, node: &Value) -> Option<String> {
    let own = node["protocol"].as_u64().filter(|own| info["protocol"].as_u64().is_some_and(|all| *own > all));
    own.map(|own| format!("protocol {own}"))
}

fn degraded(info: &Value) -> Vec<String> {
    list(info, "degraded").iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
