//! Replies about places.

use crate::command::geo_arguments::ShownPlace;
use hedgerow_db_engine::request::{ElementList, FoundPlace, LongDouble, Place, Score, Unit};
use hedgerow_db_formats::geo;
use hedgerow_db_formats::resp::write::RespWriter;

fn place(stored: Option<&[u8]>) -> Option<Place> {
    stored.and_then(Score::parse).map(|score| Place::of_score(score.get()))
}

/// Writes where members are, from their scores.
pub(super) fn write_positions(out: &mut RespWriter<'_>, scores: ElementList<'_>) {
    out.array(scores.len());
    scores.iter().for_each(|stored| match place(stored) {
        Some(place) => write_place(out, place),
        None => out.null_array(),
    });
}

/// Writes the geohashes of members, from their scores.
pub(super) fn write_geohashes(out: &mut RespWriter<'_>, scores: ElementList<'_>) {
    out.array(scores.len());
    scores.iter().for_each(|stored| match place(stored) {
        Some(place) => out.bulk(&geo::geohash_text(place)),
        None => out.null(),
    });
}

/// Writes the distance of two members, from their scores.
pub(super) fn write_distance(out: &mut RespWriter<'_>, scores: ElementList<'_>, unit: Unit) {
    let mut places = scores.iter().map(place);
    match places.next().flatten().zip(places.next().flatten()) {
        Some((one, other)) => write_length(out, geo::distance(one, other) / unit.metres()),
        None => out.null(),
    }
}

/// Writes the places that a search has found.
pub(super) fn write_places(out: &mut RespWriter<'_>, found: ElementList<'_>, shown: ShownPlace) {
    let parts = [shown.distance, shown.hash, shown.coordinates];
    let parts = parts.into_iter().filter(|part| *part).count();
    out.array(found.len() / 2);
    let mut elements = found.iter().flatten();
    while let Some((member, stored)) = elements.next().zip(elements.next()) {
        if parts > 0 {
            out.array(1 + parts);
        }
        out.bulk(member);
        let Some(FoundPlace { distance, score }) = FoundPlace::parse(stored) else { continue };
        if shown.distance {
            write_length(out, distance / shown.unit.metres());
        }
        if shown.hash {
            out.integer(score as i64);
        }
        if shown.coordinates {
            write_place(out, Place::of_score(score));
        }
    }
}

fn write_place(out: &mut RespWriter<'_>, place: Place) {
    out.array(2);
    for degrees in [place.longitude, place.latitude] {
        out.long_double(&LongDouble::from(degrees).text().unwrap_or_default());
    }
}

/// Writes a distance.
fn write_length(out: &mut RespWriter<'_>, length: f64) {
    out.bulk(format!("{length:.4}").as_bytes());
}
