//! The arguments of searches for places.

use crate::command::arguments::{ArgumentError, CommandError, NOT_AN_INTEGER, SYNTAX, is};
use hedgerow_db_engine::request::{GeoCentre, GeoOrder, GeoSearch, Place, Shape, ShapeKind, Unit};
use hedgerow_db_formats::number;
use hedgerow_db_formats::score;

/// The forms of commands that search.
#[derive(Clone, Copy, Debug)]
pub(super) enum SearchForm<'n> {
    /// GEOSEARCH, by the name that the client has written.
    Search(&'n [u8]),
    /// GEOSEARCHSTORE.
    Store(&'n [u8]),
    /// GEORADIUS and its like, whose first arguments are the circle.
    Radius { is_by_member: bool, stores: bool },
}

impl SearchForm<'_> {
    fn is_radius(self) -> bool {
        matches!(self, Self::Radius { .. })
    }
}

/// What is replied of each place besides its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShownPlace {
    /// The distance, in this unit.
    pub(super) unit: Unit,
    pub(super) distance: bool,
    pub(super) hash: bool,
    pub(super) coordinates: bool,
}

impl ShownPlace {
    fn shows_any(self) -> bool {
        self.distance || self.hash || self.coordinates
    }
}

/// The arguments of a search behind its key.
pub(super) struct SearchArguments<'a> {
    pub(super) search: GeoSearch<'a>,
    pub(super) shown: ShownPlace,
    /// The key of the result.
    pub(super) to: Option<&'a [u8]>,
    pub(super) stores_distances: bool,
}

/// What options have said so far.
struct Options<'a> {
    centre: Option<GeoCentre<'a>>,
    shape: Option<Shape>,
    order: Option<GeoOrder>,
    count: Option<usize>,
    any: bool,
    shown: ShownPlace,
    to: Option<&'a [u8]>,
    stores_distances: bool,
}

impl<'a> SearchArguments<'a> {
    /// Reads the arguments behind the key.
    pub(super) fn read(
        arguments: &[&'a [u8]],
        form: SearchForm<'_>,
        to: Option<&'a [u8]>,
    ) -> Result<Self, CommandError> {
        let (unit, rest) = (Unit::Metres, arguments);
        let shown = ShownPlace { unit, distance: false, hash: false, coordinates: false };
        let mut options = Options {
            centre: None,
            shape: None,
            order: None,
            count: None,
            any: false,
            shown,
            to,
            stores_distances: false,
        };
        let mut rest = match (form, rest) {
            (SearchForm::Radius { is_by_member: true, .. }, [member, radius, unit, rest @ ..]) => {
                options.centre = Some(GeoCentre::Member(member));
                options.shape = Some(circle(radius, unit)?);
                rest
            }
            (
                SearchForm::Radius { is_by_member: false, .. },
                [longitude, latitude, radius, unit, rest @ ..],
            ) => {
                options.centre = Some(GeoCentre::Place(read_place(longitude, latitude)?));
                options.shape = Some(circle(radius, unit)?);
                rest
            }
            _ => rest,
        };
        while let [option, behind @ ..] = rest {
            rest = options.option(form, option, behind)?;
        }
        options.finish(form)
    }
}

impl<'a> Options<'a> {
    /// Reads an option. Returns the arguments behind it.
    fn option<'s>(
        &mut self,
        form: SearchForm<'_>,
        option: &[u8],
        behind: &'s [&'a [u8]],
    ) -> Result<&'s [&'a [u8]], CommandError> {
        let stores = matches!(form, SearchForm::Radius { stores: true, .. });
        match behind {
            _ if is(option, "withdist") => self.shown.distance = true,
            _ if is(option, "withhash") => self.shown.hash = true,
            _ if is(option, "withcoord") => self.shown.coordinates = true,
            _ if is(option, "any") => self.any = true,
            _ if is(option, "asc") => self.order = Some(GeoOrder::Nearest),
            _ if is(option, "desc") => self.order = Some(GeoOrder::Farthest),
            _ if is(option, "storedist") && matches!(form, SearchForm::Store(_)) => {
                self.stores_distances = true;
            }
            [count, behind @ ..] if is(option, "count") => {
                let count = number::integer(count).ok_or(NOT_AN_INTEGER)?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0);
                self.count = Some(count.ok_or("ERR COUNT must be > 0")?);
                return Ok(behind);
            }
            [to, behind @ ..] if stores && (is(option, "store") || is(option, "storedist")) => {
                self.to = Some(*to);
                self.stores_distances = is(option, "storedist");
                return Ok(behind);
            }
            _ if form.is_radius() => return Err(SYNTAX),
            _ => return self.place_option(option, behind),
        }
        Ok(behind)
    }

    /// Reads an option of GEOSEARCH about the centre or the shape.
    fn place_option<'s>(
        &mut self,
        option: &[u8],
        behind: &'s [&'a [u8]],
    ) -> Result<&'s [&'a [u8]], CommandError> {
        let is_by_place = matches!(self.centre, Some(GeoCentre::Place(_)));
        let is_by_member = matches!(self.centre, Some(GeoCentre::Member(_)));
        let kind = self.shape.map(|shape| shape.kind);
        let (is_circle, is_box) =
            (matches!(kind, Some(ShapeKind::Circle(_))), matches!(kind, Some(ShapeKind::Box(..))));
        match behind {
            [member, behind @ ..] if is(option, "frommember") && !is_by_place => {
                self.centre = Some(GeoCentre::Member(member));
                Ok(behind)
            }
            [longitude, latitude, behind @ ..] if is(option, "fromlonlat") && !is_by_member => {
                self.centre = Some(GeoCentre::Place(read_place(longitude, latitude)?));
                Ok(behind)
            }
            [radius, unit, behind @ ..] if is(option, "byradius") && !is_box => {
                self.shape = Some(circle(radius, unit)?);
                Ok(behind)
            }
            [width, height, name, behind @ ..] if is(option, "bybox") && !is_circle => {
                let width = score::parse(width).ok_or("ERR need numeric width")?;
                let height = score::parse(height).ok_or("ERR need numeric height")?;
                if width < 0.0 || height < 0.0 {
                    return Err("ERR height or width cannot be negative".into());
                }
                self.shape = Some(Shape { kind: ShapeKind::Box(width, height), unit: unit(name)? });
                Ok(behind)
            }
            _ => Err(SYNTAX),
        }
    }

    fn finish(self, form: SearchForm<'_>) -> Result<SearchArguments<'a>, CommandError> {
        let Self { centre, shape, order, count, any, mut shown, to, stores_distances } = self;
        let missing = |what: &str, name: &[u8]| {
            let name = String::from_utf8_lossy(name);
            format!("ERR exactly one of {what} can be specified for {name}")
        };
        let name: &[u8] = match form {
            SearchForm::Search(name) | SearchForm::Store(name) => name,
            SearchForm::Radius { .. } => b"",
        };
        if to.is_some() && shown.shows_any() {
            let command =
                if form.is_radius() { "STORE option in GEORADIUS" } else { "GEOSEARCHSTORE" };
            let why = "is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
            return Err(format!("ERR {command} {why}").into());
        }
        let centre = centre.ok_or_else(|| missing("FROMMEMBER or FROMLONLAT", name))?;
        let shape = shape.ok_or_else(|| missing("BYRADIUS and BYBOX", name))?;
        if any && count.is_none() {
            return Err("ERR the ANY argument requires COUNT argument".into());
        }
        shown.unit = shape.unit;
        let search = GeoSearch { centre, shape, order, count, any };
        Ok(SearchArguments { search, shown, to, stores_distances })
    }
}

/// Reads a longitude and a latitude.
pub(super) fn read_place(longitude: &[u8], latitude: &[u8]) -> Result<Place, CommandError> {
    let degrees = |text: &[u8]| {
        score::parse(text).ok_or_else(|| CommandError::from(ArgumentError::NotAFloat))
    };
    let (longitude, latitude) = (degrees(longitude)?, degrees(latitude)?);
    Place::new(longitude, latitude).ok_or_else(|| {
        format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}").into()
    })
}

/// Reads a unit.
pub(super) fn unit(name: &[u8]) -> Result<Unit, CommandError> {
    let unit = Unit::of_name(name);
    unit.ok_or_else(|| "ERR unsupported unit provided. please use M, KM, FT, MI".into())
}

/// Reads a radius and its unit.
fn circle(radius: &[u8], name: &[u8]) -> Result<Shape, CommandError> {
    let radius = score::parse(radius).ok_or("ERR need numeric radius")?;
    if radius < 0.0 {
        return Err("ERR radius cannot be negative".into());
    }
    Ok(Shape { kind: ShapeKind::Circle(radius), unit: unit(name)? })
}
