//! Where the members of a WebDataset tar are: found once by walking over its headers, then kept as bytes.
//!
//! A member's key is its path up to the first dot of its base name, without a leading `./`; the rest of the name, in
//! lower case, is its extension. Neighbouring members of one key are a sample. Directories, links, names without an
//! extension or of hidden files, and names `__…__` belong to no sample.
//!
//! Known headers: ustar, GNU long names, pax paths and sizes. The bytes are those of [`TarIndex::encode`]:
//! magic `LVNDTAR1`, u32 version 1, the content, XXH3-64 of all before it; integers as in docs/formats/manifest.md.

use super::FormatError;
use super::chunk_file::OpenFile;
use crate::manifest::codec::{CodecError, Reader, Writer};

const MAGIC: &[u8; 8] = b"LVNDTAR1";
const VERSION: u32 = 1;
const BLOCK: u64 = 512;
/// Headers are read in pieces of this size.
const PIECE_BYTES: u64 = 16 << 10;
const EXTENSIONS_MAX: usize = 4096;
/// A long name or a pax header beyond this is refused.
const NAME_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub extension: u32,
    pub offset: u64,
    pub bytes: u64,
}

/// The samples of a tar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TarIndex {
    pub extensions: Vec<String>,
    keys: String,
    key_ends: Vec<usize>,
    members: Vec<Member>,
    member_ends: Vec<usize>,
}

impl TarIndex {
    pub(super) fn samples(&self) -> usize {
        self.key_ends.len()
    }

    pub(super) fn key(&self, sample: usize) -> &str {
        let start = if sample == 0 { 0 } else { self.key_ends[sample - 1] };
        &self.keys[start..self.key_ends[sample]]
    }

    pub(super) fn members(&self, sample: usize) -> &[Member] {
        let start = if sample == 0 { 0 } else { self.member_ends[sample - 1] };
        &self.members[start..self.member_ends[sample]]
    }

    /// Walks over all headers of a tar.
    pub(super) fn walk(open: &OpenFile) -> Result<Self, FormatError> {
        let mut index = Self::default();
        let mut walk = Walk { open, piece: Vec::new(), piece_start: 0, at: 0 };
        while let Some(entry) = walk.entry()? {
            let Some((key, extension)) = split_name(&entry.name) else { continue };
            index.add(open.name(), key, &extension, &entry)?;
        }
        Ok(index)
    }

    fn add(&mut self, file: &str, key: &str, extension: &str, entry: &Entry) -> Result<(), FormatError> {
        let known = self.extensions.iter().position(|known| known == extension);
        let place = known.unwrap_or(self.extensions.len());
        if known.is_none() {
            if place == EXTENSIONS_MAX {
                let detail = format!("it has more than {EXTENSIONS_MAX} extensions");
                return Err(FormatError::Unsupported { file: file.to_owned(), detail });
            }
            self.extensions.push(extension.to_owned());
        }
        let extension = u32::try_from(place).expect("it is at most EXTENSIONS_MAX");
        if self.samples() == 0 || self.key(self.samples() - 1) != key {
            self.keys.push_str(key);
            self.key_ends.push(self.keys.len());
            self.member_ends.push(self.members.len());
        } else if self.members(self.samples() - 1).iter().any(|member| member.extension == extension) {
            let detail = format!("sample {key:?} has {:?} twice", entry.name);
            return Err(FormatError::damaged(file, detail));
        }
        if i32::try_from(entry.bytes).is_err() {
            return Err(FormatError::too_large(
                file,
                format!("member {:?} of {} bytes", entry.name, entry.bytes),
            ));
        }
        self.members.push(Member { extension, offset: entry.offset, bytes: entry.bytes });
        *self.member_ends.last_mut().expect("a sample was begun above") = self.members.len();
        Ok(())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::begin(MAGIC, VERSION);
        out.usize(self.extensions.len());
        self.extensions.iter().for_each(|extension| out.text(extension));
        out.usize(self.samples());
        let mut end = 0;
        for sample in 0..self.samples() {
            out.text(self.key(sample));
            let members = self.members(sample);
            out.usize(members.len());
            for member in members {
                out.u32(member.extension);
                // Members follow each other, but nothing here depends on it.
                out.i64(member.offset.wrapping_sub(end).cast_signed());
                out.u64(member.bytes);
                end = member.offset.wrapping_add(member.bytes);
            }
        }
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::begin(bytes, MAGIC, VERSION)?;
        let mut index = Self::default();
        for _ in 0..reader.length(1)? {
            index.extensions.push(reader.text()?.to_owned());
        }
        let mut end: u64 = 0;
        for _ in 0..reader.length(2)? {
            index.keys.push_str(reader.text()?);
            index.key_ends.push(index.keys.len());
            for _ in 0..reader.length(3)? {
                let extension = reader.u32()?;
                let offset = end.wrapping_add(reader.i64()?.cast_unsigned());
                let bytes = reader.u64()?;
                if extension as usize >= index.extensions.len() || i32::try_from(bytes).is_err() {
                    return Err(CodecError::Damaged { detail: "a member has no extension or no size" });
                }
                end = offset.wrapping_add(bytes);
                index.members.push(Member { extension, offset, bytes });
            }
            index.member_ends.push(index.members.len());
        }
        reader.end()?;
        Ok(index)
    }
}

/// The key and the extension that a member's name gives it.
fn split_name(name: &str) -> Option<(&str, String)> {
    let name = name.strip_prefix("./").unwrap_or(name);
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].find('.')?;
    let hidden = dot == base || (name.starts_with("__") && name.ends_with("__"));
    let extension = name[dot + 1..].to_lowercase();
    (!hidden && !extension.is_empty()).then(|| (&name[..dot], extension))
}

/// A regular file of a tar.
struct Entry {
    name: String,
    offset: u64,
    bytes: u64,
}

struct Walk<'a> {
    open: &'a OpenFile,
    piece: Vec<u8>,
    piece_start: u64,
    at: u64,
}

impl Walk<'_> {
    /// The next regular file; `None` at the end of the archive.
    fn entry(&mut self) -> Result<Option<Entry>, FormatError> {
        let (mut long_name, mut long_size) = (None, None);
        while let Some(header) = self.header()? {
            let data = self.at;
            let bytes = long_size.filter(|_| header.kind.is_file()).unwrap_or(header.bytes);
            // Members fill whole blocks.
            let end = bytes.checked_next_multiple_of(BLOCK).and_then(|bytes| bytes.checked_add(data));
            self.at = end.filter(|end| *end <= self.open.bytes()).ok_or_else(|| {
                let detail = format!("member {:?} ends beyond it", header.name);
                FormatError::truncated(self.open.name(), detail)
            })?;
            match header.kind {
                Kind::File => {
                    let name = long_name.unwrap_or(header.name);
                    return Ok(Some(Entry { name, offset: data, bytes }));
                }
                Kind::LongName => {
                    let name = self.extra(data, bytes)?;
                    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                    long_name = Some(String::from_utf8_lossy(&name[..end]).into_owned());
                }
                Kind::Pax => {
                    let (name, size) = pax(&self.extra(data, bytes)?);
                    long_name = name.or(long_name);
                    long_size = size.or(long_size);
                }
                Kind::Sparse => {
                    let detail = format!("member {:?} is a sparse file", header.name);
                    return Err(FormatError::Unsupported { file: self.open.name().to_owned(), detail });
                }
                Kind::Other => (long_name, long_size) = (None, None),
            }
        }
        Ok(None)
    }

    fn extra(&self, offset: u64, bytes: u64) -> Result<Vec<u8>, FormatError> {
        match bytes <= NAME_BYTES_MAX {
            true => self.open.read(offset, bytes),
            false => Err(FormatError::too_large(self.open.name(), format!("a header of {bytes} bytes"))),
        }
    }

    /// The header at the current place, which moves past it.
    fn header(&mut self) -> Result<Option<Header>, FormatError> {
        // An archive without its closing blocks of zeros is whole if it ends between members.
        if self.at >= self.open.bytes() {
            return Ok(None);
        }
        if self.at + BLOCK > self.open.bytes() {
            return Err(FormatError::truncated(self.open.name(), "it ends within a header"));
        }
        if self.at < self.piece_start || self.at + BLOCK > self.piece_start + self.piece.len() as u64 {
            self.piece = self.open.read_up_to(self.at, PIECE_BYTES)?;
            self.piece_start = self.at;
        }
        let start = usize::try_from(self.at - self.piece_start).expect("it lies within the piece");
        let block = &self.piece[start..start + BLOCK as usize];
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::parse(block).ok_or_else(|| {
            FormatError::damaged(
                self.open.name(),
                format!("there is no header of a member at byte {}", self.at),
            )
        })?;
        self.at += BLOCK;
        Ok(Some(header))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    LongName,
    Pax,
    Sparse,
    Other,
}

impl Kind {
    fn is_file(self) -> bool {
        self == Self::File
    }
}

struct Header {
    name: String,
    bytes: u64,
    kind: Kind,
}

impl Header {
    fn parse(block: &[u8]) -> Option<Self> {
        let stated = octal(&block[148..156])?;
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let field: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
        if sum - field + 8 * u64::from(b' ') != stated {
            return None;
        }
        let kind = match block[156] {
            b'0' | 0 | b'7' => Kind::File,
            b'L' => Kind::LongName,
            b'x' => Kind::Pax,
            b'S' => Kind::Sparse,
            _ => Kind::Other,
        };
        let mut name = until_zero(&block[..100]);
        let prefix = until_zero(&block[345..500]);
        // GNU headers (`ustar` and a space) hold times where others hold the prefix.
        if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
            name = format!("{prefix}/{name}");
        }
        Some(Self { name, bytes: size(&block[124..136])?, kind })
    }
}

fn until_zero(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c| c == ' ' || c == '\0');
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// A size in octal digits, or in binary where the first bit is set.
fn size(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 == 0 {
        return octal(field);
    }
    let (high, low) = field.split_at(4);
    let low: [u8; 8] = low.try_into().ok()?;
    (high == [0x80, 0, 0, 0]).then(|| u64::from_be_bytes(low))
}

/// Path and size of a pax header: records `length key=value\n`.
fn pax(mut records: &[u8]) -> (Option<String>, Option<u64>) {
    let (mut name, mut bytes) = (None, None);
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&records[..space]).ok().and_then(|text| text.parse::<usize>().ok());
        let Some(record) = length.and_then(|length| records.get(space + 1..length)) else { break };
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        if let Some(path) = record.strip_prefix(b"path=") {
            name = Some(String::from_utf8_lossy(path).into_owned());
        }
        if let Some(size) = record.strip_prefix(b"size=") {
            bytes = std::str::from_utf8(size).ok().and_then(|text| text.parse().ok());
        }
        records = &records[length.unwrap_or(records.len())..];
    }
    (name, bytes)
}
