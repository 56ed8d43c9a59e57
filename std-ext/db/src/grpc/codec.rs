//! prost's codec, with a limit for messages that are much larger in memory than on the wire.

use hedgerow_db_redis::limits::GRPC_PARTS;
use prost::Message;
use prost::bytes::Buf;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// A codec that refuses messages with more parts than [`GRPC_PARTS`].
#[derive(Debug)]
pub(crate) struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstDecoder::default())
    }
}

/// A decoder that refuses messages with more parts than [`GRPC_PARTS`].
#[derive(Debug)]
pub(crate) struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if parts(bytes.chunk()) > GRPC_PARTS {
            let text = format!("the message has more than {GRPC_PARTS} parts, or a group");
            return Err(Status::resource_exhausted(text));
        }
        self.0.decode(bytes)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

/// Counts the fields of an encoded message, up to the first invalid one. A message with a group, which the service's
/// messages do not have, has more than any number: the decoder skips a group, and goes on behind it.
fn parts(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(tag) = number(&mut bytes) {
        let length = match tag & 7 {
            0 => number(&mut bytes).map(|_| 0),
            1 => Some(8),
            2 => number(&mut bytes),
            5 => Some(4),
            3 | 4 => return usize::MAX,
            _ => None,
        };
        let rest = length.and_then(|length| bytes.get(usize::try_from(length).ok()?..));
        let Some(rest) = rest else { break };
        (bytes, count) = (rest, count + 1);
    }
    count
}

/// Parses a varint and removes it from the bytes.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::api::{BatchRequest, DeleteRequest, Operation, SetRequest};

    #[test]
    fn parts_of_messages_are_counted() {
        for many in [0, 1, 2, 300] {
            let batch = BatchRequest { operations: vec![Operation::default(); many] };
            assert_eq!(parts(&batch.encode_to_vec()), many);
            let delete = DeleteRequest { keys: vec![vec![b'k'; many].into(); many] };
            assert_eq!(parts(&delete.encode_to_vec()), many);
        }
        let set = SetRequest {
            key: "k".into(),
            value: "v".into(),
            ttl: Some(7),
            ..SetRequest::default()
        };
        assert_eq!(parts(&set.encode_to_vec()), 3);
        // Any bytes end the count.
        for seed in 0..=u8::MAX {
            let bytes: Vec<u8> = (0..64_u8).map(|n| seed.wrapping_mul(n).wrapping_add(n)).collect();
            let parts = parts(&bytes);
            assert!(parts <= bytes.len() || parts == usize::MAX);
        }
        // The decoder skips a group, with all that is in it.
        let group = [&[0x7b, 0x7c][..], &[0x0a, 0].repeat(3)].concat();
        assert!(DeleteRequest::decode(&group[..]).is_ok_and(|delete| delete.keys.len() == 3));
        assert!(parts(&group) > GRPC_PARTS, "parts behind a group are not counted");
    }
}
