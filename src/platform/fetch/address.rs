//! Which addresses and URLs may be asked: the public internet, on the web's ports. Must not know HTTP.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890, as of 2025), and the IANA IPv6
//! global unicast assignments (only 2000::/3 is assigned). Odd spellings of IPv4 (octal, hexadecimal, one number) are
//! read by the `url` crate as browsers read them (WHATWG URL, "IPv4 parser"), so that they arrive here as addresses.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

use url::{Host, Url};

use super::Error;

/// Ports that web servers of the public are found on.
pub const PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Special IPv4 networks: none of them is asked.
const SPECIAL_V4: [(Ipv4Addr, u8); 19] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // shared (carrier-grade NAT; some clouds' metadata)
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // a cloud's metadata on a public address (Azure's wire server)
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local (metadata)
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // IETF protocols
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24),  // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24),  // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(192, 175, 48, 0), 24),  // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, broadcast
];

/// All of IPv6 that is in use by the public.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Special IPv6 networks within it. What lies outside of it (`::1`, `::ffff:0:0/96` mapped, `64:ff9b::/96` and
/// `64:ff9b:1::/48` NAT64, `100::/64` discard, `5f00::/16`, `fc00::/7` private, `fe80::/10` link-local, `ff00::/8`
/// multicast) is refused as a whole.
const SPECIAL_V6: [(Ipv6Addr, u8); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // IETF protocols: Teredo, ORCHID, benchmarks, AS112
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether an address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| holds_v4(*network, address)),
        IpAddr::V6(address) => {
            holds_v6(GLOBAL_V6, address)
                && !SPECIAL_V6.iter().any(|network| holds_v6(*network, address))
        }
    }
}

fn holds_v4((network, length): (Ipv4Addr, u8), address: Ipv4Addr) -> bool {
    (network.to_bits() ^ address.to_bits())
        .checked_shr(32 - u32::from(length))
        .unwrap_or(0)
        == 0
}

fn holds_v6((network, length): (Ipv6Addr, u8), address: Ipv6Addr) -> bool {
    (network.to_bits() ^ address.to_bits())
        .checked_shr(128 - u32::from(length))
        .unwrap_or(0)
        == 0
}

/// Whether an address is one of this machine's own, which may be public: packets to it would leave from itself. No packet
/// is sent to find out.
pub fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, PORTS[0]))?;
        socket.local_addr()
    };
    source().is_ok_and(|source| source.ip() == address)
}

/// What besides the public may be asked.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    /// Ports on the loopback addresses, for tests that run a server of their own. Nothing in the environment or in the
    /// settings fills this.
    pub loopback_ports: Vec<u16>,
    /// What names lead to, for tests that need names of their own; other names are resolved.
    pub names: HashMap<String, Vec<IpAddr>>,
}

impl Allowance {
    /// Whether this address may be connected to on this port.
    pub fn permits(&self, address: IpAddr, port: u16) -> bool {
        let loopback = address.is_loopback() && self.loopback_ports.contains(&port);
        loopback || (is_public(address) && PORTS.contains(&port) && !is_own(address))
    }

    /// Whether a name may lead to this address; its port was checked before, and is not known any more.
    pub fn permits_host(&self, address: IpAddr) -> bool {
        let loopback = address.is_loopback() && !self.loopback_ports.is_empty();
        loopback || (is_public(address) && !is_own(address))
    }

    /// Holds a URL against the rules that need no name resolved; gives its host (without brackets) and port.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn check(&self, url: &Url) -> Result<(String, u16), Error> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Refused("only http and https are fetched"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Refused(
                "an address with a user name or password is not fetched",
            ));
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !PORTS.contains(&port) && !self.loopback_ports.contains(&port) {
            return Err(Error::Refused(
                "only the web's usual ports are fetched from",
            ));
        }
        let not_public = Err(Error::Refused("only public addresses are fetched from"));
        match url.host() {
            Some(Host::Ipv4(address)) if !self.permits(address.into(), port) => not_public,
            Some(Host::Ipv6(address)) if !self.permits(address.into(), port) => not_public,
            Some(Host::Domain("")) | None => {
                Err(Error::Refused("an address without a host is not fetched"))
            }
            Some(host) => Ok((host.to_string().trim_matches(['[', ']']).to_owned(), port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(url: &str) -> Result<(String, u16), Error> {
        Allowance::default().check(&Url::parse(url).expect("a URL"))
    }

    #[test]
    fn s22_special_addresses_are_refused_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "0",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "169.254.169.254",
            "0xa9fea9fe",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[100::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::]",
            "[3fff::1]",
            "[5f00::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "１２７.0.0.1",
        ] {
            let refused = check(&format!("http://{host}/"));
            assert!(
                matches!(refused, Err(Error::Refused(_))),
                "{host} gave {refused:?}"
            );
        }
    }

    #[test]
    fn s22_the_public_is_let_through_and_its_neighbours_are_exact() {
        for host in [
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[2a00::1]",
            "[2001:200::1]",
            "[2001:db7::1]",
            "example.org",
        ] {
            assert!(check(&format!("https://{host}/")).is_ok(), "{host}");
        }
    }

    #[test]
    fn s22_only_the_webs_schemes_and_ports_without_credentials() {
        for url in [
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://example.org/",
            "data:text/html,x",
            "http://example.org:22/",
            "http://example.org:6379/",
            "https://example.org:25/",
            "http://user@example.org/",
            "http://:pw@example.org/",
        ] {
            assert!(matches!(check(url), Err(Error::Refused(_))), "{url}");
        }
        for url in [
            "http://example.org:8080/",
            "https://example.org:8443/",
            "http://example.org:443/",
        ] {
            assert!(check(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn s22_the_allowance_of_tests_is_one_port_of_loopback() {
        let allowance = Allowance {
            loopback_ports: vec![4_711],
            ..Allowance::default()
        };
        assert!(allowance.permits([127, 0, 0, 1].into(), 4_711));
        assert!(!allowance.permits([127, 0, 0, 1].into(), 80));
        assert!(!allowance.permits([10, 0, 0, 1].into(), 4_711));
        assert!(!allowance.permits([8, 8, 8, 8].into(), 4_711));
    }

    proptest! {
        #[test]
        fn s22_what_the_standard_library_calls_special_is_refused(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
                || address.is_broadcast() || address.is_documentation() || address.is_unspecified();
            prop_assert!(!(special && is_public(address.into())));
        }

        #[test]
        fn s22_no_embedded_ipv4_gets_through(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            let [a, b, c, d] = v4.octets();
            let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
            for v6 in [
                v4.to_ipv6_mapped(),
                v4.to_ipv6_compatible(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, pair(a, b), pair(c, d)),
                Ipv6Addr::new(0x2002, pair(a, b), pair(c, d), 0, 0, 0, 0, 0),
            ] {
                prop_assert!(!is_public(v6.into()), "{v6}");
            }
        }
    }
}
