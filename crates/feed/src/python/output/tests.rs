use super::*;
use std::io::Write;

fn logged(pieces: &[&[u8]]) -> Vec<String> {
    let now = Instant::now();
    let mut lines = Lines::new(now);
    let mut log = Vec::new();
    for piece in pieces {
        lines.add(piece, now, |line| log.push(line.to_owned()));
    }
    lines.end(|line| log.push(line.to_owned()));
    log
}

#[test]
fn lines_are_put_together() {
    assert_eq!(logged(&[b"one\ntw", b"o\r\n\n", b"rest"]), ["one", "two", "rest"]);
    assert_eq!(logged(&[b"\xff\n"]), ["\u{fffd}"]);
}

#[test]
fn long_lines_are_cut() {
    let long = vec![b'x'; 3 * LINE_BYTES_MAX];
    let log = logged(&[&long, b"y\nnext\n"]);
    assert_eq!(log.len(), 2);
    assert_eq!(log[0].len(), LINE_BYTES_MAX + "…".len());
    assert_eq!(log[1], "next");
}

#[test]
fn a_flood_is_left_out_and_counted() {
    let start = Instant::now();
    let mut lines = Lines::new(start);
    let mut log = Vec::new();
    lines.add(&b"x\n".repeat(BURST_LINES as usize + 70), start, |line| log.push(line.to_owned()));
    assert_eq!(log.len(), BURST_LINES as usize);
    let later = start + Duration::from_secs(1);
    lines.add(b"again\n", later, |line| log.push(line.to_owned()));
    assert_eq!(log[log.len() - 2..], ["(70 lines were left out: too many at once)", "again"]);
}

#[test]
fn the_end_of_what_was_printed_is_kept() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let output = Output::read(ours, 1).unwrap();
    theirs.write_all(&b"early\n".repeat(20_000)).unwrap();
    theirs.write_all(b"mark\n").unwrap();
    let moment = Duration::from_millis(50);
    let patience = Duration::from_secs(20);
    let all = output.since(0, moment, patience);
    assert!(all.ends_with("early\nmark") && all.len() <= 2 * TAIL_BYTES_MAX);
    let position = output.position();
    theirs.write_all(b"last words\n").unwrap();
    drop(theirs);
    assert_eq!(output.since(position, patience, patience), "last words");
}
