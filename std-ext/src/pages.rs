//! Asking the system for pages of another size than its usual one.

/// Asks the system to put huge pages under a block, where it can; says whether it took the advice.
///
/// Advice only: it reads and writes no memory, and what the block holds stays as it is. It covers the
/// small pages that hold any part of the block, and takes effect where a huge page (2 MiB on most
/// machines) lies within them and none of it was touched before, or later, when the system gets to
/// it. Touching a huge page for the first time zeroes all of it, some 80 µs.
///
/// Allocates nothing and takes no lock but the system's own. False where not Linux, or the kernel was
/// built without huge pages.
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
        // SAFETY: this advice changes no contents and no protection, whatever lies at the address;
        // where nothing does, it fails.
        unsafe { madvise(pages, end - first, Advice::LinuxHugepage).is_ok() }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn advise_huge(_address: usize, _bytes: usize) -> bool {
        false
    }
}
