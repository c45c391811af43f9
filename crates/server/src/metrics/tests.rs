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

/// The names of metrics in a text, without the endings of a histogram's series.
fn names_in(text: &str) -> std::collections::BTreeSet<String> {
    let pieces = text.split("lavandin_").skip(1);
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    let names = pieces.map(|piece| piece.split(|c: char| !is_name(c)).next().unwrap_or_default());
    names.map(|name| name.trim_end_matches("_bucket").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_watch_metrics_that_there_are() {
    use crate::accept::tests::{ask, config};
    let folder = tempfile::tempdir().unwrap();
    let running = crate::run::start(config(folder.path(), &[])).await.unwrap();
    let body = r#"{"database_name":"db"}"#;
    let head = "POST /create_database HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length";
    assert!(ask(&running, &format!("{head}: {}\r\n\r\n{body}", body.len())).await.contains("200 OK"));
    let text = exposition(&running.app);
    running.stop().await.unwrap();
    let alerts = include_str!("../../../../packaging/alerts.yml");
    let document = include_str!("../../../../docs/operations.md");
    let watched = names_in(alerts);
    assert!(watched.len() >= 10, "{watched:?}");
    for name in watched {
        assert!(text.contains(&format!("# TYPE lavandin_{name} ")), "no metric {name}");
        assert!(document.contains(&format!("`{name}")), "docs/operations.md lacks {name}");
    }
    let rules: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    for rule in &rules {
        assert!(document.contains(&format!("`{rule}`")), "docs/operations.md lacks {rule}");
    }
    let documented = document.split('`').filter(|word| {
        word.strip_prefix("Lavandin")
            .is_some_and(|rest| rest.chars().all(char::is_alphabetic) && !rest.is_empty())
    });
    for rule in documented {
        assert!(rules.contains(&rule), "packaging/alerts.yml lacks {rule}");
    }
}

#[test]
fn labels_of_the_cluster_cannot_break_the_text() {
    let group = lavandin_node::GroupStatus { name: "a\"b\\c\nd".to_owned(), ..Default::default() };
    let status = lavandin_node::ClusterStatus {
        cluster: Some(String::new()),
        shard_groups: vec![group],
        ..Default::default()
    };
    let mut text = Text::default();
    cluster::of_cluster(&mut text, &status);
    let text = text.finish();
    assert!(text.contains("lavandin_group_in_sync{group=\"a\\\"b\\\\c\\nd\"} 0\n"), "{text}");
    assert!(!text.contains("lavandin_group_writable{"), "what is not known is not told: {text}");
}
