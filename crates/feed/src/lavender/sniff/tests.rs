use super::*;

fn kind(bytes: &[u8]) -> Option<&'static str> {
    sniff(bytes).map(|magic| magic.extension)
}

#[test]
fn files_are_known_by_how_they_begin() {
    assert_eq!(kind(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Some("png"));
    assert_eq!(kind(b"\xff\xd8\xff\xe0\0\x10JFIF"), Some("jpg"));
    assert_eq!(kind(b"GIF89a"), Some("gif"));
    assert_eq!(kind(b"RIFF\x24\0\0\0WEBPVP8 "), Some("webp"));
    assert_eq!(kind(b"RIFF\x24\0\0\0WAVEfmt "), Some("wav"));
    assert_eq!(kind(b"RIFF\x24\0\0\0AVI LIST"), Some("avi"));
    assert_eq!(kind(b"\0\0\0\x18ftypisom\0\0\0\0"), Some("mp4"));
    assert_eq!(kind(b"\0\0\0\x18ftypqt  \0\0\0\0"), Some("mov"));
    assert_eq!(kind(b"\0\0\0\x18ftypavif\0\0\0\0"), Some("avif"));
    assert_eq!(kind(b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska"), Some("mkv"));
    assert_eq!(kind(b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm"), Some("webm"));
    assert_eq!(kind(b"ID3\x04"), Some("mp3"));
    assert_eq!(kind(b"OggS\0"), Some("ogg"));
    assert_eq!(kind(b"fLaC\0"), Some("flac"));
    assert_eq!(kind(&[&[0; 257][..], b"ustar\0"].concat()), Some("tar"));
}

#[test]
fn other_bytes_are_of_no_kind() {
    for bytes in [&b""[..], b"RIFF", b"RIFF\0\0\0\0XXXX", b"hello", b"BMW drives", b"\0\0\0\x18ft", &[0; 300]]
    {
        assert_eq!(sniff(bytes), None, "{bytes:?}");
    }
}
