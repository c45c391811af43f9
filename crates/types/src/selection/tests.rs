use super::Selection;

#[test]
fn the_complement_stays_within_the_universe() {
    let mut set = Selection::none(70);
    set.insert(3);
    set.insert(69);
    set.invert();
    assert_eq!(set.count(), 68);
    assert!(!set.contains(3) && !set.contains(69) && !set.contains(70) && set.contains(68));
}

#[test]
fn iteration_lists_rows_in_order() {
    let mut set = Selection::none(200);
    for row in [0, 63, 64, 130, 199] {
        set.insert(row);
    }
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 130, 199]);
    assert_eq!(Selection::all(65).iter().count(), 65);
}

#[test]
fn growing_adds_absent_rows_and_shrinking_drops() {
    let mut set = Selection::all(10);
    set.resize(100);
    assert_eq!(set.count(), 10);
    set.resize(5);
    set.resize(10);
    assert_eq!(set.count(), 5);
}

#[test]
fn a_shorter_partner_drops_the_rest() {
    let mut set = Selection::all(130);
    set.and(&Selection::all(70));
    assert_eq!(set.count(), 70);
    let mut set = Selection::all(70);
    set.or(&Selection::all(130));
    assert_eq!(set.count(), 70);
}
