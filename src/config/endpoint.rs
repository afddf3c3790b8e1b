//! The value of `--endpoint`, in kine's syntax: servers, credentials and parameters in one URL.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use super::nats::Auth;
use super::values;

const KNOWN: &str = "bucket, replicas, credsFile, contextFile, slowMethod, noEmbed";

/// What the URL says, each thing on its own right; whether they go together is decided in `nats`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `nats://host:port`, without credentials. Empty: `nats://` alone.
    pub(super) servers: Vec<String>,
    pub(super) auth: Option<Auth>,
    pub(super) bucket: Option<String>,
    pub(super) replicas: Option<usize>,
    pub(super) creds_file: Option<PathBuf>,
    pub(super) context_file: Option<PathBuf>,
    pub(super) slow_method: Option<Duration>,
    pub(super) no_embed: bool,
    pub(super) warnings: Vec<String>,
}

impl Endpoint {
    /// Parameters may stand after any of the URLs: kine reads them from the first, people write them at the end.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut endpoint = Endpoint::default();
        let mut scheme = None;
        let mut rest = Some(text);
        while let Some(from) = rest {
            let (place, query);
            (place, query, rest) = first(from);
            let place = match place.split_once("://") {
                Some((named @ ("nats" | "tls"), place)) => {
                    scheme = Some(named);
                    place
                }
                // What a comma in a password has cut off.
                Some(_) if scheme.is_some() && from.contains('@') => return Err(unreadable(text)),
                Some((other, _)) => return Err(wrong_scheme(other)),
                None if scheme.is_none() => return Err("it must begin with nats://".to_owned()),
                None => place,
            };
            let host = match place.rsplit_once('@') {
                Some((login, host)) => {
                    endpoint.login(login)?;
                    host
                }
                None => place,
            };
            let server = endpoint.server(scheme.unwrap_or("nats"), host.trim_end_matches('/'));
            // The same: what is complained of may be the beginning of a password.
            let within = from.matches('@').count() > place.matches('@').count();
            let read = server.and_then(|()| endpoint.parameters(query));
            read.map_err(|why| if within { unreadable(text) } else { why })?;
        }
        Ok(endpoint)
    }

    fn server(&mut self, scheme: &str, host: &str) -> Result<(), String> {
        if host.is_empty() {
            return Ok(());
        }
        // 4222 is NATS' registered port.
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let with_port = if has_port { host.to_owned() } else { format!("{host}:4222") };
        let address = values::HostPort::parse(&with_port)?;
        if address.host.is_empty() {
            return Err(format!("'{host}' names a port and no host"));
        }
        self.servers.push(format!("{scheme}://{address}"));
        Ok(())
    }

    fn login(&mut self, login: &str) -> Result<(), String> {
        let decode = |text: &str| {
            percent_decode(text).ok_or_else(|| "the user or password in it is not percent-encoded UTF-8".to_owned())
        };
        let auth = match login.split_once(':') {
            Some((user, password)) => {
                Auth::UserPassword { user: decode(user)?, password: Secret::new(decode(password)?) }
            }
            None => Auth::Token(Secret::new(decode(login)?)),
        };
        if self.auth.as_ref().is_some_and(|known| *known != auth) {
            return Err("its servers have different credentials; jine uses the same for all".to_owned());
        }
        self.auth = Some(auth);
        Ok(())
    }

    fn parameters(&mut self, query: &str) -> Result<(), String> {
        url::form_urlencoded::parse(query.as_bytes()).try_for_each(|(name, value)| self.parameter(&name, &value))
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), String> {
        let about = |why: String| format!("its parameter {name}: {why}");
        match name {
            "bucket" => self.bucket = Some(bucket(value).map_err(about)?),
            "replicas" => self.replicas = Some(replicas(value).map_err(about)?),
            "credsFile" => self.creds_file = Some(value.into()),
            "contextFile" => self.context_file = Some(value.into()),
            "slowMethod" => self.slow_method = Some(values::duration(value).map_err(about)?),
            "noEmbed" => self.no_embed = true,
            "revHistory" => self.warn("revHistory means nothing here: all history since the last compaction is kept"),
            "dontListen" => {
                self.warn("dontListen means nothing here: the embedded nats-server listens on loopback only")
            }
            "stdoutLogging" => self.warn("stdoutLogging means nothing here: nats-server's log is part of jine's"),
            "dataDir" => return Err("write its parameter dataDir as the flag --data-dir".to_owned()),
            "serverConfig" => {
                return Err("its parameter serverConfig is kine's alone: jine writes the configuration of its \
                            nats-server itself; for another one run your own and name its host"
                    .to_owned());
            }
            _ => return Err(format!("there is no parameter '{name}'; there are {KNOWN}")),
        }
        Ok(())
    }

    fn warn(&mut self, text: &str) {
        self.warnings.push(format!("--endpoint: {text}"));
    }
}

/// The first of several URLs, what is behind its question mark, and the URLs behind it.
fn first(urls: &str) -> (&str, &str, Option<&str>) {
    let (url, rest) = urls.split_once(',').map_or((urls, None), |(url, rest)| (url, Some(rest)));
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    (place, query, rest)
}

/// Quotes nothing of what may be a password.
fn unreadable(text: &str) -> String {
    let after = text.rsplit('@').next().unwrap_or_default();
    format!(
        "what stands before '@{after}' cannot be read: in a user, password or token write %2C for a comma, %3F for ?, \
         %40 for @ and %2F for /"
    )
}

fn wrong_scheme(scheme: &str) -> String {
    match scheme {
        "sqlite" | "postgres" | "postgresql" | "mysql" | "http" | "https" => {
            format!("jine keeps its data in NATS only: write nats://, not {scheme}://")
        }
        "ws" | "wss" => "NATS over WebSocket is not supported: write nats:// or tls://".to_owned(),
        _ if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
            format!("'{scheme}://' is not known: write nats:// or tls://")
        }
        _ => "it must begin with nats:// or tls://".to_owned(),
    }
}

/// The names that NATS' key-value clients accept.
fn bucket(name: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(legal) {
        return Err(format!("'{name}' cannot name a bucket: letters, digits, _ and - can"));
    }
    Ok(name.to_owned())
}

fn replicas(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=5) => Ok(n),
        _ => Err(format!("'{text}' is not a number from 1 to 5")),
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    #[test]
    fn nothing_but_the_scheme_names_no_server() {
        assert_eq!(parse("nats://"), Endpoint::default());
        assert_eq!(parse("nats:///").servers, Vec::<String>::new());
    }

    #[test]
    fn servers_get_their_port_and_share_a_scheme() {
        assert_eq!(parse("nats://a,b:1,nats://c").servers, ["nats://a:4222", "nats://b:1", "nats://c:4222"]);
        assert_eq!(parse("tls://[::1],b").servers, ["tls://[::1]:4222", "tls://b:4222"]);
    }

    #[test]
    fn parameters_stand_after_any_server() {
        for text in ["nats://a?bucket=x&replicas=3,nats://b", "nats://a,b?bucket=x&replicas=3"] {
            let endpoint = parse(text);
            assert_eq!(endpoint.servers, ["nats://a:4222", "nats://b:4222"]);
            assert_eq!((endpoint.bucket.as_deref(), endpoint.replicas), (Some("x"), Some(3)));
        }
        let endpoint = parse("nats://?credsFile=/a%2Cb&contextFile=c&slowMethod=1s&noEmbed");
        assert_eq!(endpoint.creds_file, Some("/a,b".into()));
        assert_eq!(endpoint.context_file, Some("c".into()));
        assert_eq!(endpoint.slow_method, Some(Duration::from_secs(1)));
        assert!(endpoint.no_embed);
    }

    #[test]
    fn credentials_are_decoded_and_leave_the_url() {
        let endpoint = parse("nats://me:p%40ss%3A@a,me:p%40ss%3A@b");
        assert_eq!(endpoint.servers, ["nats://a:4222", "nats://b:4222"]);
        let password = Secret::new("p@ss:");
        assert_eq!(endpoint.auth, Some(Auth::UserPassword { user: "me".into(), password }));
        assert_eq!(parse("nats://t0ken@a").auth, Some(Auth::Token(Secret::new("t0ken"))));
    }

    #[test]
    fn what_kine_knows_and_jine_does_not_need_is_a_warning() {
        assert_eq!(parse("nats://a?revHistory=10&dontListen&stdoutLogging").warnings.len(), 3);
    }

    #[test]
    fn no_complaint_quotes_a_password() {
        for text in [
            "nats://u:hunter2@:4222",
            "nats://u:hunter,2@h",
            "nats://u:hunter?2@h",
            "nats://u:hunter?bucket=hunter.@h",
            "nats://u:1?replicas=hunter@h",
            "nats://u:x,hunter://@h",
            "nats://u:1,hunter://@h",
            "nats://u:1@a:b:c,u:hunter2@h",
            "nats://u:hunter:2@h:x",
            "nats://u:hunter%2@h",
            "nats://u:hunter/,@h",
            "nats://u:hunter?slowMethod=hunter&@h,b",
            "nats:hunter://u@h",
            "u:hunter@h",
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(!error.contains("hunter"), "{text}: {error}");
        }
        for (text, part) in [
            (
                "nats://u:se,cret@h:1?bucket=b",
                "before '@h:1?bucket=b' cannot be read: in a user, password or token write %2C",
            ),
            ("nats://u:se?cret@h", "before '@h' cannot be read"),
            ("nats://u:secret@:4222", "':4222' names a port and no host"),
            ("nats://u:1@a,u:1@b:c:d", "'b:c:d' is not an address"),
            ("nats://u:1@a,u:2@b,u:3@c", "the same for all"),
            ("nats://u:1@a?bucket=a.b", "'a.b' cannot name a bucket"),
            ("mysql://u:1@a", "NATS only"),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(parse("nats://u:a/b@c@h").servers, ["nats://h:4222"]);
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, part) in [
            ("", "must begin with nats://"),
            ("localhost:4222", "must begin with nats://"),
            ("sqlite:///x", "NATS only"),
            ("nats://a?buket=x", "there are bucket, replicas, credsFile"),
            ("nats://a?bucket=a.b", "letters, digits"),
            ("nats://a?replicas=7", "from 1 to 5"),
            ("nats://a?slowMethod=5", "5s"),
            ("nats://a?serverConfig=x", "name its host"),
            ("nats://a?dataDir=x", "--data-dir"),
            ("nats://u:1@a,u:2@b", "the same for all"),
            ("nats://a:b:c", "HOST:PORT"),
            ("nats://:4222", "no host"),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
