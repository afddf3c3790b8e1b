//! The nats-server that jine runs itself.

mod full_disk;
mod keeping;
mod ownership;
mod privacy;
mod staging;
