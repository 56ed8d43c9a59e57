//! Numbers and texts of redis-server 7.0.15, and searches beside a comparison with all places.

use super::*;

const PALERMO: Place = Place { longitude: 13.361_389, latitude: 38.115_556 };
const CATANIA: Place = Place { longitude: 15.087_269, latitude: 37.502_669 };

#[test]
fn places_are_stored_as_redis_stores_them() {
    let scores = [PALERMO, CATANIA].map(|place| (place.score() as i64).cast_unsigned());
    assert_eq!(scores, [3_479_099_956_230_698, 3_479_447_370_796_909]);
    let place = Place::of_score(PALERMO.score());
    assert_eq!((place.longitude, place.latitude), (13.361_389_338_970_184, 38.115_556_395_496_3));
    assert_eq!(geohash_text(place), *b"sqc8b49rny0");
    assert_eq!(geohash_text(Place::of_score(CATANIA.score())), *b"sqdtr74hyu0");
    assert!(Place::new(180.0, 85.051_128_78).is_some() && Place::new(-180.1, 0.0).is_none());
    assert!(Place::new(0.0, 85.051_128_79).is_none() && Place::new(f64::NAN, 0.0).is_none());
}

#[test]
fn distances_are_those_of_redis() {
    let [palermo, catania] = [PALERMO, CATANIA].map(|place| Place::of_score(place.score()));
    assert_eq!(format!("{:.4}", distance(palermo, catania)), "166274.1516");
    assert!(distance(palermo, palermo).abs() < f64::MIN_POSITIVE);
    assert_eq!(Unit::of_name(b"KM"), Some(Unit::Kilometres));
    assert_eq!(Unit::of_name(b"cm"), None);
}

#[test]
fn a_search_finds_all_places_within_its_shape() {
    let mut state = 1_u64;
    let mut random = |most: f64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (f64::from((state >> 33) as u32) / f64::from(1_u32 << 31) * 2.0 - 1.0) * most
    };
    let places: Vec<Place> = (0..2000)
        .map(|_| Place { longitude: random(180.0), latitude: random(80.0) })
        .map(|place| Place::of_score(place.score()))
        .collect();
    let mut found_some = 0;
    for _ in 0..300 {
        let centre = Place { longitude: random(150.0), latitude: random(60.0) };
        let (one, other) = (random(900.0).abs(), random(900.0).abs());
        for kind in [ShapeKind::Circle(one), ShapeKind::Box(one, other)] {
            let shape = Shape { kind, unit: Unit::Kilometres };
            let ranges = shape.score_ranges(centre);
            let within =
                places.iter().filter(|place| shape.distance_within(centre, **place).is_some());
            for place in within {
                let score = place.score();
                assert!(ranges.iter().any(|(from, to)| (*from..*to).contains(&score)), "{place:?}");
                found_some += 1;
            }
        }
    }
    assert!(found_some > 1000, "{found_some} places");
}
