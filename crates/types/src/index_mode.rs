//! Index-mode strings such as `HNSW-L2` or `FLAT-COS-SQ8`: what a user asks of an index, in the HTTP API's words.
//!
//! A mode is `FAMILY-METRIC[-QUANTIZER]`, in any case. The text is kept as it was given (replies echo it); the parts
//! are what the engine acts on.

use crate::Metric;
use thiserror::Error;

/// The family of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexFamily {
    Flat,
    Hnsw,
    Ivf,
    Spann,
    DiskAnn,
}

/// How an index compresses vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantizer {
    None,
    /// One byte an element.
    Sq8,
    Pq,
    RaBitQ,
    PolarVec,
}

/// A parsed mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexMode {
    text: String,
    pub family: IndexFamily,
    pub metric: Metric,
    pub quantizer: Quantizer,
}

/// Tuning values of an index; `None` where the user left the choice to the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildParameters {
    /// Neighbours of a vertex are at most twice this (HNSW's `m`).
    pub m: Option<u32>,
    /// Beam width while building.
    pub ef_construction: Option<u32>,
    /// Beam width of a search that names none.
    pub ef_search: Option<u32>,
}

/// Why a mode string is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IndexModeError {
    #[error("unknown index mode {0:?}; expected FAMILY-METRIC such as FLAT-L2, FLAT-COS-SQ8 or HNSW-IP")]
    Unknown(String),
    #[error("index mode {mode:?} names no metric; write {mode}-IP, {mode}-L2 or {mode}-COS")]
    NoMetric { mode: String },
    #[error("unsupported index/metric combination {mode:?}: {family} does not take {metric}")]
    Unsupported { mode: String, family: &'static str, metric: String },
}

impl IndexFamily {
    /// The label in search results.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Flat => "FLAT",
            Self::Hnsw => "HNSW",
            Self::Ivf => "IVF",
            Self::Spann => "SPANN",
            Self::DiskAnn => "DISKANN",
        }
    }
}

impl IndexMode {
    /// The mode of a collection for which none was asked: an exact scan by inner product.
    pub fn default_flat() -> Self {
        Self {
            text: "FLAT-IP".to_owned(),
            family: IndexFamily::Flat,
            metric: Metric::Ip,
            quantizer: Quantizer::None,
        }
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a graph serves it: the HNSW family under inner product, squared Euclidean and cosine distance.
    pub fn wants_graph(&self) -> bool {
        self.family == IndexFamily::Hnsw && matches!(self.metric, Metric::Ip | Metric::L2 | Metric::Cosine)
    }

    pub fn parse(text: &str) -> Result<Self, IndexModeError> {
        let upper = text.trim().to_ascii_uppercase();
        let (family_name, rest) = upper.split_once('-').unwrap_or((&upper, ""));
        let family = match family_name {
            "FLAT" => IndexFamily::Flat,
            "HNSW" => IndexFamily::Hnsw,
            "IVF" => IndexFamily::Ivf,
            "SPANN" => IndexFamily::Spann,
            "DISKANN" => IndexFamily::DiskAnn,
            _ => return Err(IndexModeError::Unknown(text.to_owned())),
        };
        if rest.is_empty() {
            return Err(IndexModeError::NoMetric { mode: text.to_owned() });
        }
        let (metric_name, quantizer) = split_quantizer(rest);
        let unknown = || IndexModeError::Unknown(text.to_owned());
        let metric = parse_metric(metric_name).ok_or_else(unknown)?;
        if !supports(family, metric, quantizer) {
            return Err(IndexModeError::Unsupported {
                mode: text.to_owned(),
                family: family.label(),
                metric: rest.to_owned(),
            });
        }
        Ok(Self { text: text.to_owned(), family, metric, quantizer })
    }
}

/// Splits a trailing quantizer (`-SQ8`, `-PQ16`, `-RABITQ`, `-POLARVEC4`) or the no-op `-BINARY` off the metric.
fn split_quantizer(rest: &str) -> (&str, Quantizer) {
    let Some((metric, tail)) = rest.rsplit_once('-') else {
        return (rest, Quantizer::None);
    };
    let digits_after = |prefix: &str| {
        tail.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match tail {
        "SQ8" => (metric, Quantizer::Sq8),
        "RABITQ" => (metric, Quantizer::RaBitQ),
        "BINARY" => (metric, Quantizer::None),
        _ if digits_after("PQ") => (metric, Quantizer::Pq),
        _ if digits_after("POLARVEC") => (metric, Quantizer::PolarVec),
        _ => (rest, Quantizer::None),
    }
}

fn parse_metric(name: &str) -> Option<Metric> {
    Some(match name {
        "IP" => Metric::Ip,
        "L2" => Metric::L2,
        "COS" | "COSINE" => Metric::Cosine,
        "L1" | "MANHATTAN" | "CITYBLOCK" => Metric::L1,
        "HAVERSINE" | "HAVERSINE-M" | "GEO" => Metric::Haversine,
        "CORRELATION" | "PEARSON" => Metric::Correlation,
        "HELLINGER" => Metric::Hellinger,
        "WASSERSTEIN" | "WASSERSTEIN-1D" | "EMD" => Metric::Wasserstein,
        "JENSEN-SHANNON" | "JS" => Metric::JensenShannon,
        "CHEBYSHEV" | "CHEBYCHEV" | "LINF" => Metric::Chebyshev,
        "CANBERRA" => Metric::Canberra,
        "BRAY-CURTIS" => Metric::BrayCurtis,
        "HAMMING" => Metric::Hamming,
        "JACCARD" => Metric::Jaccard,
        "TANIMOTO" => Metric::Tanimoto,
        "DICE" | "SORENSEN" | "SORENSEN-DICE" => Metric::Dice,
        _ => return None,
    })
}

/// Which combinations exist (the HTTP API's list).
fn supports(family: IndexFamily, metric: Metric, quantizer: Quantizer) -> bool {
    let main = matches!(metric, Metric::Ip | Metric::L2 | Metric::Cosine);
    let quantizer_fits = match quantizer {
        Quantizer::None => true,
        Quantizer::Sq8 => main,
        Quantizer::Pq => main && matches!(family, IndexFamily::Flat | IndexFamily::DiskAnn),
        Quantizer::RaBitQ | Quantizer::PolarVec => main && family == IndexFamily::Flat,
    };
    let metric_fits = match family {
        IndexFamily::Flat => true,
        IndexFamily::Hnsw => !metric.is_binary() && !matches!(metric, Metric::Canberra | Metric::BrayCurtis),
        IndexFamily::Ivf => main || matches!(metric, Metric::Hamming | Metric::Jaccard),
        IndexFamily::Spann | IndexFamily::DiskAnn => main,
    };
    quantizer_fits && metric_fits
}

#[cfg(test)]
mod tests;
