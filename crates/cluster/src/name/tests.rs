use super::*;

#[test]
fn names_by_the_rule() {
    for good in ["a", "A-b_c.9", ".hidden", "x".repeat(128).as_str()] {
        assert_eq!(check_name(NameKind::Database, good), Ok(()), "{good}");
    }
    for bad in ["", "a b", "a/b", "..", "a..b", "é", "x\0", "x".repeat(129).as_str()] {
        let error = check_name(NameKind::Collection, bad).unwrap_err();
        assert_eq!(error.code(), lavandin_types::ErrorCode::InvalidArgument, "{bad}");
    }
}

#[test]
fn descriptions_are_counted_in_characters() {
    assert_eq!(check_description(&"é".repeat(500)), Ok(()));
    assert_eq!(check_description(&"é".repeat(501)), Err(CatalogueError::DescriptionTooLong { chars: 501 }));
}
