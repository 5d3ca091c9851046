//! Networks such as `10.0.0.0/8`, for trusted proxies. Must not know requests.

use std::{net::IpAddr, str::FromStr};

/// An address range in CIDR notation (RFC 4632); a plain address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` lies in this range; IPv4 written as mapped IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix))
                    .unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix))
                    .unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// What is not an address or a range.
#[derive(Debug, thiserror::Error)]
#[error("not an address or a network")]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| NotANetwork)?,
            None => longest,
        };
        if prefix > longest {
            return Err(NotANetwork);
        }
        Ok(Self { base, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_own_and_nobody_elses() {
        let net: Network = "10.1.0.0/16".parse().expect("valid");
        assert!(net.contains("10.1.255.3".parse().expect("valid")));
        assert!(net.contains("::ffff:10.1.2.3".parse().expect("valid")));
        assert!(!net.contains("10.2.0.1".parse().expect("valid")));
        assert!(!net.contains("::1".parse().expect("valid")));
        let all: Network = "::/0".parse().expect("valid");
        assert!(all.contains("2001:db8::1".parse().expect("valid")));
    }

    #[test]
    fn nonsense_is_no_network() {
        for text in ["", "10.0.0.0/33", "example.org", "10.0.0/8", "::/129"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
