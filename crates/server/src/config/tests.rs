use super::*;
use std::io::Write;

pub(super) struct Case {
    command_line: BTreeMap<&'static str, String>,
    variables: Vec<(&'static str, &'static str)>,
    file: Option<tempfile::NamedTempFile>,
}

pub(super) fn case() -> Case {
    Case { command_line: BTreeMap::new(), variables: Vec::new(), file: None }
}

impl Case {
    pub(super) fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.command_line.insert(key, value.to_owned());
        self
    }

    pub(super) fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    pub(super) fn file(mut self, ending: &str, text: &str) -> Self {
        let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.file = Some(file);
        self
    }

    fn resolve(&self) -> Result<Resolved> {
        let variable = |name: &str| {
            self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Resolved::gather(&Sources {
            command_line: &self.command_line,
            variable: &variable,
            file: self.file.as_ref().map(|file| file.path()),
        })
    }

    pub(super) fn config(&self) -> ServerConfig {
        self.resolve().unwrap().into_config(false).unwrap()
    }

    pub(super) fn error(&self) -> String {
        format!("{:#}", self.resolve().and_then(|resolved| resolved.into_config(false)).unwrap_err())
    }
}

#[test]
fn defaults_are_those_of_the_reference() {
    let config = case().config();
    assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 7637));
    assert_eq!((config.json_bytes_max, config.payload_bytes_max), (256 << 20, 512 << 20));
    assert_eq!((config.top_k_max, config.batch_vectors_max), (10_000, 100_000));
    assert_eq!(config.collection_vector_bytes_max, 1 << 40);
    assert_eq!(config.slow_query, Some(Duration::from_secs(1)));
    assert_eq!((config.keep_alive.as_secs(), config.request_timeout.as_secs()), (75, 300));
    assert!(config.audit_log && config.api_key.is_none());
    assert_eq!((config.durability, config.log_format), (Durability::Fsync, LogFormat::Json));
}

#[test]
fn the_nearer_source_wins() {
    let text = "port = 9002\njson_limit_mb = 64\n";
    let with_file = || case().file(".toml", text);
    assert_eq!(with_file().config().port, 9002);
    assert_eq!(with_file().variable("PORT", "1").config().port, 1);
    assert_eq!(with_file().variable("PORT", "1").variable("LYNSE_PORT", "2").config().port, 2);
    let all = || with_file().variable("LYNSE_PORT", "2").variable("LAVANDIN_PORT", "3");
    assert_eq!(all().config().port, 3);
    assert_eq!(all().flag("port", "4").config().port, 4);
    assert_eq!(all().config().json_bytes_max, 64 << 20);
    assert_eq!(with_file().variable("LAVANDIN_PORT", "").config().port, 9002, "an empty variable is unset");
}

#[test]
fn variables_of_lavender_data_are_the_last_resort() {
    let theirs = || case().file(".toml", "port = 1\nhost = 'f'\n").variable("LAVENDER_DATA_PORT", "2");
    assert_eq!(theirs().config().port, 2, "before the file");
    assert_eq!(theirs().config().host, "f");
    assert_eq!(theirs().variable("LYNSE_PORT", "3").config().port, 3);
    assert_eq!(theirs().variable("LAVANDIN_PORT", "4").config().port, 4);
    assert_eq!(theirs().flag("port", "5").config().port, 5);
    let config = case()
        .variable("LAVENDER_DATA_HOST", "0.0.0.0")
        .variable("LAVENDER_DATA_DISABLE_AUTH", "True")
        .variable("LAVENDER_DATA_LOG_LEVEL", "INFO")
        .variable("LAVENDER_DATA_LOG_FILE", "logs/a.log")
        .variable("LAVENDER_DATA_MODULES_DIR", "m")
        .variable("LAVENDER_DATA_MODULES_RELOAD_INTERVAL", "0")
        .variable("LAVENDER_DATA_NUM_WORKERS", "3")
        .variable("LAVENDER_DATA_READER_DISK_CACHE_SIZE", "1024")
        .config();
    assert_eq!((config.host.as_str(), config.disable_auth), ("0.0.0.0", true));
    assert_eq!(
        (config.log_level.as_str(), config.log_file.as_deref()),
        ("INFO", Some(Path::new("logs/a.log")))
    );
    let datasets = config.datasets;
    assert_eq!(datasets.modules_dir.as_deref(), Some(Path::new("m")));
    assert_eq!((datasets.modules_reload_interval, datasets.python_workers), (None, Some(3)));
    assert_eq!(datasets.shard_cache_bytes_max, 1024);
}

#[test]
fn an_sqlite_url_names_the_data_directory_beside_it() {
    let url = |url| case().variable("LAVENDER_DATA_DB_URL", url);
    assert_eq!(url("sqlite:///head.db").config().data_dir, Path::new("head.db.d"));
    assert_eq!(url("sqlite:////var/head.db").config().data_dir, Path::new("/var/head.db.d"));
    assert_eq!(url("sqlite:///head.db").variable("LYNSE_DATA_DIR", "d").config().data_dir, Path::new("d"));
    for wrong in ["postgresql://u@h/db", "sqlite://", "sqlite:///", "head.db"] {
        let error = url(wrong).resolve().unwrap().into_config(false).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the variable LAVENDER_DATA_DB_URL is {wrong:?}")), "{error}");
    }
}

#[test]
fn the_dataset_wing_has_defaults_and_lists_of_roots() {
    let datasets = case().config().datasets;
    assert_eq!((datasets.python.as_str(), datasets.python_workers), ("python3", None));
    assert_eq!(datasets.modules_reload_interval, Some(Duration::from_secs(10)));
    assert_eq!((datasets.memory_bytes_max, datasets.shard_cache_bytes_max), (1 << 30, 4 << 30));
    assert!(datasets.file_roots.is_empty() && datasets.modules_dir.is_none());
    let roots = [Path::new("/a,1"), Path::new("/b")];
    for case in [
        case().flag("file_roots", "/a,1:/b"),
        case().file(".toml", "file_roots = ['/a,1', '/b']\n"),
        case().file(".json", r#"{"file-roots": ["/a,1", "/b"]}"#),
    ] {
        assert_eq!(case.config().datasets.file_roots, roots);
    }
}

#[test]
fn the_three_formats_say_the_same() {
    for (ending, text) in [
        (".toml", "[server]\nhost = \"0.0.0.0\"\nport = 9003\naudit-log = false\ndata_dir = 'd'\n"),
        (
            ".json",
            r#"{"server":{"host":"0.0.0.0","port":9003,"audit_log":false},"data_dir":"d","api_key":null}"#,
        ),
        (".ini", "[server]\n# c\nhost = 0.0.0.0\nport: 9003\n; c\naudit_log = no\ndata_dir = d\n"),
        (".whatever", "[server]\nhost = 0.0.0.0\nport = 9003\naudit_log = off\ndata_dir = d\n"),
    ] {
        let config = case().file(ending, text).config();
        assert_eq!(
            (config.host.as_str(), config.port, config.audit_log),
            ("0.0.0.0", 9003, false),
            "{ending}"
        );
        assert_eq!(config.data_dir, Path::new("d"), "{ending}");
    }
}

#[test]
fn mistakes_are_named_with_their_source() {
    for (case, words) in [
        (
            case().variable("LYNSE_PORT", "x"),
            "the variable LYNSE_PORT: port is \"x\": expected an integer from 0",
        ),
        (case().flag("port", "65536"), "--port: port is \"65536\": expected an integer from 0 to 65535"),
        (case().flag("workers", "0"), "expected an integer from 1"),
        (case().flag("durability", "maybe"), "expected one of fsync, os"),
        (case().file(".toml", "prot = 1\n"), "unknown key \"prot\"; did you mean \"port\"?"),
        (case().file(".json", r#"{"server":{"max_topk":1}}"#), "did you mean \"max_top_k\"?"),
        (case().file(".ini", "[serve]\nport = 1\n"), "line 1: unknown section [serve]"),
        (case().file(".ini", "[server]\nport\n"), "line 2: expected key = value, found \"port\""),
        (case().file(".toml", "port = \n"), "it is no TOML"),
        (case().file(".json", "[1]"), "expected a JSON object"),
        (case().file(".toml", "audit_log = \"perhaps\"\n"), "expected true or false"),
    ] {
        let error = case.error();
        assert!(error.contains(words), "{error}\n  lacks {words}");
    }
    let mut missing = case();
    missing.command_line.clear();
    let error = Resolved::gather(&Sources {
        command_line: &missing.command_line,
        variable: &|_| None,
        file: Some(Path::new("no-such-file.toml")),
    });
    assert!(
        format!("{:#}", error.unwrap_err()).contains("cannot read the configuration file no-such-file.toml")
    );
}

#[test]
fn the_listing_hides_secrets() {
    let listing = case().flag("api_key", "sesame").variable("LYNSE_HOST", "h").resolve().unwrap().listing();
    assert!(!listing.contains("sesame"));
    assert!(listing.contains("api_key = (hidden)  # --api-key\n"), "{listing}");
    assert!(listing.contains("host = h  # the variable LYNSE_HOST\n"));
    assert!(listing.contains("port = 7637  # the default\n"));
}

#[test]
fn settings_are_well_formed() {
    let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), SETTINGS.len(), "two settings share a key");
    for setting in SETTINGS {
        assert_eq!(setting.key.replace('_', "-"), setting.flag);
        // The database of Lavender Data is none of ours.
        let first = if setting.key == "database_url" { "LAVENDER_DATA_" } else { "LAVANDIN_" };
        assert!(setting.variables[0].starts_with(first), "{}", setting.key);
        if let Some(default) = setting.default {
            setting.kind.check(default).unwrap();
        }
    }
}
