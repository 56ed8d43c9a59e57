//! Requests about places, which are members of sorted sets.

#[doc(inline)]
pub use hedgerow_db_formats::geo::{Place, Shape, ShapeKind, Unit};

/// A search for the places within a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeoSearch<'a> {
    /// The centre of the shape.
    pub centre: GeoCentre<'a>,
    /// The shape.
    pub shape: Shape,
    /// In which order places are found; `None` for one that means nothing.
    pub order: Option<GeoOrder>,
    /// How many are found at most. Without an order, those are the nearest ones.
    pub count: Option<usize>,
    /// Whether the search ends once it has found as many, of any distance.
    pub any: bool,
}

/// The centre of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeoCentre<'a> {
    /// A place.
    Place(Place),
    /// That of a member.
    Member(&'a [u8]),
}

/// The order of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeoOrder {
    /// The nearest one first.
    Nearest,
    /// The farthest one first.
    Farthest,
}

/// What a search has found of a place: in an answer, the bytes behind its member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoundPlace {
    /// The distance from the centre, in metres.
    pub distance: f64,
    /// The score of the member, which is the place.
    pub score: f64,
}

impl FoundPlace {
    /// Returns the bytes that store it.
    pub(crate) fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (distance, score) = bytes.split_at_mut(8);
        distance.copy_from_slice(&self.distance.to_le_bytes());
        score.copy_from_slice(&self.score.to_le_bytes());
        bytes
    }

    /// Returns what these bytes store.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let ([distance, score], []) = bytes.as_chunks::<8>() else { return None };
        Some(Self { distance: f64::from_le_bytes(*distance), score: f64::from_le_bytes(*score) })
    }
}
