//! What filters mean, on tables small enough to see.

use crate::conformance::{PlainColumns, schema_of};
use crate::{Column, Columns, Filter, FilterError, Kinds, Record, bind, parse};
use lavandin_types::{ArrayRef, FieldsBuilder, FieldsRef, ValueRef, write_value};

fn tags(items: &[&str]) -> Vec<u8> {
    let mut array = (items.len() as u32).to_le_bytes().to_vec();
    items.iter().for_each(|item| write_value(&mut array, ValueRef::Str(item)));
    array
}

/// Five records; the last lacks everything but its number.
fn table() -> PlainColumns {
    let row = |number: u64| {
        let fields = FieldsBuilder::new().with("order", ValueRef::U64(number));
        if number == 4 {
            return Some(fields.build());
        }
        let even = number.is_multiple_of(2);
        let tags = tags(if even { &["rust", "vector"] } else { &["python"] });
        let document =
            FieldsBuilder::new().with("lang", ValueRef::Str(if even { "en" } else { "fr" })).build();
        let fields = fields
            .with("active", ValueRef::Bool(even))
            .with("tags", ValueRef::Array(ArrayRef::from_stored(&tags)))
            .with("created_at", ValueRef::Str(&format!("2026-04-{:02}", number + 1)))
            .with("stage", ValueRef::Str(["before", "after", "Before", "x_y"][number as usize]))
            .with("score", ValueRef::F64(number as f64 / 2.0))
            .with("document", ValueRef::Object(FieldsRef::from_stored(&document)))
            .with("gone", ValueRef::Null);
        Some(fields.build())
    };
    PlainColumns((0..5).map(row).collect())
}

fn bound(text: &str, table: &PlainColumns) -> Result<Filter, FilterError> {
    bind(&parse(text)?, &schema_of(&table.0))
}

fn rows(text: &str) -> Vec<u32> {
    let table = table();
    let filter = bound(text, &table).unwrap_or_else(|error| panic!("{text}: {error}"));
    filter.select(&table).iter().collect()
}

#[test]
fn forms_of_the_http_api_mean_what_its_users_expect() {
    let cases: [(&str, &[u32]); 24] = [
        (r#""order" >= 2 AND "order" < 4"#, &[2, 3]),
        (r#""active" = true"#, &[0, 2]),
        (r#""tags" CONTAINS 'rust'"#, &[0, 2]),
        (r#""created_at" >= '2026-04-02' AND "created_at" <= '2026-04-03'"#, &[1, 2]),
        (r#""stage" in ("before", "after")"#, &[0, 1]),
        (r#""order" = 999"#, &[]),
        ("`order` in (1, 2) ", &[1, 2]),
        (r#""order"=1"#, &[1]),
        (r#""order" = 0 AND "stage" = 'before'"#, &[0]),
        ("active = false", &[1, 3]),
        ("stage = 'before' OR stage = 'after'", &[0, 1]),
        (r#""document.lang" = 'en'"#, &[0, 2]),
        ("document.lang = 'fr'", &[1, 3]),
        ("stage != 'before'", &[1, 2, 3]),
        ("stage <> 'before'", &[1, 2, 3]),
        ("stage LIKE 'b%'", &[0]),
        ("stage ILIKE 'b%'", &[0, 2]),
        ("stage LIKE 'x!_y' ESCAPE '!'", &[3]),
        ("upper(stage) = 'BEFORE' AND length(stage) = 6", &[0, 2]),
        ("stage REGEXP '^[a-b]'", &[0, 1]),
        ("order BETWEEN 1 AND 2.5", &[1, 2]),
        ("1=1", &[0, 1, 2, 3, 4]),
        ("NOT (order = 1 OR order > 2)", &[0, 2]),
        ("score = 1", &[2]),
    ];
    for (text, expected) in cases {
        assert_eq!(rows(text), expected, "{text}");
    }
}

#[test]
fn a_missing_field_is_null_and_null_is_never_selected() {
    let cases: [(&str, &[u32]); 12] = [
        ("NOT stage = 'before'", &[1, 2, 3]),
        ("NOT (stage = 'before' AND order < 10)", &[1, 2, 3]),
        ("NOT (stage = 'before' AND order > 10)", &[0, 1, 2, 3, 4]),
        ("stage IS NULL", &[4]),
        ("stage IS NOT NULL", &[0, 1, 2, 3]),
        ("gone IS NULL", &[0, 1, 2, 3, 4]),
        ("stage NOT IN ('before', 'after')", &[2, 3]),
        ("stage NOT IN ('before', null)", &[]),
        ("stage NOT LIKE 'b%'", &[1, 2, 3]),
        ("tags NOT CONTAINS 'rust'", &[1, 3]),
        ("NOT tags CONTAINS 'rust'", &[1, 3]),
        ("stage = null OR NOT stage = null", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(rows(text), expected, "{text}");
    }
}

#[test]
fn values_of_other_kinds_are_not_selected() {
    let row = |value| Some(FieldsBuilder::new().with("m", value).build());
    let table = PlainColumns([ValueRef::U64(5), ValueRef::Str("x"), ValueRef::Bool(true)].map(row).to_vec());
    let cases: [(&str, &[u32]); 7] = [
        ("m <> 1", &[0]),
        ("NOT m = 'y'", &[1]),
        ("m > 1", &[0]),
        ("m <> 1 AND m <> 'y'", &[]),
        ("m NOT IN (1, 'y')", &[0, 1]),
        ("m = 5 OR m = 'x' OR m = true", &[0, 1, 2]),
        ("upper(m) IS NULL", &[0, 2]),
    ];
    for (text, expected) in cases {
        let rows: Vec<u32> = bound(text, &table).unwrap().select(&table).iter().collect();
        assert_eq!(rows, expected, "{text}");
    }
}

struct WithIds(PlainColumns);
struct Ids;
struct One<'a>(FieldsRef<'a>, ValueRef<'a>);

impl Columns for WithIds {
    fn rows(&self) -> u32 {
        self.0.rows()
    }

    fn column(&self, field: &str) -> Option<Box<dyn Column + '_>> {
        self.0.column(field)
    }

    fn ids(&self) -> Option<Box<dyn Column + '_>> {
        Some(Box::new(Ids))
    }
}

impl Column for Ids {
    fn value(&self, row: u32) -> ValueRef<'_> {
        if row == 3 { ValueRef::Str("three") } else { ValueRef::U64(10 + u64::from(row)) }
    }
}

impl Record for One<'_> {
    fn field(&self, field: &str) -> ValueRef<'_> {
        self.0.field(field)
    }

    fn id(&self) -> ValueRef<'_> {
        self.1
    }
}

#[test]
fn ids_are_a_field_unless_a_field_has_their_name() {
    let table = WithIds(table());
    let select = |text| bound(text, &table.0).unwrap().select(&table).iter().collect::<Vec<_>>();
    assert_eq!(select("id = 11"), [1]);
    assert_eq!(select("id IN (10, 'three', 'x')"), [0, 3]);
    assert_eq!(select("id NOT IN (10, 'three')"), [1, 2, 4]);
    assert_eq!(select("id > 11 AND order >= 0"), [2, 4]);
    assert_eq!(rows("id = 11"), [] as [u32; 0], "columns without ids");
    let filter = bound("id = 'three'", &table.0).unwrap();
    assert!(filter.matches(&One(FieldsRef::EMPTY, ValueRef::Str("three"))));
    assert!(!filter.matches(&FieldsRef::EMPTY));

    let object = FieldsBuilder::new().with("id", ValueRef::Bool(true)).build();
    let own = WithIds(PlainColumns(vec![Some(object)]));
    assert!(bound("id = true", &own.0).unwrap().select(&own).contains(0));
}

#[test]
fn without_any_field_every_name_is_null() {
    let empty = PlainColumns(vec![None, None]);
    assert_eq!(bound("a = 1 OR b.c LIKE 'x'", &empty).unwrap().select(&empty).count(), 0);
    assert_eq!(bound("a IS NULL", &empty).unwrap().select(&empty).count(), 2);
    let empty: Vec<(String, Kinds)> = Vec::new();
    assert!(bind(&parse("lang = 'en' AND n > 3").unwrap(), &empty).is_ok());
}

#[test]
fn canonical_texts_tell_filters_apart() {
    let table = table();
    let text = |text| bound(text, &table).unwrap().canonical().to_owned();
    assert_eq!(text(r#" "order"=1 and not(active = TRUE)"#), text("order = 1 AND NOT active = true"));
    assert_ne!(text("order = 1"), text("order = 1.0"));
    assert_ne!(text("stage = '1'"), text("stage = ' 1'"));
}
