use super::*;

#[test]
fn hnsw_words_become_ours() {
    let given =
        |m, ef_construction| Parameters::from(&BuildParameters { m, ef_construction, ef_search: None });
    assert_eq!(given(None, None), Parameters::default());
    assert_eq!(given(Some(16), Some(200)), Parameters { degree: 32, beam: 200, alpha: 1.2 });
    assert_eq!(given(Some(u32::MAX), Some(u32::MAX)).degree, DEGREE_MAX);
    assert_eq!(given(Some(1), Some(1)), Parameters { degree: 4, beam: 16, alpha: 1.2 });
}

#[test]
fn beams_grow_with_what_is_asked_and_with_the_rows() {
    assert_eq!(beam_for(10, 10, 50_000), 22);
    assert_eq!(beam_for(10, 10, 5), 5);
    assert_eq!(beam_for(0, 0, 0), 1);
    assert!(beam_for(50, 10, 50_000) >= 50);
    assert!(beam_for(10, 100, 50_000) >= 100);
    assert!(beam_for(10, 10, 10_000_000) > beam_for(10, 10, 1_000_000));
    assert!(beam_for(10, 10, 1_000_000) > beam_for(10, 10, 100_000));
}
