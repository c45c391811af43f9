use super::*;
use openraft::entry::RaftEntry;

fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 7 }, index }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn directory(value: u8) -> DirectoryId {
    DirectoryId::from_le_bytes([value; 16]).unwrap()
}

/// Rows as version 2 writes them. Every later program must read them; they are never edited.
#[test]
fn version_2_stays_readable() {
    let vote = Vote { leader_id: LeaderId { term: 3, node_id: 7 }, committed: true };
    let row = seal(b"vote", &encode_vote(&vote));
    assert_eq!(hex(&row), "021bae480e54b7cc800300000000000000070000000000000001");
    assert_eq!(decode_vote(open(b"vote", &row).unwrap()), Ok(vote));

    let known = Member { address: "a:1".to_owned(), directory: Some(directory(0xab)) };
    let nodes = BTreeMap::from([(1, known), (2, Member { address: "b:2".to_owned(), directory: None })]);
    let membership = Membership::new(vec![[1].into()], nodes).unwrap();
    let entry = Entry::new_membership(log_id(1, 0), membership);
    let body = encode_entry(&entry);
    let json = r#"{"configs":[[1]],"nodes":[[1,"a:1","abababababababababababababababab"],[2,"b:2"]]}"#;
    assert_eq!(std::str::from_utf8(&body[17..]).unwrap(), json);
    assert_eq!(decode_entry(0, &body).unwrap().payload, entry.payload);
    for directory in ["", "ab", "00000000000000000000000000000000", "+b0000000000000000000000000000000"] {
        let json = json.replace("abababababababababababababababab", directory);
        assert!(decode_membership(json.as_bytes()).is_err(), "{directory}");
    }
}

/// Rows as version 1 wrote them. Every later program must read them; they are never edited.
#[test]
fn version_1_stays_readable() {
    let vote = Vote { leader_id: LeaderId { term: 3, node_id: 7 }, committed: true };
    let row = bytes("011bae480e54b7cc800300000000000000070000000000000001");
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

    let local = Member { address: "localhost".to_owned(), directory: None };
    let nodes: BTreeMap<u64, Member> = (1..=4).map(|id| (id, local.clone())).collect();
    let membership = Membership::new(vec![[1, 2].into(), [2, 3].into()], nodes).unwrap();
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
    let newer = [&[3], &row[1..]].concat();
    assert_eq!(open(b"key", &newer), Err(RowError::Version(3)));
    assert!(RowError::Version(3).is_newer());
    assert_eq!(decode_entry(0, &[0; 16]).unwrap_err(), RowError::Truncated);
    assert_eq!(decode_entry(0, &[&[0; 16][..], &[9]].concat()).unwrap_err(), RowError::Kind(9));
}
