//! Stub.
#![allow(unreachable_pub, dead_code, clippy::pedantic)]
/// Stub.
pub struct Session {
    _x: (),
}
impl Session {
    pub(crate) fn stub() -> Self {
        Self { _x: () }
    }
}
