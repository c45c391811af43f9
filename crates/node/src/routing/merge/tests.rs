use super::*;
use lavandin_types::RecordId;

fn hit(id: u64, score: f32, place: u64) -> Hit {
    Hit { id: RecordId::Int(id), score, fields: Vec::new(), place }
}

fn ids(hits: &[Hit]) -> Vec<u64> {
    hits.iter().map(|hit| if let RecordId::Int(id) = hit.id { id } else { u64::MAX }).collect()
}

fn record(id: u64, place: u64) -> Record {
    Record { id: RecordId::Int(id), vector: Vec::new(), fields: Vec::new(), place }
}

#[test]
fn the_nearest_of_all_groups_come_first() {
    let groups = || {
        vec![
            vec![vec![hit(1, 0.1, 9), hit(2, 0.5, 1)], vec![]],
            vec![vec![hit(3, 0.1, 4), hit(4, 0.3, 2)], vec![hit(5, 1.0, 0)]],
        ]
    };
    let nearest = hits(Metric::L2, 3, groups());
    assert_eq!(nearest.iter().map(|hits| ids(hits)).collect::<Vec<_>>(), [vec![3, 1, 4], vec![5]]);
    let largest = hits(Metric::Ip, 2, groups());
    assert_eq!(ids(&largest[0]), [2, 4]);
    assert!(hits(Metric::L2, 3, Vec::new()).is_empty());
}

#[test]
fn profiles_add_up() {
    let part = |path: &str, matches, scanned, took| SearchProfile {
        path: path.to_owned(),
        total_vectors: 10,
        filter_matches: matches,
        scanned_vectors: scanned,
        total_us: took,
        explain: vec![path.to_owned()],
        ..SearchProfile::default()
    };
    let all = profiles([part("flat", None, 3, 9), part("graph+flat", Some(4), 5, 7)]);
    let expected = SearchProfile {
        path: "flat+graph".to_owned(),
        total_vectors: 20,
        filter_matches: Some(4),
        scanned_vectors: 8,
        total_us: 9,
        explain: vec!["flat".to_owned(), "graph+flat".to_owned()],
        ..SearchProfile::default()
    };
    assert_eq!(all, expected);
}

#[test]
fn records_are_in_the_order_of_insertion_and_cut_at_the_right_end() {
    let groups = || vec![vec![record(1, 10), record(2, 30)], vec![record(3, 5), record(4, 20)], vec![]];
    let of = |which| {
        let merged = records(&which, groups());
        merged.into_iter().map(|record| record.place).collect::<Vec<_>>()
    };
    assert_eq!(of(Which::All), [5, 10, 20, 30]);
    assert_eq!(of(Which::First(3)), [5, 10, 20]);
    assert_eq!(of(Which::Last(3)), [10, 20, 30]);
    assert_eq!(of(Which::Last(9)), [5, 10, 20, 30]);
    assert_eq!(of(Which::First(0)), [0; 0]);
}

#[test]
fn counts_add_up() {
    assert_eq!(outcomes([Outcome::Count(2), Outcome::Assigned { start: 5, count: 3 }]), Outcome::Count(5));
}
