//! Tests of the buffers and the requests of a batch.

use super::*;

#[test]
fn emptied_buffers_keep_their_memory() {
    let text = b"rose".to_vec();
    let mut requests: Vec<Request<'_>> = Vec::with_capacity(100);
    requests.push(Request::Read(&text, Query::Value));
    let (at, capacity) = (requests.as_ptr().addr(), requests.capacity());
    let mut again: Vec<Request<'static>> = emptied(requests);
    assert!(again.is_empty());
    again.push(Request::Read(b"rose", Query::Value));
    assert_eq!((again.as_ptr().addr(), again.capacity()), (at, capacity));
    let large: Vec<u8> = emptied(vec![0_u8; hedgerow_db_engine::buffers::KEPT + 1]);
    assert_eq!(large.capacity(), 0);
}

#[test]
fn a_hyperloglog_that_is_named_often_is_read_once() {
    let mut batch = RequestBatch::default();
    batch.count_union(&[b"a", b"b", b"a", b"a"]);
    assert_eq!(batch.len(), 2, "a name that comes again is read again");
}
