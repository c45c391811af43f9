use super::*;

fn table(entries: &[(u64, u64)]) -> EpochTable {
    let mut table = EpochTable::default();
    for (epoch, first) in entries {
        table.push(PrimaryEpoch::new(*epoch), SequenceNumber::new(*first));
    }
    table
}

fn fork(one: &[(u64, u64)], last: u64, other: &[(u64, u64)], other_last: u64) -> u64 {
    let (one, other) = (table(one), table(other));
    let (last, other_last) = (SequenceNumber::new(last), SequenceNumber::new(other_last));
    let fork = one.fork(last, &other, other_last);
    assert_eq!(fork, other.fork(other_last, &one, last), "the fork is the same from both sides");
    fork.get()
}

#[test]
fn logs_part_behind_the_shorter_end_of_the_latest_epoch_of_both() {
    assert_eq!(fork(&[], 0, &[], 0), 0);
    assert_eq!(fork(&[(1, 1)], 9, &[], 0), 0);
    assert_eq!(fork(&[(1, 1)], 9, &[(1, 1)], 5), 5);
    assert_eq!(fork(&[(1, 1), (3, 6)], 9, &[(1, 1)], 7), 5);
    assert_eq!(fork(&[(1, 1), (3, 6)], 9, &[(1, 1), (2, 4)], 7), 3);
    assert_eq!(fork(&[(2, 3), (3, 6)], 9, &[(1, 1), (2, 3), (3, 6)], 7), 7);
    assert_eq!(fork(&[(4, 20)], 30, &[(1, 1)], 7), 0, "tables that share nothing do not tell");
}

#[test]
fn it_names_the_epoch_of_a_record_and_forgets_what_is_cut() {
    let mut table = table(&[(1, 1), (4, 10), (4, 12), (6, 20)]);
    let epoch = |table: &EpochTable, of| table.epoch_of(SequenceNumber::new(of)).map(PrimaryEpoch::get);
    assert_eq!([0, 1, 9, 10, 19, 20, 99].map(|of| epoch(&table, of)), {
        [None, Some(1), Some(1), Some(4), Some(4), Some(6), Some(6)]
    });
    table.truncate(SequenceNumber::new(19));
    assert_eq!(table.entries().len(), 2);
    table.truncate(SequenceNumber::new(9));
    assert_eq!(epoch(&table, 99), Some(1));
}

#[test]
fn it_is_bounded_and_reads_back() {
    let mut table = EpochTable::default();
    for at in 1..=EPOCHS_MAX as u64 + 5 {
        table.push(PrimaryEpoch::new(at), SequenceNumber::new(at * 3));
    }
    assert_eq!(table.entries().len(), EPOCHS_MAX);
    assert_eq!(table.epoch_of(SequenceNumber::new(17)), None, "the oldest went");
    let mut bytes = Vec::new();
    table.encode(&mut bytes);
    assert_eq!(EpochTable::decode(&mut &bytes[..]), Some(table));
    for cut in 0..bytes.len() {
        assert_eq!(EpochTable::decode(&mut &bytes[..cut]), None);
    }
    bytes[4..20].fill(0xff);
    assert_eq!(EpochTable::decode(&mut &bytes[..]), None, "a table that falls is refused");
    bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(EpochTable::decode(&mut &bytes[..]), None);
}
