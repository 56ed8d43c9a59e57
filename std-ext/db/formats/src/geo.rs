//! Places on the earth: geohashes of 52 bits, distances, and the boxes in which a search looks, as Redis has them.
//!
//! A place is stored as the score of a member of a sorted set: its geohash, whose bits alternate between longitude and
//! latitude. So the places within a box are a range of scores, and a search looks at a box around its centre and the
//! eight around that.

mod hash;
mod search;

pub use hash::{Place, geohash_text};
pub use search::{Shape, ShapeKind};

/// The radius of the earth, in metres.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// The largest coordinate of a Mercator projection, in metres.
const MERCATOR_MAX: f64 = 20_037_726.37;
/// A degree, in radians.
const DEGREE: f64 = std::f64::consts::PI / 180.0;

fn radians(degrees: f64) -> f64 {
    degrees * DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / DEGREE
}

/// Returns the distance between two latitudes, in metres.
fn latitude_distance(one: f64, other: f64) -> f64 {
    EARTH_RADIUS * (radians(other) - radians(one)).abs()
}

/// Returns the distance between two places, in metres, by the haversine formula.
pub fn distance(one: Place, other: Place) -> f64 {
    let v = ((radians(other.longitude) - radians(one.longitude)) / 2.0).sin();
    // Exact, and as Redis does.
    if v == 0.0 {
        return latitude_distance(one.latitude, other.latitude);
    }
    let (latitude, other) = (radians(one.latitude), radians(other.latitude));
    let u = ((other - latitude) / 2.0).sin();
    let a = u * u + latitude.cos() * other.cos() * v * v;
    2.0 * EARTH_RADIUS * a.sqrt().asin()
}

/// A unit of distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Metres.
    Metres,
    /// Kilometres.
    Kilometres,
    /// Feet.
    Feet,
    /// Miles.
    Miles,
}

impl Unit {
    /// Returns the unit of a name, in any case.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        let units = [
            (&b"m"[..], Self::Metres),
            (b"km", Self::Kilometres),
            (b"ft", Self::Feet),
            (b"mi", Self::Miles),
        ];
        units.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, unit)| unit)
    }

    /// Returns the length of the unit in metres.
    pub fn metres(self) -> f64 {
        match self {
            Self::Metres => 1.0,
            Self::Kilometres => 1000.0,
            Self::Feet => 0.3048,
            Self::Miles => 1609.34,
        }
    }
}

#[cfg(test)]
mod tests;
