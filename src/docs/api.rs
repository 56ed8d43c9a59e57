#![doc = include_str!("api.md")]
