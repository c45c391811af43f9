use super::{INLINE_BYTES_MAX, Pool};

const LARGE: u64 = INLINE_BYTES_MAX + 1;

#[test]
fn a_read_leaves_one_thread_to_the_others() {
    let pool = Pool::new(4);
    assert!(pool.take_spare(INLINE_BYTES_MAX).is_none(), "a short read uses one thread");
    let spare = pool.take_spare(LARGE);
    assert_eq!(spare.as_ref().map(|permit| permit.num_permits()), Some(3));
    assert!(pool.take_spare(LARGE).is_none());
    drop(spare);
    assert_eq!(pool.permits.available_permits(), 4);
    assert!(Pool::new(1).take_spare(LARGE).is_none());
}

/// A read holds the spare threads while it waits for one of its own: were none left, two would wait for each other.
#[test]
fn reads_that_see_the_same_threads_free_leave_one_too() {
    let pool = Pool::new(2);
    let free = pool.permits.available_permits();
    let first = pool.take_but_one(free);
    let second = pool.take_but_one(free);
    assert!(first.is_some() && second.is_none());
    assert_eq!(pool.permits.available_permits(), 1);
}
