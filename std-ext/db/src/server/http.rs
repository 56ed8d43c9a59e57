//! Stub for now.
