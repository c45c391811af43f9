use super::*;

#[test]
fn requests_are_counted_by_status_and_route() {
    let metrics = Metrics::new();
    for status in [200, 200, 404, 401, 500, 429] {
        metrics.begin(3).end(Ended { status, duration: Duration::from_millis(7) });
    }
    drop(metrics.begin(3));
    let mut text = Text::default();
    of_http(&mut text, &metrics);
    let text = text.finish();
    for line in [
        "lavandin_http_requests_total 6",
        "lavandin_http_requests_by_status_total{status_class=\"2xx\"} 2",
        "lavandin_http_requests_by_status_total{status_class=\"4xx\"} 3",
        "lavandin_http_request_errors_total 4",
        "lavandin_http_request_errors_by_kind_total{kind=\"unauthorized\"} 1",
        "lavandin_http_request_errors_by_kind_total{kind=\"overloaded\"} 1",
        "lavandin_http_request_errors_by_kind_total{kind=\"handler_failure\"} 1",
        "lavandin_http_request_duration_seconds_bucket{le=\"0.005\"} 0",
        "lavandin_http_request_duration_seconds_bucket{le=\"0.01\"} 6",
        "lavandin_http_request_duration_seconds_bucket{le=\"+Inf\"} 6",
        "lavandin_http_request_duration_seconds_count 6",
        "lavandin_http_requests_in_progress 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
    }
}

#[test]
fn connections_have_a_limit() {
    let metrics = Metrics::new();
    assert!(metrics.connect(1) && !metrics.connect(1));
    metrics.disconnect();
    assert!(metrics.connect(1));
    assert_eq!(metrics.connections(), 1);
}

#[test]
fn the_text_is_well_formed() {
    let metrics = Metrics::new();
    // All of them, since several share a path.
    for index in (0..crate::routes::all().len()).chain([NO_ROUTE]) {
        metrics.begin(index).end(Ended { status: 404, duration: Duration::ZERO });
    }
    let mut text = Text::default();
    of_http(&mut text, &metrics);
    let (mut families, mut series) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for line in text.finish().lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(family.split(' ').next().unwrap().to_owned()), "{line} twice");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(series.insert(name.to_owned()), "{line}: twice");
            let name = name.split('{').next().unwrap();
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(families.contains(name) || families.contains(base), "{line} has no family");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
