//! The client of a request, behind proxies.
//!
//! A proxy appends the address that it was called from to `X-Forwarded-For`, behind whatever stood
//! there. So the header is as true as those who wrote it: read from the right, each hop is vouched for
//! by the one after it, as long as that is a proxy of ours. The first address that is none of ours is the
//! client. Whatever stands to the left of it the client may have made up.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The networks that our own proxies are in.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// From networks such as `10.0.0.0/8`, `fd00::/8` or `192.0.2.1`.
    pub(crate) fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        networks.into_iter().map(str::parse).collect::<Result<_, _>>().map(Self)
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client: the rightmost hop that is no proxy of ours. `peer` is the other end of the
    /// connection, `forwarded` the values of all `X-Forwarded-For` headers, in order.
    ///
    /// Where a hop makes no sense, the request is put down to the proxy that passed it on: to believe
    /// what stands left of it would be to believe anybody.
    pub(crate) fn client<'a, I>(&self, peer: IpAddr, forwarded: I) -> IpAddr
    where
        I: IntoIterator<Item = &'a str>,
        I::IntoIter: DoubleEndedIterator,
    {
        let mut hop = peer.to_canonical();
        let mut before = forwarded.into_iter().rev().flat_map(|value| value.rsplit(','));
        while self.contain(hop) {
            match before.next().and_then(address_of) {
                Some(address) => hop = address,
                None => break,
            }
        }
        hop
    }
}

/// The key that a client is counted by. An owner of one IPv6 address has 2^64 of them, so it is the network that
/// counts.
pub(crate) fn key_of(client: IpAddr) -> String {
    match client {
        IpAddr::V4(address) => format!("ip:{address}"),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("ip:{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`: proxies write all of them.
fn address_of(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim_matches([' ', '\t']);
    let address = hop.parse().ok().or_else(|| match hop.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            address.parse().ok().filter(|_| is_port).map(IpAddr::V6)
        }
        None => {
            let (address, port) = hop.split_once(':')?;
            address.parse().ok().filter(|_| is_port(port)).map(IpAddr::V4)
        }
    });
    // An IPv4 address in the clothes of an IPv6 one is one and the same client.
    address.map(|address| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An address and how many of its leading bits count.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network = address.parse::<IpAddr>().ok().and_then(|address| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
            (bits <= most).then_some(Self { address, bits })
        });
        network.ok_or_else(|| format!("{text:?} is no network, such as 10.0.0.0/8 or fd00::/8"))
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}
