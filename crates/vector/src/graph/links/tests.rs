use super::*;
use crate::graph::walk::Links as _;

fn read(links: &Links, row: u32) -> Vec<u32> {
    let mut buffer = Vec::new();
    links.neighbours(row, &mut buffer).to_vec()
}

#[test]
fn a_row_takes_as_many_as_it_has_room_for() {
    let links = Links::new(3, 2);
    let mut row = links.lock(1);
    assert!(row.push(0));
    assert!(row.push(2));
    assert!(!row.push(1));
    assert_eq!(row.iter().collect::<Vec<_>>(), [0, 2]);
    drop(row);
    assert_eq!((links.count(0), links.count(1)), (0, 2));
    links.lock(1).replace(&[2, 1, 0]);
    assert_eq!(read(&links, 1), [2, 1]);
    assert!(read(&links, 0).is_empty() && read(&links, 2).is_empty());
}

#[test]
fn threads_lose_no_neighbours_and_read_only_rows() {
    const ROWS: u32 = 64;
    let links = Links::new(ROWS, ROWS as usize);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let links = &links;
            scope.spawn(move || {
                for number in (thread..ROWS).step_by(4) {
                    for row in 0..4 {
                        assert!(links.lock(row).push(number));
                        assert!(read(links, row).iter().all(|neighbour| *neighbour < ROWS));
                    }
                }
            });
        }
    });
    for row in 0..4 {
        let mut neighbours = read(&links, row);
        neighbours.sort_unstable();
        assert!(neighbours.into_iter().eq(0..ROWS));
    }
}
