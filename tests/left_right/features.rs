//! builds: portable
//!
//! `LeftRightMap` with feature `serde`.

use hedgerow::LeftRightMap;
use std::collections::HashMap;

#[test]
fn a_snapshot_is_serialized_as_a_map() {
    let (mut writer, reader) = LeftRightMap::new();
    let entries: HashMap<String, u32> = (0..100).map(|n| (n.to_string(), n)).collect();
    writer.extend(entries.clone());
    writer.publish();
    writer.insert("unpublished".into(), 0);
    let text = serde_json::to_string(&reader.enter()).expect("strings are keys");
    let read: HashMap<String, u32> = serde_json::from_str(&text).expect("a map");
    assert_eq!(read, entries);
}
