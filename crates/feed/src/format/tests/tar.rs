use super::*;
use crate::format::tar_index::TarIndex;

/// A tar of files, as GNU tar writes short names.
pub(super) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in members {
        member(&mut out, name, b'0', content);
    }
    out.extend_from_slice(&[0; 1024]);
    out
}

fn member(out: &mut Vec<u8>, name: &str, kind: u8, content: &[u8]) {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn samples(bytes: &[u8], declared: &[(&str, &str)]) -> Result<(Inspection, RecordBatch), FormatError> {
    let scratch = Scratch::new();
    let path = scratch.file("a.tar", bytes);
    let inspection = look(&path, &specs(declared))?;
    let batch = read_all(&path, &inspection);
    let mut walked = inspection.clone();
    walked.member_index = None;
    assert_eq!(read_all(&path, &walked), batch, "with and without the index");
    Ok((inspection, batch))
}

#[test]
fn members_of_a_key_are_a_sample() {
    let bytes = archive(&[
        ("./000.jpg", b"one image of more than twelve bytes"),
        ("./000.cls", b"7"),
        ("a.dir/001.seg.PNG", b"png"),
        ("a.dir/001.cls", b""),
        (".hidden", b"x"),
        ("__index__.x__", b"x"),
        ("README", b"x"),
        ("002.jpg", b"two"),
    ]);
    let (inspection, batch) = samples(&bytes, &[]).unwrap();
    let types = [("__key__", "string"), ("jpg", "binary"), ("cls", "binary"), ("seg.png", "binary")];
    assert_eq!(inspection.columns, specs(&types));
    assert_eq!(shown(&batch, "__key__"), ["000", "a.dir/001", "002"]);
    assert_eq!(shown(&batch, "cls"), ["37", "", "null"]);
    assert_eq!(shown(&batch, "seg.png"), ["null", "706e67", "null"]);
    let (_, batch) = samples(&bytes, &[("cls", ""), ("absent", "binary")]).unwrap();
    assert_eq!(shown(&batch, "absent"), ["null"; 3]);
}

#[test]
fn json_members_become_columns_if_all_samples_have_one() {
    let objects: [(&str, &[u8]); 4] = [
        ("0.json", b"{\"label\": 1, \"cls\": 5,\n \"text\": \"of more than twelve bytes\"}"),
        ("0.cls", b"0"),
        ("1.cls", b"1"),
        ("1.json", b"{\"label\": 2.5}"),
    ];
    let (inspection, batch) = samples(&archive(&objects), &[]).unwrap();
    let types = [
        ("__key__", "string"),
        ("json", "binary"),
        ("cls", "binary"),
        ("label", "double"),
        ("text", "string"),
    ];
    assert_eq!(inspection.columns, specs(&types));
    assert_eq!(shown(&batch, "label"), ["1.0", "2.5"]);
    assert_eq!(shown(&batch, "text"), ["of more than twelve bytes", "null"]);
    assert_eq!(shown(&batch, "cls"), ["30", "31"]);

    let (inspection, _) = samples(&archive(&objects[..3]), &[]).unwrap();
    assert_eq!(inspection.columns, specs(&types[..3]));
    let (_, batch) = samples(&archive(&objects[..3]), &[("label", ""), ("__key__", "")]).unwrap();
    assert_eq!(shown(&batch, "label"), ["1", "null"]);

    let (inspection, _) = samples(&archive(&[("0.json", b"[1]")]), &[]).unwrap();
    assert_eq!(inspection.columns.len(), 2);
    let bad = samples(&archive(&[("0.json", b"[1]")]), &[("label", "int64")]);
    assert!(matches!(bad, Err(FormatError::BadCell(cell)) if cell.place.contains("\"0\"")));
}

#[test]
fn long_names_and_pax_headers_are_followed() {
    let long = format!("{}/{}.txt", "d".repeat(90), "n".repeat(90));
    let mut bytes = Vec::new();
    member(&mut bytes, "././@LongLink", b'L', format!("{long}\0").as_bytes());
    member(&mut bytes, "ddd", b'0', b"gnu");
    member(&mut bytes, "a/", b'5', b"");
    member(&mut bytes, "pax", b'g', b"11 path=zz\n");
    let path = "päx.txt";
    let record = format!(" path={path}\n");
    let length = record.len() + 2;
    member(&mut bytes, "pax", b'x', format!("{length}{record}").as_bytes());
    member(&mut bytes, "short.txt", b'0', b"pax");
    let (_, batch) = samples(&bytes, &[]).unwrap();
    assert_eq!(shown(&batch, "__key__"), [long.strip_suffix(".txt").unwrap(), "päx"]);
    assert_eq!(shown(&batch, "txt"), ["676e75", "706178"]);
}

#[test]
fn what_is_wrong_is_named() {
    let good = archive(&[("0.txt", b"zero"), ("1.txt", b"one")]);
    let twice = samples(&archive(&[("0.txt", b"zero"), ("0.TXT", b"one")]), &[]);
    assert!(matches!(twice, Err(FormatError::Damaged { detail, .. }) if detail.contains("twice")));
    assert!(matches!(samples(&good[..700], &[]), Err(FormatError::Truncated { .. })));
    assert!(matches!(samples(&good[..1100], &[]), Err(FormatError::Truncated { .. })));
    let mut flipped = good.clone();
    flipped[2] ^= 1;
    assert!(matches!(samples(&flipped, &[]), Err(FormatError::Damaged { .. })));
    // Without the blocks of zeros at the end it is still whole.
    assert_eq!(samples(&good[..2048], &[]).unwrap().0.rows, 2);
    assert_eq!(samples(b"", &[]).unwrap().0.rows, 0);
}

#[test]
fn large_members_make_chunks_and_unwanted_ones_are_not_read() {
    let blob = vec![7; 5 << 20];
    let names: Vec<(String, String)> =
        (0..16).map(|sample| (format!("{sample:02}.bin"), format!("{sample:02}.txt"))).collect();
    let mut members: Vec<(&str, &[u8])> = Vec::new();
    for (bin, txt) in &names {
        members.push((bin, &blob));
        members.push((txt, txt.as_bytes()));
    }
    let scratch = Scratch::new();
    let path = scratch.file("large.tar", archive(&members));
    let inspection = look(&path, &[]).unwrap();
    assert_eq!(inspection.chunks.iter().map(|chunk| chunk.rows).collect::<Vec<_>>(), [7, 7, 2]);
    let mut texts = plan(&inspection);
    texts.columns = specs(&[("txt", "binary")]);
    let batch = reader(&path, &texts).unwrap().read_chunk(1).unwrap();
    assert_eq!(shown(&batch, "txt")[0], "30372e747874");
    assert!(batch.get_array_memory_size() < 1 << 16);
    let mut all = plan(&inspection);
    all.columns = specs(&[("bin", "binary")]);
    assert_eq!(reader(&path, &all).unwrap().read_chunk(2).unwrap().num_rows(), 2);
}

/// Put together by hand after docs/formats/manifest.md.
#[test]
fn index_bytes_are_those_of_the_document() {
    let scratch = Scratch::new();
    let path = scratch.file("a.tar", archive(&[("0.txt", b"zero"), ("0.cls", b"1"), ("1.txt", b"one")]));
    // Contents lie at 512, 1536 and 2560; each offset is told from the end of the one before.
    let mut expected = b"LVNDTAR1\x01\0\0\0\x02\x03txt\x03cls\x02".to_vec();
    expected.extend_from_slice(b"\x010\x02\0\x80\x08\x04\x01\xf8\x0f\x01");
    expected.extend_from_slice(b"\x011\x01\0\xfe\x0f\x03");
    let checksum = xxhash_rust::xxh3::xxh3_64(&expected);
    expected.extend_from_slice(&checksum.to_le_bytes());
    assert_eq!(look(&path, &[]).unwrap().member_index, Some(expected));
}

#[test]
fn index_bytes_that_are_not_whole_are_refused() {
    let scratch = Scratch::new();
    let path = scratch.file("a.tar", archive(&[("0.txt", b"zero"), ("0.cls", b"1"), ("1.txt", b"one")]));
    let inspection = look(&path, &[]).unwrap();
    let bytes = inspection.member_index.clone().unwrap();
    let index = TarIndex::decode(&bytes).unwrap();
    assert_eq!(index.encode(), bytes);
    assert_eq!((index.samples(), index.key(1), index.members(0).len()), (2, "1", 2));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(TarIndex::decode(&flipped).is_err());
        assert!(TarIndex::decode(&bytes[..at]).is_err());
    }
    let mut other = plan(&inspection);
    other.index = Some(Bytes::from_static(b"LVNDTAR1 nonsense"));
    assert!(matches!(reader(&path, &other), Err(FormatError::Damaged { .. })));
}
