use super::*;
use std::net::Ipv4Addr;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_process_knows_its_own_address() {
    assert!(is_own("http://127.0.0.1:7638", at("127.0.0.1:7638")).await);
    assert!(is_own("http://127.0.0.1:7638", at("0.0.0.0:7638")).await);
    assert!(is_own("http://localhost:7638/", at("127.0.0.1:7638")).await);
    assert!(!is_own("http://127.0.0.1:7638", at("127.0.0.1:7639")).await, "another process of this machine");
    assert!(!is_own("http://127.0.0.1:7638", at("127.0.0.2:7638")).await);
    assert!(!is_own("nowhere", at("127.0.0.1:7638")).await);
}

#[test]
fn an_address_of_another_machine_is_not_here() {
    // Of a block that is reserved for documentation.
    let elsewhere = IpAddr::from([192, 0, 2, 1]);
    assert!(!is_here(elsewhere, Ipv4Addr::UNSPECIFIED.into()));
    assert!(is_here(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into()));
}
