//! Connecting, and being refused.
