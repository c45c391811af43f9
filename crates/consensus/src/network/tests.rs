use super::*;
use crate::raft_types::{Entry, LeaderId, LogId};
use lavandin_cluster::Command;
use openraft::entry::RaftEntry;

fn append(sizes: &[usize]) -> AppendEntriesRequest<TypeConfig> {
    let leader_id = LeaderId { term: 1, node_id: 1 };
    let entry = |(index, size): (u64, &usize)| {
        Entry::new_normal(LogId { leader_id, index }, Command::DropDatabase { name: "x".repeat(*size) })
    };
    AppendEntriesRequest {
        vote: Vote { leader_id, committed: true },
        prev_log_id: None,
        entries: (0..).zip(sizes).map(entry).collect(),
        leader_commit: None,
    }
}

#[test]
fn an_append_keeps_to_its_budget_and_always_moves_on() {
    let third = APPEND_BYTES_MAX / 3;
    for (sizes, kept) in [
        (&[][..], 0),
        (&[10, 10, 10], 3),
        (&[third, third, third], 2),
        (&[2 * APPEND_BYTES_MAX, 10], 1),
        (&[10, 2 * APPEND_BYTES_MAX, 10], 1),
    ] {
        let mut append = append(sizes);
        assert_eq!((cut(&mut append), append.entries.len()), (kept < sizes.len(), kept), "{sizes:?}");
    }
}
