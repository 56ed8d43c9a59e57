//! builds: portable
//!
//! Feature `defmt`: the output of a logger for tables of fixed size, and for the errors that they return.

use defmt::Format;
use hedgerow::FlatTable;
use hedgerow::error::{Busy, OccupiedError, TryInsertError};
use hedgerow::left_right::LeftRightTable;
use std::sync::{Mutex, MutexGuard};

/// The bytes of the logger.
static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// Of one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[defmt::global_logger]
struct Logger;

// SAFETY: calls may come one within another or from many threads: the bytes are behind a lock.
unsafe impl defmt::Logger for Logger {
    fn acquire() {}
    unsafe fn flush() {}
    unsafe fn release() {}
    unsafe fn write(bytes: &[u8]) {
        WRITTEN.lock().expect("no test panics in here").extend(bytes);
    }
}

defmt::timestamp!("{=u8}", 0);

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How often the logger is given the bytes of each number.
fn logged(what: &impl Format, numbers: [u32; 4]) -> [usize; 4] {
    WRITTEN.lock().expect("as above").clear();
    defmt::println!("{}", what);
    let written = WRITTEN.lock().expect("as above");
    numbers.map(|n| written.windows(4).filter(|&bytes| bytes == n.to_le_bytes()).count())
}

const NUMBERS: [u32; 4] = [0xA1B2_C3D4, 0x1A2B_3C4D, 0x9182_7364, 0x5647_3829];
const ONCE: [usize; 4] = [1, 1, 1, 1];

#[test]
fn tables_are_formatted_with_all_their_entries() {
    let _alone = alone();
    let [a, b, c, d] = NUMBERS;
    let table = FlatTable::<u32, u32, 2>::new();
    assert!(table.try_extend([(a, b), (c, d)]).is_ok());
    assert_eq!(logged(&table, NUMBERS), ONCE, "entries of a FlatTable");
    let table = LeftRightTable::<u32, u32, 1, 1>::new();
    let mut writer = table.writer().expect("nobody writes");
    assert!(writer.try_extend([(a, b), (c, d)]).is_ok());
    assert_eq!(logged(&writer, NUMBERS), ONCE, "entries of a TableWriter");
    let reader = table.reader().expect("nobody reads");
    assert_eq!(logged(&reader.enter(), NUMBERS), [0; 4], "nothing is published");
    writer.publish();
    assert_eq!(logged(&reader.enter(), NUMBERS), ONCE, "entries of a TableSnapshot");
}

#[test]
fn errors_are_formatted_with_what_they_hand_back() {
    let _alone = alone();
    let [a, b, c, d] = NUMBERS;
    let table = FlatTable::<u32, u32, 1>::new();
    assert!(table.insert(a, c).is_ok());
    let occupied = table.insert_if_absent(a, b).expect("there is room").expect_err("it is there");
    assert_eq!(logged(&occupied, NUMBERS), [1, 1, 1, 0]);
    let _: OccupiedError<u32, u32, u32> = occupied;
    let full = (0..).find_map(|n| table.insert(n, b).err()).expect("it is small");
    assert_eq!(logged(&full, NUMBERS), [0, 1, 0, 0]);
    assert_eq!(logged(&TryInsertError::Busy { key: d, value: c }, NUMBERS), [0, 0, 1, 1]);
    assert_eq!(logged(&Busy, NUMBERS), [0; 4]);
}
