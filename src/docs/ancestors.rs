#![doc = include_str!("ancestors.md")]
