//! A context file of the `nats` command line: where to connect and how, in JSON.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Secret;
use super::nats::{Auth, Tls};

/// The fields of such a file. An empty text means "not set", as the `nats` command line writes them all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    url: String,
    user: String,
    password: String,
    token: String,
    creds: String,
    nkey: String,
    user_jwt: String,
    user_seed: String,
    cert: String,
    key: String,
    ca: String,
    nsc: String,
    socks_proxy: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
    inbox_prefix: String,
    tls_first: bool,
}

/// What jine takes from it.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// As `--endpoint` has them, maybe with credentials.
    pub(super) url: String,
    pub(super) auth: Option<Auth>,
    pub(super) tls: Tls,
    pub(super) jetstream_domain: Option<String>,
    pub(super) inbox_prefix: Option<String>,
}

impl Context {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the NATS context {} cannot be read: {error}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("the NATS context {}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| format!("is not what nats writes: {error}"))?;
        for (field, value) in [
            ("nsc", &file.nsc),
            ("socks_proxy", &file.socks_proxy),
            ("jetstream_api_prefix", &file.jetstream_api_prefix),
        ] {
            if !value.is_empty() {
                return Err(format!("its {field} is not supported; remove it or use flags"));
            }
        }
        Ok(Context {
            url: if file.url.is_empty() { "nats://127.0.0.1:4222".to_owned() } else { file.url.clone() },
            auth: file.auth(),
            tls: Tls {
                ca_file: path(&file.ca),
                cert_file: path(&file.cert),
                key_file: path(&file.key),
                first: file.tls_first,
                ..Tls::default()
            },
            jetstream_domain: text_of(file.jetstream_domain),
            inbox_prefix: text_of(file.inbox_prefix),
        })
    }
}

impl File {
    /// In the order of the `nats` command line.
    fn auth(&self) -> Option<Auth> {
        Some(if !self.user.is_empty() {
            Auth::UserPassword { user: self.user.clone(), password: Secret::new(&self.password) }
        } else if let Some(path) = path(&self.creds) {
            Auth::CredsFile(path)
        } else if let Some(path) = path(&self.nkey) {
            Auth::NkeyFile(path)
        } else if !self.user_jwt.is_empty() {
            Auth::Jwt { jwt: Secret::new(&self.user_jwt), seed: Secret::new(&self.user_seed) }
        } else if !self.token.is_empty() {
            Auth::Token(Secret::new(&self.token))
        } else {
            return None;
        })
    }
}

fn text_of(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// `~/` means the home directory there.
fn path(text: &str) -> Option<PathBuf> {
    if text.is_empty() {
        return None;
    }
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => Some(home.join(rest)),
        _ => Some(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_nats_command_line_writes() {
        let context = Context::parse(
            r#"{"description":"","url":"nats://a,b","user":"","password":"","token":"","creds":"/c","nkey":"",
                "ca":"/ca.pem","jetstream_domain":"hub","tls_first":true,"color_scheme":""}"#,
        )
        .unwrap();
        assert_eq!(context.url, "nats://a,b");
        assert_eq!(context.auth, Some(Auth::CredsFile("/c".into())));
        assert_eq!(context.tls.ca_file, Some("/ca.pem".into()));
        assert_eq!(context.jetstream_domain.as_deref(), Some("hub"));
        assert!(context.tls.first && context.inbox_prefix.is_none());
    }

    #[test]
    fn refuses_what_it_would_have_to_ignore() {
        let error = Context::parse(r#"{"url":"nats://a","nsc":"nsc://x"}"#).unwrap_err();
        assert!(error.contains("nsc"), "{error}");
        assert!(Context::parse("nats://a").is_err());
    }
}
