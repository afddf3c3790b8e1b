//! etcd's API as clients see it.

mod descriptors;
