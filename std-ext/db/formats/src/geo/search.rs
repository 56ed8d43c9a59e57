//! Searches for places around another one.

use super::hash::{Cell, MOST_STEPS};
use super::{
    EARTH_RADIUS, MERCATOR_MAX, Place, Unit, degrees, distance, latitude_distance, radians,
};

/// A shape around a place. Its lengths are in a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// What the shape is.
    pub kind: ShapeKind,
    /// The unit of its lengths.
    pub unit: Unit,
}

// No length is NaN.
impl Eq for Shape {}

/// What a shape is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ShapeKind {
    /// A circle of this radius.
    Circle(f64),
    /// A box of this width and this height.
    Box(f64, f64),
}

impl Shape {
    /// Returns the distance of a place from the centre in metres, if the shape has that place.
    pub fn distance_within(self, centre: Place, place: Place) -> Option<f64> {
        let unit = self.unit.metres();
        match self.kind {
            ShapeKind::Circle(radius) => {
                let distance = distance(centre, place);
                (distance <= radius * unit).then_some(distance)
            }
            ShapeKind::Box(width, height) => {
                let beside = Place { longitude: centre.longitude, ..place };
                let is_within = latitude_distance(place.latitude, centre.latitude)
                    <= height * unit / 2.0
                    && distance(place, beside) <= width * unit / 2.0;
                is_within.then(|| distance(centre, place))
            }
        }
    }

    /// Returns the scores from which and up to which places may be within the shape, in the order in which Redis looks
    /// at them.
    pub fn score_ranges(self, centre: Place) -> Vec<(f64, f64)> {
        let mut ranges = Vec::with_capacity(9);
        let cells = self.cells(centre);
        // The last one that was looked at; Redis does not compare with the first one.
        let mut last = None;
        for (number, cell) in cells.into_iter().enumerate() {
            let Some(cell) = cell.filter(|cell| last != Some(*cell)) else { continue };
            ranges.push(cell.scores());
            last = (number > 0).then_some(cell);
        }
        ranges
    }

    /// Returns the box in the middle, and those around it that are needed.
    fn cells(self, centre: Place) -> [Option<Cell>; 9] {
        let bounds = self.bounds(centre);
        let mut steps = self.steps(centre.latitude);
        let mut cell = Cell::of(centre, steps);
        let is_too_small = cell.beside(0, 1).edges().north < bounds.north
            || cell.beside(0, -1).edges().south > bounds.south
            || cell.beside(1, 0).edges().east < bounds.east
            || cell.beside(-1, 0).edges().west > bounds.west;
        if steps > 1 && is_too_small {
            steps -= 1;
            cell = Cell::of(centre, steps);
        }
        let edges = cell.edges();
        // A large box may lie around the earth, so all of its neighbours are needed.
        let is_small = steps >= 2;
        let without_south = is_small && edges.south < bounds.south;
        let without_north = is_small && edges.north > bounds.north;
        let without_west = is_small && edges.west < bounds.west;
        let without_east = is_small && edges.east > bounds.east;
        let places = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        places.map(|(east, north)| {
            let is_left_out = east > 0 && without_east
                || east < 0 && without_west
                || north > 0 && without_north
                || north < 0 && without_south;
            let beside = cell.beside(east, north);
            // Redis marks a box that is left out by zeros.
            (!is_left_out).then_some(beside)
        })
    }

    /// Returns the edges of a box around the shape.
    fn bounds(self, centre: Place) -> super::hash::Edges {
        let unit = self.unit.metres();
        let (width, height) = match self.kind {
            ShapeKind::Circle(radius) => (unit * radius, unit * radius),
            ShapeKind::Box(width, height) => (unit * (width / 2.0), unit * (height / 2.0)),
        };
        let Place { longitude, latitude } = centre;
        let up = degrees(height / EARTH_RADIUS);
        let aside = |latitude: f64| degrees(width / EARTH_RADIUS / radians(latitude).cos());
        // The edge that is nearer to a pole has more degrees.
        let aside = aside(if latitude < 0.0 { latitude - up } else { latitude + up });
        super::hash::Edges {
            west: longitude - aside,
            east: longitude + aside,
            south: latitude - up,
            north: latitude + up,
        }
    }

    /// Returns for how many steps a box is about as large as the shape.
    fn steps(self, latitude: f64) -> u32 {
        let radius = match self.kind {
            ShapeKind::Circle(radius) => radius,
            ShapeKind::Box(width, height) => {
                let (x, y) = (width / 2.0, height / 2.0);
                (x * x + y * y).sqrt()
            }
        };
        let mut radius = radius * self.unit.metres();
        if radius == 0.0 {
            return MOST_STEPS;
        }
        let mut steps = 1_i32;
        while radius < MERCATOR_MAX {
            radius *= 2.0;
            steps += 1;
        }
        // So that the shape is within a box and its neighbours. Towards the poles, boxes are narrow.
        steps -= 2;
        if latitude.abs() > 66.0 {
            steps -= 1;
            if latitude.abs() > 80.0 {
                steps -= 1;
            }
        }
        steps.clamp(1, MOST_STEPS.cast_signed()).cast_unsigned()
    }
}
