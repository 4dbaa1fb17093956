//! What a sensor says of a connection's content.

/// Bytes of a service that are kept; Zeek's longest lists have three or four short names.
const LONGEST: usize = 64;

/// Words of sensors that looked and did not find out.
const NOT_FOUND: [&[u8]; 2] = [b"failed", b"unknown"];

/// Suricata's names of protocols for which Zeek has others: rules and queries know Zeek's.
const IN_ZEEKS_WORDS: [(&[u8], &[u8]); 2] = [(b"tls", b"ssl"), (b"dcerpc", b"dce_rpc")];

/// The names of protocols in a value, in small letters with commas between; none where the sensor found none.
///
/// What cannot be the name of a protocol is left out, and so is what Zeek takes back (`-ssl`, of
/// `DPD::track_removed_services_in_connection`): what is kept needs no quoting anywhere but for the commas.
pub(crate) fn service(value: &[u8]) -> Option<Box<str>> {
    let mut names = String::new();
    for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| is_name(name)) {
        let name = name.to_ascii_lowercase();
        let known = IN_ZEEKS_WORDS.iter().find(|(suricatas, _)| *suricatas == name);
        let name = known.map_or(name.as_slice(), |(_, zeeks)| zeeks);
        if NOT_FOUND.contains(&name) || names.len() + 1 + name.len() > LONGEST {
            continue;
        }
        if !names.is_empty() {
            names.push(',');
        }
        names.extend(name.iter().map(|byte| char::from(*byte)));
    }
    (!names.is_empty()).then(|| names.into())
}

fn is_name(name: &[u8]) -> bool {
    let of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+');
    name.first().is_some_and(|first| *first != b'-') && name.iter().all(of_a_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_what_is_none_is_not() {
        for (value, kept) in [
            ("ssl", Some("ssl")),
            ("GSSAPI,smb", Some("gssapi,smb")),
            ("tls", Some("ssl")),
            ("ftp-data", Some("ftp-data")),
            ("-ssl,http", Some("http")),
            ("-", None),
            ("failed", None),
            ("unknown", None),
            ("", None),
            ("(empty)", None),
            ("=cmd()", None),
            ("http\"", None),
            ("<b>,dns", Some("dns")),
        ] {
            assert_eq!(service(value.as_bytes()).as_deref(), kept, "{value}");
        }
    }

    #[test]
    fn a_list_is_cut_between_names() {
        let long = ["abcdefghi"; 40].join(",");
        assert_eq!(service(long.as_bytes()).as_deref(), Some(["abcdefghi"; 6].join(",").as_str()));
        assert_eq!(service(&[b'a'; 1 << 20]), None);
    }
}
