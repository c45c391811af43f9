use super::*;

fn run(block: u32, start: u32, length: u32) -> Run {
    Run { block, start, length }
}

fn place(block: u32, offset: u32) -> Place {
    Place { block, offset }
}

#[test]
fn a_block_is_whole_once_all_of_it_is_taken() {
    let mut rank = Rank::new();
    rank.take(run(3, 0, 4), 10);
    assert!(matches!(rank.taken_of(3), Taken::Offsets(offsets) if offsets.len() == 4));
    assert_eq!(rank.first_taken(run(3, 2, 8)), Some(place(3, 2)));
    assert_eq!(rank.first_taken(run(3, 4, 6)), None);
    rank.take(run(3, 4, 6), 10);
    assert!(matches!(rank.taken_of(3), Taken::All));
    assert_eq!((rank.taken, rank.partial().len(), rank.whole().len()), (10, 0, 1));
    assert!(rank.has_taken(place(3, 9)) && !rank.has_taken(place(4, 0)));
    assert_eq!(rank.first_taken(run(3, 7, 1)), Some(place(3, 7)));
}

#[test]
fn what_is_put_back_comes_first_again() {
    let owned: RoaringBitmap = [1, 4, 6].into_iter().collect();
    let mut rank = Rank::new();
    for block in [1, 4] {
        rank.take(run(block, 0, 5), 5);
    }
    assert_eq!(rank.next_open_block(&owned, 0), Some(6));
    rank.put_back(4, &RoaringBitmap::from([1, 3]), 5);
    assert_eq!((rank.taken, rank.next_open_block(&owned, 0)), (8, Some(4)));
    assert!(matches!(rank.taken_of(4), Taken::Offsets(offsets) if offsets == RoaringBitmap::from([0, 2, 4])));
    // What it has not taken changes nothing.
    rank.put_back(4, &RoaringBitmap::from([1]), 5);
    rank.put_back(6, &RoaringBitmap::from([0]), 5);
    assert_eq!(rank.taken, 8);
    rank.put_back(4, &RoaringBitmap::from([0, 2, 4]), 5);
    assert!(rank.partial().is_empty(), "a block of which nothing is taken leaves nothing behind");
    rank.put_back_all();
    assert_eq!((rank.taken, rank.next_open_block(&owned, 0)), (0, Some(1)));
}

#[test]
fn blocks_that_are_owned_later_are_found() {
    let mut owned = RoaringBitmap::from([0]);
    let mut rank = Rank::new();
    rank.take(run(0, 0, 2), 2);
    assert_eq!(rank.next_open_block(&owned, 0), None);
    owned.insert(1);
    assert_eq!(rank.next_open_block(&owned, 0), Some(1));
    assert_eq!(rank.next_open_block(&owned, 2), None, "a walk that is past it");
    assert_eq!(rank.next_open_block(&owned, 0), Some(1), "is no other walk's business");
}
