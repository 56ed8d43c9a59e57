//! Huge pages.

/// Advises the system to back a block of memory by huge pages. Returns whether it accepted the advice.
///
/// Only advice: it accesses no memory and leaves the block's contents as they are. It covers every small page that
/// holds a part of the block. A huge page (2 MiB on most machines) that fits into this range is used at once if no part
/// of it was touched before, and later otherwise, when the system compacts memory. The first access to a huge page
/// zeroes all of it, which takes some 80 µs.
///
/// Allocates nothing and takes no lock but the system's own. Returns false if the system is not Linux, or if its kernel
/// was built without huge pages.
///
/// ```
/// let block = vec![0_u8; 8 << 20];
/// let _taken = hedgerow_std_ext::pages::advise_huge(block.as_ptr(), block.len());
/// ```
pub fn advise_huge(block: *const u8, bytes: usize) -> bool {
    system::advise_huge(block.addr(), bytes)
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use rustix::mm::{Advice, madvise};
    use std::ptr;

    pub(super) fn advise_huge(address: usize, bytes: usize) -> bool {
        let small = rustix::param::page_size();
        if bytes == 0 {
            return false;
        }
        let first = address - address % small;
        let Some(end) =
            address.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(small))
        else {
            return false;
        };
        let pages = ptr::without_provenance_mut(first);
        // SAFETY: this advice changes neither the contents nor the protection of any memory. If nothing is mapped at
        // the address, the call fails.
        unsafe { madvise(pages, end - first, Advice::LinuxHugepage).is_ok() }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn advise_huge(_address: usize, _bytes: usize) -> bool {
        false
    }
}
