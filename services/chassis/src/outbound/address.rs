//! Which addresses a message may go to: the open internet and nothing else. What a configured URL or a name server points
//! at within one's own network (metadata services, databases, loopback) is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused; `None`: it may be spoken to.
#[must_use]
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refusal_v4(v4),
        IpAddr::V6(v6) => refusal_v6(v6),
    }
}

/// Where nothing good waits even on one's own network: metadata services of clouds, groups, and what is no address at all.
#[must_use]
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let wire_server = Ipv4Addr::new(168, 63, 129, 16);
            v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.octets()[0] == 0
                || v4 == wire_server
        }
        IpAddr::V6(v6) => {
            let embedded = embedded(v6).is_some_and(|v4| is_forbidden(IpAddr::V4(v4)));
            let metadata = v6.segments() == [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254];
            embedded || metadata || v6.is_multicast() || v6.is_unspecified() || v6.is_unicast_link_local()
        }
    }
}

/// The IPv4 address that one of IPv6 stands for: mapped, behind NAT64's well-known prefix, or by 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(of(high, low)),
        _ => address.to_ipv4_mapped(),
    }
}

/// First address, prefix length, what it is. IANA's special-purpose registry, as far as it is not globally reachable.
const V4: [([u8; 4], u32, &str); 16] = [
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "carrier-grade NAT"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([168, 63, 129, 16], 32, "a cloud's own services"),
    ([169, 254, 0, 0], 16, "link-local, where metadata services are"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 88, 99, 0], 24, "6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "benchmarking"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = u32::from(address);
    let within = |first: [u8; 4], length: u32| (bits ^ u32::from_be_bytes(first)) >> (32 - length) == 0;
    V4.iter()
        .find(|(first, length, _)| within(*first, *length))
        .map(|(.., what)| *what)
}

/// Only global unicast is spoken to, less what embeds other addresses or is set aside.
fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let (first, second) = (segments[0], segments[1]);
    match first {
        _ if address.is_loopback() => Some("loopback"),
        _ if address.is_unspecified() => Some("unspecified"),
        _ if address.to_ipv4_mapped().is_some() => Some("an IPv4 address in IPv6's clothes"),
        0x0064 => Some("NAT64, which may lead anywhere"),
        0x2001 if second < 0x0200 => Some("reserved for protocols (Teredo, ORCHID)"),
        0x2001 if second == 0x0db8 => Some("documentation"),
        0x2002 => Some("6to4, which may lead anywhere"),
        0x3fff if second < 0x1000 => Some("documentation"),
        0x2000..=0x3fff => None,
        0xfc00..=0xfdff => Some("unique local"),
        0xfe80..=0xfebf => Some("link-local"),
        0xfec0..=0xfeff => Some("site-local"),
        0xff00..=0xffff => Some("multicast"),
        _ => Some("not global unicast"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_internet_is_spoken_to() {
        for open in [
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert_eq!(refusal(open.parse().unwrap()), None, "{open}");
        }
        for closed in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.9.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert!(refusal(closed.parse().unwrap()).is_some(), "{closed}");
        }
    }
}
