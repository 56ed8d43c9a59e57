//! Concurrent maps for code that has no operating system.
#![no_std]
