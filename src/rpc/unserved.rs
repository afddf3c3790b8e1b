//! What of etcd's API is not served, deliberately. A test compares this list with every method there is.

use tonic::Status;

/// Methods of services that are served otherwise, and services that are not served at all (all of their methods).
pub const UNSERVED: &[(&str, &[&str])] = &[
    // Users and roles: who may do what is up to TLS and NATS.
    (
        "etcdserverpb.Auth",
        &[
            "RoleAdd",
            "RoleDelete",
            "RoleGet",
            "RoleGrantPermission",
            "RoleList",
            "RoleRevokePermission",
            "UserAdd",
            "UserChangePassword",
            "UserDelete",
            "UserGet",
            "UserGrantRole",
            "UserList",
            "UserRevokeRole",
        ],
    ),
    // There is no bbolt file.
    ("etcdserverpb.Maintenance", &["Snapshot"]),
    // Made of leases and transactions: clients can do the same by themselves.
    ("v3electionpb.Election", &["Campaign", "Leader", "Observe", "Proclaim", "Resign"]),
    ("v3lockpb.Lock", &["Lock", "Unlock"]),
];

/// Whether a path (`/service/method`) is on the list.
pub(super) fn contains(path: &str) -> bool {
    split(path).is_some_and(|(service, method)| {
        UNSERVED.iter().any(|(name, methods)| *name == service && methods.contains(&method))
    })
}

/// What gRPC servers say of a path that they do not know.
pub(super) fn status(path: &str) -> Status {
    match split(path) {
        Some((service, method)) => Status::unimplemented(format!("unknown method {method} for service {service}")),
        None => Status::unimplemented(format!("malformed method name: {path:?}")),
    }
}

fn split(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.rsplit_once('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_list_by_service_and_method() {
        assert!(contains("/etcdserverpb.Maintenance/Snapshot"));
        assert!(!contains("/etcdserverpb.Maintenance/Status"));
        assert!(!contains("/v3lockpb.Lock/Status"));
        assert!(!contains("Snapshot"));
    }
}
