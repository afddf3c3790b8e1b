//! Versions as etcd takes them for a downgrade.

use super::error::Error;

/// Whether a cluster of this version can be downgraded to `target`: to the minor version before it.
pub(super) fn validate(target: &str, version: &str) -> Result<(), Error> {
    // A version may be written without its last number.
    let target = minor(target).or_else(|| minor(&format!("{target}.0"))).ok_or(Error::DowngradeFormat)?;
    match minor(version) {
        Some((major, n)) if Some(target) == n.checked_sub(1).map(|before| (major, before)) => Ok(()),
        _ => Err(Error::DowngradeTarget),
    }
}

/// `3.7.3` → `3.7`
pub(super) fn cluster_version(version: &str) -> String {
    minor(version).map_or_else(|| version.to_owned(), |(major, minor)| format!("{major}.{minor}"))
}

/// The first two of the three numbers of a semantic version.
fn minor(version: &str) -> Option<(u32, u32)> {
    let version = version.split('+').next()?;
    let mut numbers = version.split('-').next()?.splitn(3, '.').map(str::parse);
    match [numbers.next(), numbers.next(), numbers.next()] {
        [Some(Ok(major)), Some(Ok(minor)), Some(Ok(_))] => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_minor_version_before() {
        assert_eq!(validate("3.6", "3.7.3"), Ok(()));
        assert_eq!(validate("3.6.1-rc.1", "3.7.3"), Ok(()));
        for target in ["3.5", "3.7", "3.8.0", "4.0"] {
            assert_eq!(validate(target, "3.7.3"), Err(Error::DowngradeTarget), "{target}");
        }
        for target in ["", "x", "4", "3.6.1.1", "3.x"] {
            assert_eq!(validate(target, "3.7.3"), Err(Error::DowngradeFormat), "{target}");
        }
        assert_eq!(cluster_version("3.7.3"), "3.7");
    }
}
