//! builds: narrow portable
//!
//! Tables of fixed size in a `static`: they are all zeros, so that no program stores them, and they take the entries
//! that the program named on each target.

use hedgerow::flat::{self, DefaultHashBuilder, FlatTable};
use hedgerow::left_right::{self, LeftRightTable, ReaderOf, SnapshotOf, WriterOf};

type Levels = FlatTable<u32, [u8; 24], { flat::bins_for(100) }>;
type Limits = LeftRightTable<u16, u64, { left_right::bins_for(100) }, 3>;

/// The names that linkers for ELF give to the begin and end of zeroed data.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_static_table_is_all_zeros_and_lies_in_no_file() {
    unsafe extern "C" {
        static __bss_start: u8;
        static _end: u8;
    }
    fn is_zeros<T>(table: &'static T) -> bool {
        let (begin, end) = ((&raw const __bss_start).addr(), (&raw const _end).addr());
        (begin..end).contains(&core::ptr::from_ref(table).addr())
    }
    static FLAT: Levels = Levels::new();
    static SIDES: Limits = Limits::new();
    static KEYED: FlatTable<u32, u32, 4, DefaultHashBuilder> =
        FlatTable::with_hasher(DefaultHashBuilder::with_seed(1));
    assert!(is_zeros(&FLAT), "a FlatTable is in .data");
    assert!(is_zeros(&SIDES), "a LeftRightTable is in .data");
    assert!(!is_zeros(&KEYED), "this test sees no difference");
    // They are in use, and work.
    assert_eq!(FLAT.insert(7, [7; 24]), Ok(None));
    assert_eq!(KEYED.insert(7, 7), Ok(None));
    let mut writer: WriterOf<'static, Limits> = SIDES.writer().expect("nobody writes");
    assert_eq!(writer.insert(7, 7), Ok(None));
}

#[test]
fn readers_of_a_fixed_table_are_numbered_by_their_places() {
    static SIDES: Limits = Limits::new();
    let readers: [ReaderOf<'static, Limits>; 3] =
        std::array::from_fn(|_| SIDES.reader().expect("there are three places"));
    assert_eq!(
        readers.each_ref().map(|reader| reader.reader_id()),
        [0, 1, 2],
        "numbers of readers"
    );
    let mut writer = SIDES.writer().expect("nobody writes");
    assert_eq!(writer.stalled_readers().count(), 0, "there was no publish");
    let seen: SnapshotOf<'_, Limits> = readers[1].enter();
    assert_eq!(writer.insert(1, 1), Ok(None));
    writer.publish();
    assert!(writer.stalled_readers().eq([1]), "the reader in the way");
    drop(seen);
    writer.wait_for_readers();
    assert_eq!(writer.stalled_readers().count(), 0, "nobody is in the way");
}

/// Asserts that this many random keys, and this many in a row, fit into a table made for them.
macro_rules! find_room {
    ($($entries:literal)+) => {$({
        let table = Box::new(FlatTable::<u32, (), { flat::bins_for($entries) }>::new());
        assert!(table.capacity() >= $entries);
        for n in 0..$entries as u32 {
            assert!(table.insert(n, ()).is_ok(), "{n} of {} entries found room", $entries);
        }
        table.clear();
        for n in 0..$entries as u32 {
            let key = (n ^ n >> 3).wrapping_mul(0x85EB_CA6B);
            assert!(table.insert(key, ()).is_ok(), "{n} of {} entries found room", $entries);
        }
        let table = Box::new(LeftRightTable::<u32, (), { left_right::bins_for($entries) }, 1>::new());
        let mut writer = table.writer().expect("nobody writes");
        let all = writer.try_extend((0..$entries as u32).map(|n| (n, ())));
        assert!(all.is_ok(), "{} of {} entries found room in two sides", writer.len(), $entries);
    })+};
}

#[test]
fn as_many_entries_find_room_as_were_named() {
    find_room!(1 2 3 7 8 21 40 95 96 97 112 113 200 500 1000 5000);
    assert_eq!((flat::bins_for(0), left_right::bins_for(0)), (1, 1), "no table is without a bin");
    let slots = FlatTable::<u32, (), 1>::CAPACITY;
    for entries in 0..5000 {
        let (bins, most) = (flat::bins_for(entries), entries + entries / 2 + 1);
        assert!(bins * slots >= entries && bins <= most.div_ceil(slots), "bins for {entries}");
    }
}
