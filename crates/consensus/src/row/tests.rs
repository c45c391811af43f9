use super::*;
use openraft::entry::RaftEntry;

fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 7 }, index }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rows as version 1 writes them. Every later program must read them; they are never edited.
#[test]
fn version_1_stays_readable() {
    let vote = Vote { leader_id: LeaderId { term: 3, node_id: 7 }, committed: true };
    let row = seal(b"vote", &encode_vote(&vote));
    assert_eq!(hex(&row), "011bae480e54b7cc800300000000000000070000000000000001");
    assert_eq!(decode_vote(open(b"vote", &row).unwrap()), Ok(vote));
    assert_eq!(open(b"late", &row), Err(RowError::Checksum));

    let command = Command::DropDatabase { name: "db".to_owned() };
    let entry = Entry::new_normal(log_id(3, 9), command);
    let body = encode_entry(&entry);
    assert_eq!(
        hex(&body),
        format!("0300000000000000070000000000000001{}", hex(b"\x01{\"drop_database\":{\"name\":\"db\"}}"))
    );
    assert_eq!(decode_entry(9, &body).unwrap().payload, entry.payload);

    let membership = Membership::new_with_defaults(vec![[1, 2].into(), [2, 3].into()], [4]);
    let meta = SnapshotMeta {
        last_log_id: Some(log_id(3, 9)),
        last_membership: StoredMembership::new(Some(log_id(2, 5)), membership.clone()),
    };
    let body = encode_snapshot_meta(&meta, 77);
    let json = r#"{"configs":[[1,2],[2,3]],"nodes":[[1,"localhost"],[2,"localhost"],[3,"localhost"],[4,"localhost"]]}"#;
    assert_eq!(std::str::from_utf8(&body[58..]).unwrap(), json);
    assert_eq!(decode_snapshot_meta(&body), Ok((meta, 77)));
    let entry = Entry::new_membership(log_id(1, 0), membership);
    assert_eq!(decode_entry(0, &encode_entry(&entry)).unwrap().payload, entry.payload);
    let entry = Entry::new_blank(log_id(1, 1));
    assert_eq!(decode_entry(1, &encode_entry(&entry)).unwrap().payload, entry.payload);
    let empty = SnapshotMeta::default();
    assert_eq!(decode_snapshot_meta(&encode_snapshot_meta(&empty, 0)), Ok((empty, 0)));
}

#[test]
fn damaged_rows_are_found_out() {
    let row = seal(b"key", &encode_log_id(&log_id(1, 2)));
    for end in 0..row.len() {
        assert!(open(b"key", &row[..end]).is_err());
    }
    for bit in 8..row.len() * 8 {
        let mut damaged = row.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(b"key", &damaged), Err(RowError::Checksum), "bit {bit}");
    }
    let newer = [&[2], &row[1..]].concat();
    assert_eq!(open(b"key", &newer), Err(RowError::Version(2)));
    assert!(RowError::Version(2).is_newer());
    assert_eq!(decode_entry(0, &[0; 16]).unwrap_err(), RowError::Truncated);
    assert_eq!(decode_entry(0, &[&[0; 16][..], &[9]].concat()).unwrap_err(), RowError::Kind(9));
}
