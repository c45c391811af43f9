use super::*;
use lavandin_filter::conformance::{Row, check_columns, schema_of};
use lavandin_filter::{Schema, bind, parse};
use lavandin_storage::Region;
use lavandin_types::{FieldsBuilder, Selection, ValueRef};

mod speed;

fn objects(rows: &[Row]) -> impl Iterator<Item = Option<FieldsRef<'_>>> {
    rows.iter().map(|row| row.as_deref().map(FieldsRef::from_stored))
}

fn growing(rows: &[Row]) -> GrowingFields {
    let mut writer = GrowingFieldsWriter::new();
    objects(rows).for_each(|object| {
        writer.push(object);
    });
    writer.reader()
}

fn sealed(rows: &[Row]) -> SealedFields {
    SealedFields::open(Region::copied_from(&write_section(objects(rows)))).unwrap()
}

fn check_records(rows: &[Row], fields: &dyn SegmentFields) {
    for (row, object) in objects(rows).enumerate() {
        assert_eq!(fields.record(row as u32), object, "row {row}");
    }
    assert_eq!(fields.schema(), schema_of(rows));
}

#[test]
fn growing_fields_agree_with_the_naive_evaluation() {
    check_columns(200, |rows| {
        let view = growing(rows).view(rows.len() as u32);
        check_records(rows, &view);
        Box::new(view)
    });
}

/// The view ends within a block that the columns already hold.
#[test]
fn views_of_earlier_lengths_agree_with_the_naive_evaluation() {
    check_columns(200, |rows| {
        let mut more = rows.to_vec();
        more.extend_from_within(..rows.len().min(100));
        Box::new(growing(&more).view(rows.len() as u32))
    });
}

#[test]
fn sealed_fields_agree_with_the_naive_evaluation() {
    check_columns(200, |rows| {
        let fields = sealed(rows);
        check_records(rows, &fields);
        Box::new(fields)
    });
}

fn select(fields: &(impl Columns + Schema), text: &str) -> Selection {
    bind(&parse(text).unwrap(), fields).unwrap_or_else(|error| panic!("{text}: {error}")).select(fields)
}

/// Enough rows for the sorted orders to be used, and rows in which they must not be.
#[test]
fn selective_tests_find_the_same_rows_as_single_records() {
    let rows: Vec<Row> = (0..20_000u64)
        .map(|row| {
            let mut tags = 2u32.to_le_bytes().to_vec();
            lavandin_types::write_value(&mut tags, ValueRef::Str(&format!("t{}", row % 300)));
            lavandin_types::write_value(&mut tags, ValueRef::U64(row % 7));
            let number = if row % 3 == 0 { ValueRef::F64(row as f64 / 2.0) } else { ValueRef::U64(row) };
            let object = FieldsBuilder::new()
                .with("n", number)
                .with("s", ValueRef::Str(&format!("s{:04}", row * 7919 % 5000)))
                .with("tags", ValueRef::Array(lavandin_types::ArrayRef::from_stored(&tags)));
            Some(object.build())
        })
        .collect();
    let (growing, sealed) = (growing(&rows), sealed(&rows));
    let view = growing.view(growing.rows());
    for text in [
        "n = 77",
        "n = 78",
        "n = 1.5",
        "n < 50",
        "n >= 19990",
        "n > 3 AND n <= 19.5",
        "n IN (1, 2, 3, 4.5)",
        "n IN (1,2,3,4,5,6,7,8,9,10,11,12)",
        "n <> 5",
        "n NOT IN (1, 2)",
        "s = 's0001'",
        "s = 'none'",
        "s IN ('s0001', 's0002', 'x')",
        "s <> 's0001'",
        "s < 's0010'",
        "s >= 's0100' AND s < 's0200'",
        "s > 's4999'",
        "s <= 's9'",
        "s LIKE 's00%'",
        "s LIKE 's%'",
        "upper(s) = 'S0001'",
        "s REGEXP '^s1..1$'",
        "tags CONTAINS 't17'",
        "tags NOT CONTAINS 't17'",
        "tags CONTAINS 'none'",
        "tags NOT CONTAINS 'none'",
        "tags CONTAINS 3",
        "n < 100 AND s < 's2000'",
        "n = 5 OR s = 's0005'",
        "length(s) = 5 AND n < 40",
    ] {
        let filter = bind(&parse(text).unwrap(), &sealed).unwrap();
        let mut expected = Selection::none(rows.len() as u32);
        for (row, object) in objects(&rows).enumerate() {
            if filter.matches(&object.unwrap()) {
                expected.insert(row as u32);
            }
        }
        assert!(select(&sealed, text) == expected, "sealed: {text}");
        assert!(filter.select(&view) == expected, "growing: {text}");
    }
}

#[test]
fn fields_beyond_the_typed_ones_are_found() {
    let names: Vec<String> = (0..TYPED_FIELDS_MAX + 20).map(|index| format!("f{index}")).collect();
    let rows: Vec<Row> = (0..130)
        .map(|row| {
            let fields =
                names.iter().fold(FieldsBuilder::new(), |fields, name| fields.with(name, ValueRef::U64(row)));
            Some(fields.build())
        })
        .collect();
    let (growing, sealed) = (growing(&rows), sealed(&rows));
    let last = format!("f{} >= 100", names.len() - 1);
    let filter = bind(&parse(&last).unwrap(), &growing).unwrap();
    assert!(filter.select(&growing.view(130)).iter().eq(100..130));
    assert!(filter.select(&growing.view(110)).iter().eq(100..110));
    assert!(filter.select(&sealed).iter().eq(100..130));
    check_records(&rows, &sealed);
    check_records(&rows, &growing.view(130));
}

/// Readers filter while the writer adds rows; each row says in its fields what its number is.
#[test]
fn readers_see_whole_rows_while_the_writer_adds() {
    let mut writer = GrowingFieldsWriter::new();
    let total = 20_000u32;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let fields = writer.reader();
            scope.spawn(move || {
                loop {
                    let rows = fields.rows();
                    let view = fields.view(rows);
                    if rows > 0 {
                        let text = format!("n >= {} AND s <> 's3'", rows / 2);
                        let filter = bind(&parse(&text).unwrap(), &fields).unwrap();
                        let expected = (rows / 2..rows).filter(|row| row % 100 != 3);
                        assert!(filter.select(&view).iter().eq(expected), "{rows} rows");
                    }
                    if rows == total {
                        break;
                    }
                }
            });
        }
        for row in 0..total {
            let text = format!("s{}", row % 100);
            let object = FieldsBuilder::new()
                .with("n", ValueRef::U64(row.into()))
                .with("s", ValueRef::Str(&text))
                .build();
            writer.push(Some(FieldsRef::from_stored(&object)));
        }
    });
}

#[test]
fn an_empty_section_opens() {
    let fields = sealed(&[]);
    assert_eq!(fields.rows(), 0);
    assert!(Schema::is_empty(&fields));
}

/// Truncations are errors; flipped bits are errors or wrong answers, never panics.
#[test]
fn damaged_sections_do_not_panic() {
    let mut random = lavandin_filter::conformance::Random::new(3);
    let rows: Vec<Row> = (0..130).map(|row| random.row(row)).collect();
    let bytes = write_section(objects(&rows));
    for len in (0..bytes.len()).step_by(97) {
        assert!(SealedFields::open(Region::copied_from(&bytes[..len])).is_err(), "{len} bytes");
    }
    let filters = [
        "i < 5",
        "s LIKE 'a%'",
        "s >= 'a' AND s < 'b'",
        "tags CONTAINS 'a'",
        "m = 1",
        "f = 0.5",
        "o.x = 1",
        "length(tags) > 1",
        "s IS NULL",
        "tags NOT CONTAINS 'a'",
        "s = 'ab'",
    ];
    let filters = filters.map(|text| bind(&parse(text).unwrap(), &schema_of(&rows)).unwrap());
    let mut opened = 0;
    for _ in 0..3000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + random.below(8) {
            // Half of the damage goes to the tables at the ends, where it does most.
            let at = match random.below(4) {
                0 => random.below(64),
                1 => bytes.len() as u64 - 1 - random.below(1000),
                _ => random.below(bytes.len() as u64),
            };
            damaged[at as usize] ^= 1 << random.below(8);
        }
        let Ok(fields) = SealedFields::open(Region::copied_from(&damaged)) else { continue };
        if fields.rows() > 1000 {
            continue;
        }
        opened += 1;
        for filter in &filters {
            assert_eq!(filter.select(&fields).len(), fields.rows());
        }
        for row in 0..fields.rows() {
            let _ = fields.record(row).map(|object| object.iter().count());
            for (name, _) in fields.schema() {
                let _ = fields.column(&name).map(|column| column.value(row).kind());
            }
        }
    }
    assert!(opened > 300, "{opened} opened");
}
