//! What can be wrong with a shard file. Every error names the file and says what to do.

use lavandin_types::ErrorCode;

/// A shard file that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("shard file {file} is missing: put it back, or sync the shardset again")]
    Missing { file: String },
    #[error("shard file {file} cannot be read: {detail}")]
    Unreadable { file: String, detail: String },
    #[error("shard file {file} was changed under way: {detail}; sync the shardset again with overwrite")]
    Changed { file: String, detail: String },
    #[error("shard file {file} is truncated: {detail}; write it again and sync the shardset with overwrite")]
    Truncated { file: String, detail: String },
    #[error("shard file {file} is damaged: {detail}; write it again and sync the shardset with overwrite")]
    Damaged { file: String, detail: String },
    #[error("shard file {file} uses what this server cannot read: {detail}")]
    Unsupported { file: String, detail: String },
    #[error("shard file {file} has a part that is too large: {detail}; write it in smaller parts")]
    TooLarge { file: String, detail: String },
    #[error(
        "shard file {file} has no column {column:?}: it has {has}; declare the columns that every file has"
    )]
    MissingColumn { file: String, column: String, has: String },
    #[error(
        "shard file {file} has column {column:?} as {found} where earlier files have {wanted}; write all files of a \
         shardset with the same types"
    )]
    TypeMismatch { file: String, column: String, wanted: String, found: String },
    #[error("shard file {file}, line {line}: {detail}")]
    BadLine { file: String, line: u64, detail: String },
    /// Boxed, so that results with this error stay small.
    #[error(transparent)]
    BadCell(Box<CellError>),
    #[error(
        "shard file {file} has the uid {uid:?} twice, in rows {first} and {second}: a uid names one sample"
    )]
    DoubledUid { file: String, uid: String, first: u64, second: u64 },
    #[error("shard file {file} has no uid in row {row}: column {column:?} is null or empty there")]
    MissingUid { file: String, column: String, row: u64 },
    #[error("shard file {file} has no chunk {chunk}: it has {chunks}")]
    NoChunk { file: String, chunk: usize, chunks: usize },
}

/// A cell that is not of its column's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shard file {file}, {place}, column {column:?}: {cell:?} is no {wanted}; {advice}")]
pub struct CellError {
    pub file: String,
    /// The line, or the sample of a tar.
    pub place: String,
    pub column: String,
    /// Its beginning.
    pub cell: String,
    pub wanted: String,
    pub advice: &'static str,
}

impl From<CellError> for FormatError {
    fn from(error: CellError) -> Self {
        Self::BadCell(Box::new(error))
    }
}

impl FormatError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::NotFound,
            Self::Unreadable { .. } => ErrorCode::Unavailable,
            Self::Changed { .. } | Self::Truncated { .. } | Self::Damaged { .. } => ErrorCode::DataCorrupt,
            Self::Unsupported { .. }
            | Self::TooLarge { .. }
            | Self::MissingColumn { .. }
            | Self::TypeMismatch { .. }
            | Self::BadLine { .. }
            | Self::BadCell(_)
            | Self::DoubledUid { .. }
            | Self::MissingUid { .. } => ErrorCode::InvalidArgument,
            Self::NoChunk { .. } => ErrorCode::Internal,
        }
    }

    pub(crate) fn damaged(file: &str, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { file: file.to_owned(), detail: detail.to_string() }
    }

    pub(crate) fn truncated(file: &str, detail: impl std::fmt::Display) -> Self {
        Self::Truncated { file: file.to_owned(), detail: detail.to_string() }
    }

    pub(crate) fn too_large(file: &str, detail: impl std::fmt::Display) -> Self {
        Self::TooLarge { file: file.to_owned(), detail: detail.to_string() }
    }

    pub(crate) fn missing_column<'a>(file: &str, column: &str, has: impl Iterator<Item = &'a str>) -> Self {
        const SHOWN: usize = 20;
        let mut names: Vec<&str> = has.take(SHOWN + 1).collect();
        if names.len() > SHOWN {
            names[SHOWN] = "…";
        }
        Self::MissingColumn { file: file.to_owned(), column: column.to_owned(), has: names.join(", ") }
    }

    pub(crate) fn bad_line(file: &str, line: u64, detail: impl std::fmt::Display) -> Self {
        Self::BadLine { file: file.to_owned(), line, detail: detail.to_string() }
    }
}

/// A cell in an error: enough to recognise it.
pub(crate) fn shortened(text: &str) -> String {
    const CHARACTERS: usize = 60;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
