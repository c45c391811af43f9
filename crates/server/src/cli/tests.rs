use super::*;

fn asked(line: &str) -> Result<Asked> {
    asked_with(line, &|_| None)
}

fn asked_with(line: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Asked> {
    parse(line.split_whitespace().map(OsString::from).collect(), variable)
}

fn config(line: &str) -> ServerConfig {
    match asked(line).unwrap() {
        Asked::Serve(config) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn serve_has_several_names() {
    for line in ["lavandin", "lavandin serve", "lavandin run", "lavandin server run", "lavandin --port 7637"]
    {
        assert_eq!(config(line).port, 7637, "{line}");
    }
}

#[test]
fn the_flags_of_the_reference_are_known() {
    let config = config(
        "lavandin run --root d --host 0.0.0.0 --port 9001 --api-key k --workers 3 --keep-alive-secs 60 \
         --request-timeout-secs 120 --json-limit-mb 64 --payload-limit-mb 128 --slow-query-warn-ms 0 --max-top-k 12 \
         --max-batch-vectors 34 --max-collection-vectors 56 --max-collection-vector-bytes 78 --no-audit-log \
         --durability os --role shard",
    );
    assert_eq!(config.data_dir.to_str(), Some("d"));
    assert_eq!((config.workers, config.top_k_max, config.batch_vectors_max), (Some(3), 12, 34));
    assert_eq!((config.collection_vectors_max, config.collection_vector_bytes_max), (56, 78));
    assert_eq!((config.audit_log, config.slow_query), (false, None));
    assert_eq!(config.api_key.as_deref(), Some("k"));
}

#[test]
fn switches_take_a_value_or_none() {
    assert!(config("lavandin serve --audit-log").audit_log);
    assert!(!config("lavandin serve --audit-log=false --port 1").audit_log);
}

#[test]
fn a_coordinator_wants_to_know_its_cluster() {
    let variable = |name: &str| (name == "LYNSE_ROLE").then(|| "coordinator".to_owned());
    for asked in [asked("lavandin serve --role coordinator"), asked_with("lavandin serve", &variable)] {
        let error = asked.unwrap_err().to_string();
        let documented =
            "Pass --cluster-config, or pass --metadata-owners explicitly when no config is available.";
        assert!(error.ends_with(documented), "{error}");
    }
    assert!(config("lavandin serve --role coordinator --metadata-owners http://a:1").is_coordinator());
    assert!(!config("lavandin serve --role shard").is_coordinator());
}

#[test]
fn settings_of_the_coordinator_are_not_ignored_silently() {
    let of_coordinator: Vec<_> = SETTINGS.iter().filter(|setting| setting.of_coordinator).collect();
    assert!(of_coordinator.len() >= 10);
    for setting in of_coordinator {
        let flag = format!("--{} is a flag of coordinators; add --role coordinator", setting.flag);
        for role in ["", "--role shard"] {
            let error = asked(&format!("lavandin serve {role} --{} 5", setting.flag)).unwrap_err();
            assert!(error.to_string().starts_with(&flag), "{error}");
        }
        for name in setting.variables {
            let variable = |asked: &str| (asked == *name).then(|| "5".to_owned());
            let Ok(Asked::Serve(config)) = asked_with("lavandin serve", &variable) else { panic!("{name}") };
            assert_eq!(config.ignored_variables, [*name]);
        }
    }
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), "cluster_state = 's.json'\n").unwrap();
    let error = asked(&format!("lavandin serve --config {}", file.path().display())).unwrap_err();
    assert!(error.to_string().contains("cluster_state is a setting of coordinators"), "{error}");
}

/// The variables of an env file of Lavender Data's cluster.
fn of_cluster(changed: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
    move |name: &str| {
        let text = match name {
            _ if name == changed => value,
            "LAVENDER_DATA_CLUSTER_ENABLED" => "true",
            "LAVENDER_DATA_CLUSTER_SECRET" => "s",
            "LAVENDER_DATA_CLUSTER_HEAD_URL" => "http://10.0.0.1:8000/",
            "LAVENDER_DATA_CLUSTER_NODE_URL" => "http://10.0.0.2:8000",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

#[test]
fn the_variables_of_a_head_count_where_the_cluster_is_enabled() {
    let serve = |changed, value| match asked_with("lavandin serve", &of_cluster(changed, value)) {
        Ok(Asked::Serve(config)) => Ok(config),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(format!("{error:#}")),
    };
    let config = serve("", "").unwrap();
    let settings = &config.cluster.settings;
    let head = settings.head.as_ref().unwrap();
    assert_eq!((head.uri.as_str(), head.copies), ("http://10.0.0.1:8000", 2));
    assert_eq!(head.join_wait, Some(std::time::Duration::from_secs(10)));
    assert_eq!(settings.advertised.as_deref(), Some("http://10.0.0.2:8000"));
    assert!(matches!(settings.trust, lavandin_peer::Trust::Secret(_)));
    assert_eq!(config.host, "0.0.0.0", "others reach it from elsewhere");
    for off in ["false", "0", ""] {
        let config = serve("LAVENDER_DATA_CLUSTER_ENABLED", off).unwrap();
        let settings = &config.cluster.settings;
        assert!(settings.head.is_none() && settings.advertised.is_none(), "{off:?}");
        assert!(matches!(settings.trust, lavandin_peer::Trust::Loopback));
        assert_eq!((config.host.as_str(), config.ignored_variables.len()), ("127.0.0.1", 0));
    }
    for variable in ["SECRET", "HEAD_URL", "NODE_URL"].map(|end| format!("LAVENDER_DATA_CLUSTER_{end}")) {
        let error = serve(String::leak(variable.clone()), "").unwrap_err();
        assert!(error.contains(&format!("{variable} is empty: set it")), "{error}");
    }
    let error = serve("LAVENDER_DATA_CLUSTER_ENABLED", "perhaps").unwrap_err();
    assert!(error.contains("neither true nor false"), "{error}");
    let head = "lavandin serve --head-url http://a:1 --advertise http://a:1";
    assert!(asked(&format!("{head} --health-failures 2 --min-insync 2")).is_ok());
    assert!(asked(&format!("{head} --cluster-state x")).is_err());
    let coordinator = "lavandin serve --role coordinator --metadata-owners http://a:1";
    let Ok(Asked::Serve(config)) = asked_with(coordinator, &of_cluster("", "")) else { panic!() };
    assert!(config.cluster.settings.head.is_none());
    assert_eq!(config.ignored_variables, ["LAVENDER_DATA_CLUSTER_ENABLED"]);
}

#[test]
fn an_env_file_stands_in_for_variables_that_are_not_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "LAVENDER_DATA_PORT=1\nLAVANDIN_HOST=file # a comment\nAWS_REGION='eu # 1'\nLYNSE_WORKERS=\n";
    std::fs::write(file.path(), text).unwrap();
    let of = |flags: &str, set: &[(&str, &str)]| {
        let variable =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let line = format!("lavandin serve --env-file {} {flags}", file.path().display());
        match asked_with(&line, &variable).unwrap() {
            Asked::Serve(config) => (config.port, config.host.clone(), config.env_file.clone()),
            other => panic!("{other:?}"),
        }
    };
    let (port, host, kept) = of("", &[]);
    assert_eq!((port, host.as_str()), (1, "file"));
    assert_eq!(kept.get("AWS_REGION").map(String::as_str), Some("eu # 1"));
    assert_eq!(of("", &[("LAVENDER_DATA_PORT", "2")]).0, 2, "the environment wins over the file");
    assert_eq!(of("", &[("LAVENDER_DATA_PORT", "")]).0, 1, "an empty variable is unset");
    assert_eq!(of("", &[("LAVANDIN_PORT", "3")]).0, 3);
    assert_eq!(of("--port 4", &[("LAVANDIN_PORT", "3")]).0, 4);
    assert_eq!(of("", &[("LYNSE_HOST", "other")]).1, "file", "the order of names counts before the place");
}

#[test]
fn a_test_may_raise_the_protocols() {
    let config = |text: &'static str| match asked_with("serve", &move |name| {
        (name == "LAVANDIN_TEST_PROTOCOLS").then(|| text.to_owned())
    }) {
        Ok(Asked::Serve(config)) => Ok(config.cluster.settings.protocols),
        Ok(_) => panic!("another command"),
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(config("").unwrap(), lavandin_peer::PROTOCOLS);
    let raised = config("1-2").unwrap();
    assert_eq!((raised.lowest, raised.highest), (1, 2));
    for wrong in ["2", "2-1", "0-1", "1-", "a-b", "1-70000"] {
        assert!(config(wrong).unwrap_err().contains("two numbers such as 1-2"), "{wrong}");
    }
}

#[test]
fn checking_prints_the_configuration() {
    let Asked::Print(text) = asked("lavandin serve --port 9 --api-key secret --check-config").unwrap() else {
        panic!("it would have served");
    };
    assert!(
        text.starts_with("the configuration is valid\n") && text.contains("port = 9  # --port"),
        "{text}"
    );
    assert!(!text.contains("secret"));
}

#[test]
fn the_quickstart_has_its_own_flags() {
    let Asked::Quickstart(options) = asked("lavandin quickstart --data-dir q --port 0 --exit").unwrap()
    else {
        panic!("not a quickstart");
    };
    assert_eq!((options.data_dir, options.port, options.exit), (Some(PathBuf::from("q")), 0, true));
}

#[test]
fn wrong_lines_are_refused() {
    for line in
        ["lavandin serve --prot 1", "lavandin frobnicate", "lavandin serve --port", "lavandin serve --port x"]
    {
        assert!(asked(line).is_err(), "{line}");
    }
    assert!(
        matches!(asked("lavandin version").unwrap(), Asked::Print(text) if text.starts_with("lavandin 0."))
    );
}
