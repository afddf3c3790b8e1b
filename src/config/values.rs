//! Values as people write them: durations as in Go, sizes, versions, addresses.

use std::fmt;
use std::time::Duration;

/// Go's `time.ParseDuration`, without negative ones: `0`, `500ms`, `1m30s`, `1.5h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration: write it as 500ms, 5s or 1m30s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        nanos += number * nanos_of(&rest[..letters]).ok_or_else(wrong)?;
        rest = &rest[letters..];
    }
    // Go's own limit, about 292 years.
    if text.is_empty() || nanos > i64::MAX as f64 {
        return Err(wrong());
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

fn nanos_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    })
}

/// Bytes, as a plain number or with KiB, MiB, GiB.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = match text.find(|c: char| c != '.' && !c.is_ascii_digit()) {
        Some(end) => (&text[..end], text[end..].trim()),
        None => (text, ""),
    };
    let factor = match unit {
        "" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("'{text}' is not a size: write bytes (1572864), KiB, MiB (1.5MiB) or GiB")),
    };
    match number.parse::<f64>() {
        Ok(value) => Ok((value * factor) as usize),
        Err(_) => Err(format!("'{text}' is not a size: write bytes (1572864), KiB, MiB (1.5MiB) or GiB")),
    }
}

/// Three numbers: 3.7.3.
pub(super) fn version(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()) {
        return Ok(text.to_owned());
    }
    Err(format!("'{text}' is not a version: write three numbers, as 3.7.3"))
}

/// A host (name or address; empty: all of this machine's addresses) and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not an address: write HOST:PORT, as 127.0.0.1:2379");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inside) => inside,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        if host.contains(['/', '@', '?', ' ']) {
            return Err(wrong());
        }
        Ok(HostPort { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("1h1ms", 3_600_001),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("1us"), Ok(Duration::from_micros(1)));
        for text in ["", "5", "s", "-1s", "5 s", "5sec", "1.2.3s", "1e3s", "9999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(size("1572864"), Ok(1_572_864));
        assert_eq!(size("1.5MiB"), Ok(1_572_864));
        assert_eq!(size("64KiB"), Ok(65_536));
        for text in ["", "MiB", "1MB", "-1", "x"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_take_names_and_both_families() {
        let parse = |text: &str| HostPort::parse(text).map(|a| (a.host.clone(), a.port, a.to_string()));
        assert_eq!(parse("127.0.0.1:2379"), Ok(("127.0.0.1".into(), 2379, "127.0.0.1:2379".into())));
        assert_eq!(parse("[::1]:1"), Ok(("::1".into(), 1, "[::1]:1".into())));
        assert_eq!(parse(":8080"), Ok((String::new(), 8080, ":8080".into())));
        for text in ["", "localhost", "::1:2379", "h:70000", "h:x", "a/b:1"] {
            assert!(HostPort::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "(secret)");
    }
}
