//! What user code gets and gives.

use super::*;
use crate::format::{CELLS, CELLS_JSON};
use crate::rows::NULL_KEY;
use arrow::datatypes::{DataType, Field, Schema};
use std::collections::HashMap;

const MODULES: &str = "
from lavender_data.server import Categorizer, Collater, Filter, Preprocessor
import numpy as np, os

class Mod(Filter, name='mod'):
    def filter(self, sample: dict, *, mod: int = 2) -> bool:
        if sample['id'] == 13:
            raise ValueError('bad luck')
        return sample['id'] % mod == 0

class Parity(Categorizer, name='parity'):
    def categorize(self, sample: dict) -> str:
        return 'even' if sample['id'] % 2 == 0 else 'odd'

class Rows(Collater, name='rows'):
    def collate(self, samples: list) -> dict:
        return {key: [sample[key] for sample in samples] for key in samples[0]}

class Suffix(Preprocessor, name='suffix'):
    def process(self, batch: dict, *, suffix: str = '!') -> dict:
        return {'x': [f'{one}{suffix}' for one in batch['id']]}

class After(Preprocessor, name='after', depends_on=['suffix']):
    def process(self, batch: dict) -> dict:
        return {'y': [one + '?' for one in batch['x']]}

class Arrays(Preprocessor, name='arrays'):
    def process(self, batch: dict) -> dict:
        n = len(batch['id'])
        return {'x': np.arange(n * 4, dtype=np.float32).reshape(n, 2, 2), 'y': ['a'] * n}

class Pid(Preprocessor, name='pid'):
    def process(self, batch: dict) -> dict:
        return {'x': [os.getpid()]}

class Count(Preprocessor, name='count'):
    def __init__(self):
        self.calls = 0
    def process(self, batch: dict) -> dict:
        self.calls += 1
        return {'x': [self.calls]}
";

fn fixture() -> Fixture {
    Fixture::new(&[("all.py", MODULES)])
}

fn select(
    fixture: &Fixture,
    samples: &RecordBatch,
    filters: &[Call],
    categorizer: Option<&Call>,
) -> Vec<String> {
    let request = SelectRequest { samples, filters, categorizer };
    let selected = fixture.pool.select(request, &Patience::default()).unwrap();
    let shown = |outcome: Outcome| match outcome {
        Outcome::Filtered => "-".to_owned(),
        Outcome::Passed(category) => category.map_or_else(|| "+".to_owned(), |category| category.to_string()),
        Outcome::Failed(error) => error.to_string(),
    };
    selected.outcomes.into_iter().map(shown).collect()
}

#[test]
fn samples_are_filtered_and_categorized() {
    let fixture = fixture();
    let samples = ids(&[1, 2, 3, 4, 13, 6]);
    let parity = call("parity", json!({}));
    let both = [call("mod", json!({})), call("mod", json!({"mod": 3}))];
    let raised = "filter \"mod\": ValueError: bad luck";
    assert_eq!(select(&fixture, &samples, &both, Some(&parity)), ["-", "-", "-", "-", raised, "even"]);
    assert_eq!(select(&fixture, &samples, &both[..1], None), ["-", "+", "-", "+", raised, "+"]);
    assert_eq!(select(&fixture, &samples, &[], Some(&parity)), ["odd", "even", "odd", "even", "odd", "even"]);
    // The built-in filter goes first, and user code does not see what it leaves out.
    let built_in = call("min_max", json!({"column": "id", "max_value": 4}));
    let mixed = [both[0].clone(), built_in];
    assert_eq!(select(&fixture, &samples, &mixed, Some(&parity)), ["-", "even", "-", "-", "-", "-"]);
}

#[test]
fn built_in_functions_need_no_python() {
    let fixture = Fixture::with(&[], |options| options.interpreter = "no-such-interpreter".into());
    let samples = ids(&[9, 10, 11, 12, 13, 14]);
    let bounds = call("min_max", json!({"column": "id", "min_value": 10, "max_value": "14"}));
    assert_eq!(
        select(&fixture, &samples, std::slice::from_ref(&bounds), None),
        ["-", "-", "+", "+", "+", "-"]
    );
    let absent = call("min_max", json!({"column": "nothing"}));
    assert_eq!(select(&fixture, &samples, &[bounds, absent], None), ["-"; 6]);
    let form = ReplyForm::Arrow;
    let default = call("default", json!({}));
    let request = BatchRequest { samples: &samples, collater: Some(&default), preprocessors: &[], form };
    let reply = fixture.pool.batch(request, &Patience::default()).unwrap();
    assert!(matches!(entry(&reply, "id"), Entry::Column(name) if name == "id"));
    assert_eq!(fixture.names(Kind::Filter), ["min_max"]);
    assert_eq!(fixture.names(Kind::Collater), ["default"]);
    assert!(fixture.pool.registry().failure().is_none());
    assert_eq!(fixture.pool.slots(), 0);
    assert!(!fixture.directory.path().join("package").exists(), "Python's sources were written for nobody");
}

#[test]
fn new_values_come_encoded_and_untouched_columns_by_name() {
    let fixture = fixture();
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["one", "a text beyond twelve bytes"]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let samples = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap();
    let calls = [call("after", json!({})), call("suffix", json!({"suffix": "_p"}))];
    let rows = call("rows", json!({}));
    for collater in [None, Some(&rows)] {
        let form = ReplyForm::Items { single: false, json_lists: true };
        let request = BatchRequest { samples: &samples, collater, preprocessors: &calls, form };
        let reply = fixture.pool.batch(request, &Patience::default()).unwrap();
        assert_eq!(reply.generation, fixture.pool.registry().generation());
        let keys: Vec<_> = reply.entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["id", "text", "x", "y"]);
        assert!(matches!(entry(&reply, "text"), Entry::Column(name) if name == "text"));
        assert_eq!(value(&reply, "x"), json!(["1_p", "2_p"]));
        assert_eq!(value(&reply, "y"), json!(["1_p?", "2_p?"]));
    }
    let form = ReplyForm::Items { single: true, json_lists: false };
    let request =
        BatchRequest { samples: &samples.slice(0, 1), collater: None, preprocessors: &calls[1..], form };
    let reply = fixture.pool.batch(request, &Patience::default()).unwrap();
    assert_eq!(value(&reply, "x"), json!("1_p"));
}

#[test]
fn values_come_as_arrow_columns() {
    let fixture = fixture();
    let samples = ids(&[1, 2, 3]);
    let calls = [call("arrays", json!({}))];
    let request =
        BatchRequest { samples: &samples, collater: None, preprocessors: &calls, form: ReplyForm::Arrow };
    let reply = fixture.pool.batch(request, &Patience::default()).unwrap();
    let Entry::Array(field, array) = entry(&reply, "x") else { panic!("{reply:?}") };
    assert_eq!(field.metadata()["ARROW:extension:name"], "arrow.fixed_shape_tensor");
    assert_eq!(field.metadata()["ARROW:extension:metadata"], "{\"shape\": [2, 2]}");
    assert_eq!((array.len(), array.as_fixed_size_list().value_length()), (3, 4));
    let Entry::Array(_, array) = entry(&reply, "y") else { panic!("{reply:?}") };
    assert_eq!(array.as_string::<i32>(), &StringArray::from(vec!["a"; 3]));

    let calls = [call("pid", json!({}))];
    let request = BatchRequest { preprocessors: &calls, ..request };
    let error = fixture.pool.batch(request, &Patience::default()).unwrap_err();
    assert!(
        error.to_string().contains("key 'x' cannot be a column: it has 1 elements for 3 samples"),
        "{error}"
    );
}

#[test]
fn requests_one_after_another_meet_the_same_process() {
    let fixture = Fixture::with(&[("all.py", MODULES)], |options| options.workers = 3);
    let counts: Vec<_> = (0..5).map(|_| fixture.value("count", json!({}))).collect();
    assert_eq!(counts, [json!([1]), json!([2]), json!([3]), json!([4]), json!([5])]);
    assert_eq!(fixture.pool.slots(), 1);
}

#[test]
fn many_callers_share_a_bounded_pool() {
    let fixture = Fixture::with(&[("all.py", MODULES)], |options| options.workers = 2);
    let pids: Vec<_> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..20).map(|_| fixture.value("pid", json!({}))).collect::<Vec<_>>()))
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let mut different: Vec<_> = pids.iter().map(|pid| pid[0].as_u64().unwrap()).collect();
    assert_eq!(different.len(), 160);
    different.sort_unstable();
    different.dedup();
    assert!(different.len() <= 2 && fixture.pool.slots() <= 2);
}

#[test]
fn names_and_parameters_are_checked_before_anything_runs() {
    let fixture = fixture();
    let error = fixture.batch("nobody", json!({})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "preprocessor must be one of the following: [suffix, after, arrays, pid, count]"
    );
    let error = fixture.batch("suffix", json!({"sufix": "a"})).unwrap_err();
    assert_eq!(error.to_string(), "preprocessor \"suffix\": there is no parameter \"sufix\", only [suffix]");
    let error = fixture.batch("after", json!({})).unwrap_err();
    assert!(matches!(&error, PythonError::Pipeline { message } if message.contains("'suffix'")), "{error}");
    assert_eq!(fixture.pool.registry().check_dependencies(&["after", "suffix"]), Ok(()));
}

#[test]
fn the_registry_has_what_the_api_shows() {
    let registry = fixture().pool.registry();
    let suffix = registry.find(Kind::Preprocessor, "suffix").unwrap();
    assert_eq!(suffix.kind.registry(), "PreprocessorRegistry");
    assert_eq!(suffix.parameters[0].type_name, "str");
    assert_eq!(suffix.md5.len(), 32);
    assert_eq!(suffix.file, "all.py");
    assert!(registry.problems().is_empty());
}

#[test]
fn large_samples_go_and_come() {
    let module = "
from lavender_data.server import Preprocessor
class Double(Preprocessor, name='double'):
    def process(self, batch):
        return {'x': [b + b for b in batch['blob']]}
";
    let fixture = Fixture::new(&[("a.py", module)]);
    let blob = vec![7_u8; 5 << 20];
    let blobs = arrow::array::BinaryViewArray::from(vec![Some(blob.as_slice()), None, Some(b"")]);
    let field = arrow::datatypes::Field::new("blob", arrow::datatypes::DataType::BinaryView, true);
    let field = crate::rows::NullAs::Bytes.mark(field);
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![field]));
    let samples = RecordBatch::try_new(schema, vec![Arc::new(blobs)]).unwrap();
    let reply = fixture.batch_of(&samples, &[call("double", json!({}))]).unwrap();
    let Entry::Item(item) = entry(&reply, "x") else { panic!("no item") };
    assert_eq!(item.len(), 2 + (4 + 2 + (10 << 20)) + (4 + 2) + (4 + 2));
    assert!(matches!(entry(&reply, "blob"), Entry::Column(_)));
}

#[test]
fn integers_survive() {
    let fixture = Fixture::new(&[(
        "a.py",
        "from lavender_data.server import Preprocessor\nclass Same(Preprocessor, name='same'):\n    def process(self, batch):\n        return {'x': list(batch['id']) + [batch['id'][0] + 1]}\n",
    )]);
    let samples = ids(&[i64::MAX, i64::MIN]);
    let reply = fixture.batch_of(&samples, &[call("same", json!({}))]).unwrap();
    assert_eq!(
        value(&reply, "x").to_string(),
        "[9223372036854775807,-9223372036854775808,9223372036854775808]"
    );
    assert_eq!(samples.column(0).as_primitive::<Int64Type>().value(0), i64::MAX);
}

/// Csv cells whose shapes differ are JSON texts in Arrow; user code gets what they stand for.
#[test]
fn cells_that_are_json_texts_reach_user_code_as_values() {
    let fixture = Fixture::new(&[(
        "all.py",
        "from lavender_data.server import Preprocessor\n\
         class P(Preprocessor, name='p'):\n    def process(self, batch):\n        return {'x': [repr(one) for one in batch['c']]}\n",
    )]);
    let metadata = [(CELLS.to_owned(), CELLS_JSON.to_owned()), (NULL_KEY.to_owned(), "list".to_owned())];
    let field = Field::new("c", DataType::Utf8View, true).with_metadata(HashMap::from(metadata));
    let cells = StringViewArray::from(vec![Some("[1,\"a\",null]"), None, Some("{\"k\":[2.5]}")]);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(cells)]).unwrap();
    let reply = fixture.batch_of(&batch, &[call("p", json!({}))]).unwrap();
    assert_eq!(value(&reply, "x"), json!(["[1, 'a', None]", "[]", "{'k': [2.5]}"]));
}
