//! The operating-system layer of `hedgerow`.
