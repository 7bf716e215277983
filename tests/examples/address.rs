//! The client of a request, behind proxies, and whether anybody can pass for somebody else.

// each proves: input

use std::net::IpAddr;

use proptest::prelude::*;

use super::http_limits::address::{TrustedProxies, key_of};

/// The edge is 10.0.0.0/8 and fd00::/8; one proxy stands elsewhere.
fn proxies() -> TrustedProxies {
    TrustedProxies::parse(["10.0.0.0/8", "fd00::/8", "192.0.2.1"]).unwrap()
}

#[track_caller]
fn client(peer: &str, forwarded: &[&str]) -> String {
    let peer: IpAddr = peer.parse().unwrap();
    proxies().client(peer, forwarded.iter().copied()).to_string()
}

#[test]
fn the_rightmost_hop_that_is_none_of_ours() {
    for (peer, forwarded, expected) in [
        // Nobody between us: what they say of others is nothing to us.
        ("203.0.113.7", &[][..], "203.0.113.7"),
        ("203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
        ("203.0.113.7", &["10.0.0.1"], "203.0.113.7"),
        // One proxy, and two, in one header or in two.
        ("10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", &["203.0.113.7, 192.0.2.1"], "203.0.113.7"),
        ("10.0.0.1", &["203.0.113.7", "192.0.2.1"], "203.0.113.7"),
        ("10.0.0.1", &["203.0.113.7,192.0.2.1\t, 10.9.9.9"], "203.0.113.7"),
        // Made up by the client, each of them: names, our own proxies, headers of its own.
        ("10.0.0.1", &["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", &["10.0.0.2, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", &["198.51.100.1", "198.51.100.2", "203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", &["198.51.100.1, 10.0.0.2, 203.0.113.7, 192.0.2.1"], "203.0.113.7"),
        ("10.0.0.1", &["junk, 203.0.113.7"], "203.0.113.7"),
        // A neighbour of the proxy that stands elsewhere is no proxy.
        ("192.0.2.2", &["203.0.113.7"], "192.0.2.2"),
        ("10.0.0.1", &["203.0.113.7, 192.0.2.2"], "192.0.2.2"),
        // Inside: the proxies themselves are the clients.
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        // A malformed address counts as that of the proxy that passed it on.
        ("10.0.0.1", &[""], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.7, "], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.7, junk, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["203.0.113.7 198.51.100.1"], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113"], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.7:"], "10.0.0.1"),
        ("10.0.0.1", &["203.0.113.7:x"], "10.0.0.1"),
        ("10.0.0.1", &["[2001:db8::1"], "10.0.0.1"),
        ("10.0.0.1", &["[203.0.113.7]"], "10.0.0.1"),
        // Ports, brackets, and IPv4 in the clothes of IPv6.
        ("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7"),
        ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
        ("fd00::1", &["[2001:DB8:0::1]:4711, [fd12::3]:80"], "2001:db8::1"),
        ("::ffff:10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7"),
        ("::ffff:203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
    ] {
        assert_eq!(client(peer, forwarded), expected, "{peer} {forwarded:?}");
    }
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let key = |address: &str| key_of(address.parse().unwrap());
    assert_eq!(key("2001:db8:1:2::1"), "ip:2001:db8:1:2::/64");
    assert_eq!(key("2001:db8:1:2:ffff:ffff:ffff:ffff"), key("2001:db8:1:2::1"));
    assert_ne!(key("2001:db8:1:3::1"), key("2001:db8:1:2::1"));
    assert_eq!(key("203.0.113.7"), "ip:203.0.113.7");
    assert_ne!(key("203.0.113.8"), key("203.0.113.7"));
}

#[test]
fn networks_that_are_none() {
    for text in ["", "10", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/-1", "proxy", "/8"] {
        let error = TrustedProxies::parse([text]).unwrap_err();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
    let all = TrustedProxies::parse(["0.0.0.0/0"]).unwrap();
    assert_eq!(all.client([192, 0, 2, 9].into(), ["::1"]).to_string(), "::1");
    let none = TrustedProxies::default();
    assert_eq!(none.client([10, 0, 0, 1].into(), ["::1"]).to_string(), "10.0.0.1");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Our proxy appends where a client comes from, whatever the client sends, and that is who it is.
    #[test]
    fn nobody_passes_for_somebody_else(
        made_up in prop::collection::vec("[0-9a-f:., \\[\\]x]{0,40}|203\\.0\\.113\\.9|10\\.0\\.0\\.3", 0..4),
        real: IpAddr,
        in_own_line: bool,
    ) {
        let real = real.to_canonical();
        prop_assume!(!proxies_have(real));
        let mut lines = made_up;
        match lines.last_mut() {
            Some(line) if !in_own_line => *line = format!("{line}, {real}"),
            _ => lines.push(real.to_string()),
        }
        let client = proxies().client([10, 0, 0, 1].into(), lines.iter().map(String::as_str));
        prop_assert_eq!(client, real, "{:?}", lines);
    }
}

/// Whether a request from there would be believed.
fn proxies_have(address: IpAddr) -> bool {
    proxies().client(address, ["203.0.113.200"]) != address
}
