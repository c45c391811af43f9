use super::*;

fn dataset(number: u8) -> DatasetId {
    DatasetId::new(u64::from(number), [number; 20])
}

fn preview(text: String) -> Result<Preview, String> {
    Ok(Preview { samples: vec![text], total: 1 })
}

fn is_ready(table: &mut Table, id: &str, now: Instant) -> bool {
    matches!(table.get(id, now), PreviewState::Ready(_))
}

#[test]
fn a_preview_is_unknown_until_it_is_made_and_kept_an_hour() {
    let (mut table, start) = (Table::default(), Instant::now());
    assert_eq!(table.begin("a", dataset(1), start), Begun::New);
    assert_eq!(table.begin("a", dataset(1), start), Begun::Known);
    assert!(matches!(table.get("a", start), PreviewState::Unknown));
    assert!(table.finish("a", preview("{}".to_owned()), start));
    assert_eq!(table.begin("a", dataset(1), start), Begun::Known);
    assert!(is_ready(&mut table, "a", start + KEPT / 2));
    assert!(matches!(table.get("a", start + KEPT), PreviewState::Unknown));
    assert_eq!((table.entries.len(), table.bytes), (0, 0));
}

#[test]
fn a_failure_is_told_once() {
    let (mut table, now) = (Table::default(), Instant::now());
    table.begin("a", dataset(1), now);
    table.finish("a", Err("no file".to_owned()), now);
    assert!(matches!(table.get("a", now), PreviewState::Failed(text) if text == "no file"));
    assert!(matches!(table.get("a", now), PreviewState::Unknown));
    assert_eq!(table.begin("a", dataset(1), now), Begun::New);
}

#[test]
fn a_sync_forgets_what_is_made_and_has_the_rest_made_again() {
    let (mut table, now) = (Table::default(), Instant::now());
    for (id, number) in [("done", 1), ("making", 1), ("other", 2)] {
        table.begin(id, dataset(number), now);
    }
    table.finish("done", preview("{}".to_owned()), now);
    table.finish("other", preview("{}".to_owned()), now);
    table.forget(dataset(1));
    assert!(matches!(table.get("done", now), PreviewState::Unknown));
    assert!(is_ready(&mut table, "other", now));
    assert!(!table.finish("making", preview("{}".to_owned()), now));
    assert!(table.finish("making", preview("{}".to_owned()), now));
    assert!(is_ready(&mut table, "making", now));
}

#[test]
fn the_table_is_bounded_by_count_and_bytes() {
    let (mut table, now) = (Table::default(), Instant::now());
    for number in 0..=PREVIEWS_MAX {
        let id = number.to_string();
        table.begin(&id, dataset(1), now);
        table.finish(&id, preview("{}".to_owned()), now);
        // The first is used again and again.
        assert!(is_ready(&mut table, "0", now));
    }
    assert!(matches!(table.get("1", now), PreviewState::Unknown));
    assert_eq!(table.entries.len(), PREVIEWS_MAX);
    for id in ["x", "y", "z"] {
        table.begin(id, dataset(1), now);
        table.finish(id, preview(" ".repeat(BYTES_MAX / 2)), now);
    }
    assert!(table.bytes <= BYTES_MAX, "{}", table.bytes);
    assert!(is_ready(&mut table, "z", now));
    assert!(matches!(table.get("0", now), PreviewState::Unknown));
}

#[test]
fn only_so_many_are_made_at_once() {
    let (mut table, now) = (Table::default(), Instant::now());
    for number in 0..MAKING_MAX {
        assert_eq!(table.begin(&number.to_string(), dataset(1), now), Begun::New);
    }
    assert_eq!(table.begin("more", dataset(1), now), Begun::Full);
    table.finish("0", preview("{}".to_owned()), now);
    assert_eq!(table.begin("more", dataset(1), now), Begun::New);
}
