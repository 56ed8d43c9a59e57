//! stub
use super::*;
use super::folder::Folder;
use super::none::NoLog;
use std::sync::Arc;
pub type FileLog = NoLog;
pub struct Cut { pub bytes: u64 }
pub struct Recovered { pub entries: u64, pub last: Lsn, pub time: u64, pub cut: Option<Cut> }
impl NoLog {
    pub fn open(_f: &Arc<Folder>, _s: Fsync, _first: Lsn, _r: &mut dyn FnMut(Lsn, u64, &[u8]) -> Result<(), &'static str>) -> Result<(Self, Recovered), Corrupt> { unimplemented!() }
}
