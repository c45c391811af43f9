use super::*;

fn client(url: &str, key: Option<&str>) -> Result<Client, ClientError> {
    Client::new(&ClientOptions::new(url).with_key(key.map(str::to_owned)))
}

#[test]
fn addresses_are_checked() {
    for url in ["http://127.0.0.1:7637", "https://host.example/prefix/", " http://[::1]:80 "] {
        assert!(client(url, None).is_ok(), "{url}");
    }
    for url in ["", "127.0.0.1:7637", "ftp://host", "http://", "http://host/?a=1", "file:///data"] {
        let error = client(url, None).unwrap_err();
        assert_eq!(error.code(), lavandin_types::ErrorCode::InvalidArgument, "{url}: {error}");
    }
}

#[test]
fn keys_with_an_id_go_as_basic_and_others_as_bearer() {
    let sent = |key| client("http://host", Some(key)).unwrap().authorization.unwrap();
    assert_eq!(sent("la-1:secret"), "Basic bGEtMTpzZWNyZXQ=");
    assert_eq!(sent("plain"), "Bearer plain");
    assert!(matches!(client("http://host", Some("new\nline")), Err(ClientError::Key)));
    let options = format!("{:?}", ClientOptions::new("http://host").with_key(Some("la-1:secret".to_owned())));
    let client = format!("{:?}", client("http://host", Some("la-1:secret")).unwrap());
    assert!(!options.contains("secret") && !client.contains("bGEt"), "{options} {client}");
}

#[test]
fn loopback_needs_no_proxy() {
    for (url, expected) in [
        ("http://localhost:1", true),
        ("http://127.0.0.2", true),
        ("http://[::1]", true),
        ("http://10.0.0.1", false),
    ] {
        assert_eq!(is_loopback(&address(url).unwrap()), expected, "{url}");
    }
}
