//! The functions of one generation of user code, with those that are built in.

use super::error::PythonError;
use serde::Deserialize;
use std::fmt;
use std::sync::LazyLock;

/// What a function does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Filter,
    Categorizer,
    Collater,
    Preprocessor,
}

impl Kind {
    /// The word in messages and requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Categorizer => "categorizer",
            Self::Collater => "collater",
            Self::Preprocessor => "preprocessor",
        }
    }

    /// The name of its registry in the Lavender API.
    pub const fn registry(self) -> &'static str {
        match self {
            Self::Filter => "FilterRegistry",
            Self::Categorizer => "CategorizerRegistry",
            Self::Collater => "CollaterRegistry",
            Self::Preprocessor => "PreprocessorRegistry",
        }
    }
}

/// A hash of all that user code is made of. Equal generations run the same code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Generation(u128);

impl Generation {
    pub(super) fn new(hash: u128) -> Self {
        Self(hash)
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What JSON value a parameter's annotation asks for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum JsonKind {
    Integer,
    Number,
    String,
    Boolean,
    Array,
    Object,
    Any,
}

/// A parameter that an iteration may set.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    /// The annotation's name, such as `int` or `Optional`.
    pub type_name: String,
    pub required: bool,
    pub nullable: bool,
    pub json: JsonKind,
}

/// A function that iterations may name.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Function {
    pub kind: Kind,
    pub name: String,
    pub parameters: Vec<Parameter>,
    /// Whether it takes parameters of any name.
    pub open: bool,
    /// Preprocessors that must have run before.
    pub depends_on: Vec<String>,
    /// The md5 of the class's source.
    pub md5: String,
    /// The module file; empty for what is built in.
    pub file: String,
    /// Whether it runs without Python.
    #[serde(skip)]
    pub built_in: bool,
}

/// A module file that is not in use as it stands, or a warning about one.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ModuleProblem {
    /// The file's name, empty when it is about the whole directory.
    pub file: String,
    pub line: Option<u32>,
    pub message: String,
    pub traceback: String,
    /// Nothing is missing for it.
    pub warning: bool,
}

impl fmt::Display for ModuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None if self.file.is_empty() => f.write_str(&self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// All functions at one time.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(super) generation: Generation,
    pub(super) functions: Vec<Function>,
    pub(super) problems: Vec<ModuleProblem>,
    pub(super) failure: Option<PythonError>,
}

impl Registry {
    /// What there is besides user code: the filter `min_max` and the collater `default`.
    pub(super) fn built_in() -> Self {
        Self {
            generation: Generation::default(),
            functions: BUILT_IN.clone(),
            problems: Vec::new(),
            failure: None,
        }
    }

    /// Built-in functions, but for those whose names user code took, then those of user code.
    pub(super) fn of_user(generation: Generation, user: Vec<Function>, problems: Vec<ModuleProblem>) -> Self {
        let is_taken = |own: &Function| user.iter().any(|f| f.kind == own.kind && f.name == own.name);
        let mut functions: Vec<_> = BUILT_IN.iter().filter(|own| !is_taken(own)).cloned().collect();
        functions.extend(user);
        Self { generation, functions, problems, failure: None }
    }

    /// The hash of the code behind this; part of the key of whatever is kept of its results.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The functions of one kind, in order of registration.
    pub fn functions(&self, kind: Kind) -> impl Iterator<Item = &Function> {
        self.functions.iter().filter(move |function| function.kind == kind)
    }

    pub fn find(&self, kind: Kind, name: &str) -> Option<&Function> {
        self.functions(kind).find(|function| function.name == name)
    }

    /// What is wrong with module files.
    pub fn problems(&self) -> &[ModuleProblem] {
        &self.problems
    }

    /// Why there is no user code although there are module files.
    pub fn failure(&self) -> Option<&PythonError> {
        self.failure.as_ref()
    }

    /// The function, or why there is none of that name.
    pub(super) fn get(&self, kind: Kind, name: &str) -> Result<&Function, PythonError> {
        self.find(kind, name).ok_or_else(|| match &self.failure {
            Some(failure) => failure.clone(),
            None => PythonError::NotFound {
                kind,
                name: name.to_owned(),
                available: self.functions(kind).map(|function| function.name.clone()).collect(),
            },
        })
    }
}

static BUILT_IN: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let parameter = |name: &str, type_name: &str, json, required: bool| Parameter {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        required,
        nullable: !required,
        json,
    };
    let built_in = |kind, name: &str, parameters, md5: &str| Function {
        kind,
        name: name.to_owned(),
        parameters,
        open: false,
        depends_on: Vec::new(),
        md5: md5.to_owned(),
        file: String::new(),
        built_in: true,
    };
    let bounds = vec![
        parameter("column", "str", JsonKind::String, true),
        parameter("min_value", "Optional", JsonKind::Number, false),
        parameter("max_value", "Optional", JsonKind::Number, false),
    ];
    // In place of the md5 of a source: fixed as long as the function does the same.
    vec![
        built_in(Kind::Filter, MIN_MAX, bounds, "6d696e5f6d6178000000000000000001"),
        built_in(Kind::Collater, DEFAULT_COLLATER, Vec::new(), "64656661756c74000000000000000001"),
    ]
});

pub(super) const MIN_MAX: &str = "min_max";
pub(super) const DEFAULT_COLLATER: &str = "default";
