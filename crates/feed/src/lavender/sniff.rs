//! What kind of file some bytes are, by how they begin, for previews.
//!
//! The table holds what datasets hold (images, sound, video, a few containers), under the endings that the original
//! server gives. A wrong guess costs a wrong name, nothing else.

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Magic {
    /// The ending of file names, such as `png`.
    pub extension: &'static str,
    pub mime: &'static str,
}

/// What must stand at which offset, in two places if one does not decide.
type Rule = (usize, &'static [u8], usize, &'static [u8], &'static str, &'static str);

#[rustfmt::skip]
const RULES: &[Rule] = &[
    (0, b"\xff\xd8\xff", 0, b"", "jpg", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", 0, b"", "png", "image/png"),
    (0, b"GIF8", 0, b"", "gif", "image/gif"),
    (0, b"RIFF", 8, b"WEBP", "webp", "image/webp"),
    (0, b"II*\0", 0, b"", "tif", "image/tiff"),
    (0, b"MM\0*", 0, b"", "tif", "image/tiff"),
    (0, b"BM", 6, b"\0\0\0\0", "bmp", "image/bmp"),
    (0, b"\0\0\x01\0", 0, b"", "ico", "image/x-icon"),
    (0, b"8BPS", 0, b"", "psd", "image/vnd.adobe.photoshop"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", 0, b"", "jpx", "image/jpx"),
    (4, b"ftypavif", 0, b"", "avif", "image/avif"),
    (4, b"ftypheic", 0, b"", "heic", "image/heic"),
    (4, b"ftypheix", 0, b"", "heic", "image/heic"),
    (4, b"ftypmif1", 0, b"", "heic", "image/heic"),
    (4, b"ftypM4A ", 0, b"", "m4a", "audio/mp4"),
    (4, b"ftypM4V ", 0, b"", "m4v", "video/x-m4v"),
    (4, b"ftypqt  ", 0, b"", "mov", "video/quicktime"),
    (4, b"ftyp3g", 0, b"", "3gp", "video/3gpp"),
    (4, b"ftyp", 0, b"", "mp4", "video/mp4"),
    (0, b"RIFF", 8, b"AVI ", "avi", "video/x-msvideo"),
    (0, b"\x1a\x45\xdf\xa3", 0, b"", "webm", "video/webm"),
    (0, b"FLV\x01", 0, b"", "flv", "video/x-flv"),
    (0, b"\0\0\x01\xba", 0, b"", "mpg", "video/mpeg"),
    (0, b"\0\0\x01\xb3", 0, b"", "mpg", "video/mpeg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, b"", "wmv", "video/x-ms-wmv"),
    (0, b"RIFF", 8, b"WAVE", "wav", "audio/x-wav"),
    (0, b"ID3", 0, b"", "mp3", "audio/mpeg"),
    (0, b"\xff\xfb", 0, b"", "mp3", "audio/mpeg"),
    (0, b"\xff\xf3", 0, b"", "mp3", "audio/mpeg"),
    (0, b"\xff\xf2", 0, b"", "mp3", "audio/mpeg"),
    (0, b"\xff\xf1", 0, b"", "aac", "audio/aac"),
    (0, b"\xff\xf9", 0, b"", "aac", "audio/aac"),
    (0, b"OggS", 0, b"", "ogg", "audio/ogg"),
    (0, b"fLaC", 0, b"", "flac", "audio/x-flac"),
    (0, b"FORM", 8, b"AIFF", "aiff", "audio/x-aiff"),
    (0, b"#!AMR\n", 0, b"", "amr", "audio/amr"),
    (0, b"MThd", 0, b"", "mid", "audio/midi"),
    (0, b"%PDF", 0, b"", "pdf", "application/pdf"),
    (0, b"PK\x03\x04", 0, b"", "zip", "application/zip"),
    (0, b"\x1f\x8b\x08", 0, b"", "gz", "application/gzip"),
    (0, b"\x28\xb5\x2f\xfd", 0, b"", "zst", "application/zstd"),
    (0, b"BZh", 0, b"", "bz2", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", 0, b"", "xz", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", 0, b"", "7z", "application/x-7z-compressed"),
    (257, b"ustar", 0, b"", "tar", "application/x-tar"),
];

/// The kind of file that `bytes` begins like.
pub fn sniff(bytes: &[u8]) -> Option<Magic> {
    let stands = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    RULES
        .iter()
        .find(|rule| stands(rule.0, rule.1) && stands(rule.2, rule.3))
        .map(|rule| Magic { extension: if is_matroska(bytes) { "mkv" } else { rule.4 }, mime: rule.5 })
}

/// WebM and Matroska begin alike; the name of the kind follows in the header.
fn is_matroska(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x1a\x45\xdf\xa3")
        && bytes[..bytes.len().min(64)].windows(8).any(|name| name == b"matroska")
}

#[cfg(test)]
mod tests;
