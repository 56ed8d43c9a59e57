//! stub
use crate::log::*;
use crate::log::folder::Folder;
use std::ops::Range;
use std::io;
use std::sync::Arc;
pub struct Section { pub slots: Range<u16>, pub floor: Lsn, pub entries: u64 }
pub struct Snapshot;
impl Snapshot {
  pub fn newest(_: &Arc<Folder>) -> Result<Option<Self>, Corrupt> { Ok(None) }
  pub fn sections(&self) -> &[Section] { &[] }
  pub fn time(&self) -> u64 { 0 }
  pub fn last(&self) -> Lsn { 0 }
  pub fn read_section(&self, _: usize, _each: &mut dyn FnMut(&[u8], Option<u64>, &[u8])) -> Result<(), Corrupt> { Ok(()) }
}
pub struct Writer;
impl Writer {
 pub fn create(_: &Arc<Folder>) -> io::Result<Self> { Ok(Self) }
 pub fn section(&mut self, _: Range<u16>, _: Lsn) -> io::Result<()> { Ok(()) }
 pub fn entry(&mut self, _: &[u8], _: Option<u64>, _: &[u8]) -> io::Result<()> { Ok(()) }
 pub fn finish(self, _: Lsn, _: u64) -> io::Result<u64> { Ok(0) }
}
pub fn remove_older(_: &Arc<Folder>, _: Lsn) -> io::Result<()> { Ok(()) }
