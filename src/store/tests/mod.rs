//! Tests of the store on a scripted log.
