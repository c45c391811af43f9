//! Instruction sets for which there are kernels.

/// An instruction set, named as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Plain Rust; on every processor.
    Scalar,
    /// AArch64 with NEON, which is all of it.
    Neon,
    /// AVX2, FMA and F16C.
    Avx2,
    /// The same with AVX-VNNI (8-bit dot products in 256-bit registers).
    Avx2Vnni,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// The same with AVX-512 VNNI.
    Avx512Vnni,
}

impl Level {
    /// Worst first.
    pub const ALL: [Self; 6] =
        [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx2Vnni, Self::Avx512, Self::Avx512Vnni];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx2Vnni => "avx2-vnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// Whether this processor runs it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Vnni => Self::Avx2.is_supported() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_supported()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Self::Avx512.is_supported() && is_x86_feature_detected!("avx512vnni"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx2Vnni | Self::Avx512 | Self::Avx512Vnni => false,
        }
    }
}
