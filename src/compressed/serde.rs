//! Feature `serde`: values of a [`TypedMap`](super::TypedMap) in a format of the caller's choice.

use super::typed::{Decode, Encode};
use ::serde::Serialize;
use ::serde::de::DeserializeOwned;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

/// A format in which values are written and read by serde: JSON, CBOR, postcard, and so on.
///
/// ```
/// use hedgerow::compressed::Format;
/// use serde::{Serialize, de::DeserializeOwned};
///
/// struct Json;
///
/// impl Format for Json {
///     fn write<T: Serialize + ?Sized>(value: &T) -> Option<Vec<u8>> {
///         serde_json::to_vec(value).ok()
///     }
///
///     fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
///         serde_json::from_slice(bytes).ok()
///     }
/// }
/// assert_eq!(Json::read::<[u8; 2]>(b"[1, 2]"), Some([1, 2]));
/// ```
pub trait Format {
    /// Returns the bytes of a value; `None` if the format cannot write it.
    fn write<T: Serialize + ?Sized>(value: &T) -> Option<Vec<u8>>;

    /// Returns the value that has these bytes; `None` if none has.
    fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T>;
}

/// A value that a [`TypedMap`](super::TypedMap) stores in format `F`.
///
/// ```
/// # use hedgerow::compressed::Format;
/// # struct Json;
/// # impl Format for Json {
/// #     fn write<T: serde::Serialize + ?Sized>(value: &T) -> Option<Vec<u8>> { serde_json::to_vec(value).ok() }
/// #     fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> { serde_json::from_slice(bytes).ok() }
/// # }
/// use hedgerow::CompressedMap;
/// use hedgerow::compressed::{Formatted, TypedMap};
///
/// let map = TypedMap::<String, Formatted<Vec<f64>, Json>>::new(CompressedMap::with_budget(1 << 20));
/// let point = Formatted::new(vec![0.5, 1.5]).expect("JSON can write it");
/// map.insert("point", &point)?;
/// let point = map.get("point").expect("it is not damaged").expect("it is there");
/// assert_eq!(point.into_inner(), [0.5, 1.5]);
/// # Ok::<(), hedgerow::compressed::StoreError>(())
/// ```
pub struct Formatted<T, F> {
    value: T,
    bytes: Vec<u8>,
    format: PhantomData<fn() -> F>,
}

impl<T: Serialize, F: Format> Formatted<T, F> {
    /// Writes a value. Returns `None` if the format cannot: JSON has no map whose keys are lists, for example.
    pub fn new(value: T) -> Option<Self> {
        let bytes = F::write(&value)?;
        Some(Self { value, bytes, format: PhantomData })
    }
}

impl<T, F> Formatted<T, F> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T, F> Deref for Formatted<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T, F> Encode for Formatted<T, F> {
    fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(&self.bytes)
    }
}

impl<T: DeserializeOwned, F: Format> Decode for Formatted<T, F> {
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self { value: F::read(bytes)?, bytes: bytes.to_vec(), format: PhantomData })
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Formatted<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
