//! builds: default
//!
//! A configuration that one thread reloads and many read, by a user of papaya.

use hedgerow::LeftRightMap;
use hedgerow::left_right::{ReadHandle, WriteHandle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Replaces all settings at once.
fn reload(writer: &mut WriteHandle<String, String>, text: &str) {
    writer.clear();
    for line in text.lines() {
        if let Some((key, value)) = line.split_once('=') {
            writer.insert(key.trim().to_string(), value.trim().to_string());
        }
    }
    writer.publish();
}

/// Reads two settings of the same configuration.
fn endpoint(settings: &ReadHandle<String, String>) -> Option<(String, u16)> {
    let settings = settings.enter();
    let host = settings.get("host")?.clone();
    let port = settings.get("port")?.parse().ok()?;
    Some((host, port))
}

#[test]
fn readers_see_whole_configurations() {
    let (mut writer, reader) = LeftRightMap::<String, String>::new();
    assert_eq!(endpoint(&reader), None);
    reload(&mut writer, "host = a\nport = 1");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (reader, stop) = (reader.clone(), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let (host, port) = endpoint(&reader).unwrap();
                    assert!((host == "a" && port == 1) || (host == "b" && port == 2));
                }
            });
        }
        for round in 0..1000 {
            reload(&mut writer, ["host = a\nport = 1", "host = b\nport = 2"][round % 2]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(reader.get("host").as_deref().map(String::as_str), Some("b"));
}
