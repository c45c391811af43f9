use super::*;

#[test]
fn parameters_are_read_and_unknown_ones_ignored() {
    let next = NextQuery::parse("rank=2&no_cache=true&max_retry_count=%2B3&x=%ff").unwrap();
    assert_eq!((next.rank, next.no_cache, next.max_retry_count), (2, true, 3));
    assert_eq!((next.batches, next.seq), (None, None));
    assert_eq!(NextQuery::parse("rank=0&seq=4&batches=8").unwrap().batches, Some(8));
    assert_eq!(NextQuery::parse("rank=0&step=7").unwrap().step, Some(7));
    assert!(NextQuery::parse("step=-1").is_err());
    assert_eq!(CursorQuery::parse("steps=9"), Ok(CursorQuery { steps: 9 }));
    assert_eq!(NextQuery::parse(""), Ok(NextQuery::default()));
    assert_eq!(DatasetsQuery::parse("name=a%20b").unwrap().name.as_deref(), Some("a b"));
    assert_eq!(DatasetsQuery::parse("name=").unwrap().name.as_deref(), Some(""));
    assert_eq!(PageQuery::parse("offset=-1&limit=5"), Ok(PageQuery { offset: 0, limit: 5 }));
    assert_eq!(PageQuery::parse(""), Ok(PageQuery { offset: 0, limit: 10 }));
    assert_eq!(IterationsQuery::parse("dataset_id=ds-1").unwrap().dataset_id.as_deref(), Some("ds-1"));
}

#[test]
fn faults_name_the_parameter() {
    let error = NextQuery::parse("rank=x&batches=-1").unwrap_err().to_string();
    assert!(error.contains("query rank - ") && error.contains("query batches - "), "{error}");
    assert_eq!(parse_index("7"), Ok(7));
    assert!(parse_index("x").unwrap_err().to_string().starts_with("path index - "));
}
