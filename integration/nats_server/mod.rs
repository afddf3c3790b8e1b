//! The nats-server that jine runs itself.

mod keeping;
mod ownership;
mod privacy;
mod staging;
