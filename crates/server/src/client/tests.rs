use super::*;

fn matches(line: &str) -> Result<ArgMatches, clap::Error> {
    command().try_get_matches_from(line.split_whitespace())
}

#[test]
fn the_published_commands_and_flags_are_known() {
    for line in [
        "client version",
        "client --api-url http://h:1 --api-key la-1:s datasets list",
        "client datasets list --name n --api-key k",
        "client datasets get --id ds-1",
        "client datasets get --name n",
        "client datasets create --name n --uid-column-name id --shardset-location file:///a",
        "client datasets delete --id ds-1",
        "client shardsets get --dataset-id ds-1 --shardset-id ss-1",
        "client shardsets delete --dataset-id ds-1 --shardset-id ss-1",
        "client shardsets create --dataset-id ds-1 --location s3://b/p",
        "client shardsets sync --dataset-id ds-1 --shardset-id ss-1 --overwrite",
        "client iterations list",
        "client iterations list --dataset-id ds-1",
        "client iterations list --dataset-name n",
        "client iterations get it-1",
        "client iterations next it-1 --rank 1 --no-cache --max-retry-count 2",
        "client iterations async-next it-1 --rank -1",
        "client iterations async-result it-1 00ff",
        "client iterations complete-index it-1 5",
        "client iterations pushback it-1",
        "client iterations get-progress it-1",
    ] {
        matches(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn wrong_lines_are_refused() {
    for line in [
        "client",
        "client datasets",
        "client datasets get",
        "client datasets create --name n",
        "client shardsets create --dataset-id ds-1",
        "client iterations next",
        "client iterations next it-1 --rank x",
        "client iterations complete-index it-1 x",
        "client --timeout 0 version",
    ] {
        assert!(matches(line).is_err(), "{line}");
    }
}

#[test]
fn the_flag_wins_over_variables_and_ours_over_the_published_ones() {
    let of = |line: &str, set: &[(&str, &str)]| {
        let variable = |name: &str| {
            let found = set.iter().find(|(present, _)| *present == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let options = options(&matches(line).unwrap(), &variable);
        (options.api_url, options.api_key)
    };
    let (url, key) = of("client version", &[]);
    assert_eq!((url.as_str(), key), (DEFAULT_API_URL, None));
    let published = [("LAVENDER_DATA_API_URL", "http://p"), ("LAVENDER_DATA_API_KEY", "p")];
    assert_eq!(of("client version", &published), ("http://p".to_owned(), Some("p".to_owned())));
    let ours = [("LAVANDIN_API_URL", "http://o"), ("LAVANDIN_API_KEY", "o")];
    let both = [&published[..], &ours].concat();
    assert_eq!(of("client version", &both), ("http://o".to_owned(), Some("o".to_owned())));
    let flags = of("client --api-url http://f --api-key f version", &both);
    assert_eq!(flags, ("http://f".to_owned(), Some("f".to_owned())));
    assert_eq!(of("client version", &[("LAVANDIN_API_URL", "")]).0, DEFAULT_API_URL);
}

#[test]
fn failures_say_what_to_do() {
    let refused = ClientError::Refused { status: 401, detail: "Invalid API key".to_owned() };
    assert!(explained(refused).to_string().ends_with("--api-key id:secret or in LAVANDIN_API_KEY"));
    let missing = ClientError::Refused { status: 404, detail: "Dataset not found".to_owned() };
    assert_eq!(explained(missing).to_string(), "Dataset not found");
}
