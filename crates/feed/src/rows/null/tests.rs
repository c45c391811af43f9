use super::*;
use arrow::datatypes::DataType;

#[test]
fn defaults_follow_the_beginning_of_the_type_name() {
    for (name, null) in [
        ("int64", NullAs::Nan),
        ("int", NullAs::Nan),
        ("float", NullAs::Nan),
        ("double", NullAs::Nan),
        ("bool", NullAs::Nan),
        ("string", NullAs::Text),
        ("text", NullAs::Text),
        ("binary", NullAs::Bytes),
        ("list<item: int64>", NullAs::List),
        ("dict", NullAs::Dict),
        ("uint8", NullAs::None),
        ("large_string", NullAs::None),
        ("struct<a: int64>", NullAs::None),
        ("timestamp[us]", NullAs::None),
    ] {
        assert_eq!(NullAs::of_type(name), null, "{name}");
    }
}

#[test]
fn fields_carry_the_default() {
    for null in NullAs::ALL {
        let field = null.mark(Field::new("a", DataType::Int8, true));
        assert_eq!(NullAs::of_field(&field), null);
        assert_eq!(NullAs::of_field(&NullAs::None.mark(field)), NullAs::None);
    }
}
