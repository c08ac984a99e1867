//! Ways to write places that nobody outside may make a server go to.

use std::net::{IpAddr, Ipv4Addr};

/// A place: what is written where a URL has its authority, without the port, and what it is meant to lead to.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) authority: String,
    pub(crate) leads_to: IpAddr,
}

const FOUR: [[u8; 4]; 20] = [
    [127, 0, 0, 1],
    [127, 0, 0, 2],
    [127, 255, 255, 254],
    [0, 0, 0, 0],
    [10, 0, 0, 1],
    [10, 255, 255, 255],
    [100, 64, 0, 1],
    [100, 100, 100, 200],
    [168, 63, 129, 16],
    [169, 254, 169, 254],
    [169, 254, 170, 2],
    [172, 16, 0, 1],
    [172, 31, 255, 254],
    [192, 0, 0, 192],
    [192, 168, 0, 1],
    [192, 168, 255, 255],
    [198, 18, 0, 1],
    [224, 0, 0, 1],
    [240, 0, 0, 1],
    [255, 255, 255, 255],
];

const SIX: [&str; 16] = [
    "::1",
    "::",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd12:3456:789a::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff05::2",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "64:ff9b:1::1",
    "5f00::1",
];

const NAMES: [(&str, &str); 14] = [
    ("localhost", "127.0.0.1"),
    ("LOCALHOST", "::1"),
    ("localhost.", "127.0.0.1"),
    ("localhost.localdomain", "127.0.0.1"),
    ("ip6-localhost", "::1"),
    ("any.localhost", "127.0.0.1"),
    ("metadata", "169.254.169.254"),
    ("metadata.google.internal", "169.254.169.254"),
    ("metadata.google.internal.", "169.254.169.254"),
    ("instance-data.ec2.internal", "169.254.169.254"),
    ("kubernetes.default.svc.cluster.local", "10.96.0.1"),
    ("host.docker.internal", "192.168.65.254"),
    ("gateway.local", "192.168.1.1"),
    ("router", "192.168.0.1"),
];

/// All of them.
pub(crate) fn places() -> Vec<Place> {
    let four = FOUR.into_iter().flat_map(|octets| {
        let leads_to = Ipv4Addr::from(octets).into();
        forms(octets).into_iter().map(move |authority| Place { authority, leads_to })
    });
    let six = SIX.into_iter().flat_map(|text| {
        let leads_to: IpAddr = text.parse().unwrap();
        let forms = [
            format!("[{text}]"),
            format!("[{}]", text.to_uppercase()),
            format!("u@[{text}]"),
            format!("[{text}%25lo]"),
        ];
        forms.into_iter().map(move |authority| Place { authority, leads_to })
    });
    let names = NAMES
        .into_iter()
        .map(|(name, address)| Place { authority: name.to_owned(), leads_to: address.parse().unwrap() });
    four.chain(six).chain(names).collect()
}

fn forms(octets: [u8; 4]) -> Vec<String> {
    let [a, b, c, d] = octets;
    let dotted = Ipv4Addr::from(octets).to_string();
    let number = u32::from_be_bytes(octets);
    let (high, low) = (number >> 16, number & 0xffff);
    let wide: String = dotted.chars().map(|c| if c == '.' { '。' } else { wide(c) }).collect();
    vec![
        dotted.clone(),
        format!("{dotted}."),
        format!("{dotted}.."),
        number.to_string(),
        format!("{number:#x}"),
        format!("0X{number:X}"),
        format!("0{number:o}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a:#x}.{b}.0{c:o}.{d}"),
        format!("{a:03}.{b:03}.{c:03}.{d:03}"),
        format!("{a}.{}", number & 0x00ff_ffff),
        format!("{a}.{b}.{low}"),
        format!("{}.{b}.{c}.{d}", u32::from(a) + 256),
        format!("[::ffff:{dotted}]"),
        format!("[::FFFF:{high:x}:{low:x}]"),
        format!("[::ffff:0:{high:x}:{low:x}]"),
        format!("[::{dotted}]"),
        format!("[64:ff9b::{high:x}:{low:x}]"),
        format!("[64:ff9b::{dotted}]"),
        format!("[64:ff9b:1::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::]"),
        format!("[2001:0:{high:x}:{low:x}::1]"),
        format!("public.test@{dotted}"),
        format!("public.test:80@{dotted}"),
        format!("{dotted}@public.test"),
        format!("{dotted}\\@public.test"),
        format!("public.test\\@{dotted}"),
        format!("{dotted}#@public.test"),
        format!("{dotted}?@public.test"),
        format!("{dotted}%00.public.test"),
        format!("{dotted}%2f.public.test"),
        format!("{dotted}.nip.io"),
        format!("{a}-{b}-{c}-{d}.sslip.io"),
        format!("public.test.{dotted}.nip.io"),
        format!(" {dotted}"),
        format!("{dotted}\t"),
        wide,
    ]
}

fn wide(digit: char) -> char {
    digit.to_digit(10).and_then(|digit| char::from_u32(0xff10 + digit)).unwrap_or(digit)
}
