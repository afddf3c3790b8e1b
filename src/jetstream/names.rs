//! The bucket's names on the server: stream, subjects, API.

/// Names of one bucket, made once.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) bucket: String,
    /// `KV_<bucket>`.
    pub(super) stream: String,
    /// `$KV.<bucket>.`, as subjects read in the stream.
    pub(super) stored: String,
    /// Where to publish: the same, or below the API of another domain.
    pub(super) publish: String,
    /// `$JS.API` or `$JS.<domain>.API`.
    api: String,
}

impl Names {
    pub(super) fn new(bucket: &str, domain: Option<&str>) -> Names {
        let stored = format!("$KV.{bucket}.");
        let api = match domain {
            Some(domain) => format!("$JS.{domain}.API"),
            None => "$JS.API".to_owned(),
        };
        Names {
            bucket: bucket.to_owned(),
            stream: format!("KV_{bucket}"),
            // The server maps this onto `$KV.…` in the other domain: plain `$KV.…` does not leave the leafnode.
            publish: if domain.is_some() { format!("{api}.{stored}") } else { stored.clone() },
            stored,
            api,
        }
    }

    /// What the account may use, and uses.
    pub(super) fn account_info(&self) -> String {
        format!("{}.INFO", self.api)
    }

    /// A subject of the JetStream API: `("STREAM.INFO")` → `$JS.API.STREAM.INFO.KV_<bucket>`.
    pub(super) fn of_stream(&self, what: &str) -> String {
        format!("{}.{what}.{}", self.api, self.stream)
    }
}

/// What buckets may be called, as KV clients see it.
pub(super) fn is_bucket(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
