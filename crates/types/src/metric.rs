//! The sixteen metrics and their names.

/// How two vectors are compared. Only `Ip` is higher-is-better; for the others a lower distance is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    Ip,
    L2,
    Cosine,
    L1,
    Chebyshev,
    Canberra,
    BrayCurtis,
    Correlation,
    Hellinger,
    Wasserstein,
    JensenShannon,
    Haversine,
    Hamming,
    Jaccard,
    Tanimoto,
    Dice,
}

impl Metric {
    pub const ALL: [Self; 16] = [
        Self::Ip,
        Self::L2,
        Self::Cosine,
        Self::L1,
        Self::Chebyshev,
        Self::Canberra,
        Self::BrayCurtis,
        Self::Correlation,
        Self::Hellinger,
        Self::Wasserstein,
        Self::JensenShannon,
        Self::Haversine,
        Self::Hamming,
        Self::Jaccard,
        Self::Tanimoto,
        Self::Dice,
    ];

    /// Whether a larger score is a better one.
    pub const fn higher_is_better(self) -> bool {
        matches!(self, Self::Ip)
    }

    /// Whether elements are read as bits (set when above 0.5).
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Hamming | Self::Jaccard | Self::Tanimoto | Self::Dice)
    }

    /// The canonical lower-case name, as metrics are named outside index modes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::L1 => "l1",
            Self::Chebyshev => "chebyshev",
            Self::Canberra => "canberra",
            Self::BrayCurtis => "bray_curtis",
            Self::Correlation => "correlation",
            Self::Hellinger => "hellinger",
            Self::Wasserstein => "wasserstein",
            Self::JensenShannon => "jensen_shannon",
            Self::Haversine => "haversine",
            Self::Hamming => "hamming",
            Self::Jaccard => "jaccard",
            Self::Tanimoto => "tanimoto",
            Self::Dice => "dice",
        }
    }

    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}
