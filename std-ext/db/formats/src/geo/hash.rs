//! Geohashes.

/// The limits of latitudes, beyond which a Mercator projection is of no use.
const LATITUDE: f64 = 85.051_128_78;
const LONGITUDE: f64 = 180.0;
/// The bits of each coordinate in the hash of a place.
pub(super) const MOST_STEPS: u32 = 26;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The longitude.
    pub longitude: f64,
    /// The latitude.
    pub latitude: f64,
}

// No coordinate is NaN.
impl Eq for Place {}

impl Place {
    /// Returns the place; `None` if there is no such one, or it is too near to a pole.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let is_valid = (-LONGITUDE..=LONGITUDE).contains(&longitude)
            && (-LATITUDE..=LATITUDE).contains(&latitude);
        is_valid.then_some(Self { longitude, latitude })
    }

    /// Returns the score by which the place is stored.
    #[expect(clippy::cast_precision_loss, reason = "a hash has 52 bits")]
    pub fn score(self) -> f64 {
        Cell::of(self, MOST_STEPS).bits() as f64
    }

    /// Returns the place that a score stores, as exactly as that is known: any score stores one.
    pub fn of_score(score: f64) -> Self {
        Cell::of_bits(whole(score), MOST_STEPS).centre()
    }
}

/// Converts a number to an integer of 64 bits as the processors do on which Redis runs: what is out of range wraps.
pub(super) fn whole(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let signed = |number: f64| {
        // The conversion of C saturates nothing: other numbers become the least one.
        if (-HALF..HALF).contains(&number) { number as i64 } else { i64::MIN }
    };
    if number < HALF {
        signed(number).cast_unsigned()
    } else {
        signed(number - HALF).cast_unsigned() ^ (1 << 63)
    }
}

/// A box of the grid that 2^steps columns and as many rows form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) column: u32,
    pub(super) row: u32,
    pub(super) steps: u32,
}

/// The edges of a box, in degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    pub(super) west: f64,
    pub(super) east: f64,
    pub(super) south: f64,
    pub(super) north: f64,
}

impl Cell {
    /// Returns the box that has a place.
    pub(super) fn of(place: Place, steps: u32) -> Self {
        Self::within(place, steps, LATITUDE)
    }

    fn within(place: Place, steps: u32, most: f64) -> Self {
        let number = f64::from(1_u32 << steps);
        // At the last edge this is one too many, as in Redis.
        let share = |at: f64, most: f64| {
            let share = ((at + most) / (2.0 * most) * number) as i64;
            share.cast_unsigned() as u32
        };
        let (column, row) = (share(place.longitude, LONGITUDE), share(place.latitude, most));
        Self { column, row, steps }
    }

    /// Returns the box whose bits these are.
    pub(super) fn of_bits(bits: u64, steps: u32) -> Self {
        Self { column: every_second(bits >> 1), row: every_second(bits), steps }
    }

    /// Returns the bits: those of column and row alternate, and the last one is of the row.
    pub(super) fn bits(self) -> u64 {
        spread(self.column) << 1 | spread(self.row)
    }

    /// Returns the edges.
    pub(super) fn edges(self) -> Edges {
        let number = f64::from(1_u32 << self.steps);
        let edge =
            |at: u32, more: f64, most: f64| -most + (f64::from(at) + more) / number * (2.0 * most);
        Edges {
            west: edge(self.column, 0.0, LONGITUDE),
            east: edge(self.column, 1.0, LONGITUDE),
            south: edge(self.row, 0.0, LATITUDE),
            north: edge(self.row, 1.0, LATITUDE),
        }
    }

    fn centre(self) -> Place {
        let Edges { west, east, south, north } = self.edges();
        Place {
            longitude: f64::midpoint(west, east).clamp(-LONGITUDE, LONGITUDE),
            latitude: f64::midpoint(south, north).clamp(-LATITUDE, LATITUDE),
        }
    }

    /// Returns the box some columns to the east and some rows to the north, around the earth. As in Redis, a column or
    /// row beyond the last one stays there: a search around 180 degrees finds no place to the east of that.
    pub(super) fn beside(self, east: i32, north: i32) -> Self {
        let mask = (1_u32 << self.steps) - 1;
        let moved = |at: u32, by: i32| if by == 0 { at } else { at.wrapping_add_signed(by) & mask };
        Self { column: moved(self.column, east), row: moved(self.row, north), ..self }
    }

    /// Returns the least score of a place in the box, and the least one behind the box.
    #[expect(clippy::cast_precision_loss, reason = "a hash has 52 bits")]
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (MOST_STEPS - self.steps);
        let bits = self.bits();
        ((bits << shift) as f64, (bits.wrapping_add(1) << shift) as f64)
    }
}

/// Puts a zero before each bit.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (by, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << by) & mask;
    }
    bits
}

/// Undoes `spread`, and ignores the other bits.
fn every_second(mut bits: u64) -> u32 {
    bits &= 0x5555_5555_5555_5555;
    for (by, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF_u64),
    ] {
        bits = (bits | bits >> by) & mask;
    }
    bits as u32
}

/// Returns the 11 letters of the usual geohash of a place, whose latitudes reach to the poles. The bits of a score make
/// ten; the last letter is always the same.
pub fn geohash_text(place: Place) -> [u8; 11] {
    const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let bits = Cell::within(place, MOST_STEPS, 90.0).bits();
    let mut text = [LETTERS[0]; 11];
    for (at, letter) in text[..10].iter_mut().enumerate() {
        *letter = LETTERS[(bits >> (52 - 5 * (at + 1)) & 31) as usize];
    }
    text
}
