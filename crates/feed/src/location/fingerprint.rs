//! What a file's content is known by: a hash of it. Size and tag, which stores and file systems tell without a read, say
//! whether a file is still that one (`version`).

use super::error::LocationError;
use super::version::Version;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Bytes read at once while hashing.
const BLOCK_BYTES: usize = 1 << 20;

/// Equal fingerprints mean equal content: 128 bits, so that no two files of a node meet by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// From the XXH3-128 hash of the content.
    pub fn of_content(hash: u128) -> Self {
        Self(hash)
    }

    /// The XXH3-128 hash of the content.
    pub fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Hashes a local file, and says which version of it was hashed; a change meanwhile is an error. Reads the whole file:
/// belongs on a CPU pool. The caller keeps both, and need not hash again while a listing shows the same version.
pub fn content_fingerprint(path: &Path) -> Result<(Fingerprint, Version), LocationError> {
    let shown = path.display().to_string();
    let failed = |error| LocationError::of_file("read", &shown, error);
    let mut file = File::open(path).map_err(failed)?;
    let before = Version::of_metadata(&file.metadata().map_err(failed)?);
    let (hash, size) = hash_file(&mut file).map_err(failed)?;
    let after = Version::of_metadata(&std::fs::metadata(path).map_err(failed)?);
    match after == before && before.size == Some(size) {
        true => Ok((Fingerprint::of_content(hash), before)),
        false => Err(LocationError::Changed {
            file: shown,
            expected: before,
            found: Version::new(size, after.tag),
        }),
    }
}

/// XXH3-128 and the number of bytes from here to the end.
pub(super) fn hash_file(file: &mut File) -> std::io::Result<(u128, u64)> {
    let mut hasher = Xxh3::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut size = 0;
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok((hasher.digest128(), size)),
            Ok(read) => {
                hasher.update(&block[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
