//! Credentials, from options to a connection.

use std::path::Path;
use std::sync::Arc;

use async_nats::{AuthError, ConnectOptions};

use super::options::Credentials;
use crate::store::log::LogError;

pub(super) async fn apply(connect: ConnectOptions, credentials: &Credentials) -> Result<ConnectOptions, LogError> {
    Ok(match credentials {
        Credentials::None => connect,
        Credentials::UserPassword(user, password) => connect.user_and_password(user.clone(), password.0.clone()),
        Credentials::PasswordFile(user, path) => connect.user_and_password(user.clone(), line(&read(path).await?)),
        Credentials::Token(token) => connect.token(token.0.clone()),
        Credentials::TokenFile(path) => connect.token(line(&read(path).await?)),
        Credentials::CredsFile(path) => {
            let unusable = |why: &dyn std::fmt::Display| {
                LogError::Refused(format!("{} is no NATS credentials file: {why}", path.display()))
            };
            connect.credentials(&read(path).await?).map_err(|error| unusable(&error))?
        }
        Credentials::NkeyFile(path) => {
            let text = read(path).await?;
            let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU")).and_then(valid_seed);
            let missing = || LogError::Refused(format!("{} holds no user's nkey seed (SU…)", path.display()));
            connect.nkey(seed.ok_or_else(missing)?)
        }
        Credentials::Nkey(seed) => {
            let bad = || LogError::Refused("the NATS user's nkey seed cannot be used".into());
            connect.nkey(valid_seed(&seed.0).ok_or_else(bad)?)
        }
        // The server asks for no proof.
        Credentials::Jwt(jwt, seed) if seed.0.is_empty() => connect.jwt(jwt.0.clone(), |_| async { Ok(Vec::new()) }),
        Credentials::Jwt(jwt, seed) => {
            let pair = nkeys::KeyPair::from_seed(seed.0.trim());
            let pair = Arc::new(pair.map_err(|_| LogError::Refused("the NATS user's seed cannot be used".into()))?);
            connect.jwt(jwt.0.clone(), move |nonce| {
                let pair = pair.clone();
                async move { pair.sign(&nonce).map_err(AuthError::new) }
            })
        }
    })
}

fn valid_seed(seed: &str) -> Option<String> {
    let seed = seed.trim();
    nkeys::KeyPair::from_seed(seed).ok().map(|_| seed.to_owned())
}

fn line(text: &str) -> String {
    text.trim_end_matches(['\n', '\r']).to_owned()
}

async fn read(path: &Path) -> Result<String, LogError> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|error| LogError::Refused(format!("cannot read {}: {error}", path.display())))
}
