use super::*;

#[test]
fn the_text_is_echoed_and_the_parts_are_read() {
    let mode = IndexMode::parse("hnsw-cosine-sq8").unwrap();
    assert_eq!(mode.as_str(), "hnsw-cosine-sq8");
    assert_eq!(
        (mode.family, mode.metric, mode.quantizer),
        (IndexFamily::Hnsw, Metric::Cosine, Quantizer::Sq8)
    );
    assert!(mode.wants_graph());
}

#[test]
fn names_with_dashes_are_one_metric() {
    for (text, metric) in [
        ("FLAT-JENSEN-SHANNON", Metric::JensenShannon),
        ("FLAT-BRAY-CURTIS", Metric::BrayCurtis),
        ("FLAT-SORENSEN-DICE-BINARY", Metric::Dice),
        ("HNSW-WASSERSTEIN-1D", Metric::Wasserstein),
    ] {
        assert_eq!(IndexMode::parse(text).unwrap().metric, metric, "{text}");
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    for text in
        ["", "HNSW", "FLAT-", "FOO-L2", "FLAT-FOO", "HNSW-HAMMING", "IVF-L1", "SPANN-L2-PQ", "FLAT-L1-SQ8"]
    {
        assert!(IndexMode::parse(text).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn refusals_say_why() {
    let said = |text: &str| IndexMode::parse(text).unwrap_err().to_string();
    let unsupported = said("hnsw-hamming");
    assert_eq!(
        unsupported,
        "unsupported index/metric combination \"hnsw-hamming\": HNSW does not take HAMMING"
    );
    assert!(said("HNSW").contains("names no metric") && said("FOO-L2").contains("unknown index mode"));
}
