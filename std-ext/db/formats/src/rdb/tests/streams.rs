//! Streams in files and payloads.

use super::hashes::payload;
use super::packed::listpack;
use super::redis_files::{self, bytes};
use super::shapes::file;
use crate::rdb::payload::{PayloadError, PayloadValue, dump_stream, restore};
use crate::rdb::{
    PendingEntry, RdbError, RdbRecord, RdbValue, Reader, StreamConsumer, StreamEncoding,
    StreamGroup, StreamId, StreamMeta, StreamPart, StreamWriter, Writer,
};
use std::io;

/// Payloads that redis-server 7.0.15 made, in hexadecimal, of streams that were only appended to: every kind of
/// integers and ids, 250 entries, and 13 entries in four nodes.
const PLAIN: &str = "\
    1301100000000000000005000000000000000ac3407940ca11ca000000300006010001020181610281620240090000\
    20010701018374776f04052018400c06f290eefe048001400e070101dff602e04678e03c000248f4ff8000027f0905\
    606801dff72061048163020301809501dff5200a209a201401620260a40203010a209402dff902200220a502303037\
    20a500ff0681fffffffffffffffe03050a000006000a003737ca09b8855974";
const MANY: &str = "\
    13031000000000000003e80000000000000001c342b4441b111b040000f901640100010101816e02000102200a400c\
    00046009000120054009050101dfff0203a00a0000200780140201010560090002401e0006a00a02000107a0090201\
    010860090003401e0009a00a0200010aa0090201010b60090004401e000c2006400a0200010da0090201010e600900\
    05401e000fa00a02000110a0090201011160090006401e0012a00a02000113a0090201011460090007401e0015a00a\
    02000116a0090201011760090008401e0018a00a02000119a0090201011a60090009401e001ba00a0200011ca00902\
    01011d6009000a401e001ea00a0200011fa009020101206009000b401e0021a00a02000122a009020101236009000c\
    401e0024a00a02000125a009020101266009000d401e0027a00a02000128a009020101296009000e401e002aa00a02\
    00012ba0090201012c6009000f401e002da00a0200012ea0090201012f60090010401e0030a00a02000131a0090201\
    013260090011401e0033a00a02000134a0090201013560090012401e0036a00a02000137a009020101386009001340\
    1e0039a00a0200013aa0090201013b60090014401e003ca00a0200013da0090201013e60090015401e003fa00a0200\
    0140a0090201014160090016401e0042a00a02000143a0090201014460090017401e0045a00a02000146a009020101\
    4760090018401e0048a00a02000149a0090201014a60090019401e004ba00a0200014ca0090201014d6009001a401e\
    004ea00a0200014fa009020101506009001b401e0051a00a02000152a009020101536009001c401e0054a00a020001\
    55a009020101566009001d401e0057a00a02000158a009020101596009001e401e005aa00a0200015ba0090201015c\
    6009001f401e005da00a0200015ea0090201015f60090020401e0060a00a02000161a0090201016260090021401e00\
    63a00a0000240f020401ff1000000000000004090000000000000002c342ba44851185040000f90164010001010181\
    6e02000102200a0400016501042009050101dffe0266c00a02ff0267a00a0200016860090002401f0069c00a02ff02\
    6aa00a0200016b60090003401f006cc00a02ff026da00a0200016e60090004401f006f2006600a02ff0270a00a0200\
    017160090005401f0072c00a02ff0273a00a0200017460090006401f0075c00a02ff0276a00a020001776009000740\
    1f0078c00a02ff0279a00a0200017a60090008401f007bc00a02ff027ca00a0200017d60090009401f007ec00a02ff\
    027fa00a040001c0800240b5000a402001c081c00b03ff02c082a00b20220083600a000b60220084c00b20220085a0\
    0b20220086600a000c60220087c00b20220088a00b20220089600a000d6022008ac00b2022008ba00b2022008c600a\
    000e6022008dc00b2022008ea00b2022008f600a000f60220090c00b20220091a00b20220092600a001060220093c0\
    0b20220094a00b20220095600a001160220096c00b20220097a00b20220098600a001260220099c00b2022009aa00b\
    2022009b600a00136022009cc00b2022009da00b2022009e600a00146022009fc00b202200a0a00b202200a1600a00\
    15602200a2c00b202200a3a00b202200a4600a0016602200a5c00b202200a6a00b202200a7600a0017602200a8c00b\
    202200a9a00b202200aa600a0018602200abc00b202200aca00b202200ad600a0019602200aec00b202200afa00b20\
    2200b0600a001a602200b1c00b202200b2a00b202200b3600a001b602200b4c00b202200b5a00b202200b6600a001c\
    602200b7c00b202200b8a00b202200b9600a001d602200bac00b202200bba00b202200bc600a001e602200bdc00b20\
    2200bea00b202200bf600a001f602200c0c00b202200c1a00b202200c2600a0020602200c3c00b202200c4a00b2022\
    00c5600a0021602200c6c00b202200c7a00b202200c8200a00ff10000000000000042b0000000000000000c3416742\
    381138020000ff00320100010101816e02000102200a050001c0c90204600a030101c0caa00a030201c0cb600a0001\
    402000cca00a202000cda00a202000ce600a404301c0cfa00a202000d0a00a202000d1600a0003404100d2a00a2020\
    00d3a00a202000d4600a0004402000d5a00a202000d6a00a202000d7600a0005402000d8a00a202000d9a00a202000\
    da600a0006402000dba00a202000dca00a202000dd600a0007402000dea00a202000dfa00a202000e0600a00084020\
    00e1a00a202000e2a00a202000e3600a0009402000e4a00a202000e5a00a202000e6600a000a402000e7a00a202000\
    e8a00a202000e9600a000b402000eaa00a202000eba00a202000ec600a000c402000eda00a202000eea00a202000ef\
    600a000d402000f0a00a202000f1a00a202000f2600a000e402000f3a00a202000f4a00a202000f5600a000f402000\
    f6a00a202000f7a00a202000f8600a0010402000f9a00a202000fa200a00ff40fa443b0143e801000040fa000a00bf\
    af505b34f349cd";
const WIDE: &str = "\
    13041000000000000000010000000000000000c340db4d7216720d00004500080100010201866669656c643007816b\
    02400e0000200102e05a76e05000035c01010520750001406600b4e05065e052000201b60260c1412a01e10ee05268\
    e0aa0002029003211b020001032003c259033107e168e0aacae0ac000102ea23c501040143d80004e1058200c2e0ac\
    cfe0ff0060000103c421dc000561dc4363e3015f01e21c601fe0ff00e0ff00a00001049e2236000662360006e40413\
    00e2a020e0ff00e0ff00e057000104f82290000762900007e20290033207e2d0e0577ae0ff00e0ff00e057000105d2\
    22ea000822ea00ff1000000000000000090000000000000000c3406d4ad016d00a0000180003010001020186666965\
    6c643207816b02400e0000200102e32a76e0ff00e0ff00e0ff00e008000406ac0901052346000143370084e0081ee0\
    ff00e0ff00e0ff00e052000207860a639146cb01e3dee05268e0ff00e0ff00e0ff00e062000207e00b23eb00ff1000\
    0000000000000c0000000000000000c3406053ac07ac1300000a00010120020901846c6f6e6705000102200d030001\
    f088201a0077e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff00e0ff\
    00e0ff00e0ff00e0ff00e0ff00e0ee0004278d0401ff10000000000000000d000000000000000020200000000a0001\
    0100010101846c6f6e670500010201000100018177020401ff0d0d00010000000d000a004bb7a798f78dcc88";
/// Two groups with consumers, and one without; entries were deleted, one of them a pending one.
const GROUPS: &str = "\
    130110000000000000000100000000000000014044440000001e000301020101018166020001020100010001010104\
    0103010101000102010401020102010001030104010301030100010401040102010401000105010401ff0305010101\
    04010503c07b050181ffffffffffffffff00000167040181ffffffffffffffff030000000000000001000000000000\
    0001d316802fa20100000700000000000000030000000000000001d216802fa2010000010000000000000004000000\
    0000000001d316802fa20100000102c04dd316802fa201000002000000000000000100000000000000010000000000\
    000004000000000000000105616c696365d216802fa201000001000000000000000300000000000000010168030102\
    00010469646c65d316802fa2010000000a001c851f92c7808982";
/// An empty stream with a group, and one whose entries were deleted.
const EMPTY: &str = "\
    13000000000000000000010167000081ffffffffffffffff00000a00a01a953dfb9cddde";
const GONE: &str = "\
    13000001020000010202000a0062edbe6aeb9c0a56";
/// The same groups in valkey-server 9.1.2.
const VALKEY_GROUPS: &str = "\
    150110000000000000000100000000000000014044440000001e000301020101018166020001020100010001010104\
    0103010101000102010401020102010001030104010301030100010401040102010401000105010401ff0305010101\
    04010503c07b050181ffffffffffffffff00000167040181ffffffffffffffff030000000000000001000000000000\
    0001d018802fa20100000700000000000000030000000000000001d018802fa2010000010000000000000004000000\
    0000000001d018802fa20100000102c04dd018802fa2010000d018802fa20100000200000000000000010000000000\
    0000010000000000000004000000000000000105616c696365d018802fa2010000d018802fa2010000010000000000\
    0000030000000000000001016803010200010469646c65d018802fa2010000ffffffffffffffff0050008d2a605cab\
    7a8da8";

/// A part, whose texts are copies.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Entry(StreamId, Vec<(Vec<u8>, Vec<u8>)>),
    Meta(StreamMeta),
    Group(Vec<u8>, StreamId, Option<u64>, u64),
    Pending(PendingEntry),
    Consumer(Vec<u8>, u64, Option<u64>, u64),
    Owned(PendingEntry),
}

impl From<StreamPart<'_>> for Part {
    fn from(part: StreamPart<'_>) -> Self {
        match part {
            StreamPart::Entry(mut entry) => {
                let (count, mut pairs) = (entry.pairs.left(), Vec::new());
                while let Some((name, value)) = entry.pairs.next() {
                    pairs.push((name.to_vec(), value.to_vec()));
                }
                assert!(count > 0 && count == pairs.len() as u64);
                Self::Entry(entry.id, pairs)
            }
            StreamPart::Meta(meta) => Self::Meta(meta),
            StreamPart::Group(StreamGroup { name, last_id, entries_read, pending }) => {
                Self::Group(name.to_vec(), last_id, entries_read, pending)
            }
            StreamPart::Pending(entry) => Self::Pending(entry),
            StreamPart::Consumer(StreamConsumer { name, seen_at, active_at, pending }) => {
                Self::Consumer(name.to_vec(), seen_at, active_at, pending)
            }
            StreamPart::Owned(entry) => Self::Owned(entry),
        }
    }
}

fn restored(payload: &[u8]) -> Result<Vec<Part>, PayloadError> {
    let PayloadValue::Stream(stream) = restore(payload)? else { return Err(PayloadError::Format) };
    let (mut parts, mut all) = (stream.parts(), Vec::new());
    while let Some(part) = parts.next()? {
        all.push(part.into());
    }
    assert!(parts.next()?.is_none());
    Ok(all)
}

fn write(parts: &[Part], writer: &mut StreamWriter<'_>) -> io::Result<()> {
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Entry(id, pairs) => {
                let pairs = pairs.iter().map(|(name, value)| (&name[..], &value[..]));
                writer.entry(*id, pairs)?;
            }
            Part::Meta(meta) => writer.meta(meta)?,
            Part::Group(name, last_id, entries_read, pending) => {
                let rest =
                    parts[at + 1..].iter().take_while(|part| !matches!(part, Part::Group(..)));
                let consumers = rest.filter(|part| matches!(part, Part::Consumer(..))).count();
                let (name, last_id) = (&name[..], *last_id);
                let group =
                    StreamGroup { name, last_id, entries_read: *entries_read, pending: *pending };
                writer.group(&group, consumers as u64)?;
            }
            Part::Pending(entry) => writer.pending(entry)?,
            Part::Consumer(name, seen_at, active_at, pending) => {
                writer.consumer(&StreamConsumer {
                    name,
                    seen_at: *seen_at,
                    active_at: *active_at,
                    pending: *pending,
                })?;
            }
            Part::Owned(entry) => writer.owned(entry.id)?,
        }
    }
    Ok(())
}

fn dumped(encoding: StreamEncoding, parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    dump_stream(encoding, &mut out, |writer| write(parts, writer)).unwrap();
    out
}

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId { ms, seq }
}

fn pairs(of: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    of.iter().map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into())).collect()
}

/// A payload, without the version and the checksum.
fn value(payload: &[u8]) -> &[u8] {
    &payload[1..payload.len() - 10]
}

/// All recorded values with their types.
fn recorded() -> Vec<(u8, Vec<u8>)> {
    let all = [PLAIN, MANY, WIDE, GROUPS, EMPTY, GONE, VALKEY_GROUPS].map(bytes);
    all.iter().map(|payload| (payload[0], value(payload).to_vec())).collect()
}

#[test]
fn streams_of_redis_are_restored() {
    let plain = [
        (id(5, 10), pairs(&[("a", "1"), ("b", "two")])),
        (id(5, 11), pairs(&[("a", "-70000"), ("b", "")])),
        (id(6, 0), pairs(&[("a", &"x".repeat(70)), ("b", "9223372036854775807")])),
        (id(6, 1), pairs(&[("c", "3")])),
        (id(7, u64::MAX), pairs(&[("a", "1"), ("b", "2"), ("a", "3")])),
        (id(u64::MAX - 1, 3), pairs(&[("a", "1"), ("b", "007")])),
    ];
    let mut wanted: Vec<_> = plain.map(|(id, pairs)| Part::Entry(id, pairs)).into();
    let (last_id, max_deleted_id) = (id(u64::MAX - 1, 3), id(0, 0));
    let (length, entries_added, groups) = (6, 6, 0);
    wanted.push(Part::Meta(StreamMeta { length, last_id, max_deleted_id, entries_added, groups }));
    assert_eq!(restored(&bytes(PLAIN)), Ok(wanted));

    let many = restored(&bytes(MANY)).unwrap();
    assert_eq!(many.len(), 251);
    assert_eq!(many[249], Part::Entry(id(1083, 1), pairs(&[("n", "250")])));
    assert_eq!(restored(&bytes(WIDE)).unwrap().len(), 14);
}

#[test]
fn groups_of_redis_are_restored() {
    let parts = restored(&bytes(GROUPS)).unwrap();
    let entry = |at, text| Part::Entry(id(at, 1), pairs(&[("f", text)]));
    assert_eq!(parts[..3], [entry(1, "1"), entry(3, "3"), entry(5, "5")]);
    let meta = |length, last_id, max_deleted_id, entries_added, groups| {
        Part::Meta(StreamMeta { length, last_id, max_deleted_id, entries_added, groups })
    };
    assert_eq!(parts[3], meta(3, id(5, 1), id(4, 1), 5, 3));
    assert_eq!(parts[4], Part::Group(b"123".to_vec(), id(5, 1), None, 0));
    assert_eq!(parts[5], Part::Group(b"g".to_vec(), id(4, 1), None, 3));
    let pending = |at: usize| match parts[at] {
        Part::Pending(entry) => entry,
        _ => panic!("{:?}", parts[at]),
    };
    let of = |at| (pending(at).id, pending(at).deliveries);
    assert_eq!([of(6), of(7), of(8)], [(id(1, 1), 7), (id(3, 1), 1), (id(4, 1), 1)]);
    assert!(matches!(&parts[9], Part::Consumer(name, seen, active, 2)
        if name == b"77" && *active == Some(*seen) && *seen >= pending(8).delivered_at));
    assert_eq!(parts[10..12], [Part::Owned(pending(6)), Part::Owned(pending(8))]);
    assert!(matches!(&parts[12], Part::Consumer(name, _, _, 1) if name == b"alice"));
    assert_eq!(parts[13], Part::Owned(pending(7)));
    assert_eq!(parts[14], Part::Group(b"h".to_vec(), id(3, 1), Some(2), 0));
    assert!(matches!(&parts[15], Part::Consumer(name, _, _, 0) if name == b"idle"));
    assert_eq!(parts.len(), 16);

    let empty = [meta(0, id(0, 0), id(0, 0), 0, 1), Part::Group(b"g".to_vec(), id(0, 0), None, 0)];
    assert_eq!(restored(&bytes(EMPTY)).unwrap(), empty);
    assert_eq!(restored(&bytes(GONE)).unwrap(), [meta(0, id(1, 2), id(1, 2), 2, 0)]);

    // Valkey's payloads have a version that only Valkey reads; the value is that of Redis 7.2.
    let valkey = restored(&payload(21, value(&bytes(VALKEY_GROUPS)))).unwrap();
    assert_eq!(valkey.len(), 16);
    assert!(matches!(&valkey[9], Part::Consumer(name, _, Some(_), 2) if name == b"77"));
    assert!(matches!(&valkey[15], Part::Consumer(name, _, None, 0) if name == b"idle"));
}

#[test]
fn dumps_are_those_of_redis() {
    for hex in [PLAIN, MANY, WIDE, EMPTY, GONE] {
        let parts = restored(&bytes(hex)).unwrap();
        assert_eq!(dumped(StreamEncoding::Listpacks2, &parts), bytes(hex));
    }
    // Its entries were deleted, so they are packed in another way. What follows is the same.
    let wanted = bytes(GROUPS);
    let found = dumped(StreamEncoding::Listpacks2, &restored(&wanted).unwrap());
    let groups = |payload: &[u8]| payload[payload.len() - 200..payload.len() - 8].to_vec();
    assert_eq!(groups(&found), groups(&wanted));
    let valkey = payload(21, value(&bytes(VALKEY_GROUPS)));
    let found = dumped(StreamEncoding::Listpacks3, &restored(&valkey).unwrap());
    assert_eq!(groups(&found), groups(&valkey));
}

#[test]
fn the_encoding_of_redis_5_has_no_counts() {
    let mut parts = restored(&bytes(GROUPS)).unwrap();
    for part in &mut parts {
        match part {
            Part::Meta(meta) => (meta.max_deleted_id, meta.entries_added) = (id(0, 0), meta.length),
            Part::Group(name, last_id, entries_read, _) => match &name[..] {
                b"123" => *entries_read = Some(3),
                b"g" => *last_id = id(1, 1),
                // Neither the first nor the last.
                _ => *entries_read = None,
            },
            _ => {}
        }
    }
    let found = restored(&dumped(StreamEncoding::Listpacks, &parts)).unwrap();
    assert_eq!(found[5], Part::Group(b"g".to_vec(), id(1, 1), Some(1), 3));
    parts[5] = found[5].clone();
    assert_eq!(found, parts);
}

#[test]
fn every_truncation_and_changed_byte_of_a_stream_is_refused_or_gives_a_value() {
    for (kind, value) in recorded() {
        let step = if value.len() > 1000 { 31 } else { 1 };
        for end in (0..value.len()).step_by(step) {
            assert_eq!(restored(&payload(kind, &value[..end])), Err(PayloadError::Format));
        }
        for at in (0..value.len()).step_by(step) {
            for flip in [1, 2, 8, 64, 128, 255] {
                let mut value = value.clone();
                value[at] ^= flip;
                // Neither a panic nor much memory. What it returns can be written.
                if let Ok(parts) = restored(&payload(kind, &value)) {
                    let encoding = StreamEncoding::Listpacks3;
                    assert_eq!(restored(&dumped(encoding, &parts)), Ok(parts));
                }
            }
        }
    }
}

/// Makes a node of a stream: its id and its listpack.
fn node(ms: u64, elements: &[&str]) -> Vec<u8> {
    let packed = listpack(elements);
    [&[16][..], &id(ms, 0).to_be_bytes(), &[packed.len() as u8], &packed].concat()
}

#[test]
fn impossible_streams_are_refused() {
    // One field; an entry with that field, and one with another field.
    let good =
        ["2", "0", "1", "f", "0", "2", "0", "1", "v", "4", "0", "1", "0", "1", "g", "w", "6"];
    let rest = |length, last| [&[length, last, 1, 1, 1, 0, 0, length][..]].concat();
    let stream = |nodes: &[Vec<u8>], rest: &[u8]| {
        payload(19, &[&[nodes.len() as u8][..], &nodes.concat(), rest].concat())
    };
    let no_groups = |length, last| [rest(length, last), vec![0]].concat();
    assert_eq!(restored(&stream(&[node(1, &good)], &no_groups(2, 2))).unwrap().len(), 3);

    let changed = |at: usize, by: &'static str| {
        let mut elements = good;
        elements[at] = by;
        node(1, &elements)
    };
    // Wrong counts, texts for numbers, no fields, no zero, wrong sizes, an id that does not ascend.
    for (at, by) in [
        (0, "1"),
        (0, "3"),
        (0, "-2"),
        (0, "x"),
        (1, "1"),
        (2, "0"),
        (2, "2"),
        (2, "9223372036854775807"),
        (4, "1"),
        (5, "x"),
        (5, "0"),
        (9, "5"),
        (11, "-1"),
        (13, "0"),
        (13, "-1"),
        (16, "5"),
    ] {
        let payload = stream(&[changed(at, by)], &no_groups(2, 3));
        assert_eq!(restored(&payload), Err(PayloadError::Format), "{by} at {at}");
    }
    // Other lengths, a last id that is too small, a node twice, nodes without elements.
    for (nodes, length, last) in [
        (vec![node(1, &good)], 1, 2),
        (vec![node(1, &good)], 3, 2),
        (vec![node(1, &good)], 2, 1),
        (vec![node(1, &good), node(1, &good)], 4, 9),
        (vec![node(3, &good), node(1, &good)], 4, 9),
        (vec![node(1, &[])], 0, 2),
        (vec![], 1, 2),
    ] {
        assert!(restored(&stream(&nodes, &no_groups(length, last))).is_err());
    }
    // A deleted entry does not count.
    let deleted = stream(&[changed(5, "3")], &no_groups(1, 2));
    assert_eq!(restored(&deleted).unwrap().len(), 2);
    // Fewer entries ever added than there are.
    let added = stream(&[node(1, &good)], &[2, 2, 0, 1, 1, 0, 0, 1, 0]);
    assert_eq!(restored(&added), Err(PayloadError::Format));
    let added = [&[2, 2, 0, 1, 1, 0, 0, 0x81][..], &[0xFF; 8], &[0]].concat();
    assert_eq!(restored(&stream(&[node(1, &good)], &added)), Err(PayloadError::Format));
}

#[test]
fn impossible_groups_are_refused() {
    let (time, one, two) = ([0; 8], id(1, 0).to_be_bytes(), id(2, 0).to_be_bytes());
    let group = |pending: &[&[u8]], consumers: &[(&[u8], &[&[u8]])]| {
        let mut bytes = vec![1, b'g', 0, 0, 0, pending.len() as u8];
        for id in pending {
            bytes.extend([*id, &time, &[1]].concat());
        }
        bytes.push(consumers.len() as u8);
        for (name, owned) in consumers {
            bytes.extend([&[1][..], name, &time, &[owned.len() as u8], &owned.concat()].concat());
        }
        bytes
    };
    let stream = |groups: &[Vec<u8>]| {
        let meta = [0, 0, 9, 0, 0, 0, 0, 0, 0, groups.len() as u8];
        restored(&payload(19, &[&meta[..], &groups.concat()].concat()))
    };
    let good = group(&[&one, &two], &[(b"a", &[&two]), (b"b", &[&one])]);
    assert_eq!(stream(std::slice::from_ref(&good)).unwrap().len(), 8);
    for bad in [
        // The same group, consumer or entry twice.
        vec![good.clone(), good],
        vec![group(&[], &[(b"a", &[]), (b"a", &[])])],
        vec![group(&[&one, &one], &[(b"a", &[&one])])],
        // An entry with two consumers, with none, and one that only a consumer has.
        vec![group(&[&one], &[(b"a", &[&one]), (b"b", &[&one])])],
        vec![group(&[&one], &[(b"a", &[&one, &one])])],
        vec![group(&[&one], &[(b"a", &[])])],
        vec![group(&[&one], &[]), vec![1, b'h', 0, 0, 0, 0, 0]],
        vec![group(&[&one], &[(b"a", &[&two])])],
    ] {
        assert_eq!(stream(&bad), Err(PayloadError::Format), "{bad:?}");
    }
}

#[test]
fn a_wrong_length_of_a_stream_takes_no_memory() {
    let length = b"\x81\x00\x00\x01\x00\x00\x00\x00\x00";
    for begin in [&b""[..], b"\x01", b"\x00", b"\x00\x00\x00\x00\x00\x00\x00\x00\x00"] {
        let value = [begin, length, length, b"\x01\x02\x03"].concat();
        assert_eq!(restored(&payload(19, &value)), Err(PayloadError::Format));
    }
    for begin in [
        &b"\x01g\x00\x00\x00"[..],
        b"\x01g\x00\x00\x00\x00",
        b"\x01g\x00\x00\x00\x00\x01\x01c12345678",
    ] {
        let value = [b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", begin, length, b"1234"].concat();
        assert_eq!(restored(&payload(19, &value)), Err(PayloadError::Format));
    }
}

/// Returns the streams of a file. Of each one, at most `most` parts are read.
fn streams(file: &[u8], most: usize) -> Result<Vec<Vec<Part>>, RdbError> {
    let (mut reader, mut found) = (Reader::new(file)?, Vec::new());
    while let Some(record) = reader.next()? {
        let RdbRecord::Entry(entry) = record else { continue };
        let mut parts = Vec::new();
        while parts.len() < most
            && let Some(part) = reader.stream_part()?
        {
            parts.push(part.into());
        }
        assert!(reader.pair()?.is_none() && reader.element()?.is_none() || parts.is_empty());
        if entry.value == RdbValue::Stream {
            found.push(parts);
        }
    }
    Ok(found)
}

#[test]
fn streams_in_files_are_read_and_the_rest_is_skipped() {
    for hex in [redis_files::PLAIN, redis_files::LRU, redis_files::LFU] {
        assert!(!streams(&bytes(hex), usize::MAX).unwrap()[0].is_empty());
    }
    let (mut records, mut wanted) = (Vec::new(), Vec::new());
    for (kind, value) in recorded() {
        records.extend([kind, 1, b'k']);
        records.extend_from_slice(&value);
        wanted.push(restored(&payload(kind, &value)).unwrap());
    }
    let file = file(12, &records);
    for most in (0..18).chain([150, usize::MAX]) {
        let cut = wanted.iter().map(|parts| parts[..most.min(parts.len())].to_vec());
        assert_eq!(streams(&file, most).unwrap(), cut.collect::<Vec<_>>());
        for end in (9..file.len()).step_by(37) {
            let why = streams(&file[..end], most).unwrap_err();
            assert!(matches!(why, RdbError::Truncated { offset } if offset == end as u64), "{why}");
        }
    }
}

#[test]
fn written_streams_are_read() {
    for encoding in [StreamEncoding::Listpacks2, StreamEncoding::Listpacks3] {
        let (mut file, mut wanted) = (Vec::new(), Vec::new());
        let mut writer = Writer::new(&mut file).unwrap();
        for (kind, value) in recorded() {
            let parts = restored(&payload(kind, &value)).unwrap();
            writer.stream(b"k", Some(5), encoding, |stream| write(&parts, stream)).unwrap();
            wanted.push(dumped(encoding, &parts));
        }
        writer.finish().unwrap();
        let found = streams(&file, usize::MAX).unwrap();
        assert_eq!(found.iter().map(|parts| dumped(encoding, parts)).collect::<Vec<_>>(), wanted);
    }
}

#[test]
#[should_panic(expected = "parts of a stream")]
fn another_number_of_parts_than_was_said_is_a_bug() {
    let mut parts = restored(&bytes(GROUPS)).unwrap();
    parts.pop();
    let Some(Part::Group(..)) = parts.pop() else { panic!() };
    dumped(StreamEncoding::Listpacks2, &parts);
}

#[test]
fn an_error_of_the_caller_is_returned() {
    let mut out = Vec::new();
    let failed =
        dump_stream(StreamEncoding::Listpacks2, &mut out, |_| Err(io::ErrorKind::Other.into()));
    assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::Other);
}
